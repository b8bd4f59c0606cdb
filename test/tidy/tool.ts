/**
 * Runs the linters that are not ours, as `test/tidy.test.ts` and their own tests need them. Both
 * are programs of `devDependencies` and ask nothing of the network.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as v from "valibot";

const ROOT = join(import.meta.dir, "../..");
const BIN = join(ROOT, "node_modules/.bin");

const Answer = v.object({
  number_of_files: v.number(),
  diagnostics: v.array(
    v.object({
      filename: v.string(),
      code: v.optional(v.string(), ""),
      message: v.string(),
      help: v.optional(v.string(), ""),
      labels: v.array(v.object({ span: v.object({ line: v.number() }) })),
    }),
  ),
});

type Run = { status: number; stdout: string; stderr: string };

function run(folder: string, tool: string, args: readonly string[]): Run {
  // Into a file: oxlint ends before a pipe has taken more than 64 KiB.
  const output = join(mkdtempSync(join(tmpdir(), "navarch-tool-")), "output");
  try {
    const { exitCode, stderr } = Bun.spawnSync({
      cmd: [process.execPath, join(ROOT, "node_modules", tool), ...args],
      cwd: folder,
      stdout: Bun.file(output),
      // oxlint looks for the program that knows types on the PATH.
      env: { ...process.env, PATH: `${BIN}:${process.env["PATH"] ?? ""}` },
    });
    const stdout = readFileSync(output, "utf8");
    return { status: exitCode, stdout, stderr: stderr.toString() };
  } finally {
    rmSync(dirname(output), { recursive: true });
  }
}

const died = (tool: string, { status, stdout, stderr }: Run): Error =>
  new Error(`${tool} ended with ${status}; is \`npm install\` done?\n${stdout}${stderr}`);

/** What oxlint says of a folder, sorted, as `file:line: rule: what`. */
export function lint(folder: string, args: readonly string[]): string[] {
  const ran = run(folder, "oxlint/bin/oxlint", [...args, "--format=json", "."]);
  if (ran.status > 1 || !ran.stdout.startsWith("{")) throw died("oxlint", ran);
  const { diagnostics, number_of_files } = v.parse(Answer, JSON.parse(ran.stdout));
  if (number_of_files === 0) throw died("oxlint", ran);
  const lines = diagnostics.map(({ filename, code, message, help, labels: [label] }) =>
    `${filename}:${label?.span.line ?? 1}: ${code}: ${message} ${help}`.trim(),
  );
  if (lines.length === 0 && ran.status !== 0) throw died("oxlint", ran);
  return lines.sort();
}

/** What knip says of a folder that its configuration describes. */
export function findUnused(folder: string, args: readonly string[]): string[] {
  const plain = ["--no-progress", "--no-config-hints", "--reporter", "compact"];
  const ran = run(folder, "knip/bin/knip-bun.js", [...plain, ...args]);
  if (ran.status > 1) throw died("knip", ran);
  const lines = ran.stdout.split("\n").filter((line) => line.trim() !== "");
  if ((lines.length === 0) !== (ran.status === 0)) throw died("knip", ran);
  return lines;
}

/** The sources of a folder that oxfmt would write in another way. */
export function findUnformatted(folder: string): string[] {
  const ran = run(folder, "oxfmt/bin/oxfmt", ["--list-different", "**/*.ts"]);
  const lines = ran.stdout.split("\n").filter((line) => line !== "");
  if ((lines.length === 0) !== (ran.status === 0)) throw died("oxfmt", ran);
  return lines;
}
