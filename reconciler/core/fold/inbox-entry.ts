/**
 * Folds a report into its node: identity, evidence, and one evaluation of health. Pure. Evidence of
 * an older boot is history and triggers nothing (docs/reference/safety.md#sessions); a finding
 * about another node's device is counted and never judged.
 */
import { countOf } from "../../../schema/article.ts";
import { basisOf, NO_QUARANTINE } from "../../../health/policy/compile.ts";
import { holdFinding, releaseHeld, verdictOf } from "../../../health/policy/hold.ts";
import { type JudgedReport, judgeReport } from "../../../health/policy/judge.ts";
import { rejudge, worstShadow } from "../../../health/policy/rejudge.ts";
import type { EventDraft, EventKind } from "../../../schema/event.ts";
import type { Finding } from "../../../schema/finding.ts";
import type { HeldFinding } from "../../../schema/held.ts";
import type { BootId } from "../../../schema/id.ts";
import type { AgentFact, Health, Node } from "../../../schema/node.ts";
import type { Verdict } from "../../../schema/policy.ts";
import type { InboxEntry } from "../store.ts";
import {
  endBoth,
  formerSenders,
  isFirstReturn,
  isFormerBoot,
  isStreamBack,
} from "./former-boot.ts";
import { foldNotice, isAnnounced, noticeOf } from "./notice.ts";
import { type JudgeContext, policyNodeOf, verdictEvents } from "./rejudge.ts";
import { announced } from "./trouble.ts";
import { nodeEvent } from "../event-draft.ts";
import { foldWorker } from "./worker.ts";
import { sayNotice } from "../say/cause.ts";

/** Evaluations closer together than this count once. */
export const EVALUATION_GAP_MS = 5_000;

export type Folded = {
  node: Node;
  events: EventDraft[];
  /** Results by rule, for the counters. */
  matches: { rule: string; result: string }[];
  /** Results of rules that decide nothing. */
  shadows: { rule: string; result: string }[];
  policyErrors: { rule: string; message: string }[];
};

/**
 * `receivedAt` is the control plane's wall clock; the agent's clock decides nothing. Held findings
 * are first judged again if the rules have changed.
 */
export function foldEntry(
  node: Node,
  entry: InboxEntry,
  receivedAt: number,
  context: JudgeContext,
): Folded {
  const events: EventDraft[] = [];
  const tell = (kind: EventKind, message: string): void => {
    events.push(nodeEvent(node, receivedAt, kind, message));
  };
  const agent: AgentFact = {
    ...foldAgent(node.agent, entry, receivedAt),
    ...foldNotice(node, entry, receivedAt),
  };
  const disputed = isFormerBoot(node.agent, entry.bootId);
  const rebooted = node.agent !== null && node.agent.bootId !== entry.bootId && !disputed;
  const arrival = arrivalOf(node.agent, entry, rebooted);
  if (arrival !== null) tell("node.registered", arrival);
  const refusal = refusalIn(node.agent, agent);
  if (refusal !== null) tell("command.finished", refusal);
  const announced = announcedIn(node, { ...node, agent }, receivedAt);
  if (announced !== null) tell("instance.notice", announced);
  for (const { count, reason } of entry.gaps) {
    const were = count === 1 ? "was" : "were";
    tell("node.gap", `${countOf(count, "finding")} ${were} lost (${reason})`);
  }

  const judged = entry.findings.map((f) => f.finding).filter((f) => f.foreign !== true);
  const { policy, quarantined = NO_QUARANTINE } = context;
  const rules = { policy, quarantined, node: policyNodeOf(node, agent, context.labels) };
  const before = rejudge(node.health, rules, receivedAt);
  const result = judgeReport(judged, policy, rules.node, before.history, quarantined);
  const by = { entry, receivedAt, tell };
  const latched = latch(before.held, judged, result, by);
  let { held } = latched;
  let aside = setAside(before.aside ?? [], judged, result, by);
  const check = entry.check?.conclusive === true ? entry.check : null;
  if ((check !== null && !disputed) || rebooted) {
    const seen = { bootId: entry.bootId, check, nowMs: receivedAt, resetSeen: rebooted };
    held = releaseHeld(held, seen);
    aside = releaseHeld(aside, seen);
  }
  const heard = judged.length > 0 || check !== null;
  const health = evaluate(
    {
      ...{ ...before, held },
      ...(aside.length > 0 || before.aside !== undefined ? { aside } : {}),
      // Without held findings no rules can be out of date.
      ...(held.length + aside.length > 0 ? { basis: basisOf(policy, quarantined) } : {}),
      ...droppedOf(before.dropped, check?.active ?? null),
      history: result.history,
      lastReport: heard ? latched.newest : before.lastReport,
    },
    {
      at: receivedAt,
      isCheck: check !== null,
      isClean: check !== null && check.active.length === 0,
      heard,
    },
  );
  events.push(...verdictEvents(node, health, receivedAt));
  return {
    node: { ...node, agent, health, ...foldWorker(node, entry, receivedAt) },
    events,
    matches: result.judgements.map((j) => ({ rule: j.rule, result: j.result })),
    shadows: result.shadows.map(({ judgement: j }) => ({ rule: j.rule, result: j.result })),
    policyErrors: result.errors,
  };
}

