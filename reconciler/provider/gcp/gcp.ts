/**
 * Google Compute Engine, class `name`: the request id recognises a repeat, and after its time the
 * name does, which is unique in its zone. The zone is part of the frozen request
 * (docs/reference/gce.md). A purchase is accepted before it is made: its operation tells the end.
 *
 * Adapter: network, through ./api.ts.
 */
import * as v from "valibot";
import type { InstanceId } from "../../../schema/id.ts";
import type { Millis } from "../../../schema/millis.ts";
import type { Clock } from "../../core/clock.ts";
import type {
  CreateAnswer,
  CreateRequest,
  HostKeysAnswer,
  Instance,
  ListAnswer,
  Provider,
  RebootAnswer,
  RefusalClass,
  StrangersAnswer,
  TerminateAnswer,
} from "../../core/provider.ts";
import { Fences } from "../call/fence.ts";
import { type Failed, failedOf, GceApi, type Got } from "./api.ts";
import { endedClass, failureOf, Operation } from "./error.ts";
import { Inspector } from "./inspect.ts";
import {
  FLEET,
  insertBody,
  InstanceBody,
  instanceOf,
  type MachineOptions,
  optionsWith,
} from "./instance.ts";
import { Listing } from "./list.ts";
import { fitsId, idOf, isName, partsOf, regionOf, requestIdOf } from "./name.ts";
import { Pendings } from "./pending.ts";
import type { Tokens } from "../../google/token.ts";
import { parseInstant } from "../../../schema/instant.ts";
import { backoffMs } from "../../core/turn/backoff.ts";
import { pause } from "../../core/turn/time-limit.ts";

/** The first look at an operation, and the longest pause between two. */
const FIRST_LOOK_MS = 250;
const LOOK_MS = 3_000;
/** How far the list over all zones may be behind. */
const SETTLE_MS = 60_000;
/** `USER:ssh-ed25519 AAAA… comment`. */
const SSH_KEY = /^[a-z_][a-z0-9_.-]*:(ssh|ecdsa|sk-)\S+ [A-Za-z0-9+/=]+( .*)?$/;

export type GcpOptions = MachineOptions & {
  name: string;
  endpoint: string;
  /** The Resource Manager's address, for the check of permissions. */
  iamEndpoint: string;
  tokens: Tokens;
  /** Least time between two requests. */
  requestMs: number;
  /** How long a create waits for its operation, from its beginning. */
  waitMs: number;
  fleetId: string;
  clock: Clock;
};

export function openGcp(options: GcpOptions): Provider {
  const api = new GceApi(options);
  const gcp = new Gcp(options, api);
  const inspector = new Inspector(options, api);
  const { fences } = gcp;
  return {
    name: options.name,
    type: "gcp",
    class: "name",
    settleMs: SETTLE_MS,
    bringsAgent: false,
    canReboot: true,
    reach: () => ({ type: "gcp", account: `gcp ${options.project}`, region: null }),
    // Prices are in another API, by part and not by machine.
    offers: (places) => inspector.offers(places),
    quota: (places) => inspector.quota(places),
    inspect: (places) => inspector.inspect(places),
    hostKeys: (id) => gcp.hostKeys(id),
    trouble: () => null,
    create: async (request, fence) => fences.check(fence) ?? (await gcp.create(request)),
    terminate: async (id, fence) => fences.check(fence) ?? (await gcp.terminate(id)),
    reboot: async (id, fence) => fences.check(fence) ?? (await gcp.reboot(id)),
    list: () => gcp.list(),
    strangers: (pools) => gcp.strangers(pools),
    close: () => Promise.resolve(),
  };
}

const HOST_KEY = /^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}$/;
const GuestAttributes = v.object({
  queryValue: v.nullish(
    v.object({ items: v.nullish(v.array(v.object({ key: v.string(), value: v.string() })), []) }),
    null,
  ),
});

class Gcp {
  readonly fences = new Fences();
  readonly #options: GcpOptions;
  readonly #api: GceApi;
  readonly #pendings = new Pendings();
  readonly #listing: Listing;

  constructor(options: GcpOptions, api: GceApi) {
    this.#options = options;
    this.#api = api;
    this.#listing = new Listing(options, api, this.#pendings);
  }

