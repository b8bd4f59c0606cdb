/**
 * `npm run once -- scenarios`: the shipped scenarios that take minutes, each in a process of its
 * own, to their own verdicts. Says how long each took and what it needed.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { LONG } from "./long.ts";

const CLI = join(dirname(dirname(import.meta.dir)), "cli", "main.ts");
const at = process.argv.indexOf("--figures");
const figuresFile = at < 0 ? null : (process.argv[at + 1] ?? null);
const figures: Record<string, number> = {};
let failed = 0;

for (const name of LONG) {
  const home = mkdtempSync(join(tmpdir(), "navarch-scenario-"));
  const begunMono = performance.now();
  const command = [process.execPath, CLI, "simulate", "run", name, "--out", join(home, "run")];
  const child = Bun.spawn(command, { cwd: home, stdio: ["ignore", "pipe", "inherit"] });
  const said = await new Response(child.stdout).text();
  const status = await child.exited;
  const usage = child.resourceUsage();
  const seconds = Math.round((performance.now() - begunMono) / 100) / 10;
  const cpuSeconds = Math.round(Number(usage?.cpuTime.total ?? 0) / 1e5) / 10;
  const rssMb = Math.round((usage?.maxRSS ?? 0) / 1_048_576);
  figures[`${name} seconds`] = seconds;
  figures[`${name} CPU seconds`] = cpuSeconds;
  figures[`${name} peak MiB`] = rssMb;
  console.log(`${name}: exit ${status}, ${seconds} s, CPU ${cpuSeconds} s, peak ${rssMb} MiB`);
  if (status !== 0) {
    failed++;
    console.log(said.slice(said.indexOf("Result")));
  }
  rmSync(home, { recursive: true, force: true });
}

figures["failed"] = failed;
if (figuresFile !== null) writeFileSync(figuresFile, JSON.stringify(figures));
process.exit(failed === 0 ? 0 : 1);
