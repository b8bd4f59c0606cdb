/**
 * The gauges of AgentPools. Velda's names are aliases, so that its dashboards go on; they carry the
 * namespace too, because two namespaces may have pools of one name.
 */
import { CONDITIONS, WORKER_STATES } from "../../../schema/agentpool.ts";
import { type AgentPools, POOL_EVENTS } from "../../core/agentpool/service.ts";
import { Series } from "./series.ts";

export function formatAgentPools(agentPools: Pick<AgentPools, "pools">): Uint8Array[] {
  const workers = new Series("navarch_agentpool_workers");
  const slots = new Series("navarch_agentpool_slots");
  const events = new Series("navarch_agentpool_last_event_timestamp_seconds");
  const conditions = new Series("navarch_agentpool_condition");
  const veldaWorkers = new Series("velda_autoscaler_workers");
  const veldaSlots = new Series("velda_autoscaler_worker_slots");
  const veldaEvents = new Series("velda_autoscaler_last_event_timestamp_seconds");
  for (const { pool: object, status: seen, last } of agentPools.pools()) {
    const { namespace, name: pool } = object;
    for (const status of WORKER_STATES) {
      const count = seen.workers[status] ?? 0;
      workers.add({ namespace, pool, status }, count);
      veldaWorkers.add({ namespace, pool, status }, count);
    }
    // The status has free slots less queued claims.
    const kinds = { available: seen.idleSlots + seen.queuedClaims, requested: seen.queuedClaims };
    for (const [kind, count] of Object.entries(kinds)) {
      slots.add({ namespace, pool, kind }, count);
      veldaSlots.add({ namespace, pool, kind }, count);
    }
    for (const event of POOL_EVENTS) {
      const at = last[event];
      if (at === undefined) continue;
      events.add({ namespace, pool, event }, at / 1_000);
      veldaEvents.add({ namespace, pool, event }, at / 1_000);
    }
    for (const condition of CONDITIONS) {
      const found = seen.conditions.find(({ type }) => type === condition);
      if (found === undefined) continue;
      conditions.add({ namespace, pool, condition }, found.status === "True" ? 1 : 0);
    }
  }
  const own = [workers, slots, events, conditions];
  return [...own, veldaWorkers, veldaSlots, veldaEvents].map((series) => series.take());
}
