/**
 * `npm run sim -- --seed N --nodes N --days N`: one seeded story of a fleet in trouble, judged by
 * the invariants after each step. Exit 1 on a violation, with the shortest story that shows it.
 *
 *   --troubles N   faults a day besides those of GPUs (12)
 *   --edits N      edits of the providers in the file a day (0)
 *   --restores N   lost and restored databases, and old copies of it, a day (0)
 *   --xids N       GPU faults a day besides 5 per 1,000 node-days (0)
 *   --sinks S      none, slurm, kubernetes or both: the schedulers that its machines join (none)
 *   --planes N     control planes on one database: of 2, one leads and may be frozen (1)
 *   --shrink S     seconds to spend on shortening a failing story (30)
 *   --pace full    every step and every heartbeat, skipping nothing
 *   --story        print every event
 *   --agentpools N a story of N AgentPools instead (`pools/main.ts`)
 */
import { parseArgs } from "node:util";
import { VACUOUS } from "../invariant/kube.ts";
import { type Fault, nameOf } from "./swarm/fault.ts";
import { drawFaults } from "./swarm/schedule.ts";
import { type Shape, shapeOf, SINKS } from "./swarm/shape.ts";
import { shrink } from "./swarm/shrink.ts";
import { tellStory, type Told } from "./swarm/story.ts";
import type { Found } from "./swarm/swarm.ts";
import { isKnown } from "./corpus.ts";

// It ends the process.
if (process.argv.includes("--agentpools")) await import("./pools/main.ts");

const DAY = 86_400_000;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    nodes: { type: "string", default: "1000" },
    days: { type: "string", default: "7" },
    troubles: { type: "string", default: "12" },
    xids: { type: "string", default: "0" },
    edits: { type: "string", default: "0" },
    restores: { type: "string", default: "0" },
    sinks: { type: "string", default: "none" },
    planes: { type: "string", default: "1" },
    shrink: { type: "string", default: "30" },
    pace: { type: "string", default: "analytic" },
    story: { type: "boolean", default: false },
  },
});

type Count = "seed" | "nodes" | "days" | "troubles" | "xids" | "edits" | "restores" | "shrink";

function numberOf(name: Count): number {
  const value = Number(values[name]);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new Error(`--${name}: expected a number, found ${values[name]}`);
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);

function printFigures(shape: Shape, told: Told, wallMs: number): void {
  const nodes = shape.pools.reduce((sum, pool) => sum + pool.size, 0);
  const weeks = ((told.virtualMs / (7 * DAY)) * nodes) / 1_000 / (wallMs / 60_000);
  print(`fleet: ${JSON.stringify(shape)}`);
  print(`virtual time: ${(told.virtualMs / DAY).toFixed(2)} days`);
  print(`wall time: ${(wallMs / 1_000).toFixed(1)} s`);
  print(`simulated fleet-weeks of 1,000 nodes per minute: ${weeks.toFixed(2)}`);
  const { steps, activations, lives, freezes } = told;
  print(`steps: ${steps}, activations: ${activations}, processes: ${lives}, freezes: ${freezes}`);
  print(`events: ${told.events}`);
  const faults = [...told.faults].sort(([a], [b]) => (a < b ? -1 : 1));
  print(`faults: ${faults.map(([name, n]) => `${name} ${n}`).join(", ") || "none"}`);
  print(`replacements: ${told.replaced}, launches: ${told.launches}, ends: ${told.ends}`);
  if (shape.sinks === "none") for (const [id, why] of VACUOUS) print(`${id}: vacuous here, ${why}`);
}

async function printShortest(
  shape: Shape,
  faults: readonly Fault[],
  told: { endMs: number; found: Found },
): Promise<void> {
  const until = performance.now() + numberOf("shrink") * 1_000;
  const short = await shrink(shape, faults, told, () => until - performance.now());
  print(`shortest story of ${short.tries} tried, ${short.faults.length} faults:`);
  for (const { at, what } of short.faults)
    print(`  ${(at / 1_000).toFixed(0)} s  ${nameOf(what)}  ${JSON.stringify(what)}`);
  const again = await tellStory(shape, short.faults, { endMs: short.endMs, stopAtFirst: true });
  for (const line of again.story.slice(-20)) print(`    ${line}`);
  print(`  ${(short.found.at / 1_000).toFixed(0)} s  ${short.found.id}: ${short.found.message}`);
}

const sinks = SINKS.find((one) => one === values.sinks);
if (sinks === undefined) throw new Error(`--sinks: expected ${SINKS.join(", ")}`);
const planes = values.planes === "2" ? 2 : 1;
const shape = shapeOf(numberOf("seed"), numberOf("nodes"), sinks, planes);
const days = numberOf("days");
const dials = {
  ...{ days, troublesPerDay: numberOf("troubles"), extraXidPerDay: numberOf("xids") },
  editsPerDay: numberOf("edits"),
  restoresPerDay: numberOf("restores"),
};
const faults = drawFaults(shape, dials);
const endMs = days * DAY;
const begun = performance.now();
const told = await tellStory(shape, faults, {
  endMs,
  pace: values.pace === "full" ? "full" : "analytic",
});
const wallMs = performance.now() - begun;
if (values.story) for (const line of told.story) print(line);
printFigures(shape, told, wallMs);
const bad = told.found.filter((one) => !isKnown(one));
for (const { id, at, message } of told.found.slice(0, 10)) {
  const known = isKnown({ id, message }) ? " (known, still open)" : "";
  print(`violation: ${id} at ${(at / 1_000).toFixed(0)} s${known}: ${message}`);
}
print(`violations: ${bad.length}, known and open: ${told.found.length - bad.length}`);
print(`trace: ${told.hash}`);
const [first] = bad;
if (first !== undefined) {
  await printShortest(shape, faults, { endMs, found: first });
  const { seed, nodes, troubles, xids, edits, restores } = values;
  const people = `--edits ${edits} --restores ${restores}`;
  const dialled = `--days ${values.days} --troubles ${troubles} --xids ${xids} ${people}`;
  const where = `--sinks ${sinks} --planes ${planes}`;
  print(`reproduce: npm run sim -- ${where} --seed ${seed} --nodes ${nodes} ${dialled}`);
}
process.exit(first === undefined ? 0 : 1);
