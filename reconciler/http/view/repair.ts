/**
 * A repair as a timeline: the steps that were taken, with their times, the one that is being taken
 * and what it waits for, and those still ahead. Made from events, phase and newest plan. Pure.
 */
import type { ExplainView } from "../../../schema/api.ts";
import { type Event, EVENTS, type EventKind } from "../../../schema/event.ts";
import type { Node } from "../../../schema/node.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { Climb } from "../../core/decide/ladder.ts";
import { iso } from "./node.ts";

export type RepairStep = {
  at: string | null;
  /** Until the next step; `null` = it is not over, or it is the last one. */
  took_ms: number | null;
  state: "done" | "now" | "ahead";
  /** `warn` and `error`: something went wrong, or is told to a person. */
  level: "info" | "warn" | "error";
  what: string;
  detail: string | null;
  /** Of another node: the replacement. */
  node: string | null;
  actor: string | null;
};

export type RepairView = {
  /** `null` = no repair: it starts, or a person has it drained or ended. */
  id: string | null;
  since: string;
  /** `null` while it is under way. */
  closed_at: string | null;
  how: string | null;
  steps: RepairStep[];
  /** What the current step waits for, and the earliest next decision. */
  waits: string[];
  until: string | null;
  replacement: string | null;
};

/** Events that are a step. The others are evidence, or say the same again. */
const STEPS: ReadonlySet<EventKind> = new Set<EventKind>([
  "node.requested",
  "node.booting",
  "node.bootstrapping",
  "node.bootstrapped",
  "node.registered",
  "node.verified",
  "node.suspect",
  "node.unhealthy",
  "node.cordoned",
  "node.uncordoned",
  "node.draining",
  "node.drained",
  "node.repairing",
  "node.replacing",
  "node.terminating",
  "node.terminated",
  "node.replaced",
  "node.recovered",
  "node.silent",
  "node.heard",
  "node.failed",
  "node.held",
  "instance.notice",
  "instance.lost",
  "kube.cordoned",
  "kube.uncordoned",
  "slurm.drained",
  "slurm.released",
  "command.issued",
]);

type From = {
  events: readonly Event[];
  explain: Pick<ExplainView, "next" | "earliest" | "blockers">;
  rung: Climb["rung"] | undefined;
  /** The node that takes its slot, with its events. */
  successor: { node: Node; events: readonly Event[] } | null;
};

/** `null`: nothing is being done about the node, and nothing was. */
export function viewRepair(node: Node, from: From): RepairView | null {
  const span = spanOf(node);
  if (span === null) return null;
  const { since, until } = span;
  const own = stepsIn(from.events, since, until, null);
  const next = from.successor;
  const others = next === null ? [] : stepsIn(next.events, since, null, next.node.id);
  const done = [...own, ...others].sort((a, b) => a.at - b.at);
  const isOpen = until === null && node.phase.kind !== "gone";
  const coming = isOpen ? nowOf(node) : next === null ? null : comingOf(next.node);
  const { explain } = from;
  return {
    id: span.id,
    since: iso(since),
    closed_at: until === null ? null : iso(until),
    how: span.how,
    steps: [
      ...done.map((step, at) => viewDone(step, done[at + 1]?.at ?? coming?.since ?? null)),
      ...(coming === null ? [] : [viewNow(coming)]),
      ...(isOpen ? aheadOf(node, from.rung).filter(isNotDone(next)).map(viewAhead) : []),
    ],
    waits: isOpen ? waitsOf(explain) : [],
    until: isOpen ? explain.earliest : null,
    replacement: next?.node.id ?? null,
  };
}

type Span = { id: string | null; since: number; until: number | null; how: string | null };

function spanOf(node: Node): Span | null {
  const { session, lastSession, phase, order } = node;
  const open = { until: null, how: null };
  if (session !== null) return { id: session.id, since: session.openedAt, ...open };
  const { kind } = phase;
  if (kind === "draining" || kind === "terminating" || kind === "held" || order !== null) {
    return { id: null, since: Math.min(phase.since, order?.at ?? phase.since), ...open };
  }
  if (kind !== "serving" && kind !== "gone") return { id: null, since: node.createdAt, ...open };
  if (lastSession === null || lastSession === undefined) return null;
  const { id, openedAt, closedAt, how } = lastSession;
  return { id, since: openedAt, until: closedAt, how };
}

type Done = { at: number; event: Event; node: string | null };

function stepsIn(
  events: readonly Event[],
  since: number,
  until: number | null,
  node: string | null,
): Done[] {
  return events
    .filter(({ kind, at }) => STEPS.has(kind) && at >= since && (until === null || at <= until))
    .map((event) => ({ at: event.at, event, node }));
}

