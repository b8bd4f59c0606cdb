/**
 * Folds what an agent said into its node: identity, evidence, and one evaluation of health. Pure.
 * The evidence of an older boot is history and never a trigger (safety.md §2.2); a finding about a
 * device that is not this node's is counted and never judged (decision 8).
 */
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import { holdFinding, releaseHeld, verdictOf } from "../../health/policy/hold.ts";
import { judgeReport } from "../../health/policy/judge.ts";
import type { EventDraft, EventKind } from "../../schema/event.ts";
import type { Finding } from "../../schema/finding.ts";
import type { BootId } from "../../schema/id.ts";
import type { AgentFact, Health, Node } from "../../schema/node.ts";
import type { PolicyNode, Verdict } from "../../schema/policy.ts";
import type { Letter } from "../store/store.ts";

/** Evaluations closer together than this count once (promise N66): one burst is one evaluation. */
export const EVALUATION_GAP_MS = 5_000;

export type Folded = {
  node: Node;
  events: EventDraft[];
  /** Which rules decided what, for the counters. */
  matches: { rule: string; result: string }[];
  policyErrors: { rule: string; message: string }[];
};

/**
 * `labels` are the pool's; `receivedAt` is our own wall clock: the agent's decides nothing (B52).
 */
export function foldLetter(
  node: Node,
  letter: Letter,
  receivedAt: number,
  context: { policy: CompiledPolicy; labels: Record<string, string> },
): Folded {
  const events: EventDraft[] = [];
  const tell = (kind: EventKind, message: string): void => {
    events.push({
      at: receivedAt,
      kind,
      node: node.id,
      pool: node.pool,
      session: node.session?.id ?? null,
      actor: "navarch",
      message,
    });
  };
  const agent = foldAgent(node.agent, letter, receivedAt);
  if (node.agent === null) tell("node.registered", registered(letter));
  const rebooted = node.agent !== null && node.agent.bootId !== letter.bootId;
  if (rebooted) tell("node.registered", "the agent is back under a new boot id");
  for (const gap of letter.gaps)
    tell("node.gap", `${gap.count} findings were lost (${gap.reason})`);

  const judged = letter.findings.map((f) => f.finding).filter((f) => f.foreign !== true);
  const result = judgeReport(
    judged,
    context.policy,
    policyNode(node, agent, context.labels),
    node.health.history,
  );
  let held = node.health.held.slice();
  let newest: Verdict = "healthy";
  for (const [index, finding] of judged.entries()) {
    const judgement = result.judgements[index];
    if (judgement === undefined) continue;
    tell("node.finding", `${judgement.because} (${judgement.result}, rule ${judgement.rule})`);
    if (finding.boot_id !== letter.bootId && judgement.hold !== "until_replaced") continue;
    held = holdFinding(held, finding, judgement, receivedAt, letter.bootId);
    newest = worse(newest, judgement.result);
  }
  const check = letter.check?.conclusive === true ? letter.check : null;
  if (check !== null || rebooted) {
    held = releaseHeld(held, {
      bootId: letter.bootId,
      check,
      nowMs: receivedAt,
      resetSeen: rebooted,
    });
  }
  const heard = judged.length > 0 || check !== null;
  const health = evaluate(
    {
      ...node.health,
      held,
      history: result.history,
      lastReport: heard ? newest : node.health.lastReport,
    },
    {
      at: receivedAt,
      isCheck: check !== null,
      isClean: check !== null && check.active.length === 0,
      heard,
    },
  );
  tellVerdict(node.health, health, tell);
  const matches = result.judgements.map((j) => ({ rule: j.rule, result: j.result }));
  return { node: { ...node, agent, health }, events, matches, policyErrors: result.errors };
}

function registered(letter: Letter): string {
  const gpus = letter.inventory?.gpus.length ?? 0;
  const kind = letter.simulated ? "simulated GPUs" : "GPUs";
  return `agent ${letter.agentVersion} registered with ${gpus} ${kind}`;
}

function tellVerdict(
  before: Health,
  after: Health,
  tell: (kind: EventKind, message: string) => void,
): void {
  if (before.verdict === after.verdict) return;
  const worst = after.held.find((h) => h.judgement.result === after.verdict);
  const why = worst === undefined ? "no evidence is held" : worst.judgement.because;
  if (after.verdict === "unhealthy") tell("node.unhealthy", why);
  else tell("node.health", `${before.verdict} → ${after.verdict}: ${why}`);
}

function worse(a: Verdict, b: Verdict): Verdict {
  const rank: Record<Verdict, number> = { unknown: 0, healthy: 1, degraded: 2, unhealthy: 3 };
  return rank[b] > rank[a] ? b : a;
}

/** One evaluation: the verdict, and how many unhealthy ones have come in a row. */
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

/** One more unhealthy evaluation, unless the last one was moments ago. */
export function countUnhealthy(health: Health, at: number): Health {
  const sinceMs = at - health.lastCountedAt;
  // A clock that was set back must not stop the counting: then the last one counts as long ago.
  if (health.unhealthyRun > 0 && sinceMs >= 0 && sinceMs < EVALUATION_GAP_MS) return health;
  return { ...health, unhealthyRun: health.unhealthyRun + 1, lastCountedAt: at };
}

function foldAgent(before: AgentFact | null, letter: Letter, at: number): AgentFact {
  const inventory = letter.inventory ?? before?.inventory ?? { hostname: letter.node, gpus: [] };
  return {
    bootId: letter.bootId as BootId,
    stream: letter.stream,
    version: letter.agentVersion,
    simulated: letter.simulated,
    registeredAt: before?.registeredAt ?? at,
    lastHeartbeatAt: at,
    inventory: { ...emptyInventory(letter.node), ...inventory },
  };
}

function emptyInventory(hostname: string): AgentFact["inventory"] {
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

function policyNode(node: Node, agent: AgentFact, labels: Record<string, string>): PolicyNode {
  return {
    id: node.id,
    pool: node.pool ?? "",
    labels: { ...(agent.inventory.labels ?? {}), ...labels },
    gpu_count: agent.inventory.gpus.length,
    driver_version: agent.inventory.driver_version ?? "",
    fake: agent.simulated,
  };
}

/** Findings whose device belongs to another machine: counted in metrics, never judged. */
export function foreignFindings(letter: Letter): Finding[] {
  return letter.findings.map((f) => f.finding).filter((f) => f.foreign === true);
}
