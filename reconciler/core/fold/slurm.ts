/**
 * Folds a list of Slurm into the nodes whose NodeNames it shows: who holds each out of service, and
 * what a person changed there. Pure except for the unit of work. Ambiguous NodeNames are left
 * alone, and the flag DRAIN is judged, never the text, which outlives it.
 */
import type { SlurmConfig } from "../../../schema/config.ts";
import type { EventDraft, EventKind } from "../../../schema/event.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { SlurmAct, SlurmFact } from "../../../schema/slurm.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { nodeEvent } from "../event-draft.ts";
import { claimNames, type SlurmClaim, type SlurmNames } from "../slurm/match.ts";
import type { SlurmNode } from "../slurm/object.ts";
import { actsOf } from "../slurm/hold.ts";
import { isHeldByItself, ownerOf } from "../slurm/owner.ts";
import { inheritedMark, isAnotherBoot, isStale, ownMark } from "../slurm/mark.ts";
import { REASON_CHARS_MAX } from "../slurm/mark.ts";
import { isDrained, isOutage, isPowerSaving } from "../slurm/state.ts";
import { callOff, leavesAnyway, reopenDrain } from "./call-off.ts";
import { sayActs } from "../say/hold.ts";

/** A complete and recent list. */
export type SlurmNews = {
  nodes: readonly SlurmNode[];
  names: SlurmNames;
  onUndrain: SlurmConfig["onUndrain"];
  onForeignDrain: SlurmConfig["onForeignDrain"];
  /** The controller was away since the last list: what vanished may be its lost state. */
  isAfterDark?: boolean;
};

export type SlurmKnown = {
  /** Nodes whose NodeName is in doubt, with the reason. */
  ambiguous: ReadonlyMap<NodeId, string>;
  /** For people. */
  alarms: readonly string[];
};

export const BY_SLURM = "human:slurm";

type Tell = (kind: EventKind, message: string, actor?: string) => void;
type Seen = { claim: SlurmClaim; row: SlurmNode; former: Node | null };

export function foldSlurm(
  news: SlurmNews,
  ids: Iterable<NodeId>,
  now: number,
  work: UnitOfWork,
): SlurmKnown {
  const nodes = [...ids].flatMap((id) => work.node(id) ?? []);
  const rows = new Map(news.nodes.map((row) => [row.name, row]));
  const { claims, ambiguous } = claimNames(nodes, news.names, new Set(rows.keys()));
  const former = formerHolders(nodes);
  for (const node of nodes) {
    if (node.phase.kind === "gone" || ambiguous.has(node.id)) continue;
    const claim = claims.get(node.id) ?? null;
    const row = claim === null ? undefined : rows.get(claim.name);
    const folded =
      claim === null || row === undefined
        ? foldAbsence(node, claim, rows, now)
        : foldRow(node, { claim, row, former: former.get(claim.name) ?? null }, news, now);
    if (folded === null) continue;
    work.putNode(folded.node);
    work.tell(folded.events);
  }
  return { ambiguous, alarms: [...new Set(ambiguous.values()), ...strayMarks(news, claims)] };
}

/** The last machine that is gone, by the NodeName that it had. */
function formerHolders(nodes: readonly Node[]): Map<string, Node> {
  const former = new Map<string, Node>();
  for (const node of nodes) {
    if (node.slurm === null || node.phase.kind !== "gone") continue;
    const other = former.get(node.slurm.name);
    if (other === undefined || other.phase.since <= node.phase.since) {
      former.set(node.slurm.name, node);
    }
  }
  return former;
}

/** Drains of Navarch that nothing will release. A pool's name waits for its slot's next machine. */
function strayMarks(
  { nodes, names }: SlurmNews,
  claims: ReadonlyMap<NodeId, SlurmClaim>,
): string[] {
  const bound = new Set([...claims.values()].map(({ name }) => name));
  for (const name of [...names.slots.values()].flat()) bound.add(name);
  return nodes
    .filter((row) => !bound.has(row.name) && isDrained(row) && ownerOf(row) === "own")
    .map(({ name, reason }) => {
      return `${name} is drained in Slurm (${reason}), and no node has this name`;
    });
}

type Folded = { node: Node; events: EventDraft[] } | null;

const teller =
  (node: Node, now: number, events: EventDraft[]): Tell =>
  (kind, message, actor = "navarch") =>
    void events.push(nodeEvent(node, now, kind, message, actor));