/** Keeps the findings that a person dropped and that the check still lists. */
function droppedOf(
  dropped: Health["dropped"],
  active: readonly string[] | null,
): Pick<Health, "dropped"> {
  if (dropped === undefined || active === null) return {};
  return { dropped: dropped.filter((name) => active.includes(name)) };
}

type By = {
  entry: InboxEntry;
  receivedAt: number;
  tell: (kind: EventKind, message: string) => void;
};

/** Holds the judged findings; `newest` is the worst verdict of this report alone. */
function latch(
  before: readonly HeldFinding[],
  judged: readonly Finding[],
  { judgements }: JudgedReport,
  { entry, receivedAt, tell }: By,
): { held: HeldFinding[]; newest: Verdict } {
  let held = [...before];
  const counted: Pick<HeldFinding, "judgement">[] = [];
  for (const [index, finding] of judged.entries()) {
    const judgement = judgements[index];
    if (judgement === undefined) continue;
    tell("node.finding", `${judgement.because} (${judgement.result}, rule ${judgement.rule})`);
    if (finding.boot_id !== entry.bootId && judgement.hold !== "until_replaced") continue;
    const reported = holdFinding(held, finding, judgement, receivedAt, entry.bootId);
    // The agent's version is kept, because its release may turn out to be the cause.
    held = reported.map((one) =>
      one.finding === finding ? { ...one, agent: entry.agentVersion } : one,
    );
    counted.push({ judgement });
  }
  return { held, newest: verdictOf(counted) };
}

/** Holds findings of shadow rules apart, with one event when a rule begins to match. */
function setAside(
  before: readonly HeldFinding[],
  judged: readonly Finding[],
  { shadows }: JudgedReport,
  { entry, receivedAt, tell }: By,
): HeldFinding[] {
  let aside = [...before];
  for (const [index, finding] of judged.entries()) {
    const own = shadows.filter((one) => one.index === index).map((one) => one.judgement);
    const worst = worstShadow(own);
    if (worst === null) continue;
    if (finding.boot_id !== entry.bootId && worst.hold !== "until_replaced") continue;
    if (!aside.some((h) => h.judgement.rule === worst.rule)) {
      tell("node.finding", `shadow rule ${worst.rule} would say ${worst.result}: ${worst.because}`);
    }
    aside = holdFinding(aside, finding, worst, receivedAt, entry.bootId);
  }
  return aside;
}

function registered(entry: InboxEntry): string {
  const gpus = entry.inventory?.gpus.length ?? 0;
  const kind = entry.simulated ? "simulated GPUs" : "GPUs";
  return `agent ${entry.agentVersion} registered with ${gpus} ${kind}`;
}

