/**
 * The part of a pool's state that Slurm's power saving decides: which slots have a machine. Pure.
 * `ResumeProgram` and `SuspendProgram` may be told twice, late or never, so every step has the same
 * result when repeated, and `observePower` puts right from Slurm's own list what was lost.
 */
import type { PoolConfig } from "../../../schema/config.ts";
import type { EventDraft } from "../../../schema/event.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { Wait } from "../plan.ts";
import type { SlurmPower } from "../../../schema/slurm.ts";
import { poolEvent } from "../event-draft.ts";
import { isOwned } from "../fleet.ts";
import { backoffMs } from "../turn/backoff.ts";
import type { SlurmNode } from "./object.ts";
import { ownerOf } from "./owner.ts";
import { isDrained } from "./state.ts";
import { sayWait } from "../say/wait.ts";

export type Power = SlurmPower[number];

/** A slot that got no machine for so long fails: its job waits elsewhere meanwhile. */
const PATIENCE_MS = 15_000;
/** A list that began this soon after a change may have been answered before it. */
const SETTLE_MS = 15_000;
const FIRST_REST_MS = 60_000;
const REST_MS_MAX = 30 * 60_000;
const WHY_CHARS_MAX = 160;

/** Whether Slurm's power saving sizes the pool, name by name. */
export function isPowered(pool: Pick<PoolConfig, "slurm"> | null): boolean {
  return pool?.slurm?.powerSave === true;
}

/** Slots that get a machine, the oldest wish first, at most the pool's `max_nodes`. */
export function wantedSlots(pool: PoolConfig, state: PoolState | undefined): Power[] {
  const on = (state?.power ?? []).filter((one) => one.on);
  on.sort((a, b) => a.at - b.at || a.slot - b.slot);
  return on.slice(0, pool.scaling.maxNodes);
}

/** Slots that Slurm resumed, once more or for the first time. A repeat changes nothing. */
function resume(state: PoolState, slots: Iterable<number>, now: number): PoolState {
  return change(state, slots, now, (before) => {
    if (before?.on === true) return before;
    return { on: true, at: now, gen: state.nextGen, failure: before?.failure ?? null };
  });
}

/** Slots that Slurm suspended or gave up. A repeat changes nothing. */
function suspend(state: PoolState, slots: Iterable<number>, now: number): PoolState {
  return change(state, slots, now, (before) => {
    if (before?.on === false) return before;
    return { on: false, at: now, gen: state.nextGen, failure: before?.failure ?? null };
  });
}

type Told = Omit<Power, "slot">;

function change(
  state: PoolState,
  slots: Iterable<number>,
  now: number,
  step: (before: Power | undefined) => Told,
): PoolState {
  const power = new Map((state.power ?? []).map((one) => [one.slot, one]));
  let isChanged = false;
  for (const slot of slots) {
    const before = power.get(slot);
    const after = step(before);
    if (after === before) continue;
    isChanged = true;
    power.set(slot, { slot, ...after });
  }
  if (!isChanged) return state;
  const all = [...power.values()].sort((a, b) => a.slot - b.slot);
  const desired = all.filter((one) => one.on).length;
  const size = desired === state.desired ? {} : { desired, desiredBy: "slurm", desiredAt: now };
  return { ...state, ...size, power: all };
}

/**
 * The pool's nodes that its power saving no longer wants. A machine that was suspended never serves
 * again: Slurm waits for a boot after its resume. One that is repaired, held or cordoned by a
 * person is evidence, and stays; so does one of whose slot nothing was told or seen yet.
 */
export function suspendedNodes(
  pool: PoolConfig,
  state: PoolState | undefined,
  nodes: readonly Node[],
): Set<Node["id"]> {
  const wanted = new Set(wantedSlots(pool, state).map((one) => one.slot));
  const known = new Map((state?.power ?? []).map((one) => [one.slot, one.gen]));
  const out = nodes.filter((node) => {
    if (node.slot === null || isOwned(node) || isKept(node)) return false;
    const gen = known.get(node.slot);
    return gen !== undefined && (!wanted.has(node.slot) || node.gen < gen);
  });
  return new Set(out.map(({ id }) => id));
}

function isKept({ phase, session, cordon }: Node): boolean {
  if (phase.kind === "held" || phase.kind === "repairing") return true;
  return session !== null || cordon.human !== null;
}

export type PowerInput = {
  pool: PoolConfig;
  state: PoolState;
  /** NodeNames by slot. */
  names: readonly string[];
  /** Nodes of the pool, also those that are gone. */
  nodes: readonly Node[];
  /** Slurm's list and when it was asked for; `null` = not known now. */
  list: { rows: ReadonlyMap<string, SlurmNode>; seenAt: number } | null;
  /** Of the last plan. */
  waits: readonly Wait[];
  attentiveMs: number;
  now: number;
};

