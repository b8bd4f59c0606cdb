/**
 * Folds what Slurm answered to a drain or a release. Pure. A refusal has its own back-off and stops
 * nothing else: Kubernetes' part of the same operation is judged in `outcome.ts`.
 */
import type { EventDraft } from "../../../schema/event.ts";
import type { Node } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import type { SlurmAct, SlurmFact } from "../../../schema/slurm.ts";
import { nodeEvent } from "../event-draft.ts";
import { hasRegistered } from "../slurm/mark.ts";
import { repairOf } from "../slurm/reason.ts";
import type { SlurmMark } from "../slurm/sink.ts";
import { backoffMs } from "../turn/backoff.ts";
import type { Outcome } from "./outcome.ts";
import { sayOutcome } from "../say/outcome.ts";

const REST_MS = 2_000;
const REST_MAX_MS = 60_000;
const REFUSAL_CHARS_MAX = 600;
/** What a node keeps of refusals once Slurm answers. */
const ACCEPTED = { restUntil: 0, refusals: 0, refusal: null } as const;

const SOMEONES: SlurmAct = { kind: "drain", by: null, why: null };

/** What an operation asks of Slurm; `null` = nothing. */
export function slurmPartOf({ payload }: Pick<Operation, "payload">) {
  const isMark = payload.kind === "cordon" || payload.kind === "uncordon";
  return isMark ? (payload.slurm ?? null) : null;
}

/** Whether the operation concerns Slurm alone. */
export function isSlurmOnly({ payload }: Pick<Operation, "payload">): boolean {
  if (payload.kind === "uncordon") return payload.slurm !== undefined;
  return payload.kind === "cordon" && payload.only === "slurm";
}

/** The operation after its one call, and what it says. */
export function closeSlurmOnly(operation: Operation, outcome: Outcome, now: number): Operation {
  const answer = answerOf(outcome);
  const state = answer.kind === "ok" ? "done" : "refused";
  const message = answer.kind === "ok" ? outcome.message : answer.message;
  return { ...operation, attempts: operation.attempts + 1, state, closedAt: now, message };
}

export function answerOf(outcome: Outcome): SlurmMark {
  if (outcome.slurm !== undefined) return outcome.slurm;
  return { kind: "ambiguous", message: outcome.message ?? sayOutcome({ code: "no_answer" }) };
}

/** `null` = the answer is about another NodeName, or about none. */
export function foldSlurmAnswer(
  operation: Operation,
  node: Node,
  outcome: Outcome,
  now: number,
): { node: Node; events: EventDraft[] } | null {
  const part = slurmPartOf(operation);
  const { slurm } = node;
  if (part === null || slurm === null || part.name !== slurm.name) return null;
  if (outcome.slurm === undefined && !isSlurmOnly(operation)) return null;
  const answer = answerOf(outcome);
  const { name } = slurm;
  const events: EventDraft[] = [];
  const releases = operation.payload.kind === "uncordon";
  // The repair is over when its node, or the next one, is released: the reason has its id.
  const ended = releases ? repairOf(slurm.reason) : null;
  const tell = (kind: EventDraft["kind"], message: string): void => {
    const draft = nodeEvent(node, now, kind, message);
    events.push({ ...draft, session: draft.session ?? ended });
  };
  if (answer.kind === "ok" && answer.owner === (releases ? "none" : "own")) {
    const next = releases ? released(slurm) : drained(node, slurm, operation, answer, now);
    if (releases) {
      const why = operation.because.join(" ");
      tell("slurm.released", sayOutcome({ code: "slurm_released", name, why }));
    } else if (slurm.markedAt === null) {
      tell("slurm.drained", sayOutcome({ code: "slurm_drained", name, reason: next.reason }));
    }
    return { node: { ...node, slurm: next }, events };
  }
  if (answer.kind === "ok" && answer.owner === "foreign") {
    if (slurm.owner !== "foreign") {
      tell("slurm.foreign", sayOutcome({ code: "slurm_foreign", name }));
    }
    // The next list tells whether it was slurmctld itself, and whether it holds the repair.
    const others = { owner: "foreign", byItself: false, markedAt: null } as const;
    const takenOver = slurm.takenOver || slurm.markedAt !== null;
    const held = { held: true, others: slurm.others.length > 0 ? slurm.others : [SOMEONES] };
    const theirs = { ...slurm, ...ACCEPTED, ...others, ...held, takenOver };
    return { node: { ...node, slurm: theirs }, events };
  }
  if (answer.kind === "unsent") return { node, events };
  const message = answer.kind === "ok" ? sayOutcome({ code: "not_confirmed" }) : answer.message;
  const what = releases ? "release" : "drain";
  if (isNewSlurmRefusal(slurm, message)) {
    tell("slurm.refused", sayOutcome({ code: "slurm_refused", what, name, said: message }));
  }
  // Whether it was released is unknown, so its drain's end is not a person's decision.
  const unsure = releases && answer.kind !== "refused" ? { markedAt: null } : {};
  const next = { ...slurm, ...refused(slurm, message, now), ...unsure };
  return { node: { ...node, slurm: next }, events };
}

function drained(
  node: Node,
  slurm: SlurmFact,
  { payload }: Operation,
  { bootTime }: Extract<SlurmMark, { kind: "ok" }>,
  now: number,
): SlurmFact {
  const reason = payload.kind === "cordon" ? (payload.slurm?.reason ?? null) : slurm.reason;
  // A machine that has not registered since the mark before is still to do so.
  const isOwed = slurm.markedAt !== null && slurm.drain && !hasRegistered(node, slurm);
  const boot = { markedBoot: bootTime, markedBootId: node.agent?.bootId ?? null };
  return {
    ...slurm,
    ...(isOwed ? {} : boot),
    owner: "own",
    drain: true,
    reason,
    markedAt: now,
    ...ACCEPTED,
  };
}

function released(slurm: SlurmFact): SlurmFact {
  return {
    ...slurm,
    owner: "none",
    byItself: false,
    stale: false,
    drain: false,
    down: false,
    reason: null,
    markedAt: null,
    markedBoot: null,
    markedBootId: null,
    ...ACCEPTED,
  };
}

function refused(slurm: SlurmFact, message: string, now: number) {
  const refusals = slurm.refusals + 1;
  const restUntil = now + backoffMs(refusals, REST_MS, REST_MAX_MS);
  return { refusals, restUntil, refusal: message.slice(0, REFUSAL_CHARS_MAX) };
}

/** After each power of two attempts. */
export function isNewSlurmRefusal({ refusals, refusal }: SlurmFact, message: string): boolean {
  const isOther = refusal !== message.slice(0, REFUSAL_CHARS_MAX);
  return ((refusals + 1) & refusals) === 0 || (isOther && refusals < 8);
}
