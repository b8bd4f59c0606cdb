/**
 * A hung driver is reported within ten seconds, wherever it hangs and whenever it begins: the
 * production cadence of the compiled agent, and each function of the library in turn.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { SIGNATURE } from "../../agent/nvml/bind.ts";
import { READ_DEADLINE_MS } from "../../agent/report/cadence.ts";
import { openNvml } from "../../agent/nvml/parent.ts";
import type { Clock } from "../../agent/port/port.ts";
import { nvmlOrSkip } from "../fixture/nvml/build.ts";
import { type NvmlState, openNvmlWorld } from "../fixture/nvml/state.ts";
import { agentBinary, scratch, startAgent } from "./binary.ts";
import { StubControlPlane, until } from "./control-plane.ts";

const REPORTED_MS_MAX = 10_000;
const library = nvmlOrSkip("full") ?? "";
const CHILD = join(import.meta.dir, "..", "fixture", "nvml", "main.ts");

beforeAll(() => void agentBinary());

/**
 * One agent: well at first, hung from `atMs` after its first report on, or from the start with
 * `null`. Milliseconds from the hang, or from the start of the process, to the finding.
 */
async function trial(hang: NonNullable<NvmlState["hang"]>, atMs: number | null): Promise<number> {
  const config = { heartbeat_ms: 30_000, sample_ms: 10_000, check_ms: 60_000 };
  const plane = new StubControlPlane({ config }).start();
  const ill: NvmlState = { count: 2, hang };
  const world = openNvmlWorld(scratch(), atMs === null ? ill : { count: 2 });
  const names = ["--server", plane.base, "--node-id", "n1", "--spool", scratch()];
  let fromMs = performance.now();
  const running = startAgent(
    [...names, "--nvml-path", library, "--kernel-log", join(scratch(), "none")],
    { env: { NAVARCH_NVML_ENV: "FAKE_NVML_STATE,FAKE_NVML_STATS", ...world.env } },
  );
  try {
    if (atMs !== null) {
      await until("the first check", () => plane.reports.some(({ report }) => report.check));
      await Bun.sleep(atMs);
      fromMs = performance.now();
      world.write(ill);
    }
    const isTold = () => plane.findings.some(({ reason }) => reason === "unresponsive");
    await until("the finding", isTold, 20_000);
    return performance.now() - fromMs;
  } finally {
    running.signal("SIGKILL");
    await running.exited;
    await plane.stop();
  }
}

describe.skipIf(library === "")("navarch-node on a driver that hangs", () => {
  test("reports it within ten seconds, at whatever moment it begins", async () => {
    const phases = [0, 1_200, 2_400, 3_600, 4_800, 6_000, 7_200, 8_400, 9_600, 10_800];
    const took = await Promise.all(phases.map((atMs) => trial(true, atMs)));
    if (process.env["VERBOSE"]) console.log(took.map(Math.round));
    expect(Math.max(...took)).toBeLessThan(REPORTED_MS_MAX);
  }, 60_000);

  test("reports it within ten seconds of its own start", async () => {
    const points = ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"];
    const took = await Promise.all(points.map((name) => trial([name], null)));
    expect(Math.max(...took)).toBeLessThan(REPORTED_MS_MAX);
  }, 60_000);
});

const clock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

/** Functions that no check calls on this library: fallbacks of older ones, and the goodbye. */
const UNCALLED = [
  "nvmlInit_v2",
  "nvmlShutdown",
  "nvmlGetExcludedDeviceInfoByIndex",
  "nvmlDeviceGetMemoryInfo",
  "nvmlDeviceGetTemperature",
  "nvmlDeviceGetMarginTemperature",
  "nvmlDeviceGetCurrentClocksThrottleReasons",
  "nvmlDeviceGetTotalEccErrors",
  "nvmlDeviceGetRetiredPagesPendingStatus",
  "nvmlDeviceGetNvLinkState",
  "nvmlDeviceGetNvLinkErrorCounter",
  "nvmlDeviceGetPcieReplayCounter",
  "nvmlDeviceGetGpuFabricInfo",
  "nvmlEventSetFree",
  "nvmlEventSetWait_v2",
];
const CALLED = Object.keys(SIGNATURE).filter((name) => !UNCALLED.includes(name));

/** How long the port takes to say that `name` hangs in a child that was just started. */
async function portTrial(name: string): Promise<number> {
  const world = openNvmlWorld(scratch(), { count: 2, hang: [name] });
  const nvml = openNvml({
    execArgv: [process.execPath, "run", CHILD],
    childArgv: ["__nvml"],
    env: world.env,
    clock,
    libraryPath: library,
  });
  const startMs = performance.now();
  const { kind } = await nvml.check(READ_DEADLINE_MS);
  nvml.close();
  expect([name, kind]).toEqual([name, "unresponsive"]);
  return performance.now() - startMs;
}

describe.skipIf(library === "")("openNvml() on a library that hangs in one function", () => {
  test("gives up within ten seconds, whichever it is", async () => {
    const took: number[] = [];
    for (let at = 0; at < CALLED.length; at += 18) {
      took.push(...(await Promise.all(CALLED.slice(at, at + 18).map(portTrial))));
    }
    expect(Math.max(...took)).toBeLessThan(REPORTED_MS_MAX);
  }, 120_000);
});