/** The pool's state after what Slurm shows and what could not be bought, with the news. */
export function stepPower(input: PowerInput): { state: PoolState; events: EventDraft[] } {
  const { pool, now } = input;
  const observed = observePower(input);
  const failed = failPower({ ...input, state: observed });
  const events = [...sizeEvents(pool, input.state, observed, now), ...failed.events];
  return { state: failed.state, events };
}

function sizeEvents(
  { name }: PoolConfig,
  before: PoolState,
  { desired }: PoolState,
  now: number,
  why = "as Slurm shows its nodes",
): EventDraft[] {
  if (desired === before.desired) return [];
  return [poolEvent(name, now, "pool.size", `wanted size ${before.desired} → ${desired}: ${why}`)];
}

/** Puts right from Slurm's own list what its programs could not tell, or told out of order. */
function observePower({ state, names, nodes, list, now }: PowerInput): PoolState {
  if (list === null) return state;
  const known = new Map((state.power ?? []).map((one) => [one.slot, one]));
  const occupied = new Set(nodes.filter(isLive).map(({ slot }) => slot));
  const on: number[] = [];
  const off: number[] = [];
  names.forEach((name, slot) => {
    const row = list.rows.get(name);
    const before = known.get(slot);
    const isYoung = before !== undefined && list.seenAt - before.at < SETTLE_MS;
    if (row === undefined || isYoung) return;
    const has = (...flags: string[]): boolean => flags.some((flag) => row.flags.includes(flag));
    const isOccupied = occupied.has(slot);
    if (has("POWERED_DOWN", "POWERING_DOWN")) {
      if (before === undefined ? isOccupied : before.on) off.push(slot);
    } else if (before?.on !== true && row.base !== "DOWN") {
      // Without a record, after a restored backup, a machine that Slurm uses stays.
      const isUsed = before === undefined && row.bootTime !== null && !has("NOT_RESPONDING");
      if (has("POWERING_UP", "POWER_UP")) on.push(slot);
      else if (isUsed && isOccupied) on.push(slot);
    }
  });
  // A name that was taken from slurm.nodes cannot be suspended any more.
  for (const { slot, on: is } of known.values()) if (is && slot >= names.length) off.push(slot);
  // Nothing told when its machines were bought: every generation serves.
  const adopted = new Set(on.filter((slot) => !known.has(slot)));
  const after = suspend(resume(state, on, now), off, now);
  const power = after.power?.map((one) => (adopted.has(one.slot) ? { ...one, gen: 0 } : one));
  return power === undefined || adopted.size === 0 ? after : { ...after, power };
}

function failPower(input: PowerInput): { state: PoolState; events: EventDraft[] } {
  const { pool, names, state, now } = input;
  const all = state.power ?? [];
  const wanted = new Set(wantedSlots(pool, state).map((one) => one.slot));
  const bySlot = Map.groupBy(input.nodes, ({ slot }) => slot);
  const events: EventDraft[] = [];
  const failures = new Map<number, NonNullable<Power["failure"]>>();
  for (const one of all) {
    if (!one.on) continue;
    const own = bySlot.get(one.slot) ?? [];
    const why = wanted.has(one.slot) ? hindranceOf(one, own, input) : fullOf(pool);
    if (why === null) continue;
    const times = (one.failure?.times ?? 0) + 1;
    const until = now + backoffMs(times, FIRST_REST_MS, REST_MS_MAX);
    const short = why.slice(0, WHY_CHARS_MAX);
    failures.set(one.slot, { why: short, until, times });
    const message = `NodeName ${names[one.slot] ?? one.slot} gets no machine: ${short}`;
    const next = `Slurm is told that it is DOWN until ${new Date(until).toISOString()}`;
    events.push(poolEvent(pool.name, now, "pool.condition", `${message}; ${next}`));
  }
  if (failures.size === 0) return { state, events };
  const off = suspend(state, failures.keys(), now);
  const power = (off.power ?? []).map((one) => {
    const failure = failures.get(one.slot);
    return failure === undefined ? one : { ...one, failure };
  });
  return { state: { ...off, power }, events };
}

function fullOf({ scaling }: PoolConfig): string {
  return `the pool has its max_nodes of ${scaling.maxNodes}`;
}

