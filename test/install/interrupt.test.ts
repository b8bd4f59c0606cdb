/** The script cut short on its way, and killed at every command that changes something. */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { agentOf, type Bench, openBench, TOKEN, toolFolder } from "./bench.ts";

let open: Bench | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

/** What is there for a person: without inodes and times, which differ by run. */
const shape = (bench: Bench): string[] =>
  bench.tree().map((line) => line.replace(/ \d+ [\d.]+ (?=[0-9a-f]{64}$)/, " "));

describe("install.sh, cut short on its way", () => {
  test("does nothing at any length", async () => {
    const bench = await openBench();
    open = bench;
    bench.release("0.1.0");
    const script = await (await fetch(`${bench.url}/install.sh`)).text();
    const ends = new Set<number>();
    for (let at = script.indexOf("\n"); at >= 0; at = script.indexOf("\n", at + 9)) ends.add(at);
    for (let back = 1; back < 60; back++) ends.add(script.length - back);
    bench.requests.length = 0;
    const dash = Bun.which("dash") ?? "sh";
    const args = ["--root", bench.root, "--join-token", TOKEN];
    const shell = `while read -r n; do head -c "$n" whole | ${dash} -s -- ${args.join(" ")} ; done <ends`;
    writeFileSync(join(bench.folder, "whole"), script);
    // The very last byte is a line end, which nobody misses.
    const cuts = [...ends].filter((end) => end < script.trimEnd().length);
    writeFileSync(join(bench.folder, "ends"), `${cuts.join("\n")}\n`);
    expect(cuts.length).toBeGreaterThan(100);
    const { out } = await bench.run([dash, "-c", `${shell} 2>/dev/null`]);
    expect(out).toBe("");
    expect(bench.tree()).toEqual([]);
    expect(bench.requests).toEqual([]);
    const whole = ["-c", `${dash} -s -- ${args.join(" ")} <whole`];
    expect((await bench.run([dash, ...whole])).out).toContain("installed");
  });
});

/** Tools by which the script changes the machine; the shell is killed at the n-th call of any. */
const TOOLS = ["mkdir", "cp", "chmod", "mv", "ln", "rm"];

async function runKilled(bench: Bench, call: number, args: readonly string[]): Promise<boolean> {
  const count = join(bench.folder, "count");
  writeFileSync(count, "");
  const wrapper = (tool: string): string => `#!/bin/sh
echo >>${count}
if [ "$(wc -l <${count})" -eq ${call} ]; then kill -9 "$PPID"; exit 1; fi
exec ${Bun.which(tool)} "$@"
`;
  const tools = Object.fromEntries(TOOLS.map((tool) => [tool, wrapper(tool)]));
  const PATH = `${toolFolder(bench.folder, { with: tools })}:${process.env["PATH"]}`;
  const { code } = await bench.install(args, { env: { PATH } });
  return code !== 0;
}

describe("install.sh, killed at any command that changes something", () => {
  const args = ["--join-token", TOKEN, "--pool", "training"];

  test("leaves the old agent or the new one, and the next run ends the work", async () => {
    const bench = await openBench();
    open = bench;
    bench.release("0.1.0");
    bench.release("0.2.0");
    const newer = [...args, "--version", "0.2.0"];
    const older = join(bench.folder, "older");
    await bench.install([...args, "--version", "0.1.0"]);
    await bench.run(["cp", "-a", bench.root, older]);
    await bench.install(newer);
    const wanted = shape(bench);
    const agent = join(bench.root, "usr/local/bin/navarch-node");
    let killed = 0;
    for (const from of ["nothing", "0.1.0"] as const) {
      for (let call = 1; call < 40; call++) {
        rmSync(bench.root, { recursive: true });
        await bench.run(
          from === "nothing" ? ["mkdir", bench.root] : ["cp", "-a", older, bench.root],
        );
        if (!(await runKilled(bench, call, newer))) break;
        killed++;
        const now = existsSync(agent) ? readFileSync(agent, "utf8") : null;
        const may = [agentOf("0.2.0"), from === "nothing" ? null : agentOf(from)];
        expect(may).toContain(now);
        const { code } = await bench.install(newer);
        expect([from, call, code]).toEqual([from, call, 0]);
        expect(shape(bench)).toEqual(wanted);
      }
    }
    expect(killed).toBeGreaterThan(25);
  }, 60_000);

  test("an uninstall that was killed is ended by the next one", async () => {
    const bench = await openBench();
    open = bench;
    bench.release("0.1.0");
    for (let call = 1; call < 12; call++) {
      await bench.install(args);
      const cut = await runKilled(bench, call, ["--uninstall"]);
      expect((await bench.install(["--uninstall"])).code).toBe(0);
      expect(bench.tree().filter((line) => !line.includes("/ "))).toEqual([]);
      if (!cut) break;
    }
  }, 30_000);
});