  list(): Promise<ListAnswer> {
    return this.#listing.list();
  }

  strangers(pools: readonly string[]): Promise<StrangersAnswer> {
    return this.#listing.strangers(pools);
  }

  async create(request: CreateRequest): Promise<CreateAnswer> {
    const { zone } = request;
    const machine = optionsWith(this.#options, request);
    const wrong = whyNot(request, machine);
    if (wrong !== null || zone === null) return refused("bad_request", wrong ?? "no zone");
    const { fleetId, clock, waitMs } = this.#options;
    const endMono = clock.monoMs() + waitMs;
    const answer = await this.#api.call({
      method: "POST",
      path: `/zones/${zone}/instances`,
      query: { requestId: requestIdOf(fleetId, request.token) },
      body: insertBody(request, zone, machine),
      schema: Operation,
    });
    if (answer.kind === "ok") return this.#settle(answer.data, request, zone, endMono);
    if (answer.class === "exists") return this.#existing(request, zone);
    return answerCreate(answer);
  }

  /** Waits a while, because a stock-out is reported after some seconds. */
  async #settle(
    accepted: Operation,
    request: CreateRequest,
    zone: string,
    endMono: number,
  ): Promise<CreateAnswer> {
    if (!/^[1-9][0-9]{0,19}$/.test(accepted.targetId)) {
      return { kind: "ambiguous", message: "accepted without an instance id" };
    }
    const instance = expected(accepted, request, zone);
    const operation = await this.#awaitEnd(accepted, zone, endMono);
    if (operation.status !== "DONE") {
      this.#pendings.add({ operation: accepted.name, zone, instance, isKnown: true });
      return { kind: "ok", instance };
    }
    const found = await this.#get(zone, accepted.targetId);
    if (found.kind === "ok") return { kind: "ok", instance: instanceOf(found.data) };
    const failure = failureOf(operation);
    // Made, and not readable yet or ended since: the listing decides.
    if (failure === null) return { kind: "ok", instance };
    if (found.class !== "not_found") return { kind: "ambiguous", message: failure.message };
    if (failure.class === "exists") return this.#existing(request, zone, failure.message);
    return refused(endedClass(failure.class), failure.message);
  }

  async #awaitEnd(accepted: Operation, zone: string, endMono: number): Promise<Operation> {
    const { clock } = this.#options;
    let last = accepted;
    for (let looks = 1; last.status !== "DONE"; looks += 1) {
      const restMs = endMono - clock.monoMs();
      if (restMs <= 0) break;
      await pause(clock, Math.min(backoffMs(looks, FIRST_LOOK_MS, LOOK_MS), restMs));
      const path = `/zones/${zone}/operations/${accepted.name}`;
      const answer = await this.#api.call({ method: "GET", path, schema: Operation });
      // A look that fails tells nothing about the purchase, which was accepted.
      if (answer.kind === "ok") last = answer.data;
    }
    return last;
  }

  #get(zone: string, which: string): Promise<Got<InstanceBody>> {
    const path = `/zones/${zone}/instances/${which}`;
    return this.#api.call({ method: "GET", path, schema: InstanceBody });
  }

  /**
   * The name is in use: by this purchase, which was made before, or by something else. `ended`: the
   * operation that said so, which a repeat would give again.
   */
  async #existing(
    request: CreateRequest,
    zone: string,
    ended: string | null = null,
  ): Promise<CreateAnswer> {
    const { name, tags } = request;
    const found = await this.#get(zone, name);
    if (found.kind === "failed") {
      const isGone = found.class === "not_found" && ended !== null;
      return isGone ? refused("capacity", ended) : { kind: "ambiguous", message: found.message };
    }
    const instance = instanceOf(found.data);
    const isOurs = [FLEET, "navarch-node"].every((key) => instance.tags[key] === tags[key]);
    if (isOurs && tags[FLEET] !== undefined) return { kind: "ok", instance };
    return refused("bad_request", `name exists: ${name} in ${zone} is not this fleet's`);
  }

  async terminate(id: InstanceId): Promise<TerminateAnswer> {
    const answer = await this.#order("DELETE", id, "");
    if (answer.kind === "accepted") this.#listing.ended(id);
    return answer;
  }

  async reboot(id: InstanceId): Promise<RebootAnswer> {
    return this.#order("POST", id, "/reset");
  }

  async #order(method: "DELETE" | "POST", id: InstanceId, what: string): Promise<TerminateAnswer> {
    const parts = partsOf(id);
    if (parts === null) return { kind: "not_found" };
    const path = `/zones/${parts.zone}/instances/${parts.number}${what}`;
    const answer = await this.#api.call({ method, path, schema: Operation });
    if (answer.kind === "failed") return answerOrder(answer);
    const failure = failureOf(answer.data);
    if (failure === null) return { kind: "accepted" };
    return answerOrder({ kind: "failed", ...failure, retryAfterMs: null });
  }

  /** What the guest agent has written; an image without one never writes. */
  async hostKeys(id: InstanceId): Promise<HostKeysAnswer> {
    const parts = partsOf(id);
    if (parts === null) return { kind: "ok", hostKeys: [] };
    const answer = await this.#api.call({
      method: "GET",
      path: `/zones/${parts.zone}/instances/${parts.number}/getGuestAttributes`,
      query: { queryPath: "hostkeys/" },
      schema: GuestAttributes,
    });
    if (answer.kind === "failed") {
      return answer.class === "not_found" ? { kind: "ok", hostKeys: [] } : failedOf(answer);
    }
    const items = answer.data.queryValue?.items ?? [];
    const lines = items.map(({ key, value }) => `${key} ${value.trim()}`);
    // Every program of the machine may write guest attributes.
    return { kind: "ok", hostKeys: lines.filter((line) => HOST_KEY.test(line)) };
  }
}

