/**
 * `npm run bench -- [NAME…] [--tiny] [--json] [--record]`: measures, and prints each figure beside
 * its budget. Exit status 0 if all are within, 1 if one is over or a bench failed, 2 for arguments
 * that make no sense. A tiny run judges nothing but that it ran.
 */
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildProduct, isStale, PRODUCTS, readStamp, ROOT } from "../../build/product.ts";
import { nearest } from "../../schema/nearest.ts";
import { type Bench, type BenchOptions, type Figure, isOver } from "./bench.ts";
import { BENCHES } from "./list.ts";
import { type Machine, formatMachine, readMachine } from "./machine.ts";
import { formatTable } from "./table.ts";

const NAMES = BENCHES.map((bench) => bench.name);
const USAGE = `usage: npm run bench -- [${NAMES.join("|")}]… [--tiny] [--json] [--record]
         [--agents N] [--seconds S] [--dist DIR] [--base DIR]

${BENCHES.map(({ name, summary }) => `  ${name.padEnd(10)} ${summary}`).join("\n")}

  --tiny       seconds and few agents: does it run at all
  --json       one object a bench, on standard output
  --record     keeps the figures in test/record/NAME.json
  --agents N   one fleet of this size instead of the bench's own
  --seconds S  length of the measured window
  --dist DIR   binaries to measure as they are; without it stale ones are rebuilt
  --base DIR   binaries of another commit, for a bench that compares two`;

type Wanted = {
  benches: readonly Bench[];
  options: BenchOptions;
  json: boolean;
  record: boolean;
  build: boolean;
};

function numberOf(flag: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`${flag}: expected a whole number above 0, found ${JSON.stringify(text)}`);
}

/** Throws an error that names the argument, what was expected and what was found. */
function parse(args: readonly string[]): Wanted {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...{ tiny: flag, json: flag, record: flag },
      ...{ agents: text, seconds: text, dist: text, base: text },
    },
  });
  const unknown = positionals.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    const near = nearest(unknown, NAMES);
    throw new Error(`no bench ${unknown}${near === null ? "" : ` (did you mean ${near}?)`}`);
  }
  const { tiny, json, record, dist, base } = values;
  const chosen = BENCHES.filter(({ name }) => positionals.includes(name));
  return {
    benches: chosen.length === 0 ? BENCHES : chosen,
    json,
    record,
    build: dist === undefined && !tiny,
    options: {
      tiny,
      dist: resolve(dist ?? join(ROOT, "dist")),
      base: base === undefined ? null : resolve(base),
      agents: numberOf("--agents", values.agents),
      seconds: numberOf("--seconds", values.seconds),
      say: (line) => void process.stderr.write(`${line}\n`),
    },
  };
}

/** The binaries are what is shipped, so they are what is measured. */
async function build(outdir: string, say: (line: string) => void): Promise<void> {
  const stamp = await readStamp();
  const target = `bun-linux-${process.arch}`;
  for (const product of PRODUCTS) {
    if (!isStale(product, outdir)) continue;
    say(`building ${product.name}`);
    await buildProduct(product, { outdir, target, executable: null, stamp });
  }
}

type Result = {
  bench: string;
  tiny: boolean;
  at: string;
  command: string;
  machine: Machine;
  figures: Figure[];
};

async function measure(bench: Bench, options: BenchOptions): Promise<Result> {
  const machine = await readMachine();
  const at = new Date().toISOString();
  const command = `npm run bench -- ${process.argv.slice(2).join(" ")}`.trim();
  const figures = await bench.run(options);
  return { bench: bench.name, tiny: options.tiny, at, command, machine, figures };
}

async function record(result: Result): Promise<void> {
  const folder = join(ROOT, "test", "record");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${result.bench}.json`);
  await Bun.write(path, `${JSON.stringify(result, null, 2)}\n`);
}

async function run(wanted: Wanted): Promise<number> {
  const { options } = wanted;
  if (wanted.build) await build(options.dist, options.say);
  let bad = 0;
  for (const bench of wanted.benches) {
    options.say(`${bench.name}: ${bench.summary}`);
    try {
      const result = await measure(bench, options);
      if (wanted.record) await record(result);
      const { figures } = result;
      if (wanted.json) console.log(JSON.stringify(result));
      else console.log(`${formatMachine(result.machine)}\n${formatTable(figures, options.tiny)}\n`);
      if (!options.tiny && figures.some(isOver)) bad++;
    } catch (error) {
      bad++;
      console.error(`${bench.name} failed: ${error instanceof Error ? error.stack : error}`);
    }
  }
  return bad === 0 ? 0 : 1;
}

let wanted: Wanted;
try {
  wanted = parse(process.argv.slice(2));
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  process.exit(2);
}
process.exit(await run(wanted));
