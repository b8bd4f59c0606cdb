/**
 * `npm run sim -- --agentpools 3 [--planes 2] [--seed N] [--hours N]`: stories of AgentPools in
 * trouble, one for each seed from `--seed` on (`--seeds`, 1). Exit 1 on a broken promise, which is
 * told with its command and the shortest list of faults that was found.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { drawPoolFaults, type PoolFault } from "./fault.ts";
import { type PoolShape, tellPools } from "./story.ts";

const { values } = parseArgs({
  options: {
    agentpools: { type: "string", default: "3" },
    planes: { type: "string", default: "1,2" },
    seed: { type: "string", default: "1" },
    seeds: { type: "string", default: "1" },
    hours: { type: "string", default: "6" },
    troubles: { type: "string", default: "40" },
    shrink: { type: "string", default: "60" },
    story: { type: "boolean", default: false },
    figures: { type: "string" },
  },
});
const [pools, hours] = [Number(values.agentpools), Number(values.hours)];
const total = {
  ...{ seed: Number(values.seed), stories: 0, broken: 0, pool_hours: 0, faults: 0 },
  ...{ claims: 0, placed: 0, lost: 0, created: 0, deleted: 0 },
  ...{ processes: 0, crashes: 0, freezes: 0 },
};

for (let i = 0; i < Number(values.seeds); i++) {
  for (const planes of values.planes.split(",")) {
    await tell(Number(values.seed) + i, planes === "2" ? 2 : 1);
  }
}

async function tell(seed: number, planes: 1 | 2): Promise<void> {
  const shape = { seed, pools, hours };
  const dials = { hours, troublesPerHour: Number(values.troubles), planes };
  const faults = drawPoolFaults(seed, dials);
  const told = await tellPools(shape, faults);
  if (values.story) for (const line of told.lines) console.log(line);
  total.stories++;
  total.broken += told.broken.length;
  total.pool_hours += pools * hours;
  total.faults += told.faults;
  for (const key of ["claims", "placed", "lost", "created", "deleted"] as const) {
    total[key] += told.totals[key];
  }
  total.processes += told.lives;
  total.crashes += told.crashes;
  total.freezes += told.freezes;
  const [first] = told.broken;
  if (first === undefined) return;
  const where = `--agentpools ${pools} --planes ${planes} --seed ${seed} --hours ${hours}`;
  for (const { rule, at, message } of told.broken.slice(0, 3)) {
    console.log(`${rule} at ${(at / 1_000).toFixed(0)} s: ${message}`);
  }
  console.log(`reproduce: npm run sim -- ${where} --troubles ${values.troubles}`);
  await shorten(
    shape,
    faults.filter(({ at }) => at <= first.at),
    first.rule,
  );
}

/** Leaves out stretches of the faults, ever smaller ones, while the same promise is broken. */
async function shorten(shape: PoolShape, faults: readonly PoolFault[], rule: string) {
  const end = performance.now() + Number(values.shrink) * 1_000;
  let best = faults;
  let lines: string[] = [];
  for (let size = Math.ceil(best.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < best.length && performance.now() < end;) {
      const without = best.filter((_, i) => i < from || i >= from + size);
      const told = await tellPools(shape, without);
      if (told.broken.some((one) => one.rule === rule)) [best, lines] = [without, told.lines];
      else from += size;
    }
  }
  console.log(`shortest list, ${best.length} of ${faults.length} faults:`);
  for (const { at, what } of best) console.log(`  ${at / 1_000} s ${JSON.stringify(what)}`);
  const at = lines.findIndex((line) => line.includes("BROKEN"));
  for (const line of lines.slice(Math.max(0, at - 25), at + 1)) console.log(`    ${line}`);
}

console.log(JSON.stringify(total));
if (values.figures !== undefined) writeFileSync(values.figures, JSON.stringify(total));
process.exit(total.broken === 0 ? 0 : 1);