function viewDone({ at, event, node }: Done, next: number | null): RepairStep {
  const [grade, what] = EVENTS[event.kind] ?? ["info" as const, event.kind];
  const level = grade === "debug" ? "info" : grade;
  const actor = event.actor === "navarch" ? null : event.actor;
  const took = next === null ? null : Math.max(0, next - at);
  const about = { what, detail: event.message, node, actor, level };
  return { at: iso(at), took_ms: took, state: "done", ...about };
}

type Now = { what: string; since: number; node: string | null };

function viewNow({ what, since, node }: Now): RepairStep {
  const about = { detail: null, node, actor: null, took_ms: null, level: "info" as const };
  return { at: iso(since), state: "now", what, ...about };
}

function viewAhead(what: string): RepairStep {
  const about = { detail: null, node: null, actor: null, took_ms: null, level: "info" as const };
  return { at: null, state: "ahead", what, ...about };
}

/** The step that is being taken. */
export function sayPhase({ phase, cordon }: Pick<Node, "phase" | "cordon">): string {
  switch (phase.kind) {
    case "requested":
      return phase.refusal === null ? "machine is being bought" : "purchase is tried again";
    case "booting":
      return "machine starts";
    case "bootstrapping":
      return `machine is set up, attempt ${phase.attempt}`;
    case "verifying":
      return "first full check";
    case "serving":
      return cordon.product === null && cordon.human === null ? "in service" : "cordoned";
    case "suspect":
      return cordon.product === null ? "fault is observed" : "isolated";
    case "draining":
      return phase.drainedAt === null ? "work leaves" : "empty";
    case "repairing":
      return phase.rung === "reboot" ? "machine reboots" : "GPUs are reset";
    case "replacing":
      return "replacement comes up first";
    case "terminating":
      return "machine is being ended";
    case "held":
      return "held for a person";
    case "gone":
      return "gone";
    default:
      return unreachable(phase);
  }
}

function nowOf(node: Node): Now | null {
  if (node.phase.kind === "serving" && node.session === null) return null;
  return { what: sayPhase(node), since: node.phase.since, node: null };
}

/** The replacement's current step, until it serves. */
function comingOf(node: Node): Now | null {
  const { kind, since } = node.phase;
  const isComing = ["requested", "booting", "bootstrapping", "verifying"].includes(kind);
  return isComing ? { what: sayPhase(node), since, node: node.id } : null;
}

const COMING = ["machine bought", "machine starts", "first full check", "in service"];
const NEW = ["replacement is bought", "replacement is checked", "replacement serves"];

/** What follows if nothing else happens. `rung` is the next repair step. */
function aheadOf(node: Node, rung: Climb["rung"] | undefined): string[] {
  const { phase, cordon } = node;
  switch (phase.kind) {
    case "requested":
      return COMING;
    case "booting":
    case "bootstrapping":
      return COMING.slice(2);
    case "verifying":
      return COMING.slice(3);
    case "suspect": {
      const isolate = cordon.product === null ? ["cordon"] : [];
      return [...isolate, "drain", ...endOf(rung)];
    }
    case "draining":
      return endAfterDrain(phase.purpose, node.order?.goal ?? null);
    case "repairing":
      return ["full check after the boot", "back in service"];
    case "replacing":
      return ["drain", "machine ended"];
    case "terminating":
      return ["machine ended", ...(isRefilled(phase.purpose) ? NEW : [])];
    case "held":
      return ["a person repairs or ends it"];
    case "serving":
    case "gone":
      return [];
    default:
      return unreachable(phase);
  }
}

function endOf(rung: Climb["rung"] | undefined): string[] {
  if (rung === undefined) return ["a person repairs it"];
  if (rung === null) return ["held for a person"];
  return rung === "reboot"
    ? ["reboot", "full check after the boot", "back in service"]
    : ["machine ended", ...NEW];
}

type Purpose = Extract<Node["phase"], { kind: "terminating" }>["purpose"];

function isRefilled(purpose: Purpose): boolean {
  return ["replace", "failed", "lemon", "lost"].includes(purpose);
}

function endAfterDrain(purpose: Purpose, goal: NonNullable<Node["order"]>["goal"] | null) {
  if (purpose === "repair") return endOf("reboot");
  if (goal === "drain") return ["stays out of service until a person uncordons it"];
  return ["machine ended", ...(goal === "replace" || isRefilled(purpose) ? NEW : [])];
}

/** With `surge` the replacement serves before the node is drained. */
function isNotDone(successor: From["successor"]): (what: string) => boolean {
  const serves = successor?.node.phase.kind === "serving";
  return (what) => !serves || !NEW.includes(what);
}

function waitsOf({ next, blockers }: From["explain"]): string[] {
  return blockers.length > 0 ? blockers : next === null ? [] : [next];
}
