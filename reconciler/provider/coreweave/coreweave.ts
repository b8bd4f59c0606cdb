/**
 * CoreWeave: one NodePool of one Node for each purchase, through the cluster's API server
 * (docs/reference/coreweave.md). Its name makes a repeated purchase the same one, and its UID an
 * order that of this object. This process refuses an older fence (`fence.ts`); a late request of
 * another one creates a pool of its own name, which the sweep ends.
 *
 * Adapter: network.
 */
import * as v from "valibot";
import type { InstanceId } from "../../../schema/id.ts";
import type { Clock } from "../../core/clock.ts";
import type {
  CreateAnswer,
  CreateRequest,
  Failed,
  Inspection,
  ListAnswer,
  Place,
  Provider,
  StrangersAnswer,
  TerminateAnswer,
} from "../../core/provider.ts";
import { REACHES_ANY } from "../../core/reach.ts";
import { strangersIn } from "../../core/stranger.ts";
import { deleteOptions, type KubeAnswer, type KubeApi } from "../../kubernetes/api.ts";
import { openClient } from "../../kubernetes/client.ts";
import type { Transport } from "../../kubernetes/connect.ts";
import { answerOrder, listAll, refused } from "../call/cluster-call.ts";
import { Fences } from "../call/fence.ts";
import { readsNothing } from "../call/reads-nothing.ts";
import { inspectCluster } from "./inspect.ts";
import {
  FLEET_LABEL,
  instanceOf,
  instancesOf,
  isOf,
  labelValue,
  NodePool,
  nodesOf,
  POOL_UID,
  nodePoolOf,
  partsOf,
  PoolEvent,
  PoolNode,
} from "./node-pool.ts";
import { NO_RESOURCE, pathOf, POOLS, whyNotSold } from "./request.ts";

const FLEET_TAG = "navarch-fleet";
const CALL_MS = 30_000;

export type CoreweaveOptions = {
  name: string;
  fleetId: string;
  transport: Transport;
  clock: Clock;
  /** Longest wait for one answer. */
  callMs?: number;
};

export function openCoreweave(options: CoreweaveOptions): Provider {
  const ports = { clock: options.clock, count: () => undefined, userAgent: "navarch-provider" };
  const api = openClient(options.transport, ports);
  const coreweave = new Coreweave(api, options);
  const { fences } = coreweave;
  return {
    ...readsNothing,
    name: options.name,
    type: "coreweave",
    class: "name",
    settleMs: 0,
    // Agents come through the DaemonSet.
    bringsAgent: true,
    canReboot: false,
    reach: () => ({ ...REACHES_ANY, type: "coreweave" }),
    trouble: () => coreweave.trouble,
    create: async (request, fence) => fences.check(fence) ?? (await coreweave.create(request)),
    terminate: async (id, fence) => fences.check(fence) ?? (await coreweave.terminate(id)),
    reboot: () => Promise.resolve({ kind: "unsupported" }),
    list: () => coreweave.list(),
    strangers: (pools) => coreweave.strangers(pools),
    inspect: (places: readonly Place[]): Promise<Inspection[]> =>
      inspectCluster(api, places, coreweave.callMs),
    close: () => Promise.resolve(api.close()),
  };
}

class Coreweave {
  readonly fences = new Fences();
  readonly callMs: number;
  /** Why a Node of a purchase does not come, as of the last list. */
  trouble: string | null = null;
  readonly #api: KubeApi;
  readonly #fleetId: string;

  constructor(api: KubeApi, { callMs = CALL_MS, fleetId }: CoreweaveOptions) {
    this.#api = api;
    this.callMs = callMs;
    this.#fleetId = fleetId;
  }

