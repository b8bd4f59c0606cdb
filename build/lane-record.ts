/**
 * What git knows of the lanes, and the records of their whole passes (`test/record/lane/`).
 * Adapter: git, files.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chooseLanes, digestOf, isOf, LANES, whyDue } from "./lane.ts";
import type { Lane, Pass, Tracked } from "./lane.ts";
import { ROOT } from "./product.ts";
import type { Counts } from "./tally.ts";

const RECORDS = "test/record/lane";

/** The command's output; `null` = there is no git, or no repository. */
function git(...words: string[]): string | null {
  if (Bun.which("git") === null) return null;
  const ran = Bun.spawnSync(["git", "-c", "core.quotepath=off", ...words], { cwd: ROOT });
  return ran.exitCode === 0 ? ran.stdout.toString() : null;
}

function trackedFiles(): Tracked[] {
  const lines = (git("ls-files", "-s") ?? "").split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const [about = "", path = ""] = line.split("\t");
    return { path, blob: about.split(" ").slice(0, 2).join(" ") };
  });
}

const pathOf = (name: string): string => `${RECORDS}/${name}.json`;

function passOf(name: string): Pass | null {
  const path = join(ROOT, pathOf(name));
  if (!existsSync(path)) return null;
  const { digest } = JSON.parse(readFileSync(path, "utf8")) as { digest: string };
  const last = git("log", "-1", "--format=%H", "--", pathOf(name))?.trim() ?? "";
  const count = last === "" ? null : git("rev-list", "--count", `${last}..HEAD`);
  return count === null ? null : { digest, commitsAgo: Number(count) };
}

/** Lanes that this commit's check runs, each with why. Without a whole history all are due. */
export function lanesOfCheck(machines: readonly string[]): ReadonlyMap<string, string> {
  const head = git("rev-parse", "HEAD")?.trim() ?? "";
  const isWhole = git("rev-parse", "--is-shallow-repository")?.trim() === "false";
  const files = trackedFiles();
  const due = LANES.map((lane): [string, string | null] => {
    if (!isWhole || head === "") return [lane.name, "no whole history"];
    return [lane.name, whyOf(lane, files, machines)];
  });
  return chooseLanes(new Map(due), head);
}

function whyOf(lane: Lane, files: readonly Tracked[], machines: readonly string[]): string | null {
  return whyDue(passOf(lane.name), digestOf(lane, files, machines));
}

/** Notes a whole pass, unless a file that it judges is not committed. */
export function recordPass(
  lane: Lane,
  machines: readonly string[],
  { counts, minutes }: { counts: Counts; minutes: number },
): void {
  const changed = (git("status", "--porcelain", "--no-renames") ?? "").split("\n");
  const odd = changed.map((line) => line.slice(3)).find((path) => isOf(lane, path, machines));
  if (odd !== undefined) {
    return console.error(`npm test: lane ${lane.name} is not recorded: ${odd} is not committed`);
  }
  const digest = digestOf(lane, trackedFiles(), machines);
  const at = new Date().toISOString().slice(0, 10);
  const { passed, skipped } = counts;
  const record = { lane: lane.name, digest, at, passed, skipped, minutes };
  mkdirSync(join(ROOT, RECORDS), { recursive: true });
  writeFileSync(join(ROOT, pathOf(lane.name)), `${JSON.stringify(record, null, 2)}\n`);
}
