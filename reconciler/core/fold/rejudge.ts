/**
 * Judges a node again, without a report, when its rules have changed: after a reload or a restart
 * with another policy, and when a rule is suspended or enabled again. Pure.
 */
import type { CompiledPolicy, Quarantine } from "../../../health/policy/compile.ts";
import { isEvidentFinding } from "../../../health/policy/evident.ts";
import { verdictOf } from "../../../health/policy/hold.ts";
import { rejudge } from "../../../health/policy/rejudge.ts";
import type { EventDraft, EventKind } from "../../../schema/event.ts";
import type { AgentFact, Health, Node } from "../../../schema/node.ts";
import type { PolicyNode } from "../../../schema/policy.ts";
import { nodeEvent } from "../event-draft.ts";

/** What judging a node needs; `labels` are its pool's. */
export type JudgeContext = {
  policy: CompiledPolicy;
  labels: Readonly<Record<string, string>>;
  /** `<rule>@<version>` of suspended rules; omitted = none. */
  quarantined?: Quarantine;
};

/** The node under these rules, or `null` if nothing changes. `now` is wall milliseconds. */
export function rejudgeNode(
  node: Node,
  context: JudgeContext,
  now: number,
): { node: Node; events: EventDraft[] } | null {
  if (node.agent === null || node.phase.kind === "gone") return null;
  const { policy, labels, quarantined = new Set<string>() } = context;
  const rules = { policy, quarantined, node: policyNodeOf(node, node.agent, labels) };
  const health = rejudge(node.health, rules, now);
  if (health === node.health) return null;
  const events = verdictEvents(node, health, now, "judged again by other rules: ");
  return { node: { ...node, health }, events };
}

/** The node as policy conditions see it. */
export function policyNodeOf(
  node: Node,
  agent: AgentFact,
  labels: Readonly<Record<string, string>>,
): PolicyNode {
  return {
    id: node.id,
    pool: node.pool ?? "",
    labels: { ...agent.inventory.labels, ...labels },
    gpu_count: agent.inventory.gpus.length,
    driver_version: agent.inventory.driver_version ?? "",
    fake: agent.simulated,
  };
}

/** The event of a verdict that changed, or none. */
export function verdictEvents(node: Node, after: Health, at: number, prefix = ""): EventDraft[] {
  const before = node.health;
  if (before.verdict === after.verdict) return [];
  const worst = after.held.find((h) => h.judgement.result === after.verdict);
  const why = worst === undefined ? "no evidence is held" : worst.judgement.because;
  const isBad = after.verdict === "unhealthy";
  const kind: EventKind = isBad ? "node.unhealthy" : "node.health";
  const change = isBad ? "" : `${before.verdict} → ${after.verdict}: `;
  const message = `${prefix}${change}${why}`;
  return [nodeEvent(node, at, kind, message)];
}

/**
 * Drops findings of an agent version that was linked to a burst, once the node reports with another
 * version (docs/reference/safety.md#common-cause). Findings that are evident by themselves stay;
 * the next check reports each condition that still exists. `agents` are discredited versions.
 */
export function discredit(
  node: Node,
  agents: ReadonlySet<string>,
  now: number,
): { node: Node; events: EventDraft[] } | null {
  const { health, agent } = node;
  if (agent === null) return null;
  const held = health.held.filter((entry) => {
    const by = entry.agent ?? null;
    if (by === null || by === agent.version || !agents.has(by)) return true;
    return isEvidentFinding(entry.finding);
  });
  if (held.length === health.held.length) return null;
  const known = held.length > 0 || health.lastCheckAt !== null;
  const verdict = known ? verdictOf(held) : "unknown";
  const keeps = verdict === "unhealthy" || health.silentSince !== null;
  const after = { ...health, held, verdict, unhealthyRun: keeps ? health.unhealthyRun : 0 };
  const why = "from an agent version linked to a burst: ";
  return { node: { ...node, health: after }, events: verdictEvents(node, after, now, why) };
}
