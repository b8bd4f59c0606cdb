/**
 * Folds the answer to an operation into the operation, its node and its pool, for one transaction
 * (law 4). Pure. Only a definite answer closes an operation; a rate limit or an unknown outcome
 * leaves it open, with the same payload and a stored time of the next call
 * (docs/reference/providers.md#answers).
 */
import type { EventDraft, EventKind } from "../../../schema/event.ts";
import type { RefusalCause } from "../../../schema/kube-past.ts";
import type { Node } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import { type Millis, waitMs } from "../../../schema/millis.ts";
import { orderIdOf } from "./reboot-order.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { Instance, RefusalClass } from "../provider.ts";
import type { SlurmMark } from "../slurm/sink.ts";
import { isSick } from "../safety/in-flight.ts";
import { restAfter, restsAfterSale, scopeOf } from "../safety/rest.ts";
import type { Lookup, RestChange } from "../safety/rest.ts";
import { foldBootstrap } from "./bootstrap.ts";
import { foldEnd, foldEndRefused } from "./ending.ts";
import { isNewRefusal, markRefused, markedOn, mayBeMarked, refuseMark } from "./mark.ts";
import type { MarkRefusal } from "./mark.ts";
import { bought, deadOnArrival, NO_RESTS, placeOf, throttled } from "./purchase.ts";
import { backoffMs, OPEN_MAX_MS, patience } from "../turn/backoff.ts";
import { nodeEvent } from "../event-draft.ts";
import { sayOutcome } from "../say/outcome.ts";

/** `slurm`: its answer to its part of a cordon or release (`slurm-answer.ts`). */
export type Outcome = { slurm?: SlurmMark } & (
  | {
      kind: "done";
      instance: Instance | null;
      message: string | null;
      /** The cloud knows no such machine. */
      isUnknown?: true;
      /** The scheduler's object on which a mark was read back. */
      on?: string | null;
      /** The machine's SSH host key that was accepted. */
      hostKey?: string | null;
    }
  | {
      kind: "refused";
      class: RefusalClass | "scheduler" | "bootstrap";
      message: string;
      /** What refused a mark in Kubernetes. */
      cause?: RefusalCause;
      retryAfterMs: Millis | null;
      /** Set-up: another attempt cannot help. */
      final?: boolean;
      /** Set-up: it could not begin, for a reason outside the machine. No attempt is spent. */
      unspent?: boolean;
      hostKey?: string | null;
    }
  | { kind: "ambiguous"; message: string }
);

export type OutcomeFold = {
  operation: Operation;
  node: Node | null;
  rests: RestChange;
  events: EventDraft[];
};

/** A person cancelled the drain or reboot during the call: the late answer must not start it. */
function isOvertaken(operation: Operation, node: Node): boolean {
  const { kind } = operation.payload;
  const isStep = kind === "drain" || kind === "reboot" || kind === "end_jobs";
  return isStep && operation.fence !== node.fence;
}

/**
 * Whether a refusal proves that no call of this operation had an effect. Clouds check the rate and
 * the key before the token, and a scheduler refuses only the current call, so on a repeat neither
 * proves anything about the first call. Repeated refusals of a scheduler count in the end: a target
 * that knows a newer fence never answers otherwise.
 */
function isProof(operation: Operation, outcome: Outcome): boolean {
  if (outcome.kind !== "refused") return true;
  if (outcome.class === "rate_limit") return false;
  if (outcome.class === "scheduler")
    return operation.attempts === 0 || operation.attempts >= SCHEDULER_REFUSALS_MAX;
  return outcome.class !== "auth" || operation.attempts === 0;
}

/** Some minutes of back-off: longer than a restart of a scheduler. */
const SCHEDULER_REFUSALS_MAX = 8;

/** After a scheduler's refusal: it bounds the load and still isolates within a minute. */
const REST_MS = 10_000;