/** Why the slot got no machine in time; `null` = it has one, or one may be on its way. */
function hindranceOf(
  one: Power,
  own: readonly Node[],
  { pool, waits, attentiveMs, now }: PowerInput,
): string | null {
  if (Math.min(now - one.at, attentiveMs) < PATIENCE_MS) return null;
  // It had a machine: what follows is a repair, which has its own patience.
  if (own.some((node) => node.gen >= one.gen && isOrWasThere(node))) return null;
  const live = own.filter(isLive);
  const fresh = live.find((node) => node.gen >= one.gen);
  const said = (node: Node | null): string | undefined => {
    const id = node?.id ?? null;
    const wait = waits.find((one) => one.node === id && one.pool === pool.name);
    return wait === undefined ? undefined : sayWait(wait.why);
  };
  if (fresh !== undefined) {
    // A purchase that is not answered may have bought one.
    if (fresh.phase.kind !== "requested" || fresh.operation !== null) return null;
    return fresh.phase.refusal ?? said(fresh) ?? "no machine could be bought";
  }
  const former = live[0];
  if (former === undefined) return said(null) ?? "no machine could be bought";
  if (!isKept(former)) return null;
  const who = former.cordon.human === null ? "" : `, cordoned by ${former.cordon.human.by}`;
  return `${former.id} has its place (${former.phase.kind}${who})`;
}

const isLive = ({ phase }: Node): boolean => phase.kind !== "gone";

function isOrWasThere({ instance, agent }: Node): boolean {
  return instance !== null || agent !== null;
}

/** What Slurm is to show of a NodeName; the sender compares before it writes. */
export type PowerMark =
  /** The machine's address, which a CLOUD node forgets with every power-down. */
  | { name: string; kind: "address"; address: string }
  /** It gets no machine now: DOWN and powered down, so that its jobs wait elsewhere. */
  | { name: string; kind: "down"; why: string }
  /** It may be resumed again. */
  | { name: string; kind: "release" }
  /** No machine has the name, and a drain of ours from one that had it keeps it from a resume. */
  | { name: string; kind: "undrain" };

/**
 * Drains of machines that are gone, on names that Slurm has powered down (before 23.02 it powers
 * drained nodes down too, and keeps the flag): no machine will come that could end them.
 */
export function drainsLeft(
  names: readonly string[],
  nodes: readonly Node[],
  rows: ReadonlyMap<string, SlurmNode>,
): PowerMark[] {
  const occupied = new Set(nodes.filter(isLive).map(({ slot }) => slot));
  return names.flatMap((name, slot): PowerMark[] => {
    const row = rows.get(name);
    const isLeft = row !== undefined && !occupied.has(slot) && isLeftDrained(row);
    return isLeft ? [{ name, kind: "undrain" }] : [];
  });
}

export const isLeftDrained = (row: SlurmNode): boolean =>
  row.flags.includes("POWERED_DOWN") && isDrained(row) && ownerOf(row) === "own";

/** Facts, never steps: they may be lost, late or repeated. */
export function powerMarks(
  pool: PoolConfig,
  state: PoolState | undefined,
  names: readonly string[],
  nodes: readonly Node[],
  now: number,
): PowerMark[] {
  const wanted = new Set(wantedSlots(pool, state).map((one) => one.slot));
  const bySlot = Map.groupBy(nodes, ({ slot }) => slot);
  return (state?.power ?? []).flatMap((one): PowerMark[] => {
    const name = names[one.slot];
    if (name === undefined) return [];
    if (!one.on) {
      if (one.failure === null) return [];
      const { why, until } = one.failure;
      return [now < until ? { name, kind: "down", why } : { name, kind: "release" }];
    }
    if (!wanted.has(one.slot)) return [];
    const node = bySlot.get(one.slot)?.find(({ gen, phase }) => {
      return gen >= one.gen && ARRIVES.has(phase.kind);
    });
    const address = node?.instance?.state === "running" ? addressOf(node) : null;
    return address === null ? [] : [{ name, kind: "address", address }];
  });
}

/** Phases of a machine that Slurm may use; one that leaves has no say. */
const ARRIVES = new Set<string>([
  ...["booting", "bootstrapping", "verifying", "serving", "suspect", "repairing", "held"],
]);

/** The network that slurmctld and the machines share is mostly the internal one. */
function addressOf({ instance }: Node): string | null {
  return instance?.internalIp ?? instance?.externalIp ?? null;
}

/** What Slurm's programs tell. */
export const POWER_VERBS = ["resume", "suspend", "resume-fail"] as const;
export type PowerVerb = (typeof POWER_VERBS)[number];

/** One program's message about slots of one pool, with the event of a changed size. */
export function tellPower(
  pool: PoolConfig,
  state: PoolState,
  told: { verb: PowerVerb; slots: readonly number[]; why: string; now: number },
): { state: PoolState; events: EventDraft[] } {
  const { verb, slots, why, now } = told;
  const next = verb === "resume" ? resume(state, slots, now) : suspend(state, slots, now);
  return { state: next, events: sizeEvents(pool, state, next, now, why) };
}