/** Absent is unknown, not deleted; a name that another node has now is given up. */
function foldAbsence(
  node: Node,
  claim: SlurmClaim | null,
  rows: ReadonlyMap<string, SlurmNode>,
  now: number,
): Folded {
  const { slurm } = node;
  if (slurm === null) return null;
  const events: EventDraft[] = [];
  const tell = teller(node, now, events);
  const isMoved = claim === null ? rows.has(slurm.name) : claim.name !== slurm.name;
  if (isMoved) {
    tell("slurm.lost", `NodeName ${slurm.name} is not this node's any more`);
    return { node: { ...node, slurm: null }, events };
  }
  if (slurm.absentSince !== null) return null;
  tell("slurm.lost", `Slurm no longer lists ${slurm.name}`);
  return { node: { ...node, slurm: { ...slurm, absentSince: now } }, events };
}

function foldRow(node: Node, seen: Seen, news: SlurmNews, now: number): Folded {
  const events: EventDraft[] = [];
  const tell = teller(node, now, events);
  const { claim, row } = seen;
  const before = node.slurm?.name === claim.name ? node.slurm : null;
  const slurm = factOf(node, seen, before, { news, now });
  if (before === null) tell("slurm.matched", `matched to NodeName ${row.name} (by ${claim.by})`);
  tellOthers(before, slurm, row, tell);
  const next = { ...node, slurm };
  if (before !== null && isLost(before, row)) {
    // Judged once no call is open that may have changed the mark.
    const open = reopenDrain(next, now);
    return isAsking(node) ? null : foldLostMark(open, before, news, events, tell, now);
  }
  if (before !== null && isSame(before, slurm)) return null;
  if (before?.markedAt === null && slurm.markedAt !== null) {
    tell("slurm.drained", `${row.name} is drained in Slurm: ${slurm.reason}`);
  }
  return { node: next, events };
}

/** What others began or ended there, and what slurmctld did by itself. */
function tellOthers(before: SlurmFact | null, slurm: SlurmFact, row: SlurmNode, tell: Tell): void {
  const { name, others, held, byItself, drain } = slurm;
  if (byItself && before?.byItself !== true) {
    const what = drain ? "drained" : "down";
    tell("slurm.down", `${what} in Slurm, by slurmctld itself (${sayReason(row)})`);
  }
  const known = new Set(before?.others.map(({ kind }) => kind));
  const begun = others.filter(({ kind }) => !known.has(kind));
  if (begun.length > 0) {
    const stays = held ? "left unchanged, and its repair waits" : "left unchanged";
    tell("slurm.foreign", `${name} is ${sayActs(begun)}: ${stays}`, "human");
  }
  const isOver = known.size > 0 && others.length === 0 && !byItself;
  if (isOver) tell("slurm.foreign", `others do nothing to ${name} in Slurm any more`, "human");
}

function sayReason({ reason, reasonBy }: SlurmNode): string {
  const by = reasonBy === null ? "" : `, set by ${reasonBy}`;
  return `${reason ?? "without a reason"}${by}`.slice(0, REASON_CHARS_MAX);
}

/** The drain that was read back is gone; if it went while the node was down, the node is up now. */
function isLost(before: SlurmFact, row: SlurmNode): boolean {
  if (before.absentSince !== null || isDrained(row)) return false;
  if (before.takenOver) return !isOutage(row);
  if (before.markedAt === null) return false;
  if (before.drain) return before.owner === "own";
  return before.down && !before.power && !isOutage(row);
}

function isAsking({ operation }: Node): boolean {
  return operation !== null && /[.](?:cordon|uncordon|mirror)$/.test(operation);
}