export function foldOutcome(
  operation: Operation,
  node: Node | null,
  facts: Lookup,
  given: Outcome,
  now: number,
): OutcomeFold {
  const outcome = deadOnArrival(operation, given) ?? given;
  const attempts = operation.attempts + 1;
  if (operation.payload.kind === "reboot" && outcome.kind === "ambiguous") {
    // The boot id shows whether the machine rebooted; a second reboot would only interrupt it.
    const message = sayOutcome({ code: "boot_shows", said: outcome.message });
    return foldOutcome(operation, node, facts, { kind: "done", instance: null, message }, now);
  }
  if (isMirror(operation.payload) && (outcome.kind !== "done" || isUnmarked(operation, outcome))) {
    const cause = outcome.kind === "refused" ? outcome.cause : undefined;
    const why = { message: outcome.message ?? sayOutcome({ code: "not_marked" }), cause };
    return foldUnmirrored(operation, node, why, now);
  }
  if (outcome.kind === "ambiguous" || !isProof(operation, outcome)) {
    const asked = outcome.kind === "refused" ? outcome.retryAfterMs : null;
    const firstAskedAt = operation.firstAskedAt ?? operation.askedAt;
    const isPurchase = operation.payload.kind === "create";
    // Nothing was sent yet that could have been accepted: its repeat need not look for an instance.
    const isUnsent = isPurchase && operation.attempts === 0 && outcome.kind === "refused";
    const pauseMs = isUnsent
      ? waitMs(Math.min(60_000, Math.max(1_000, (now - firstAskedAt) / 2)))
      : backoffMs(attempts, 1_000, 60_000);
    const notBefore = now + (patience(asked, OPEN_MAX_MS) ?? pauseMs);
    // The settle time of a tag-only provider runs from the latest call that may have bought.
    const unknown = outcome.kind === "ambiguous" ? { askedAt: now, lookups: 0 } : {};
    const again = isPurchase ? { ...unknown, firstAskedAt } : {};
    const calls = isUnsent ? 0 : attempts;
    const open: Operation = {
      ...operation,
      ...again,
      attempts: calls,
      notBefore,
      message: outcome.message,
    };
    const rests = throttled({ ...open, askedAt: now }, outcome, facts, now);
    return { operation: open, node: null, rests, events: [] };
  }
  const closed: Operation = {
    ...operation,
    attempts,
    state: outcome.kind === "done" ? "done" : "refused",
    closedAt: now,
    message: outcome.message,
  };
  if (node === null || node.operation !== operation.id)
    return { operation: closed, node: null, rests: NO_RESTS, events: [] };
  if (isOvertaken(operation, node)) {
    return { operation: closed, node: { ...node, operation: null }, rests: NO_RESTS, events: [] };
  }
  const free: Node = {
    ...node,
    operation: null,
    fence: node.fence + (outcome.kind === "refused" ? 1 : 0),
  };
  return outcome.kind === "done"
    ? foldDone(closed, free, facts, outcome, now)
    : foldRefused(closed, free, facts, outcome, now);
}

function isMirror(payload: Operation["payload"]): boolean {
  return (payload.kind === "cordon" || payload.kind === "uncordon") && payload.mirror === true;
}

function isUnmarked({ payload }: Operation, outcome: Outcome): boolean {
  return payload.kind === "cordon" && outcome.kind === "done" && !outcome.on;
}

/** Pauses after a refused mirror; they block no other action. */
const MIRROR_REST_MS = 5_000;
const MIRROR_REST_MAX_MS = 5 * 60_000;

/**
 * The scheduler refused a mirrored mark, or its answer is unknown. The cordon itself is in the
 * node's record, so the operation closes and the plan mirrors it again later. Reported once.
 */
function foldUnmirrored(
  operation: Operation,
  node: Node | null,
  why: MarkRefusal,
  now: number,
): OutcomeFold {
  const { message } = why;
  const attempts = operation.attempts + 1;
  const closed: Operation = { ...operation, attempts, state: "refused", closedAt: now, message };
  const nothing = { operation: closed, node: null, rests: NO_RESTS, events: [] };
  if (node === null || node.operation !== operation.id) return nothing;
  const { kube } = node;
  if (kube === null) return { ...nothing, node: { ...node, operation: null } };
  const refusals = kube.refusals + 1;
  const restUntil = now + backoffMs(refusals, MIRROR_REST_MS, MIRROR_REST_MAX_MS);
  const events: EventDraft[] = [];
  const what = operation.payload.kind;
  const refused = refuseMark(kube, what, why, now);
  if (isNewRefusal(kube, what, message))
    teller(node, now, events)("kube.refused", markRefused(kube, what, message));
  const next = { ...node, operation: null, kube: { ...refused, restUntil } };
  return { ...nothing, events, node: next };
}

