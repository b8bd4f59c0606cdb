#!/usr/bin/env bun
/**
 * The entry of `navarch`: gives the command line its world — arguments, terminal, clock — and
 * ends the process with the status of the command that ran. Interrupts are left to the system,
 * which ends the process with 130 or 143; the control plane handles its own.
 */
import { homedir } from "node:os";
import { basename } from "node:path";
import { COMMANDS } from "./command/catalog.ts";
import { EXIT } from "./failure.ts";
import { runCommandLine } from "./run.ts";
import { slurmEnv } from "./slurm-program.ts";
import type { World } from "./world.ts";

let lasting = false;

/** Cursor home, each line and the rest of its row, then clear below: no flicker. */
const screen = {
  size: () => ({ columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 }),
  draw: (lines: readonly string[]) => {
    process.stdout.write(`\x1b[H${lines.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`);
  },
};

let isDrawn = false;
/** Other output replaces the progress line. */
const wipe = (): void => {
  if (isDrawn) process.stderr.write("\r\x1b[K");
  isDrawn = false;
};
const bar = {
  columns: () => process.stderr.columns ?? 80,
  draw: (line: string | null) => {
    wipe();
    if (line !== null) process.stderr.write(line);
    isDrawn = line !== null;
  },
};
const hasBar = process.stderr.isTTY === true && process.env["TERM"] !== "dumb";

const world: World = {
  program: basename(process.argv0),
  argv: process.argv.slice(2),
  env: slurmEnv(basename(process.argv0), process.env, (line) => {
    process.stderr.write(`warning: ${line}`);
  }),
  out: (text) => {
    wipe();
    process.stdout.write(text);
  },
  err: (text) => {
    wipe();
    process.stderr.write(text);
  },
  tty: process.stdout.isTTY === true,
  columns: process.stdout.columns ?? 80,
  ...(process.stdout.isTTY === true ? { screen } : {}),
  ...(hasBar ? { bar } : {}),
  ask: (question) => (process.stdin.isTTY === true ? (prompt(question) ?? "") : null),
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  sleep: (ms) => Bun.sleep(ms),
  home: process.env["HOME"] ?? homedir(),
  root: process.getuid?.() === 0,
  outlast: () => {
    lasting = true;
  },
};

// EPIPE (`navarch events | head -1`) is not an error, a full disk is one. The control plane
// continues in both cases.
process.stdout.on("error", (error: Error & { code?: string }) => {
  if (lasting) return;
  if (error.code === "EPIPE") process.exit(0);
  process.stderr.write(`error: cannot write the output: ${error.message}\n`);
  process.exit(EXIT.failed);
});

// A log that is not read is no failure of the command, and has no place to be reported.
process.stderr.on("error", () => undefined);

process.exitCode = await runCommandLine(COMMANDS, world);
wipe();
