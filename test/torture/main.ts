/**
 * `npm run torture -- --kills N`: kills the compiled control plane at random instants of a fleet
 * that never rests, and judges it by the clouds' own journals. Exit status 0 only if every
 * invariant held over every kill, and the fleet came to rest after it.
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { ROOT } from "../../build/product.ts";
import { buildStale } from "../fixture/plane/plane.ts";
import { Random } from "./random.ts";
import { readBooks } from "./ledger.ts";
import { newFigures, Round } from "./round.ts";
import { SETTINGS, type Setting } from "./setting.ts";
import { countsOf, formatLine, formatTable, formatViolation, quantile, rowsOf } from "./table.ts";

const USAGE = `usage: npm run torture -- [--kills N] [--seed N] [--class token|name|tag-only|all]
         [--keep] [--dist DIR] [--figures FILE]

  --kills N       how often the control plane is killed (default 50)
  --seed N        makes the same choices again; 0 draws one and prints it (default 0)
  --class C       only the cloud of this class
  --keep          leave the last folder
  --dist DIR      binaries to torture as they are; without it stale ones are rebuilt
  --figures FILE  writes the figures there, as JSON`;

/** Kills of one fleet: a new one begins before journal and store are too long to start quickly. */
const SEASON_KILLS = 200;
const LINE_KILLS = 50;

type Wanted = {
  kills: number;
  seed: number;
  settings: readonly Setting[];
  keep: boolean;
  dist: string | null;
  figures: string | null;
};

/** Throws an error that names the flag, what was expected and what was found. */
function parse(args: readonly string[]): Wanted {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { ...text, default: "50" },
      seed: { ...text, default: "0" },
      class: { ...text, default: "all" },
      keep: { type: "boolean", default: false },
      dist: text,
      figures: text,
    },
  });
  const whole = (flag: string, given: string, least: number): number => {
    const value = Number(given);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new Error(`--${flag}: expected a whole number from ${least}, found ${given}`);
  };
  const classes = ["all", ...SETTINGS.map((setting) => setting.class)];
  if (!classes.includes(values.class))
    throw new Error(`--class: expected ${classes.join(", ")}, found ${values.class}`);
  return {
    kills: whole("kills", values.kills, 1),
    seed: whole("seed", values.seed, 0),
    settings: SETTINGS.filter((one) => values.class === "all" || one.class === values.class),
    keep: values.keep,
    dist: values.dist === undefined ? null : resolve(values.dist),
    figures: values.figures === undefined ? null : resolve(values.figures),
  };
}

async function torture(wanted: Wanted): Promise<number> {
  const { kills, settings } = wanted;
  if (wanted.dist === null) await buildStale((name) => console.error(`building ${name}`));
  const binary = join(wanted.dist ?? join(ROOT, "dist"), "navarch");
  const seed = wanted.seed === 0 ? 1 + Math.floor(Math.random() * 999_999_999) : wanted.seed;
  console.log(`torture: ${kills} kills, seed ${seed}`);
  const random = new Random(seed);
  const figures = newFigures();
  const begun = performance.now();
  const seconds = (): number => (performance.now() - begun) / 1_000;
  const live = process.stdout.isTTY === true;
  let rounds = 0;
  let violations: Round["violations"] = [];
  while (figures.kills < kills && violations.length === 0) {
    const round = await Round.open(binary, settings, random, figures);
    rounds++;
    const told = (): void => {
      const line = formatLine(figures, countsOf(round.violations), kills, seconds());
      if (live) process.stdout.write(`\r\x1b[K${line}`);
      else if (figures.kills % LINE_KILLS === 0) console.log(line);
    };
    try {
      await round.run(Math.min(SEASON_KILLS, kills - figures.kills), told);
    } finally {
      await round.fleet.close();
    }
    violations = round.violations;
    if (live) process.stdout.write("\n");
    for (const violation of violations) {
      const rows = readBooks(round.fleet.database)?.operations ?? [];
      console.log(formatViolation(violation, round.fleet.judges, rows));
    }
    const keep = violations.length > 0 || (wanted.keep && figures.kills >= kills);
    if (keep) console.log(`kept: ${round.fleet.folder}`);
    else round.fleet.remove();
  }
  const counts = countsOf(violations);
  const classes = settings.map((setting) => setting.class).join(", ");
  console.log(formatTable(rowsOf(figures, counts, { seconds: seconds(), seed, rounds, classes })));
  if (wanted.figures !== null) {
    const { firstEffectMs, orphanMs } = figures;
    const record = {
      kills: figures.kills,
      ...counts,
      m6P50Ms: quantile(firstEffectMs, 0.5),
      m6P99Ms: quantile(firstEffectMs, 0.99),
      m6MaxMs: quantile(firstEffectMs, 1),
      m6Samples: firstEffectMs.length,
      orphansFound: figures.orphans,
      orphanP99Ms: quantile(orphanMs, 0.99),
      lateSurplus: figures.surplus,
      callsChecked: figures.effects,
      auditRows: figures.events,
      restMaxMs: quantile(figures.restMs, 1),
      ways: Object.fromEntries(figures.ways),
      acts: Object.fromEntries(figures.acts),
      classes,
      fleets: rounds,
      seconds: Math.round(seconds()),
      seed,
    };
    await Bun.write(wanted.figures, `${JSON.stringify(record, null, 2)}\n`);
  }
  return violations.length === 0 ? 0 : 1;
}

let wanted: Wanted;
try {
  wanted = parse(process.argv.slice(2));
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  process.exit(2);
}
process.exit(await torture(wanted));