  async create(request: CreateRequest): Promise<CreateAnswer> {
    const why = whyNotSold(request);
    if (why !== null) return refused("bad_request", why);
    const answer = await this.#api.call({
      verb: "create",
      path: POOLS,
      body: nodePoolOf(request),
      timeoutMs: this.callMs,
      lane: "status",
    });
    if (answer.kind === "ok") return this.#made(answer.body);
    if (answer.kind === "lost") return { kind: "ambiguous", message: answer.message };
    if (answer.status === 409 && answer.reason === "AlreadyExists") return this.#existing(request);
    return answerCreate(answer);
  }

  #made(body: unknown): CreateAnswer {
    const read = v.safeParse(NodePool, body);
    if (read.success) return { kind: "ok", instance: instanceOf(read.output, null, []) };
    return { kind: "ambiguous", message: "the reply to the purchase is no NodePool" };
  }

  /** The name is taken: by this purchase, or by another's. */
  async #existing(request: CreateRequest): Promise<CreateAnswer> {
    const path = pathOf(request.name);
    const answer = await this.#get(path);
    if (answer.kind !== "ok") {
      const message = `NodePool ${request.name} exists and cannot be read: ${answer.message}`;
      return { kind: "ambiguous", message };
    }
    const read = v.safeParse(NodePool, answer.body);
    if (!read.success) return { kind: "ambiguous", message: `${path}: the reply is no NodePool` };
    if (!isOf(read.output, request)) {
      const message = `name exists: NodePool ${request.name} is of another purchase`;
      return refused("bad_request", message);
    }
    const query = { labelSelector: nodesOf(read.output) };
    const nodes = await this.#nodes(query);
    const node = nodes.kind === "ok" ? (nodes.items[0] ?? null) : null;
    return { kind: "ok", instance: instanceOf(read.output, node, []) };
  }

  async terminate(id: InstanceId): Promise<TerminateAnswer> {
    const parts = partsOf(id);
    if (parts === null) return { kind: "not_found" };
    const answer = await this.#api.call({
      verb: "delete",
      path: pathOf(parts.name),
      body: deleteOptions(parts.uid),
      timeoutMs: this.callMs,
      lane: "status",
    });
    if (answer.kind === "ok") return { kind: "accepted" };
    if (answer.kind === "lost") return { kind: "ambiguous", message: answer.message };
    // Another object of this name: ours is gone.
    const isOther = answer.status === 409 && answer.reason === "Conflict";
    if (answer.status === 404 || isOther) return { kind: "not_found" };
    return answerOrder(answer);
  }

  async list(): Promise<ListAnswer> {
    const query = { labelSelector: `${FLEET_LABEL}=${labelValue(this.#fleetId)}` };
    const pools = await this.#all(POOLS, query, NodePool);
    if (pools.kind === "failed") return pools;
    // After the pools: a Node that joins in between is not left over. By CoreWeave's label, because
    // a Node that is not found never comes into service.
    const nodes = await this.#nodes({ labelSelector: POOL_UID });
    if (nodes.kind === "failed") return nodes;
    const joined = new Set(nodes.items.map(({ metadata }) => metadata.labels[POOL_UID]));
    const isWaiting = pools.items.some(({ metadata }) => !joined.has(metadata.uid));
    const events = isWaiting ? await this.#events() : [];
    const all = instancesOf(pools.items, nodes.items, Array.isArray(events) ? events : []);
    const instances = all.filter(({ tags }) => tags[FLEET_TAG] === this.#fleetId);
    const stuck = instances.find(({ failure }) => failure !== null);
    const unread = Array.isArray(events) ? null : `events cannot be read: ${events.message}`;
    this.trouble = stuck ? `NodePool ${stuck.name}: ${stuck.failure?.message ?? ""}` : unread;
    return { kind: "ok", instances };
  }

  async strangers(names: readonly string[]): Promise<StrangersAnswer> {
    const pools = await this.#all(POOLS, { labelSelector: FLEET_LABEL }, NodePool);
    if (pools.kind === "failed") return pools;
    const nodes = await this.#nodes({ labelSelector: POOL_UID });
    if (nodes.kind === "failed") return nodes;
    const all = instancesOf(pools.items, nodes.items, []);
    return { kind: "ok", instances: strangersIn(all, this.#fleetId, names) };
  }

  #nodes(query: { labelSelector: string }) {
    return this.#all("/api/v1/nodes", query, PoolNode);
  }

  /** They say why a Node does not come; without them nothing is known. */
  async #events(): Promise<PoolEvent[] | Failed> {
    const query = { fieldSelector: "involvedObject.kind=NodePool" };
    const answer = await this.#all("/api/v1/events", query, PoolEvent);
    return answer.kind === "ok" ? answer.items : answer;
  }

  #all<T>(
    path: string,
    query: Readonly<Record<string, string>>,
    schema: v.GenericSchema<unknown, T>,
  ) {
    const timeoutMs = this.callMs;
    return listAll(this.#api, { path, query, schema, timeoutMs, lacks: NO_RESOURCE });
  }

  #get(path: string): Promise<KubeAnswer> {
    return this.#api.call({ verb: "get", path, timeoutMs: this.callMs, lane: "read" });
  }
}

function answerCreate(answer: Extract<KubeAnswer, { kind: "refused" }>): CreateAnswer {
  return answer.status === 404 ? refused("bad_request", NO_RESOURCE) : answerOrder(answer);
}
