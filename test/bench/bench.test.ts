/**
 * Every bench runs tiny, so that none can rot: real processes and sockets, seconds, no budgets.
 * Only what must hold at every size is asserted.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { nvmlOrSkip } from "../fixture/nvml/build.ts";
import { type BenchOptions, held, isOver, shown, spreadOf } from "./bench.ts";
import { BENCHES } from "./list.ts";
import { readCpuNs } from "./cpu-clock.ts";
import { openFolder } from "./plane.ts";
import { closeProcess, openProcess, readCpuMs, readMemory, treeOf, waitFor } from "./process.ts";
import { formatTable } from "./table.ts";

const ROOT = join(import.meta.dir, "..", "..");
const TINY: BenchOptions = {
  tiny: true,
  dist: join(ROOT, "dist"),
  base: null,
  agents: null,
  seconds: null,
  say: () => undefined,
};

/** What must be true however small the run and however busy the machine. */
const EXACT = /without a good reply|errors|not acknowledged|not served|not seen/;

describe("every bench", () => {
  for (const bench of BENCHES) {
    const reads = bench.name === "footprint" || bench.name === "beside";
    const absent = reads && nvmlOrSkip("full") === null;
    test.skipIf(absent)(
      `${bench.name} runs tiny`,
      async () => {
        const figures = await bench.run(TINY);
        expect(figures.filter((figure) => !Number.isFinite(figure.measured))).toEqual([]);
        expect(figures.some((figure) => figure.budget !== null)).toBe(true);
        const broken = figures.filter((figure) => EXACT.test(figure.name) && figure.measured !== 0);
        expect(broken).toEqual([]);
      },
      60_000,
    );
  }
});

function bench(...args: string[]) {
  const command = [process.execPath, "run", join(import.meta.dir, "main.ts"), ...args];
  const { exitCode, stderr } = Bun.spawnSync(command);
  return { exitCode, stderr: stderr.toString() };
}

describe("npm run bench", () => {
  test("refuses a bench that does not exist and names the nearest", () => {
    const { exitCode, stderr } = bench("ingets");
    expect(exitCode).toBe(2);
    expect(stderr).toContain("did you mean ingest?");
  });

  test("refuses a size that is none", () => {
    const { exitCode, stderr } = bench("ingest", "--agents", "many");
    expect(exitCode).toBe(2);
    expect(stderr).toContain('--agents: expected a whole number above 0, found "many"');
  });
});

describe("spreadOf()", () => {
  test("takes the nearest rank", () => {
    const samples = Array.from({ length: 200 }, (_, i) => 200 - i);
    expect(spreadOf(samples)).toEqual({ p50: 100, p90: 180, p99: 198, max: 200, count: 200 });
  });

  test("has nothing to say without samples, and no budget accepts that", () => {
    const { p99, count } = spreadOf([]);
    expect(count).toBe(0);
    expect(isOver(held("p99", p99, "ms", 50))).toBe(true);
  });
});

describe("isOver()", () => {
  test("is ok at the budget and over above it", () => {
    expect(isOver(held("x", 50, "ms", 50))).toBe(false);
    expect(isOver(held("x", 50.01, "ms", 50))).toBe(true);
    expect(isOver(shown("x", 1e9, "ms"))).toBe(false);
  });
});

test("readCpuNs() counts what another process used, and ends with it", async () => {
  const child = Bun.spawn([process.execPath, "-e", "for (;;);"]);
  try {
    const used = () => readCpuNs(child.pid) ?? 0;
    await waitFor("50 ms of CPU", 20_000, () => (used() > 50e6 ? true : null));
    expect(Math.abs(used() / 1e6 - readCpuMs([child.pid]))).toBeLessThan(100);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
  expect(readCpuNs(child.pid)).toBeNull();
});

describe("formatTable()", () => {
  test("shows figure, budget, goal and verdict", () => {
    const figures = [
      held("a", 12.345, "ms", 50),
      held("long name", 300, "MiB", 256),
      held("c", 60, "MiB", 64, 48),
      shown("d", 7, "count"),
    ];
    expect(formatTable(figures, false).split("\n")).toEqual([
      "figure      measured     budget       goal",
      "a           12.35 ms   50.00 ms          –  ok",
      "long name  300.0 MiB  256.0 MiB          –  OVER",
      "c          60.00 MiB  64.00 MiB  48.00 MiB  ok, goal missed",
      "d                  7          –          –",
    ]);
    expect(formatTable(figures, true)).not.toContain("OVER");
  });
});

describe("reading processes", () => {
  test("openProcess() ends up as the command itself, and its tree is measured", async () => {
    const folder = openFolder();
    const ready = join(folder.path, "ready");
    // A child that burns CPU until it has burnt enough, then waits: a level to wait on.
    const burn = `const child = Bun.spawn(["sleep", "60"]);
      for (const start = process.cpuUsage().user; process.cpuUsage().user - start < 200_000;);
      await Bun.write(${JSON.stringify(ready)}, String(child.pid));
      process.on("SIGTERM", () => { child.kill("SIGKILL"); process.exit(0); });
      setInterval(() => undefined, 1_000);`;
    const child = openProcess([process.execPath, "-e", burn]);
    try {
      const grandchild = await waitFor("the child", 45_000, async () => {
        const file = Bun.file(ready);
        return (await file.exists()) ? Number(await file.text()) || null : null;
      });
      expect(treeOf(child.pid)).toEqual([child.pid, grandchild]);
      expect(readCpuMs([child.pid])).toBeGreaterThanOrEqual(190);
      const memory = readMemory(treeOf(child.pid));
      expect(memory.rss).toBeGreaterThan(5);
      expect(memory.pss).toBeLessThanOrEqual(memory.rss);
      expect(readMemory([grandchild]).rss).toBeLessThan(memory.rss);
    } finally {
      await closeProcess(child);
      folder.close();
    }
    expect(treeOf(child.pid)).toEqual([child.pid]);
    expect(readMemory([child.pid]).rss).toBe(0);
  });

  test("waitFor() says what it waited for", async () => {
    await expect(waitFor("godot", 30, () => null, 5)).rejects.toThrow("waited 30 ms for godot");
  });
});
