/**
 * Virtual machines: each purchase is one virtual Node of a Kubernetes cluster that KWOK keeps alive
 * and a simulated agent (docs/provider-kwok.md). The Node's name makes a repeated purchase the same
 * one, its UID makes an order that of this object, and an annotation holds its newest fence: an
 * older reboot or termination is refused, whichever process sends it. A late create of another
 * process makes a Node of its own name, which the sweep ends.
 *
 * Adapter: network.
 */
import * as v from "valibot";
import type { InstanceId } from "../../../schema/id.ts";
import type { Clock } from "../../core/clock.ts";
import type {
  CreateAnswer,
  CreateRequest,
  Fence,
  Inspection,
  ListAnswer,
  OffersAnswer,
  Place,
  Provider,
  RebootAnswer,
  StrangersAnswer,
  TerminateAnswer,
} from "../../core/provider.ts";
import { REACHES_ANY } from "../../core/reach.ts";
import { strangersIn } from "../../core/stranger.ts";
import { deleteOptions, type KubeAnswer, type KubeApi, PATCH } from "../../kubernetes/api.ts";
import { answerOrder, listAll, refused } from "../call/cluster-call.ts";
import { Fences, staleFence } from "../call/fence.ts";
import { readsNothing } from "../call/reads-nothing.ts";
import { inspectCluster } from "./inspect.ts";
import {
  BOOT,
  type Boot,
  BoughtNode,
  bootOf,
  FENCE,
  FLEET_LABEL,
  fenceOf,
  folderOf,
  instanceOf,
  nodeOf,
  ownedBy,
  partsOf,
  TOKEN,
} from "./instance.ts";
import { resourcesOf, type Types, whyNotSold } from "./type.ts";

const NODES = "/api/v1/nodes";
const CALL_MS = 30_000;

export type KwokOptions = {
  name: string;
  fleetId: string;
  api: KubeApi;
  clock: Clock;
  types: Types;
  isTainted: boolean;
  /** The agents' folders and their process. */
  agents: AgentHost;
  /** Longest wait for one answer. */
  callMs?: number;
};

/** What a purchase needs of the process of simulated agents. */
export type AgentHost = {
  /** Stores the credential of an agent before its Node exists. */
  prepare(folder: string, credential: string): void;
  /** Why agents do not run; `null` = nothing known. */
  trouble(): string | null;
  close(): void;
};

export function openKwok(options: KwokOptions): Provider {
  const kwok = new Kwok(options);
  const { fences } = kwok;
  const { agents, api } = options;
  return {
    ...readsNothing,
    name: options.name,
    type: "kwok",
    class: "name",
    settleMs: 0,
    bringsAgent: true,
    canReboot: true,
    reach: () => ({ ...REACHES_ANY, type: "kwok" }),
    trouble: () => agents.trouble(),
    offers: (places) => Promise.resolve(offersOf(places)),
    create: async (request, fence, credential) =>
      fences.check(fence) ?? (await kwok.create(request, fence, credential)),
    terminate: async (id, fence) => fences.check(fence) ?? (await kwok.terminate(id, fence)),
    reboot: async (id, fence) => fences.check(fence) ?? (await kwok.reboot(id, fence)),
    list: () => kwok.list(),
    strangers: (pools) => kwok.strangers(pools),
    inspect: (places): Promise<Inspection[]> => inspectCluster(kwok.parts, places),
    close: () => {
      agents.close();
      return Promise.resolve(api.close());
    },
  };
}

/** There is always room; the prices are the setting's. */
function offersOf(places: readonly Place[]): OffersAnswer {
  const free = { pricePerHour: null, available: true };
  return { kind: "ok", offers: places.map((place) => ({ ...place, ...free })) };
}

/** A Node as it was read, or the answer if it could not be. */
type Found =
  | { kind: "node"; node: BoughtNode }
  /** No Node, or another one of this name. */
  | { kind: "none" }
  | { kind: "unknown"; answer: Exclude<TerminateAnswer, { kind: "accepted" | "not_found" }> };

class Kwok {
  readonly fences = new Fences();
  readonly parts: Required<KwokOptions>;

  constructor(options: KwokOptions) {
    this.parts = { callMs: CALL_MS, ...options };
  }

  async create(
    request: CreateRequest,
    { fence }: Fence,
    credential: string | null,
  ): Promise<CreateAnswer> {
    const { agents, api, callMs, isTainted, name, types } = this.parts;
    const why = whyNotSold(request, types);
    if (why !== null) return refused("bad_request", why);
    const resources = resourcesOf(request.instanceType, types);
    // First: an agent finds its credential with its Node, however this process ends.
    if (credential !== null) agents.prepare(folderOf(request.token), credential);
    const answer = await api.call({
      verb: "create",
      path: NODES,
      body: nodeOf(request, { fence, resources }, { provider: name, isTainted }),
      timeoutMs: callMs,
      lane: "status",
    });
    if (answer.kind === "ok") return made(answer.body);
    if (answer.kind === "refused" && answer.reason === "AlreadyExists") {
      return this.#existing(request, fence);
    }
    return answerOrder(answer);
  }

