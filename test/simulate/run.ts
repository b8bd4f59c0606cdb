/** Runs `navarch simulate run` in a process of its own on a scenario that a test writes. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Report } from "../../simulator/run/report.ts";

const ROOT = dirname(dirname(import.meta.dir));

export type Ran = {
  exit: number;
  out: string;
  err: string;
  folder: string;
  report: Report;
  events: string;
};

/** `text` is the scenario, or the name of a bundled one if it is one line. */
export async function simulate(text: string, ...flags: string[]): Promise<Ran> {
  const home = mkdtempSync(join(tmpdir(), "navarch-simulate-"));
  const isName = !text.includes("\n");
  const file = isName ? text : join(home, "scenario.yaml");
  if (!isName) writeFileSync(file, text);
  const folder = join(home, "run");
  const command = [process.execPath, join(ROOT, "cli", "main.ts"), "simulate", "run", file];
  const child = Bun.spawn([...command, "--out", folder, ...flags], {
    stdout: "pipe",
    stderr: "pipe",
    cwd: home,
  });
  const [out, err, exit] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const read = (name: string): string => {
    try {
      return readFileSync(join(folder, name), "utf8");
    } catch {
      return "";
    }
  };
  const json = read("report.json");
  const report = (json === "" ? {} : JSON.parse(json)) as Report;
  return { exit, out, err, folder, report, events: read("events.jsonl") };
}

/** A fleet of so many listed nodes. */
export function fleetYaml(count: number, more = ""): string {
  const node = (i: number): string =>
    `  - { id: node-${i}, provider: gcp, region: r, zone: r-a, instance_type: t, gpu_count: 2 }`;
  const nodes = Array.from({ length: count }, (_, i) => node(i + 1));
  return `name: test\nfleet:\n${nodes.join("\n")}\n${more}`;
}

/** Everything of a report that two runs must share. */
export function withoutWall({ wall, ...rest }: Report): Omit<Report, "wall"> {
  return rest;
}