const NO_IMAGE = "Compute Engine needs an image: set it at the provider or the pool";

/** Refused before anything is sent, with the remedy. */
function whyNot(request: CreateRequest, options: MachineOptions): string | null {
  const { name, zone, region, sshKeys, market, reservation } = request;
  if (zone === null) return "Compute Engine needs a zone: set zones on the pool";
  if (!isName(zone)) return `zone ${zone} is no zone's name`;
  if (region !== null && regionOf(zone) !== region) {
    return `zone ${zone} is not in region ${region}: correct the pool's zones or region`;
  }
  if (!isName(name)) return `name ${name} must be 1 to 63 of a-z 0-9 - and begin with a letter`;
  if (!fitsId(zone, name)) return `zone ${zone} and name ${name} are too long together`;
  if (options.image === null) return NO_IMAGE;
  if (market === "reserved" && reservation === null) return "market reserved needs a reservation";
  const odd = sshKeys.find((key) => !SSH_KEY.test(key));
  if (odd === undefined) return null;
  return `ssh_keys entry ${odd.slice(0, 20)}… must be USER:KEY, as ubuntu:ssh-ed25519 AAAA…`;
}

/** An accepted instance, before the API shows it. */
function expected(accepted: Operation, request: CreateRequest, zone: string): Instance {
  const { name, tags, instanceType } = request;
  const createdAtMs = parseInstant(accepted.insertTime);
  return {
    id: idOf(zone, name, accepted.targetId),
    name,
    token: null,
    state: "provisioning",
    tags,
    region: regionOf(zone),
    zone,
    instanceType,
    internalIp: null,
    externalIp: null,
    createdAtMs: createdAtMs > 0 ? createdAtMs : 0,
    pricePerHour: null,
    hostKeys: null,
    failure: null,
    notice: null,
  };
}

function answerCreate({ class: cls, message, retryAfterMs }: Failed): CreateAnswer {
  switch (cls) {
    case "unknown":
    case "exists":
      return { kind: "ambiguous", message };
    case "not_found":
      return refused("bad_request", message);
    default:
      return refused(cls, message, retryAfterMs);
  }
}

function answerOrder({ class: cls, message, retryAfterMs }: Failed): TerminateAnswer {
  switch (cls) {
    case "unknown":
    case "exists":
      return { kind: "ambiguous", message };
    case "not_found":
      return { kind: "not_found" };
    default:
      return refused(cls, message, retryAfterMs);
  }
}

function refused(cls: RefusalClass, message: string, retryAfterMs: Millis | null = null) {
  return { kind: "refused" as const, class: cls, message, retryAfterMs };
}
