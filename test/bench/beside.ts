/**
 * Two builds of the agent beside each other: what it costs to start one, what both hold and use
 * while nothing happens. On a shared machine only ratios of interleaved runs mean anything, so each
 * start of one build is followed by a start of the other, and both idle in the same minutes. Judged
 * is the CPU time of a start, which other programs disturb far less than the time that passes.
 *
 *     npm run bench -- beside --dist dist --base /path/to/another/dist
 *
 * Without `--base` the build is compared with itself: what then differs from 100 % is noise.
 */
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { StubControlPlane } from "../agent/control-plane.ts";
import { buildNvml } from "../fixture/nvml/build.ts";
import { openNvmlWorld } from "../fixture/nvml/state.ts";
import { type Bench, type BenchOptions, type Figure, held, shown, spreadOf } from "./bench.ts";
import { readCpuNs } from "./cpu-clock.ts";
import { commandOf, openFolder } from "./plane.ts";
import { readMemory, treeOf, waitFor } from "./process.ts";

const GPUS = 8;
/** Of each build. */
const STARTS = 40;
/** Until garbage of the start is gone, and how long both idle. */
const [WARM_MS, IDLE_S] = [45_000, 180];
/** A file is asked ten times a second, which only rehearsals pay for. */
const KERNEL_LOG = "/dev/kmsg";
/** Production's cadence. */
const CADENCE = { heartbeat_ms: 30_000, sample_ms: 10_000, check_ms: 60_000 } as const;
/** No more than this share of the other build's figure. */
const [BUDGET, GOAL] = [110, 100];

type Build = { name: string; command: readonly string[] };
type Started = { wallMs: number; cpuMs: number; childCpuMs: number; pssMib: number };
type Running = { plane: StubControlPlane; child: Bun.Subprocess; close(): Promise<void> };

/** A copy of its own, so that another agent of the same file shares no page with it. */
function copyBuild(name: string, dist: string, folder: string): Build {
  const [binary = "", ...rest] = commandOf("navarch-node", dist);
  if (rest.length > 0) return { name, command: [binary, ...rest] };
  const copy = join(folder, `agent-${name}`);
  copyFileSync(binary, copy);
  return { name, command: [copy] };
}

