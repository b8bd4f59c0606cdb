/**
 * Proof: the control plane of a repair in Slurm and Kubernetes is killed by SIGKILL before, during
 * and after each of its writes and calls and after its looks, and started again on its database;
 * also while a person drains the node meanwhile, its job ends, or slurmctld is away.
 *
 *     npm run once -- slurm-kills
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { seeded } from "../../../../simulator/engine/random.ts";
import { buildStale } from "../../../fixture/plane/plane.ts";
import type { Figures } from "../../../once/record.ts";
import { Bed, type Tried } from "./bed.ts";
import { type Case, type Catalog, catalogOf, spread, withMeanwhile } from "./case.ts";

const { values } = parseArgs({
  options: {
    figures: { type: "string" },
    lanes: { type: "string", default: "5" },
    /** Every how many of all cases. */
    stride: { type: "string", default: "1" },
    /** Drawn pairs: a death, and another one in the life after it. */
    pairs: { type: "string", default: "12" },
    seed: { type: "string", default: "20261123" },
    /** Only the groups whose names have this. */
    only: { type: "string", default: "" },
    /** A folder that keeps the logs. */
    keep: { type: "string" },
  },
});

function choose({ each, underWay, looks }: Catalog): Record<string, Case[]> {
  const pick = (cases: readonly Case[], every = 1): Case[] =>
    spread(cases, Math.ceil(cases.length / (every * Number(values.stride))), 0);
  const random = seeded(Number(values.seed));
  const draw = () => {
    const n = 1 + Math.floor(random() * each.length * 0.3);
    return { n, side: random() < 0.5 ? ("b" as const) : ("a" as const) };
  };
  const pairs = Array.from({ length: Number(values.pairs) }, (): Case => {
    return { deaths: [draw(), draw()], meanwhile: "nothing" };
  });
  return {
    "before and after each": pick(each),
    "under way": pick(underWay),
    "after a look": pick(looks, 4),
    "two in a row": pairs,
    "a person drains it meanwhile": withMeanwhile(pick([...each, ...underWay], 6), "person"),
    "its job ends meanwhile": withMeanwhile(pick(each, 12), "job"),
    "slurmctld is away meanwhile": withMeanwhile(pick([...each, ...underWay], 20), "controller"),
  };
}

await buildStale();
const bed = await Bed.open(Number(values.lanes));
const points = await bed.reference();
const groups = choose(catalogOf(points));
const figures: Figures = {
  "writes and calls of a repair": points.filter(({ side }) => side === "b").length,
};
const bad: Tried[] = [];
const whats: Record<string, number> = {};
for (const [group, cases] of Object.entries(groups)) {
  if (!group.includes(values.only)) continue;
  const tried = await bed.tryAll(cases, (one) => {
    const died = one.died.map(({ n, side, what }) => `${n}${side} ${what}`).join(", ");
    const verdict = one.wrongs.length === 0 ? "ok" : `WRONG: ${one.wrongs.join("; ")}`;
    const at = new Date().toISOString().slice(11, 19);
    console.log(`${at} ${group}: ${one.name} [${died}] ${verdict}`);
  });
  for (const { what } of tried.flatMap(({ died }) => died)) {
    const name = what.replace(/^sql\.\w+ SET\+/, "sql ");
    whats[name] = (whats[name] ?? 0) + 1;
  }
  bad.push(...tried.filter(({ wrongs }) => wrongs.length > 0));
  figures[`rounds, ${group}`] = tried.length;
  figures[`kills, ${group}`] = tried.reduce((sum, { died }) => sum + died.length, 0);
}
figures["rounds that went wrong"] = bad.length;
figures["kills by what it died at"] = whats;
if (values.keep !== undefined) {
  writeFileSync(`${values.keep}/slurmctld.log`, bed.slurm.log("slurmctld"));
  for (const { label, joined } of bed.lanes) {
    writeFileSync(`${values.keep}/${label}.log`, joined.plane.log());
  }
}
const left = await bed.close();
if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);
console.log(JSON.stringify(figures, null, 2));
if (values.figures !== undefined) writeFileSync(values.figures, JSON.stringify(figures, null, 2));
process.exit(bad.length + left.length === 0 ? 0 : 1);
