/**
 * `bun run test/bench/machine/main.ts [--tiny] [--samples N] [--machines N] [--rounds N]`: how long
 * bare machines take to become nodes, and what it costs the control plane. Needs root. Ends with 0
 * only if the ship value is reached and no bootstrap failed.
 */
import { parseArgs } from "node:util";
import { whyNoMachines } from "../../fixture/machine/image.ts";
import { buildStale } from "../../fixture/plane/plane.ts";
import { isOver } from "../bench.ts";
import { formatTable } from "../table.ts";
import { runMachines } from "./run.ts";

const string = { type: "string" } as const;
const { values } = parseArgs({
  options: {
    tiny: { type: "boolean", default: false },
    samples: string,
    machines: string,
    rounds: string,
    figures: string,
  },
});
const { tiny } = values;

function positive(name: "samples" | "machines" | "rounds", small: number, full: number): number {
  const value = Number(values[name] ?? (tiny ? small : full));
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${name} ${values[name]}: expected a whole number above 0`);
}

const missing = whyNoMachines();
if (missing !== null) throw new Error(missing);
await buildStale((product) => console.error(`building ${product}`));
const size = {
  samples: positive("samples", 2, 20),
  machines: positive("machines", 2, 10),
  rounds: positive("rounds", 2, 5),
};
const { figures, broken } = await runMachines(size, (line) => console.error(line));
console.log(formatTable(figures, tiny));
for (const line of broken) console.log(`wrong: ${line}`);
if (values.figures !== undefined) {
  const kept = Object.fromEntries(figures.map(({ name, measured }) => [name, measured]));
  await Bun.write(values.figures, JSON.stringify(kept));
}
const over = tiny ? [] : figures.filter(isOver);
process.exit(broken.length === 0 && over.length === 0 ? 0 : 1);
