/**
 * `npm run once -- swarm -- --seeds N --seed N [--sinks LIST] [--planes LIST] [--edits N]
 * [--restores N]`: six hours of six nodes in trouble for each seed, each scheduler, and one control
 * plane and two of which the leader is frozen now and then; `--edits`: of the file's providers a
 * day, `--restores`: of lost and older databases. Exit 1 on a violation, which is told with its
 * command.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { isKnown } from "./corpus.ts";
import { drawFaults } from "./swarm/schedule.ts";
import { shapeOf, type SinkKind, SINKS } from "./swarm/shape.ts";
import { tellStory } from "./swarm/story.ts";

const DAY = 86_400_000;
const NODES = 6;
const DIALS = {
  days: 0.25,
  troublesPerDay: 60,
  extraXidPerDay: 16,
  editsPerDay: 0,
  restoresPerDay: 0,
};

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    sinks: { type: "string", default: "slurm,kubernetes,both" },
    planes: { type: "string", default: "1,2" },
    edits: { type: "string", default: "0" },
    restores: { type: "string", default: "0" },
    figures: { type: "string" },
  },
});

DIALS.editsPerDay = Number(values.edits);
DIALS.restoresPerDay = Number(values.restores);
const wanted = values.sinks.split(",");
const planesOf = values.planes.split(",");
const total = {
  ...{ seed: Number(values.seed), stories: 0, violations: 0, node_days: 0 },
  ...{ replaced: 0, processes: 0, freezes: 0, slurm_drains: 0, slurm_undrains: 0 },
};
for (let i = 0; i < Number(values.seeds); i++) {
  for (const sinks of SINKS.filter((one) => wanted.includes(one))) {
    for (const planes of ([1, 2] as const).filter((one) => planesOf.includes(String(one))))
      await tell(Number(values.seed) + i, sinks, planes);
  }
}

async function tell(seed: number, sinks: SinkKind, planes: 1 | 2): Promise<void> {
  const shape = shapeOf(seed, NODES, sinks, planes);
  const { days, troublesPerDay, extraXidPerDay, editsPerDay, restoresPerDay } = DIALS;
  const told = await tellStory(shape, drawFaults(shape, DIALS), { endMs: days * DAY });
  const bad = told.found.filter((one) => !isKnown(one));
  const inSlurm = (what: string): number =>
    told.story.filter((line) => line.includes(`"what":"${what}"`) && line.includes('"by":"api"'))
      .length;
  total.stories++;
  total.violations += bad.length;
  total.node_days += NODES * days;
  total.replaced += told.replaced;
  total.processes += told.lives;
  total.freezes += told.freezes;
  total.slurm_drains += inSlurm("drain");
  total.slurm_undrains += inSlurm("undrain");
  const faults = `--troubles ${troublesPerDay} --xids ${extraXidPerDay}`;
  const dials = `--days ${days} ${faults} --edits ${editsPerDay} --restores ${restoresPerDay}`;
  const where = `--sinks ${sinks} --planes ${planes} --seed ${seed} --nodes ${NODES}`;
  for (const { id, message } of bad.slice(0, 3))
    console.log(`${id}: ${message} (npm run sim -- ${where} ${dials})`);
}
console.log(JSON.stringify(total));
if (values.figures !== undefined) writeFileSync(values.figures, JSON.stringify(total));
process.exit(total.violations === 0 ? 0 : 1);
