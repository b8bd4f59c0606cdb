/**
 * Task `CheckFleet`: a pool of the control plane has so many healthy, cordoned and replaced nodes.
 * `replaced` counts the control plane's own records since the workflow began, not absences.
 */
import * as v from "valibot";
import { count } from "../../../schema/number.ts";
import { type FleetNode, otherPool } from "../fleet.ts";
import { duration, readParams } from "../param.ts";
import { repeat } from "../repeat.ts";
import { TaskError, type Run, type TaskType } from "../task.ts";

const Params = v.strictObject({
  pool: v.nullish(v.string("expected the name of a pool"), ""),
  healthy: v.nullish(count, null),
  cordoned: v.nullish(count, null),
  replaced: v.nullish(count, null),
  timeout: v.nullish(duration, "0s"),
});

const FIGURES = ["healthy", "cordoned", "replaced"] as const;
type Figures = Partial<Record<(typeof FIGURES)[number], number>>;

/** Waits of the plan that an expired check quotes. */
const WAITS_MAX = 5;

export const checkFleet: TaskType = {
  name: "CheckFleet",
  isPrefixed: true,
  read({ params }) {
    const { pool, timeout, ...given } = readParams(Params, params);
    if (pool === "") throw new TaskError("missing parameter 'pool'");
    const wanted: Figures = Object.fromEntries(
      Object.entries(given).filter(([, figure]) => figure !== null),
    );
    if (Object.keys(wanted).length === 0) {
      throw new TaskError("missing parameters 'healthy', 'cordoned' and/or 'replaced'");
    }
    return (run) =>
      repeat(
        run,
        timeout,
        () => look(run, pool, wanted),
        async (missing) => `${missing}${await waitsOf(run, pool)}`,
      );
  },
};

async function look(run: Run, pool: string, wanted: Figures): Promise<string | null> {
  const answer = await run.fleet.nodes();
  if (!answer.ok) return answer.message;
  const seen: Figures = countNodes(answer.value.filter((node) => node.pool === pool));
  if (wanted.replaced !== undefined) {
    const replaced = await run.fleet.replaced(pool, run.clock.monoMs() - run.startedMonoMs);
    if (!replaced.ok) return replaced.message;
    seen.replaced = replaced.value;
  }
  const wrong = FIGURES.filter((name) => wanted[name] !== undefined && wanted[name] !== seen[name]);
  if (wrong.length === 0) return null;
  const figures = wrong.map((name) => `${name} is ${seen[name]}, expected ${wanted[name]}`);
  return `pool ${pool}${sayUnknown(pool, answer.value)}: ${figures.join("; ")}`;
}

/** `healthy`: serves, and is not cordoned. */
function countNodes(nodes: readonly FleetNode[]): { healthy: number; cordoned: number } {
  const cordoned = nodes.filter((node) => node.isCordoned).length;
  const isWell = (node: FleetNode) =>
    node.phase === "serving" && node.isHealthy && !node.isCordoned;
  return { healthy: nodes.filter(isWell).length, cordoned };
}

function sayUnknown(pool: string, nodes: readonly FleetNode[]): string {
  const pools = [...new Set(nodes.flatMap((node) => node.pool ?? []))].sort();
  return pools.includes(pool) ? "" : ` has no node${otherPool(pool, pools)}`;
}

/** What the pool's nodes wait for, or nothing. */
async function waitsOf(run: Run, pool: string): Promise<string> {
  const answer = await run.fleet.waits();
  if (!answer.ok) return "";
  const waits = answer.value.filter((one) => one.pool === pool);
  if (waits.length === 0) return "; no node of the pool waits for anything";
  const more = waits.length > WAITS_MAX ? ` and ${waits.length - WAITS_MAX} more` : "";
  const shown = waits.slice(0, WAITS_MAX).map(({ node, reason }) => {
    return `${node === null ? "the pool" : `node ${node}`} waits: ${reason}`;
  });
  return `; ${shown.join("; ")}${more}`;
}
