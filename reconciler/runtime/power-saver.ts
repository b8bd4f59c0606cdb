/**
 * Follows Slurm's power saving: takes what its list shows and what could not be bought into the
 * state of pools with `slurm.power_save`, and tells Slurm addresses and failures. Marks are made
 * from state that an earlier activation has committed, so Slurm is never told what a crash undoes.
 */
import type { Config } from "../../schema/config.ts";
import type { Wait } from "../core/plan.ts";
import type { Fleet, Sight } from "../core/fleet.ts";
import { poolNames } from "../core/slurm/slot-name.ts";
import type { SlurmNode } from "../core/slurm/object.ts";
import { drainsLeft, isPowered, type PowerMark } from "../core/slurm/power-save.ts";
import { powerMarks, stepPower } from "../core/slurm/power-save.ts";
import type { SlurmSink } from "../core/slurm/sink.ts";
import type { UnitOfWork } from "../core/unit-of-work.ts";

export type PowerInput = {
  fleet: Fleet;
  config: Config;
  sight: Pick<Sight, "now" | "attentiveMs">;
  /** Of the last plan. */
  waits: readonly Wait[];
  slurm: SlurmSink | null;
};

/** Called by every activation of the leader, before autoscalers. */
export function followPower(input: PowerInput, work: UnitOfWork): void {
  const { config, slurm } = input;
  const pools = config.pools.filter(isPowered);
  if (slurm === null || pools.length === 0) return;
  const list = listOf(slurm);
  const byPool = Map.groupBy(input.fleet.nodes.values(), (node) => node.pool as string | null);
  const marks: PowerMark[] = [];
  for (const pool of pools) {
    const state = work.pool(pool.name);
    if (state === null) continue;
    const names = poolNames(pool);
    const nodes = byPool.get(pool.name) ?? [];
    marks.push(...powerMarks(pool, state, names, nodes, input.sight.now));
    // What could not be bought cannot be told either while Slurm does not answer.
    if (list === null) continue;
    if (config.slurm.mirror.cordon) marks.push(...drainsLeft(names, nodes, list.rows));
    const { now, attentiveMs } = input.sight;
    const { waits } = input;
    const next = stepPower({ pool, state, names, nodes, list, waits, attentiveMs, now });
    if (next.state !== state) work.putPool(next.state);
    if (next.events.length > 0) work.tell(next.events);
  }
  slurm.power(marks);
}

function listOf(slurm: SlurmSink): { rows: Map<string, SlurmNode>; seenAt: number } | null {
  const { known, list } = slurm.nodes();
  const seenAt = slurm.queue()?.observedAt;
  if (!known || seenAt === undefined || slurm.dark() !== null) return null;
  return { rows: new Map(list.map((row) => [row.name, row])), seenAt };
}
