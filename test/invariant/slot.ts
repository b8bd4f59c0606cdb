/**
 * I2 and I3: never two live instances in one slot, and none that nobody knows. Judged by the
 * cloud's own record of what it bills.
 */
import type { InstanceId } from "../../schema/id.ts";
import type { Checker, Live, Observation, Violation } from "../world/observation.ts";

/**
 * At most one live instance a slot, one more where the pool replaces by surge. A provider that
 * knows an ask only by its tags may exceed it by what landed later than its settle time; such a
 * surplus is then a matter of I3.
 */
export function onePerSlot(): Checker {
  let version = -1;
  return {
    id: "I2",
    look(seen) {
      if (seen.cloud.version === version) return [];
      ({ version } = seen.cloud);
      const slots = new Map<string, Live[]>();
      const crowded: string[] = [];
      for (const live of seen.cloud.live.values()) {
        if (live.foreign || live.reportedGone) continue;
        const others = slots.get(live.slot);
        if (others === undefined) slots.set(live.slot, [live]);
        else if (others.push(live) === 2) crowded.push(live.slot);
      }
      return crowded.flatMap((slot) => judgeSlot(slot, slots.get(slot) ?? [], seen));
    },
  };
}

function judgeSlot(slot: string, all: Live[], seen: Observation): Violation[] {
  const { class: cls, settleMs } = seen.cloud;
  const pool = seen.config.pools.find((one) => slot.startsWith(`${one.name}/`));
  const most = pool?.replacement === "surge" ? 2 : 1;
  const counted =
    cls === "tag-only" ? all.filter((one) => one.landedAt - one.askedAt <= settleMs) : all;
  if (counted.length <= most) return [];
  const names = counted.map((one) => `${one.id} (${one.node}, ${one.state})`).join(", ");
  return [{ id: "I2", message: `slot ${slot} has ${counted.length} instances: ${names}` }];
}

/**
 * Every live own instance has a row, or an open ask explains it, or it is younger than the settle
 * time and two sweeps. Time in which nobody could have known does not count.
 */
export function nothingUnknown(): Checker {
  const since = new Map<InstanceId, number>();
  let version = -1;
  return {
    id: "I3",
    look(seen) {
      const { cloud, now, fair } = seen;
      const still = seen.commits.length === 0 && cloud.version === version && since.size === 0;
      if (still) return [];
      ({ version } = cloud);
      if (!fair) {
        since.clear();
        version = -1;
        return [];
      }
      const known = knownInstances(seen);
      const out: Violation[] = [];
      const boundMs = cloud.settleMs + 2 * cloud.sweepMs;
      for (const live of cloud.live.values()) {
        const ours = live.fleet === cloud.fleetId && !live.decoy;
        if (!ours || known.ids.has(live.id) || known.names.has(live.name)) {
          since.delete(live.id);
          continue;
        }
        const from = since.get(live.id) ?? now;
        since.set(live.id, from);
        if (now - from <= boundMs) continue;
        const age = Math.round((now - from) / 1_000);
        out.push({ id: "I3", message: `${live.id} (${live.state}) is unknown for ${age} s` });
        since.delete(live.id);
      }
      for (const id of since.keys()) if (!cloud.live.has(id)) since.delete(id);
      return out;
    },
  };
}

function knownInstances({ rows }: Observation): { ids: Set<string>; names: Set<string> } {
  const ids = new Set<string>();
  const names = new Set<string>();
  for (const { instance, phase } of rows.nodes.values())
    if (instance !== null && phase.kind !== "gone") ids.add(instance.id);
  for (const { payload } of rows.operations.values())
    if (payload.kind === "create") names.add(payload.request.name);
  return { ids, names };
}