/** Set again once in a repair; a person who removes it otherwise cancels the repair. */
function foldLostMark(
  node: Node,
  before: SlurmFact,
  { onUndrain, isAfterDark = false }: SlurmNews,
  events: EventDraft[],
  tell: Tell,
  now: number,
): Folded {
  const { slurm, session, cordon } = node;
  if (slurm === null) return null;
  const unmarked = { ...slurm, markedAt: null };
  if (cordon.product === null && cordon.human === null) {
    tell("slurm.undrained", `others released ${slurm.name} in Slurm`, "human");
    return { node: { ...node, slurm: unmarked }, events };
  }
  const again = before.reassertedAt !== null && before.reassertedAt >= (session?.openedAt ?? 0);
  if (!slurm.power && before.others.some(({ kind }) => kind === "reboot")) {
    // `nextstate=resume` says nothing of the fault: what the boot cured shows afterwards.
    tell("slurm.undrained", `scontrol reboot removed the drain of ${slurm.name}: it is set again`);
    return { node: { ...node, slurm: unmarked }, events };
  }
  const by = slurm.power ? "power saving" : isAfterDark ? "an outage" : "a person";
  if ((slurm.power || isAfterDark || onUndrain === "enforce") && !again) {
    tell("slurm.undrained", `${by} removed the drain of ${slurm.name}: it is set again once`);
    return { node: { ...node, slurm: { ...unmarked, reassertedAt: now } }, events };
  }
  if (slurm.power) {
    // `markedAt` stays, so nothing drains it again in this repair.
    tell("slurm.undrained", `${by} removed the drain of ${slurm.name} again: it is left so`);
    return { node, events };
  }
  if (leavesAnyway(node)) {
    const is = `but the node is ${node.phase.kind}`;
    tell("slurm.undrained", `a person released ${slurm.name} in Slurm, ${is}`, "human");
    return { node: { ...node, slurm: unmarked }, events };
  }
  if (slurm.down) {
    // Not in service, so nothing ends yet. The date keeps it from being drained again.
    const goesOn = session === null ? "its cordon stays" : "the repair goes on";
    const still = `which is still down in Slurm: ${goesOn} until state=resume`;
    tell("slurm.undrained", `a person removed the drain of ${slurm.name}, ${still}`, "human");
    return { node: { ...node, slurm: { ...slurm, markedAt: now } }, events };
  }
  const off = session === null ? "" : ": the repair is cancelled";
  tell("slurm.undrained", `a person released ${slurm.name} in Slurm${off}`, "human");
  const back = callOff({ ...node, slurm: unmarked }, BY_SLURM, "released in Slurm", now);
  return { node: back, events };
}

function factOf(
  node: Node,
  seen: Seen,
  before: SlurmFact | null,
  { news, now }: { news: SlurmNews; now: number },
): SlurmFact {
  const { claim, row, former } = seen;
  const owner = ownerOf(row);
  const drain = isDrained(row);
  const isOwn = owner === "own" && drain;
  // Registrations tell the time since the boot, so the BootTime moves by a second now and then.
  const known = before?.bootTime ?? null;
  // One that appears under a machine that is being ended is the next machine's.
  const isEnding = node.phase.kind === "terminating" && known !== null;
  const isNew = !isEnding && isAnotherBoot(known, row.bootTime);
  const bootTime = isNew ? row.bootTime : known;
  // A name that was deleted and created again has none of the earlier marks.
  const last = before?.absentSince === null ? before : null;
  const mark =
    last === null ? inheritedMark(node, row, former, now) : ownMark(node, last, row, now);
  const others = actsOf(row);
  const isTaken = others.some(({ kind }) => kind === "drain" || kind === "reboot") && drain;
  const wasOurs = last !== null && (last.takenOver || last.markedAt !== null);
  return {
    name: row.name,
    by: claim.by,
    boundAt: before?.boundAt ?? now,
    owner,
    byItself: isHeldByItself(row),
    others,
    held: others.length > 0 && news.onForeignDrain === "hold",
    takenOver: owner === "foreign" && isTaken && wasOurs,
    stale: isStale(node, { row, former, before: last }),
    drain,
    down: isOutage(row),
    power: isPowerSaving(row),
    silent: row.flags.includes("NOT_RESPONDING"),
    completing: isOwn && row.flags.includes("COMPLETING"),
    reason: row.reason?.slice(0, REASON_CHARS_MAX) ?? null,
    ...mark,
    bootTime,
    bootSeenAt: bootTime === known ? (before?.bootSeenAt ?? null) : now,
    reassertedAt: before?.reassertedAt ?? null,
    restUntil: before?.restUntil ?? 0,
    refusals: before?.refusals ?? 0,
    refusal: before?.refusal ?? null,
    absentSince: null,
  };
}

function isSame(a: SlurmFact, b: SlurmFact): boolean {
  const { others: ofA, ...restA } = a;
  const { others: ofB, ...restB } = b;
  const keys = Object.keys(restB) as (keyof typeof restB)[];
  const isSameActs = ofA.map(keyOf).join() === ofB.map(keyOf).join();
  return isSameActs && keys.every((key) => restA[key] === restB[key]);
}

const keyOf = ({ kind, by, why }: SlurmAct): string => JSON.stringify([kind, by, why]);
