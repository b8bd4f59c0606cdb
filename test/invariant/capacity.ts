/**
 * I4 and I6: capacity is not thrown away before its replacement is verified, and nothing is bought
 * past a ceiling.
 */
import type { Spend } from "../../schema/config.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import {
  type Checker,
  type Commit,
  type Observation,
  slotOf,
  type Violation,
} from "../world/observation.ts";

/**
 * In a pool that replaces by surge, an end that is ordered for a repair finds a verified occupant
 * of the same slot. Other reasons are named by the intent's purpose: a smaller pool, a surplus, a
 * person's order, an instance that is lost already, a node that never served.
 */
export function noCapacityThrownAway(): Checker {
  const served = new Set<NodeId>();
  return {
    id: "I4",
    atCommit: true,
    look(seen) {
      const out: Violation[] = [];
      const surges = new Set(
        seen.config.pools.filter((one) => one.replacement === "surge").map((one) => one.name),
      );
      for (const commit of seen.commits) {
        for (const { id, phase } of commit.change.nodes)
          if (phase.kind === "serving") served.add(id);
        for (const id of commit.change.removedNodes) served.delete(id);
        for (const { payload, state, node: id, pool } of commit.change.operations) {
          if (payload.kind !== "terminate" || state !== "asked" || pool === null) continue;
          const node = commit.nodes.get(id);
          if (!surges.has(pool) || node === undefined || !isRepair(node)) continue;
          // The cloud accepted its end before, and forgot it.
          const before = commit.nodesBefore.get(id)?.phase;
          if (before?.kind === "terminating" && before.accepted !== null) continue;
          if (hasSuccessor(node, commit, served)) continue;
          const slot = slotOf(node);
          out.push({
            id: "I4",
            message: `the end of ${id} is ordered, but slot ${slot} has no verified replacement`,
          });
        }
      }
      return out;
    },
  };
}

function isRepair(node: Node): boolean {
  return (
    node.phase.kind === "terminating" && node.phase.purpose === "replace" && node.order === null
  );
}

function hasSuccessor(node: Node, { nodes }: Commit, served: ReadonlySet<NodeId>): boolean {
  const slot = slotOf(node);
  for (const other of nodes.values()) {
    if (other.id === node.id || slotOf(other) !== slot || !served.has(other.id)) continue;
    // A person who orders the replacement away has decided about the slot.
    if (other.phase.kind !== "gone" || other.order !== null) return true;
  }
  return false;
}

/** What may be spent: `null` = no such ceiling. `covers` says whose instances count. */
export type Ceiling = {
  scope: string;
  perHour: number | null;
  instances: number | null;
  covers(pool: string): boolean;
};

/** The ceilings of the configuration: of the fleet and of each pool. */
export function configuredCeilings({ config }: Observation): Ceiling[] {
  const out: Ceiling[] = [];
  const open = (scope: string, { perHourMax, instancesMax }: Spend, only: string | null): void => {
    if (perHourMax === null && instancesMax === null) return;
    const covers = (pool: string): boolean => only === null || pool === only;
    out.push({ scope, perHour: perHourMax, instances: instancesMax, covers });
  };
  open("fleet", config.safety.spend, null);
  for (const pool of config.pools) open(`pool ${pool.name}`, pool.spend, pool.name);
  return out;
}

/** Live, ambiguous and asked for: together below every ceiling. Only growth can break it. */
export function spend(ceilingsOf: (seen: Observation) => Ceiling[]): Checker {
  let before = new Map<string, number>();
  return {
    id: "I6",
    look(seen) {
      const out: Violation[] = [];
      const ceilings = ceilingsOf(seen);
      const now = new Map<string, number>();
      for (const ceiling of ceilings) {
        const { count, perHour } = spent(seen, ceiling);
        now.set(ceiling.scope, count);
        if (count <= (before.get(ceiling.scope) ?? 0)) continue;
        if (ceiling.instances !== null && count > ceiling.instances)
          out.push({
            id: "I6",
            message: `${ceiling.scope}: ${count} instances, at most ${ceiling.instances}`,
          });
        if (ceiling.perHour !== null && perHour > ceiling.perHour)
          out.push({
            id: "I6",
            message: `${ceiling.scope}: ${perHour} $/h, at most ${ceiling.perHour}`,
          });
      }
      before = now;
      return out;
    },
  };
}

function spent(seen: Observation, ceiling: Ceiling): { count: number; perHour: number } {
  let count = 0;
  let perHour = 0;
  const names = new Set<string>();
  for (const live of seen.cloud.live.values()) {
    if (live.foreign || live.fleet !== seen.cloud.fleetId) continue;
    if (!ceiling.covers(live.slot.slice(0, live.slot.lastIndexOf("/")))) continue;
    names.add(live.name);
    count++;
    perHour += live.pricePerHour ?? 0;
  }
  for (const { payload, pool } of seen.rows.operations.values()) {
    if (payload.kind !== "create" || pool === null || !ceiling.covers(pool)) continue;
    if (!names.has(payload.request.name)) count++;
  }
  return { count, perHour };
}