/** The verdict, and the number of consecutive unhealthy evaluations. */
function evaluate(
  health: Health,
  seen: { at: number; isCheck: boolean; isClean: boolean; heard: boolean },
): Health {
  const held = verdictOf(health.held);
  const known = health.lastCheckAt !== null || seen.isCheck;
  const verdict: Verdict = health.held.length > 0 || known ? held : "unknown";
  const checked = seen.isCheck ? { lastCheckAt: seen.at, lastCheckClean: seen.isClean } : {};
  const next: Health = { ...health, ...checked, verdict };
  if (!seen.heard) return next;
  return verdict === "unhealthy"
    ? countUnhealthy(next, seen.at)
    : seen.isCheck
      ? { ...next, unhealthyRun: 0 }
      : next;
}

/** Counts an unhealthy evaluation, unless the last one is more recent than the gap. */
export function countUnhealthy(health: Health, at: number): Health {
  const sinceMs = at - health.lastCountedAt;
  // A clock that was set back must not stop the count.
  if (health.unhealthyRun > 0 && sinceMs >= 0 && sinceMs < EVALUATION_GAP_MS) return health;
  return { ...health, unhealthyRun: health.unhealthyRun + 1, lastCountedAt: at };
}

function foldAgent(before: AgentFact | null, entry: InboxEntry, at: number): AgentFact {
  const inventory = entry.inventory ?? before?.inventory ?? { hostname: entry.node, gpus: [] };
  return {
    bootId: entry.bootId as BootId,
    stream: entry.stream,
    version: entry.agentVersion,
    simulated: entry.simulated,
    registeredAt: before?.registeredAt ?? at,
    lastHeartbeatAt: at,
    inventory: { ...emptyInventory(entry.node), ...inventory },
    ...originOf(before, entry),
    ...formerSenders(before, entry, at),
  };
}

/** What a new boot id means; `null` = nothing to report. */
function arrivalOf(before: AgentFact | null, entry: InboxEntry, rebooted: boolean): string | null {
  if (before === null) return registered(entry);
  if (rebooted) return "the agent is back under a new boot id";
  if (isFirstReturn(before, entry.bootId)) return `${TWO_SENDERS}${endBoth(entry.node)}`;
  return isStreamBack(before, entry) ? `${TWO_AGENTS}${endBoth(entry.node)}` : null;
}

const TWO_SENDERS =
  "it reports under an earlier boot id again: two senders use this node's credential. " +
  "Nothing that either says is over counts until the next reboot: ";

const TWO_AGENTS =
  "it reports in an earlier stream again: two agents report as this node. " +
  "Stop the second one; if there is none, its credential was stolen: ";

function originOf(before: AgentFact | null, entry: InboxEntry): Pick<AgentFact, "origin"> {
  const origin = entry.origin ?? before?.origin;
  return origin === undefined ? {} : { origin };
}

/** A sentence about the end that the agent tells first; `null` = nothing new. */
function announcedIn(before: Node, now: Node, at: number): string | null {
  const notice = isAnnounced(before, now, at) ? noticeOf(now, at) : null;
  if (notice === null) return null;
  const provider = now.instance?.provider ?? now.agent?.inventory.provider;
  return sayNotice(announced(provider, notice));
}

/** A sentence about orders that the agent refused since its last inventory; `null` = none. */
function refusalIn(before: AgentFact | null, now: AgentFact): string | null {
  const { refused, last_refusal: last } = now.inventory.trust ?? {};
  const known = before?.inventory.trust?.refused ?? 0;
  if (!refused || refused === known) return null;
  // A deleted state folder resets the agent's count.
  const count = refused > known ? refused - known : refused;
  const what = count === 1 ? "an order" : `${count} orders`;
  return `the agent refused ${what}: ${last ?? "it does not say why"}`;
}

/** The inventory of a machine of which only the name is known. */
export function emptyInventory(hostname: string): AgentFact["inventory"] {
  return {
    hostname,
    provider: null,
    region: null,
    zone: null,
    instance_type: null,
    provider_ids: [],
    pool: null,
    labels: {},
    internal_ip: null,
    external_ip: null,
    kernel_version: null,
    driver_version: null,
    cuda_version: null,
    gpus: [],
    capabilities: [],
  };
}
