/**
 * Computes when something can change next; quiet heartbeats are skipped. A differential
 * test that runs every step and every heartbeat finds what this misses. Pure except for reading.
 */
import type { Presence } from "../../../reconciler/runtime/presence.ts";
import type { Config } from "../../../schema/config.ts";
import type { HeldFinding } from "../../../schema/held.ts";
import type { Node } from "../../../schema/node.ts";
import type { Plan } from "../../../reconciler/core/plan.ts";
import type { CloudFacts, Rows } from "../../world/observation.ts";
import { type Agent, isQuiet, nextBeat } from "./agent.ts";

export type Now = {
  /** Monotonic and wall milliseconds of the control plane. */
  mono: number;
  wall: number;
  stepMs: number;
  heartbeatMs: number;
  config: Config;
  presence: Presence;
  plan: Plan;
  rows: Rows;
  cloud: CloudFacts;
  agents: ReadonlyMap<string, Agent>;
  /** Lists may lie now. */
  doubtful: boolean;
};

/** Longest sleep: history is trimmed, and a mistake here costs no more than this. */
const SLEEP_MAX_MS = 3_600_000;
/** After this an absent instance was believed gone, or is doubted for good. */
const ABSENT_MS = 180_000;

/** Monotonic milliseconds. */
export function nextWake(now: Now): number {
  const { mono, wall, stepMs } = now;
  const soon = mono + stepMs;
  if (now.doubtful || now.presence.doubtful() !== null || hasUnknown(now)) return soon;
  let least = mono + SLEEP_MAX_MS;
  const at = (wallAt: number): void => {
    if (wallAt > wall) least = Math.min(least, mono + (wallAt - wall));
  };
  for (const { notBefore } of now.rows.operations.values()) {
    if (notBefore <= wall) return soon;
    at(notBefore);
  }
  for (const { until } of now.plan.waits) if (until !== null) at(until);
  for (const node of now.rows.nodes.values()) {
    if (node.phase.kind === "gone") {
      at(node.phase.since + now.config.server.retainTerminatedMs);
      continue;
    }
    least = Math.min(least, wakeOf(node, now));
    if (least <= soon) return soon;
  }
  for (const agent of now.agents.values()) {
    const node = now.rows.nodes.get(agent.node);
    if (!isLoud(agent, node, wall)) {
      for (const { judgement, lastAt } of node?.health.held ?? [])
        if (typeof judgement.hold === "object") at(lastAt + judgement.hold.forMs - WINDOW_END_MS);
      continue;
    }
    least = Math.min(least, nextBeat(agent, mono, now.heartbeatMs));
    if (least <= soon) return soon;
  }
  return least;
}

/** An own instance that no row names yet. */
function hasUnknown({ cloud, rows }: Now): boolean {
  let own = 0;
  for (const live of cloud.live.values()) if (live.fleet === cloud.fleetId && !live.decoy) own++;
  let claimed = 0;
  for (const { instance, phase } of rows.nodes.values()) {
    if (instance !== null && phase.kind !== "gone" && cloud.live.has(instance.id)) claimed++;
  }
  return own !== claimed;
}

function wakeOf(node: Node, now: Now): number {
  const { mono, wall, stepMs, config, presence } = now;
  const { instance, health } = node;
  const never = Number.POSITIVE_INFINITY;
  if (instance !== null && instance.absentSince !== null) {
    if (wall - instance.absentSince < ABSENT_MS + now.cloud.settleMs) return mono + stepMs;
  }
  // The cloud's state differs: the next listing shows it.
  const live = instance === null ? undefined : now.cloud.live.get(instance.id);
  const state = live?.state ?? "terminated";
  if (instance !== null && instance.state !== state && instance.absentSince === null)
    return mono + stepMs;
  if (node.agent === null) return never;
  const agent = instance === null ? undefined : now.agents.get(instance.id);
  if (agent !== undefined && !isQuiet(agent, mono)) return never;
  if (health.verdict === "unhealthy" && health.unhealthyRun < 4) return mono + stepMs;
  if (health.silentSince !== null) return never;
  const timeoutMs = config.server.heartbeatTimeoutMs;
  const silent = presence.silentMs(node.id, mono, timeoutMs);
  return mono + Math.max(stepMs, timeoutMs - (silent ?? presence.attentiveMs(mono)));
}

/**
 * Whether the agent's next heartbeat is more than a sign of life; true at least whenever the ingest
 * treats it so. `wall` is the control plane's.
 */
export function isLoud(agent: Agent, node: Node | undefined, wall: number): boolean {
  if (!agent.registered || agent.spool.length > 0) return true;
  if (node === undefined || node.agent === null) return true;
  if (node.phase.kind !== "serving" || node.session !== null) return true;
  const { held, verdict, silentSince, lastCheckClean } = node.health;
  if (silentSince !== null || verdict === "unhealthy" || verdict === "unknown") return true;
  if (held.length === 0) return verdict !== "healthy";
  return !lastCheckClean || held.some((one) => !isLasting(one, wall));
}

/** Held in spite of a clean check. */
function isLasting({ judgement, lastAt, resetSeen }: HeldFinding, wall: number): boolean {
  const { hold } = judgement;
  if (typeof hold === "object") return wall < lastAt + hold.forMs - WINDOW_END_MS;
  return hold === "until_replaced" || (hold.startsWith("until") && resetSeen !== true);
}

/** A hold that ends soon is watched in every beat. */
const WINDOW_END_MS = 120_000;
