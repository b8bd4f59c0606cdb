/**
 * `npm run once -- swarm -- --seeds N --seed N [--sinks LIST]`: a day of eight nodes in trouble for
 * each seed and each scheduler. Exit 1 on a violation, which is told with its command.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { isKnown } from "./corpus.ts";
import { drawFaults } from "./swarm/schedule.ts";
import { shapeOf, SINKS } from "./swarm/shape.ts";
import { tellStory } from "./swarm/story.ts";

const DAY = 86_400_000;
const NODES = 8;
const DIALS = { days: 1, troublesPerDay: 30, extraXidPerDay: 6 };

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    sinks: { type: "string", default: "slurm,kubernetes,both" },
    figures: { type: "string" },
  },
});

const wanted = values.sinks.split(",");
const total = { stories: 0, violations: 0, nodeDays: 0, replaced: 0, processes: 0 };
for (let i = 0; i < Number(values.seeds); i++) {
  for (const sinks of SINKS.filter((one) => wanted.includes(one))) {
    const seed = Number(values.seed) + i;
    const shape = shapeOf(seed, NODES, sinks);
    const told = await tellStory(shape, drawFaults(shape, DIALS), { endMs: DAY });
    const bad = told.found.filter((one) => !isKnown(one));
    total.stories++;
    total.violations += bad.length;
    total.nodeDays += NODES;
    total.replaced += told.replaced;
    total.processes += told.lives;
    const { days, troublesPerDay, extraXidPerDay } = DIALS;
    const dials = `--days ${days} --troubles ${troublesPerDay} --xids ${extraXidPerDay}`;
    const command = `npm run sim -- --sinks ${sinks} --seed ${seed} --nodes ${NODES} ${dials}`;
    for (const { id, message } of bad.slice(0, 3)) console.log(`${id}: ${message} (${command})`);
  }
}
console.log(JSON.stringify(total));
if (values.figures !== undefined) writeFileSync(values.figures, JSON.stringify(total));
process.exit(total.violations === 0 ? 0 : 1);