type Tell = (kind: EventKind, message: string) => void;

function teller(node: Node, now: number, events: EventDraft[]): Tell {
  return (kind, message) => void events.push(nodeEvent(node, now, kind, message));
}

function foldDone(
  operation: Operation,
  node: Node,
  facts: Lookup,
  outcome: Extract<Outcome, { kind: "done" }>,
  now: number,
): OutcomeFold {
  const { instance } = outcome;
  const events: EventDraft[] = [];
  const tell = teller(node, now, events);
  const payload = operation.payload;
  const why = operation.because.join("; ");
  switch (payload.kind) {
    case "create": {
      if (instance === null) throw new Error(`${operation.id}: created without an instance`);
      tell(
        "node.booting",
        sayOutcome({ code: "bought", instance: instance.id, provider: payload.provider }),
      );
      const rests = restsAfterSale(facts, placeOf(payload), operation.askedAt);
      return { operation, node: bought(node, operation, payload, instance, now), rests, events };
    }
    case "terminate": {
      const ended = foldEnd(node, payload, outcome, now);
      tell("node.terminating", ended.said);
      return { operation, node: ended.node, rests: NO_RESTS, events };
    }
    case "reboot": {
      const { provider, instanceId: rebooted } = payload;
      const who = payload.by === "agent" ? null : provider;
      tell("node.repairing", sayOutcome({ code: "reboots", who, instance: rebooted }));
      const next = rebooting(node, operation, payload, now);
      return { operation, rests: NO_RESTS, events, node: next };
    }
    case "bootstrap": {
      const { address, attempt } = payload;
      tell("node.bootstrapped", sayOutcome({ code: "set_up", address, attempt }));
      const set = foldBootstrap(node, payload, outcome, now);
      return { operation, rests: NO_RESTS, events, node: set };
    }
    case "cordon":
    case "uncordon": {
      const marked = foldMark(node, payload, outcome, tell, now);
      return { operation, rests: NO_RESTS, events, node: marked };
    }
    case "drain": {
      tell("node.draining", why === "" ? sayOutcome({ code: "drain_asked" }) : why);
      const phase = {
        kind: "draining" as const,
        since: now,
        deadlineAt: payload.deadlineAt,
        drainedAt: null,
        sawWork: false,
        purpose: payload.purpose,
      };
      return { operation, rests: NO_RESTS, events, node: { ...node, phase } };
    }
    case "end_jobs": {
      tell(
        "slurm.jobs_told",
        sayOutcome({ code: "jobs_told", name: payload.slurm, said: outcome.message }),
      );
      const { phase } = node;
      const told = phase.kind === "draining" ? { ...phase, jobsToldAt: now } : phase;
      return { operation, rests: NO_RESTS, events, node: { ...node, phase: told } };
    }
    default:
      return unreachable(payload);
  }
}

/** From now on only another boot id is a change. */
function rebooting(
  node: Node,
  { id }: Operation,
  { bootId, by }: Extract<Operation["payload"], { kind: "reboot" }>,
  now: number,
): Node {
  // The operation's id is unique, so the agent recognises the order when it is repeated.
  const order = by === "agent" ? { order: orderIdOf(id) } : {};
  const { session } = node;
  const attempts = { ...session?.attempts, reboot: (session?.attempts?.["reboot"] ?? 0) + 1 };
  return {
    ...node,
    rebootedAt: now,
    session: session === null ? null : { ...session, attempts },
    phase: { kind: "repairing", since: now, rung: "reboot", bootId, ...order },
  };
}

