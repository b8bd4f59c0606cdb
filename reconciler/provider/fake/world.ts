/**
 * The fake cloud as a state machine: `apply` folds one entry into the world; `answer.ts` and
 * `time.ts` decide the entries. It uses no clock, randomness or files, so the same
 * entries always give the same world, and the journal proves what exists. The world is changed in
 * place, because a simulation holds 100,000 instances.
 */
import type { InstanceId } from "../../../schema/id.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { CreateRequest, Instance, InstanceState, ProviderClass } from "../../core/provider.ts";
import { pushDue } from "./due.ts";
import type { Due, DueKind } from "./due.ts";
import type { Entry } from "./entry.ts";

/** Properties of a cloud without faults. */
export type Terms = {
  class: ProviderClass;
  /** Instance ids begin with it. */
  name: string;
  /** From a create's effect to its answer. */
  createMs: number;
  /** Provisioning to running. */
  bootMs: number;
  /** Terminating to terminated. */
  terminateMs: number;
  /** How long a terminated instance stays listed. */
  retentionMs: number;
  /**
   * How long after termination a token is still recognised (docs/reference/providers.md#classes,
   * EC2 ≥ 24 h).
   */
  tokenWindowMs: number;
  /** Age of what a list shows. */
  listLagMs: number;
  /** US dollars an hour by instance type; `pricePerHour` for the others. */
  prices: Record<string, number>;
  pricePerHour: number | null;
  /** False: its machines start without an agent, as a real cloud's do (only in memory). */
  bringsAgent?: boolean;
};

export const DEFAULT_TERMS: Terms = {
  class: "token",
  name: "fake",
  createMs: 0,
  // A second each: visible, and short enough for a demonstration.
  bootMs: 1_000,
  terminateMs: 1_000,
  retentionMs: 3_600_000,
  tokenWindowMs: 24 * 3_600_000,
  listLagMs: 0,
  prices: {},
  pricePerHour: null,
};

export type AgentProcess = { pid: number; startTicks: string; bootId: string };

/** The real state of an instance, whatever a list shows. */
export type Held = {
  instance: Instance;
  /** The request's token, also if the class ignores tokens. */
  token: string;
  nodeId: string;
  /** Every state with its beginning, oldest first: a lagging list shows an older one. */
  history: { atMs: number; state: InstanceState }[];
  vanishAtMs: number | null;
  forgetAtMs: number | null;
  process: AgentProcess | null;
  /** Count of reboots. */
  reboots: number;
};

/** A create that was accepted and has no effect yet. */
export type Pending = {
  id: InstanceId;
  request: CreateRequest;
  nodeId: string;
  fence: number;
  landAtMs: number;
  bootMs: number;
  pricePerHour: number | null;
};

export type World = {
  salt: string;
  /** Accepted requests so far; the next instance id contains it. */
  ordinal: number;
  /** Creates that reached the cloud, with any outcome. */
  asks: number;
  instances: Map<InstanceId, Held>;
  /** Also of terminated instances, until forgotten: a used token must not buy again. */
  tokens: Map<string, InstanceId>;
  /** Names in use; free again once the instance is terminated. */
  names: Map<string, InstanceId>;
  /** The highest fence seen, by node. */
  fences: Map<string, number>;
  pending: Map<InstanceId, Pending>;
  due: Due[];
  dueSeq: number;
};

export function emptyWorld(): World {
  return {
    salt: "",
    ordinal: 0,
    asks: 0,
    instances: new Map(),
    tokens: new Map(),
    names: new Map(),
    fences: new Map(),
    pending: new Map(),
    due: [],
    dueSeq: 0,
  };
}

/** Whether it costs money: every state except terminated. */
export function isLive(instance: Instance): boolean {
  return instance.state !== "terminated";
}

/** The entries of a journal, folded. @internal */
export function replay(entries: Iterable<Entry>): World {
  const world = emptyWorld();
  for (const entry of entries) apply(world, entry);
  return world;
}

function plan(world: World, kind: DueKind, id: InstanceId, token: string, atMs: number): void {
  world.dueSeq += 1;
  pushDue(world.due, { atMs, seq: world.dueSeq, kind, id, token });
}

function seeFence(world: World, nodeId: string | null, fence: number | null): void {
  if (nodeId === null || fence === null) return;
  const seen = world.fences.get(nodeId);
  if (seen === undefined || fence > seen) world.fences.set(nodeId, fence);
}

