/**
 * `npm run sim -- --seed N --nodes N --days N`: one seeded story of a fleet in trouble, judged by
 * the invariants after each step. Exit 1 on a violation, with the shortest story that shows it.
 */
import { parseArgs } from "node:util";
import { drawFaults } from "../../simulator/swarm/schedule.ts";
import { shapeOf } from "../../simulator/swarm/shape.ts";
import { tellStory } from "../../simulator/swarm/story.ts";

const DAY = 86_400_000;
const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    nodes: { type: "string", default: "1000" },
    days: { type: "string", default: "7" },
    troubles: { type: "string", default: "12" },
    xids: { type: "string", default: "0" },
    pace: { type: "string", default: "analytic" },
    story: { type: "boolean", default: false },
  },
});
const seed = Number(values.seed);
const days = Number(values.days);
const nodes = Number(values.nodes);
const shape = shapeOf(seed, nodes);
const dials = { days, troublesPerDay: Number(values.troubles), extraXidPerDay: Number(values.xids) };
const faults = drawFaults(shape, dials);
const begun = performance.now();
const told = await tellStory(shape, faults, {
  endMs: days * DAY,
  pace: values.pace === "full" ? "full" : "analytic",
});
const wallMs = performance.now() - begun;
if (values.story) process.stdout.write(`${told.story.join("\n")}\n`);
const weeks = ((told.virtualMs / (7 * DAY)) * nodes) / 1_000 / (wallMs / 60_000);
const print = (line: string): void => void process.stdout.write(`${line}\n`);
print(JSON.stringify(shape));
print(`virtual ${(told.virtualMs / DAY).toFixed(2)} d, wall ${(wallMs / 1_000).toFixed(1)} s`);
print(`${weeks.toFixed(2)} simulated fleet-weeks of 1,000 nodes per minute`);
print(`${told.steps} steps, ${told.activations} activations, ${told.lives} lives, ${told.events} events`);
print(`faults ${[...told.faults].map(([name, n]) => `${name} ${n}`).join(", ")}`);
print(`replaced ${told.replaced}, launches ${told.launches}, ends ${told.ends}`);
for (const { id, at, message } of told.found.slice(0, 10))
  print(`violation ${id} at ${(at / 1_000).toFixed(0)} s: ${message}`);
print(`violations ${told.found.length}`);
print(`trace ${told.hash}`);
process.exit(told.found.length === 0 ? 0 : 1);