/** A mark was set or lifted in the scheduler: Navarch's own cordon, or a mirrored one. */
function foldMark(
  node: Node,
  payload: Extract<Operation["payload"], { kind: "cordon" | "uncordon" }>,
  outcome: Extract<Outcome, { kind: "done" }>,
  tell: Tell,
  now: number,
): Node {
  const { why } = payload;
  if (payload.kind === "uncordon") {
    const stays = outcome.message === null ? "" : ` (${outcome.message})`;
    const kube = payload.keep === true ? node.kube : markedOn(node, null);
    // A person's uncordon has its own event; clearing what it left behind needs none.
    if (payload.mirror === true && !mayBeMarked(node)) return { ...node, kube };
    tell(payload.mirror === true ? "kube.uncordoned" : "node.uncordoned", `${why}${stays}`);
    return payload.mirror === true
      ? { ...node, kube }
      : { ...node, kube, cordon: { ...node.cordon, product: null } };
  }
  const kube = markedOn(node, outcome.on ?? null);
  if (payload.mirror === true) {
    tell("kube.cordoned", sayOutcome({ code: "marked", why }));
    return { ...node, kube };
  }
  tell("node.cordoned", why);
  const cause = payload.cause === undefined ? {} : { cause: payload.cause };
  return {
    ...node,
    kube,
    cordon: { ...node.cordon, product: { by: "navarch", why, at: now, ...cause } },
    // A cordon for evidence spends from the isolation budget; one for silence does not.
    isolatedAt: isSick(node) ? now : node.isolatedAt,
  };
}

const refusedAs = (what: string, refusal: Extract<Outcome, { kind: "refused" }>): string =>
  sayOutcome({ code: "refused", what, class: refusal.class, said: refusal.message });

function foldRefused(
  operation: Operation,
  node: Node,
  facts: Lookup,
  refusal: Extract<Outcome, { kind: "refused" }>,
  now: number,
): OutcomeFold {
  const events: EventDraft[] = [];
  const tell = teller(node, now, events);
  const payload = operation.payload;
  if (payload.kind === "bootstrap") {
    // An attempt that waits for a person is repeated often: its reason is reported once.
    if (refusal.unspent !== true || node.bootstrap?.error !== refusal.message) {
      const { attempt } = payload;
      const ended = { attempt, isOver: refusal.unspent !== true, said: refusal.message };
      tell("node.bootstrapping", sayOutcome({ code: "set_up_ended", ...ended }));
    }
    return { operation, rests: NO_RESTS, events, node: foldBootstrap(node, payload, refusal, now) };
  }
  // The scheduler refuses only marks, never a drain.
  const marked = refusal.class === "scheduler" ? node.kube : null;
  const end = payload.kind === "terminate" ? foldEndRefused(node, refusal, now) : null;
  if (marked === null && end?.isNews !== false)
    tell("provider.error", refusedAs(payload.kind, refusal));
  else if (marked !== null && isNewRefusal(marked, payload.kind, refusal.message))
    tell("kube.refused", markRefused(marked, payload.kind, refusal.message));
  if (
    payload.kind === "create" &&
    node.phase.kind === "requested" &&
    refusal.class !== "scheduler" &&
    refusal.class !== "bootstrap" &&
    // A rate limit leaves the operation open (`isProof`).
    refusal.class !== "rate_limit"
  ) {
    const phase = {
      ...node.phase,
      attempt: node.phase.attempt + 1,
      refusal: `${refusal.class}: ${refusal.message}`,
      refused: { class: refusal.class, message: refusal.message },
    };
    const { class: cls, message, retryAfterMs } = refusal;
    const scope = scopeOf(cls, placeOf(payload));
    const { askedAt } = operation;
    const late = { askedAt, isLate: false };
    const rest = restAfter(facts, { scope, class: cls, message, retryAfterMs, ...late }, now);
    return { operation, events, node: { ...node, phase }, rests: { put: [rest], drop: [] } };
  }
  if (end !== null) return { operation, rests: NO_RESTS, events, node: end.node };
  const kube = marked === null ? node.kube : refuseMark(marked, payload.kind, refusal, now);
  return {
    operation,
    rests: NO_RESTS,
    events,
    node: { ...node, kube, restUntil: now + (patience(refusal.retryAfterMs) ?? REST_MS) },
  };
}