function enter(held: Held, state: InstanceState, atMs: number): void {
  // A new object each time: lists that were handed out must not change afterwards.
  held.instance = { ...held.instance, state };
  held.history.push({ atMs, state });
}

function land(world: World, instance: Instance, runningAtMs: number): void {
  const pending = world.pending.get(instance.id);
  if (pending === undefined) throw new Error(`journal: ${instance.id} landed without an ask`);
  world.pending.delete(instance.id);
  world.instances.set(instance.id, {
    instance,
    token: pending.request.token,
    nodeId: pending.nodeId,
    history: [{ atMs: instance.createdAtMs, state: instance.state }],
    vanishAtMs: null,
    forgetAtMs: null,
    process: null,
    reboots: 0,
  });
  world.tokens.set(pending.request.token, instance.id);
  world.names.set(instance.name, instance.id);
  seeFence(world, pending.nodeId, pending.fence);
  plan(world, "run", instance.id, pending.request.token, runningAtMs);
}

function known(world: World, id: InstanceId): Held {
  const held = world.instances.get(id);
  if (held === undefined) throw new Error(`journal: ${id} is not an instance of this cloud`);
  return held;
}

function end(world: World, held: Held, atMs: number): void {
  enter(held, "terminated", atMs);
  const { id, name } = held.instance;
  if (world.names.get(name) === id) world.names.delete(name);
  if (held.vanishAtMs !== null) plan(world, "vanish", id, held.token, held.vanishAtMs);
  if (held.forgetAtMs !== null) plan(world, "forget", id, held.token, held.forgetAtMs);
}

function run(held: Held, atMs: number, internalIp: string): void {
  enter(held, "running", atMs);
  held.instance = { ...held.instance, internalIp };
}

function endProcess(held: Held | undefined, pid: number): void {
  if (held?.process?.pid === pid) held.process = null;
}

/** What an instance of an old journal lacks. */
const NOTHING_MORE = { hostKeys: null, failure: null, notice: null };

/** Folds one entry into the world. Throws if it cannot follow, as in a journal of two clouds. */
export function apply(world: World, entry: Entry): void {
  switch (entry.kind) {
    case "opened":
      world.salt = entry.salt;
      return;
    case "create.accepted": {
      world.asks += 1;
      world.ordinal += 1;
      const { id, request, nodeId, fence, landAtMs, bootMs, pricePerHour } = entry;
      world.pending.set(id, { id, request, nodeId, fence, landAtMs, bootMs, pricePerHour });
      plan(world, "land", id, request.token, landAtMs);
      return;
    }
    case "create.repeated":
      world.asks += 1;
      seeFence(world, entry.nodeId, entry.fence);
      return;
    case "rebooted":
      known(world, entry.id).reboots += 1;
      seeFence(world, entry.nodeId, entry.fence);
      return;
    case "create.refused":
    case "terminate.refused":
      if (entry.kind === "create.refused") world.asks += 1;
      // These two are refused before the request is examined.
      if (entry.class !== "auth" && entry.class !== "rate_limit") {
        seeFence(world, entry.nodeId, entry.fence);
      }
      return;
    case "landed":
      land(world, { ...NOTHING_MORE, ...entry.instance }, entry.runningAtMs);
      return;
    case "dropped":
      world.pending.delete(entry.id);
      return;
    case "running":
      run(known(world, entry.id), entry.atMs, entry.internalIp);
      return;
    case "terminate.accepted": {
      const held = known(world, entry.id);
      seeFence(world, entry.nodeId, entry.fence);
      if (held.instance.state === "terminating" || held.instance.state === "terminated") return;
      held.vanishAtMs = entry.vanishAtMs;
      held.forgetAtMs = entry.forgetAtMs;
      enter(held, "terminating", entry.atMs);
      plan(world, "end", entry.id, held.token, entry.terminatedAtMs);
      return;
    }
    case "terminated":
      end(world, known(world, entry.id), entry.atMs);
      return;
    case "vanished":
      world.instances.delete(entry.id);
      return;
    case "forgotten":
      if (world.tokens.get(entry.token) === entry.id) world.tokens.delete(entry.token);
      return;
    case "process.started": {
      const { pid, startTicks, bootId } = entry;
      known(world, entry.id).process = { pid, startTicks, bootId };
      return;
    }
    case "process.ended":
      endProcess(world.instances.get(entry.id), entry.pid);
      return;
    default:
      unreachable(entry);
  }
}
