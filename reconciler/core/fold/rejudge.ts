/**
 * Judges a node again when its rules have changed, outside of any report: after a reload of the
 * policy, at the start of a process that brought another one, and when a rule goes into quarantine
 * or comes out. Pure, and nothing to do where the rules are those it was judged by.
 */
import type { CompiledPolicy, Quarantine } from "../../../health/policy/compile.ts";
import { rejudge } from "../../../health/policy/rejudge.ts";
import type { EventDraft, EventKind } from "../../../schema/event.ts";
import type { AgentFact, Health, Node } from "../../../schema/node.ts";
import type { PolicyNode } from "../../../schema/policy.ts";
import { nodeEvent } from "../told-event.ts";

/** What judging a node needs; `labels` are its pool's. */
export type JudgeContext = {
  policy: CompiledPolicy;
  labels: Readonly<Record<string, string>>;
  /** `<rule>@<version>` of rules that decide nothing for now; none if left out. */
  quarantined?: Quarantine;
};

/**
 * The node under these rules, or `null` if nothing changes; called for each node in each activation
 * it costs a comparison. `now` is wall milliseconds.
 */
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

/** The node as a condition sees it. */
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