  /** The name is taken: by this purchase, or by another's. */
  async #existing(request: CreateRequest, fence: number): Promise<CreateAnswer> {
    const path = pathOf(request.name);
    const answer = await this.#get(path);
    if (answer.kind !== "ok") {
      const message = `Node ${request.name} exists and cannot be read: ${answer.message}`;
      return { kind: "ambiguous", message };
    }
    const read = v.safeParse(BoughtNode, answer.body);
    if (!read.success) return { kind: "ambiguous", message: `${path}: the reply is no Node` };
    if (read.output.metadata.annotations[TOKEN] !== request.token) {
      const message = `name exists: Node ${request.name} is of another purchase`;
      return refused("bad_request", message);
    }
    const seen = fenceOf(read.output);
    if (seen > fence) return staleFence({ nodeId: request.nodeId, fence }, seen);
    if (seen === fence) return { kind: "ok", instance: instanceOf(read.output) };
    const noted = await this.#annotate(read.output, { [FENCE]: String(fence) });
    return noted.kind === "ok" ? made(noted.body) : unsettled(noted);
  }

  async terminate(id: InstanceId, fence: Fence): Promise<TerminateAnswer> {
    const { api, callMs } = this.parts;
    const found = await this.#find(id, fence);
    if (found.kind === "none") return { kind: "not_found" };
    if (found.kind === "unknown") return found.answer;
    const { name, uid, resourceVersion } = found.node.metadata;
    const answer = await api.call({
      verb: "delete",
      path: pathOf(name),
      // As it was read: a call of a newer fence in between makes this one fail.
      body: { ...deleteOptions(uid), preconditions: { uid, resourceVersion } },
      timeoutMs: callMs,
      lane: "status",
    });
    if (answer.kind === "ok") return { kind: "accepted" };
    if (answer.kind === "refused" && answer.status === 404) return { kind: "not_found" };
    return unsettled(answer);
  }

  async reboot(id: InstanceId, fence: Fence): Promise<RebootAnswer> {
    const found = await this.#find(id, fence);
    if (found.kind === "none") return { kind: "not_found" };
    if (found.kind === "unknown") return found.answer;
    const before = bootOf(found.node);
    // This very order was carried out, and its answer was lost.
    if (before.fence === fence.fence) return { kind: "accepted" };
    const atMs = this.parts.clock.wallMs();
    const boot: Boot = { count: before.count + 1, atMs, fence: fence.fence };
    const answer = await this.#annotate(found.node, {
      [BOOT]: JSON.stringify(boot),
      [FENCE]: String(fence.fence),
    });
    if (answer.kind === "ok") return { kind: "accepted" };
    if (answer.kind === "refused" && answer.status === 404) return { kind: "not_found" };
    return unsettled(answer);
  }

  async list(): Promise<ListAnswer> {
    const { api, callMs, fleetId, name } = this.parts;
    const query = { labelSelector: ownedBy(fleetId, name) };
    const ask = { path: NODES, query, schema: BoughtNode, timeoutMs: callMs };
    const answer = await listAll(api, ask);
    if (answer.kind === "failed") return answer;
    const instances = answer.items.map(instanceOf);
    // A label's value may be a digest.
    const own = instances.filter(({ tags }) => tags["navarch-fleet"] === fleetId);
    return { kind: "ok", instances: own };
  }

  async strangers(pools: readonly string[]): Promise<StrangersAnswer> {
    const { api, callMs, fleetId } = this.parts;
    const query = { labelSelector: FLEET_LABEL };
    const ask = { path: NODES, query, schema: BoughtNode, timeoutMs: callMs };
    const answer = await listAll(api, ask);
    if (answer.kind === "failed") return answer;
    return { kind: "ok", instances: strangersIn(answer.items.map(instanceOf), fleetId, pools) };
  }

  /** The Node of this id, if no newer call was made for it. */
  async #find(id: InstanceId, fence: Fence): Promise<Found> {
    const parts = partsOf(id);
    if (parts === null) return { kind: "none" };
    const answer = await this.#get(pathOf(parts.name));
    if (answer.kind === "refused" && answer.status === 404) return { kind: "none" };
    if (answer.kind !== "ok") return { kind: "unknown", answer: answerOrder(answer) };
    const read = v.safeParse(BoughtNode, answer.body);
    if (!read.success) {
      const message = `${pathOf(parts.name)}: the reply is no Node`;
      return { kind: "unknown", answer: { kind: "ambiguous", message } };
    }
    if (read.output.metadata.uid !== parts.uid) return { kind: "none" };
    const seen = fenceOf(read.output);
    if (seen > fence.fence) return { kind: "unknown", answer: staleFence(fence, seen) };
    return { kind: "node", node: read.output };
  }

  /** Fails if the Node has changed since it was read. */
  #annotate({ metadata }: BoughtNode, annotations: Record<string, string>): Promise<KubeAnswer> {
    const { name, uid, resourceVersion } = metadata;
    return this.parts.api.call({
      verb: "patch",
      path: pathOf(name),
      contentType: PATCH.merge,
      body: { metadata: { uid, resourceVersion, annotations } },
      timeoutMs: this.parts.callMs,
      lane: "status",
    });
  }

  #get(path: string): Promise<KubeAnswer> {
    const timeoutMs = this.parts.callMs;
    return this.parts.api.call({ verb: "get", path, timeoutMs, lane: "read" });
  }
}

const pathOf = (name: string): string => `${NODES}/${encodeURIComponent(name)}`;

function made(body: unknown): CreateAnswer {
  const read = v.safeParse(BoughtNode, body);
  if (read.success) return { kind: "ok", instance: instanceOf(read.output) };
  return { kind: "ambiguous", message: "the reply to the purchase is no Node" };
}

/** The Node changed after it was read: nothing was done, and a repeat reads it again. */
function unsettled(answer: Exclude<KubeAnswer, { kind: "ok" }>) {
  if (answer.kind === "refused" && answer.status === 409) {
    return { kind: "ambiguous" as const, message: `not done: ${answer.message}` };
  }
  return answerOrder(answer);
}