function open(build: Build, library: string, kernelLog: string): Running {
  const folder = openFolder();
  const plane = new StubControlPlane({ config: CADENCE }).start();
  // The library's own book-keeping is left out: it writes a file at every call.
  const { statePath } = openNvmlWorld(folder.path, { count: GPUS });
  const words = [...build.command, "--server", `http://${plane.base}`, "--node-id", build.name];
  const flags = ["--spool", join(folder.path, "spool"), "--nvml-path", library];
  const parts = ["--kernel-log", kernelLog, "--log-level", "error"];
  const child = Bun.spawn([...words, ...flags, ...parts], {
    env: { PATH: "/usr/bin:/bin", NAVARCH_NVML_ENV: "FAKE_NVML_STATE", FAKE_NVML_STATE: statePath },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const close = async () => {
    child.kill("SIGKILL");
    await child.exited;
    await plane.stop();
    folder.close();
  };
  return { plane, child, close };
}

const cpuMsOf = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => sum + (readCpuNs(pid) ?? 0), 0) / 1e6;

const hasJudged = ({ plane }: Running): true | null =>
  plane.reports.some(({ report }) => report.check?.present_gpus === GPUS) ? true : null;

/** From its start to the report in which all GPUs were checked. */
async function start(build: Build, library: string, kernelLog: string): Promise<Started> {
  const startedMs = performance.now();
  const running = open(build, library, kernelLog);
  try {
    await waitFor("all GPUs judged", 20_000, () => hasJudged(running), 1);
    const wallMs = performance.now() - startedMs;
    const [agent = 0, ...children] = treeOf(running.child.pid);
    const [cpuMs, childCpuMs] = [cpuMsOf([agent]), cpuMsOf(children)];
    return { wallMs, cpuMs, childCpuMs, pssMib: readMemory([agent, ...children]).pss };
  } finally {
    await running.close();
  }
}

const last = <T>(list: readonly T[]): T | undefined => list[list.length - 1];

/** Each figure of both builds, and what the first is of the other. */
function compare(name: string, unit: "ms" | "MiB" | "%", pair: Pair<number>, judged: boolean) {
  const { ours, base } = pair;
  const share = (ours / base) * 100;
  const ratio = `${name}: share of the other build's`;
  return [
    shown(name, ours, unit),
    shown(`${name}, other build`, base, unit),
    judged ? held(ratio, share, "%", BUDGET, GOAL) : shown(ratio, share, "%"),
  ];
}

type Pair<T> = { ours: T; base: T };
type Parts = { builds: Pair<Build>; library: string; kernelLog: string; options: BenchOptions };

async function compareStarts({ builds, library, kernelLog, options }: Parts): Promise<Figure[]> {
  const runs: Pair<Started[]> = { ours: [], base: [] };
  const count = options.tiny ? 1 : (options.agents ?? STARTS);
  for (let round = 0; round < count; round++) {
    // Who goes first changes, so that neither always finds the warmer machine.
    const order = round % 2 === 0 ? (["ours", "base"] as const) : (["base", "ours"] as const);
    for (const who of order) runs[who].push(await start(builds[who], library, kernelLog));
  }
  const of = (read: (run: Started) => number) => ({
    ours: spreadOf(runs.ours.map(read)),
    base: spreadOf(runs.base.map(read)),
  });
  const both = (read: (run: Started) => number) => {
    const { ours, base } = of(read);
    return { ours: ours.p50, base: base.p50 };
  };
  const least = (read: (run: Started) => number): Pair<number> => ({
    ours: Math.min(...runs.ours.map(read)),
    base: Math.min(...runs.base.map(read)),
  });
  const cpu = (run: Started): number => run.cpuMs + run.childCpuMs;
  return [
    shown("starts of each", count, "count"),
    ...compare("start, CPU, median", "ms", both(cpu), true),
    ...compare("start, CPU, least", "ms", least(cpu), true),
    ...compare(
      "start, CPU of the agent alone, median",
      "ms",
      both((run) => run.cpuMs),
      false,
    ),
    ...compare(
      "start, time, median",
      "ms",
      both((run) => run.wallMs),
      false,
    ),
    ...compare(
      "start, time, least",
      "ms",
      least((run) => run.wallMs),
      false,
    ),
    ...compare(
      "start, PSS, median",
      "MiB",
      both((run) => run.pssMib),
      true,
    ),
  ];
}

async function compareIdle(parts: Parts): Promise<Figure[]> {
  const { builds, library, options } = parts;
  const production = !options.tiny && existsSync(KERNEL_LOG);
  const kernelLog = production ? KERNEL_LOG : parts.kernelLog;
  const agents = {
    ours: open(builds.ours, library, kernelLog),
    base: open(builds.base, library, kernelLog),
  };
  try {
    await waitFor("both agents", 20_000, () => hasJudged(agents.ours) && hasJudged(agents.base));
    await Bun.sleep(options.tiny ? 0 : WARM_MS);
    const treeOfEach = { ours: treeOf(agents.ours.child.pid), base: treeOf(agents.base.child.pid) };
    const cpu = () => ({ ours: cpuMsOf(treeOfEach.ours), base: cpuMsOf(treeOfEach.base) });
    const [before, startedMs] = [cpu(), performance.now()];
    const pss: Pair<number[]> = { ours: [], base: [] };
    const seconds = options.tiny ? 1 : (options.seconds ?? IDLE_S);
    for (let second = 0; second < seconds; second++) {
      await Bun.sleep(1_000);
      for (const who of ["ours", "base"] as const) pss[who].push(readMemory(treeOfEach[who]).pss);
    }
    const [after, ms] = [cpu(), performance.now() - startedMs];
    const share = (who: keyof Pair<number>) => ((after[who] - before[who]) / ms) * 100;
    const most = { ours: Math.max(...pss.ours), base: Math.max(...pss.base) };
    const end = { ours: last(pss.ours) ?? NaN, base: last(pss.base) ?? NaN };
    return [
      shown("idle, window", seconds, "s"),
      ...compare("idle, CPU of a core", "%", { ours: share("ours"), base: share("base") }, true),
      ...compare("idle, PSS, most", "MiB", most, true),
      ...compare("idle, PSS, at the end", "MiB", end, false),
    ];
  } finally {
    await Promise.all([agents.ours.close(), agents.base.close()]);
  }
}

export const beside: Bench = {
  name: "beside",
  summary: "two builds of the agent in turn: start, memory, idle CPU (`--base DIR` is the other)",
  async run(options) {
    const built = buildNvml("full");
    if (built.kind === "absent") throw new Error(`no stand-in library: ${built.reason}`);
    const base = options.base ?? options.dist;
    // What is missing would run from source, which says nothing about the other build.
    const other = join(base, "navarch-node");
    if (options.base !== null && !existsSync(other)) throw new Error(`--base: no ${other}`);
    const folder = openFolder();
    try {
      const kernelLog = join(folder.path, "kmsg");
      await Bun.write(kernelLog, "");
      const builds = {
        ours: copyBuild("ours", options.dist, folder.path),
        base: copyBuild("base", base, folder.path),
      };
      const parts: Parts = { builds, library: built.path, kernelLog, options };
      return [...(await compareStarts(parts)), ...(await compareIdle(parts))];
    } finally {
      folder.close();
    }
  },
};
