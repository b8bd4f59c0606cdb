/**
 * `npm run once -- NAME…`: runs a long proof, too long for every commit, and keeps its figures in
 * `test/record/NAME.json`. More arguments after `--` go to the proof, and then nothing is kept,
 * because it was another proof. Exit status: the proof's own, 2 for a name that is none.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { ROOT } from "../../build/product.ts";
import { nearest } from "../../schema/nearest.ts";
import { formatMachine, readMachine } from "../bench/machine.ts";
import { type Proof, PROOFS } from "./list.ts";
import { Figures, formatRecord, type ProofRecord } from "./record.ts";

const NAMES = Object.keys(PROOFS);
const WIDTH = Math.max(...NAMES.map((name) => name.length));
const USAGE = `usage: npm run once -- NAME [COMMIT] [-- ARGUMENTS OF THE PROOF]

${NAMES.map((name) => `  ${name.padEnd(WIDTH)}  ${PROOFS[name]?.summary}`).join("\n")}`;

async function readFigures(path: string): Promise<Figures | null> {
  const file = Bun.file(path);
  return (await file.exists()) ? v.parse(Figures, await file.json()) : null;
}

/** Exit status of the proof; its figures are kept, also those of one that failed. */
async function run(
  [name = "", ...given]: readonly string[],
  proof: Proof,
  more: readonly string[],
): Promise<number> {
  const scratch = mkdtempSync(join(tmpdir(), "navarch-once-"));
  const path = join(scratch, "figures.json");
  const machine = await readMachine();
  console.log(formatMachine(machine));
  const begun = new Date();
  try {
    const words = [...proof.command, ...given, ...more, "--figures", path];
    const child = Bun.spawn([process.execPath, "run", ...words], {
      cwd: ROOT,
      stdio: ["ignore", "inherit", "inherit"],
    });
    const status = await child.exited;
    const figures = await readFigures(path);
    if (figures === null) {
      console.error(`${name} ended with ${status} and left no figures`);
      return status === 0 ? 1 : status;
    }
    const record: ProofRecord = {
      proof: name,
      summary: proof.summary,
      held: status === 0,
      at: begun.toISOString(),
      seconds: Math.round((Date.now() - begun.getTime()) / 1_000),
      command: ["npm run once --", name, ...given].join(" "),
      machine,
      figures,
    };
    console.log(formatRecord(record));
    if (more.length === 0) await keep(record);
    return status;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function keep(record: ProofRecord): Promise<void> {
  const folder = join(ROOT, "test", "record");
  mkdirSync(folder, { recursive: true });
  const file = `${record.proof}.json`;
  await Bun.write(join(folder, file), `${JSON.stringify(record, null, 2)}\n`);
  console.log(`kept in test/record/${file}`);
}

const [name = "", ...words] = process.argv.slice(2);
const proof = PROOFS[name];
const given = proof?.takes == null ? [] : words.slice(0, 1);
const rest = words.slice(given.length);
const more = rest[0] === "--" ? rest.slice(1) : rest;
if (proof === undefined) {
  const near = name === "" ? null : nearest(name, NAMES);
  const hint = near === null ? "" : ` (did you mean ${near}?)`;
  console.error(`${name === "" ? "no name given" : `no proof ${name}${hint}`}\n${USAGE}`);
  process.exit(2);
}
if (proof.takes !== null && given.length === 0) {
  console.error(`usage: npm run once -- ${name} ${proof.takes}`);
  process.exit(2);
}
process.exit(await run([name, ...given], proof, more));
