/**
 * The NVML port against a real shared library of our own: real `dlopen`, a real child process, real
 * signals. What cannot be had without hardware is the driver behind the library.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openNvml } from "../../agent/nvml/parent.ts";
import type { NvmlAnswer, NvmlCheck, NvmlGpuCheck } from "../../agent/port/reading.ts";
import type { Clock, Nvml } from "../../agent/port/port.ts";
import { EMPTY_MEMORY } from "../../agent/probe/probe.ts";
import { runProbes } from "../../agent/probe/run.ts";
import { type NvmlVariant, NVML_VARIANTS, nvmlOrSkip } from "../fixture/nvml/build.ts";
import { roundAt } from "../fixture/nvml/probe-round.ts";
import { type NvmlState, type NvmlWorld, openNvmlWorld } from "../fixture/nvml/state.ts";

const clock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

const built = new Map(NVML_VARIANTS.map((variant) => [variant, nvmlOrSkip(variant)]));
const skip = [...built.values()].includes(null);
const CHILD = join(import.meta.dir, "..", "fixture", "nvml", "main.ts");

type Bed = { nvml: Nvml; world: NvmlWorld };
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function open(
  variant: NvmlVariant,
  state: NvmlState = {},
  change: Partial<Parameters<typeof openNvml>[0]> = {},
): Bed {
  const folder = mkdtempSync(join(tmpdir(), "navarch-nvml-"));
  const world = openNvmlWorld(folder, state);
  const nvml = openNvml({
    execArgv: [process.execPath, "run", CHILD],
    childArgv: ["__nvml"],
    env: world.env,
    clock,
    libraryPath: built.get(variant) ?? null,
    ...change,
    // A test that lets a child hang waits no longer than it says.
    limits: { startingMs: 0, openingMs: 0, ...change.limits },
  });
  closers.push(() => {
    nvml.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { nvml, world };
}

/** Long enough for a child to start on a busy machine. */
const GENEROUS_MS = 10_000;

async function checkOf(nvml: Nvml): Promise<NvmlCheck> {
  const answer = await nvml.check(GENEROUS_MS);
  if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
  return answer.value;
}

async function gpuOf(nvml: Nvml, index: number): Promise<NvmlGpuCheck> {
  const gpu = (await checkOf(nvml)).gpus[index];
  if (gpu === undefined) throw new Error(`no GPU ${index}`);
  return gpu;
}

/** Waits on a level, with a deadline. */
async function until<T>(read: () => T | null, what: string): Promise<T> {
  const endMs = performance.now() + GENEROUS_MS;
  for (;;) {
    const value = read();
    if (value !== null) return value;
    if (performance.now() > endMs) throw new Error(`never came: ${what}`);
    await Bun.sleep(10);
  }
}

describe.skipIf(skip)("openNvml() on a library that works", () => {
  test("reads eight GPUs, every value of them, without misuse of the library", async () => {
    const { nvml, world } = open("full", {
      gpus: { 5: { temp: 71, mem_temp: 66, links: 4, name: "NVIDIA X" } },
    });
    const check = await checkOf(nvml);
    expect(check).toMatchObject({
      driverVersion: "570.86.16",
      cudaVersion: "12.8",
      count: 8,
      missing: [],
    });
    expect(check.gpus).toHaveLength(8);
    const unread = check.gpus.map((gpu) => [gpu.rc, Object.keys(gpu.unread)]);
    expect(unread).toEqual(check.gpus.map(() => [0, []]));
    expect(check.gpus[5]).toMatchObject({
      index: 5,
      uuid: "GPU-a0b0c005-0000-4000-8000-000000000005",
      name: "NVIDIA X",
      serial: "1651022000005",
      pciBusId: "00000000:40:00.0",
      architecture: 9,
      temperatureCelsius: 71,
      memoryTemperatureCelsius: 66,
      powerWatts: 310,
      powerLimitWatts: 700,
      utilizationPercent: 40,
      memoryUsedBytes: 1_073_741_824,
      memoryTotalBytes: 85_520_809_984,
      smClockMhz: 1_755,
      memoryClockMhz: 2_619,
      slowdownCelsius: 90,
      shutdownCelsius: 95,
      memoryMaxCelsius: 95,
      remapPending: false,
      remapHistogram: { max: 2_560, high: 0, partial: 0, low: 0, none: 0 },
      pcieWidth: 16,
      pcieWidthMax: 16,
      nvlinks: [0, 1, 2, 3].map((link) => ({ link, state: 1, replay: 0, recovery: 0, crc: 0 })),
      persistence: true,
    });
    expect(world.stats()).toMatchObject({ misuse: [], unknownKeys: [] });
    const round = runProbes({ kind: "ok", value: check, durationMs: 1 }, EMPTY_MEMORY, roundAt(0));
    // The sixth one is of another model on purpose.
    const active = ["host/mixed_models/node"];
    expect(round).toMatchObject({ active, present: 8, expected: { gpus: 8 } });
  });

  test("keeps its child and asks the unchanging things once", async () => {
    const { nvml, world } = open("full");
    await nvml.sample(GENEROUS_MS);
    await nvml.sample(GENEROUS_MS);
    await checkOf(nvml);
    const { calls } = world.stats();
    expect(calls.get("nvmlInitWithFlags")).toBe(1);
    expect(calls.get("nvmlDeviceGetUUID")).toBe(8);
    expect(calls.get("nvmlDeviceGetPowerUsage")).toBe(24);
  });

  test("decodes a field by the type that it says it has", async () => {
    const { nvml } = open("full", {
      gpus: {
        0: { "field.82": "1:77", "field.230": "6:2" },
        1: { "field.82": "5:-3", "field.230": "rc:3" },
        2: { "field.82": "0:61.5", "field.3": "3:18446744073709551615" },
        3: { "field.82": "99:7" },
      },
    });
    const gpus = (await checkOf(nvml)).gpus;
    expect(gpus.slice(0, 4).map((gpu) => gpu.memoryTemperatureCelsius)).toEqual([
      77,
      -3,
      61.5,
      null,
    ]);
    expect(gpus[0]?.recoveryAction).toBe(2);
    expect(gpus[1]).toMatchObject({ recoveryAction: null, unread: { "field.230": 3 } });
    // 2^64 − 1 is the library's way to say "not available".
    expect(gpus[2]?.eccCorrectedVolatile).toBeNull();
  });

  test("carries handles above 2^53 through unharmed", async () => {
    const { nvml, world } = open("high", { gpus: { 7: { temp: 55 } } });
    expect(await gpuOf(nvml, 7)).toMatchObject({ temperatureCelsius: 55, rc: 0 });
    expect(world.stats().misuse).toEqual([]);
  });

  test("computes the limits of a device that tells only margins", async () => {
    const { nvml } = open("full", {
      gpus: { 0: { slowdown: "none", shutdown: "none", temp: 40, margin: 47 } },
    });
    // 40 °C now, 47 left; the fields say 2 and 8 beyond that.
    expect(await gpuOf(nvml, 0)).toMatchObject({ slowdownCelsius: 89, shutdownCelsius: 95 });
  });

  test("delivers an event with the GPU it is about, and says that it came", async () => {
    let told = 0;
    const { nvml, world } = open("full", {}, { onEvents: () => void told++ });
    await checkOf(nvml);
    expect(told).toBe(0);
    world.write({ events: [{ id: 1, gpu: 2, type: 0x8, data: 79, gi: 3, ci: 0 }] });
    const [event] = await until(() => {
      const events = nvml.takeEvents();
      return events.length > 0 ? events : null;
    }, "event");
    expect(event).toMatchObject({
      uuid: "GPU-a0b0c002-0000-4000-8000-000000000002",
      type: 0x8,
      data: 79,
      gpuInstance: 3,
      computeInstance: 0,
    });
    expect(nvml.takeEvents()).toEqual([]);
    expect(told).toBe(1);
    expect(world.stats().misuse).toEqual([]);
  });
});

describe.skipIf(skip)("openNvml() on a node whose NVLink fabric is ill", () => {
  const eight = (state: Record<string, string | number>): NvmlState => ({
    gpus: Object.fromEntries(Array.from({ length: 8 }, (_, i) => [i, state])),
  });
  const links = Object.fromEntries(Array.from({ length: 18 }, (_, i) => [`link.${i}`, 0]));
  const lookAt = async (nvml: Nvml) => {
    const value = await checkOf(nvml);
    return { value, ...runProbes({ kind: "ok", value, durationMs: 1 }, EMPTY_MEMORY, roundAt(0)) };
  };

  test("reports all links of all GPUs inactive since the boot", async () => {
    const { nvml } = open("full", eight({ ...links, "fabric.state": 2 }));
    const { active } = await lookAt(nvml);
    expect(active.filter((key) => key.startsWith("nvlink/down/"))).toHaveLength(8);
    expect(active.filter((key) => key.startsWith("nvlink/fabric_pending/"))).toHaveLength(8);
  });

  test.each([
    ["full", 3, { healthMask: 0x500, healthSummary: 2 }],
    ["full", 2, { healthMask: 0x500, healthSummary: null }],
    ["r535", 1, { healthMask: null, healthSummary: null }],
  ] as const)("reads it by the call that the library knows (%s, version %p)", async (...given) => {
    const [variant, version, health] = given;
    const state = { "fabric.version": version, "fabric.mask": 0x500, "fabric.summary": 2 };
    const { nvml, world } = open(variant, eight({ ...state, "fabric.status": 999 }));
    const { value, findings } = await lookAt(nvml);
    expect(value.gpus[3]?.fabric).toEqual({ state: 3, status: 999, ...health });
    expect(value.gpus[3]?.unread["nvmlDeviceGetGpuFabricInfoV"]).toBe(undefined);
    expect(findings.map(({ reason }) => reason)).toEqual(Array(8).fill("fabric_status"));
    expect(world.stats()).toMatchObject({ misuse: [], unknownKeys: [] });
  });

  test("takes a model without a fabric for what it is", async () => {
    const none = { "rc.nvmlDeviceGetGpuFabricInfoV": 3, "rc.nvmlDeviceGetGpuFabricInfo": 3 };
    const { nvml } = open("full", {
      name: "NVIDIA A100 80GB PCIe",
      ...eight({ ...none, links: 0 }),
    });
    const { value, findings, results } = await lookAt(nvml);
    expect(value.gpus[0]).toMatchObject({ fabric: null, nvlinks: [] });
    expect(findings).toEqual([]);
    expect(results.find(({ name }) => name === "fabric")?.outcome).toBe("not_supported");
  });
});

describe.skipIf(skip)("openNvml() on a library that lacks things", () => {
  test("starts on an older branch and says what it did not read", async () => {
    const { nvml, world } = open("r535");
    const check = await checkOf(nvml);
    expect(check.missing).toContain("nvmlDeviceGetTemperatureV");
    expect(check.gpus[0]).toMatchObject({
      temperatureCelsius: 42,
      memoryTotalBytes: 85_520_809_984,
      recoveryAction: null,
      sramThresholdExceeded: null,
      unread: { "field.230": 3, nvmlDeviceGetSramEccErrorStatus: 13 },
    });
    expect(world.stats().misuse).toEqual([]);
    const round = runProbes({ kind: "ok", value: check, durationMs: 1 }, EMPTY_MEMORY, roundAt(0));
    expect(round.findings).toEqual([]);
    expect(round.results.find((result) => result.name === "recovery")?.outcome).toBe(
      "not_supported",
    );
  });

  test("lives on the mandatory symbols alone", async () => {
    const { nvml } = open("minimal");
    const check = await checkOf(nvml);
    expect(check.gpus).toHaveLength(8);
    expect(check.gpus[1]).toMatchObject({
      uuid: "GPU-a0b0c001-0000-4000-8000-000000000001",
      eccUncorrectedVolatile: 0,
      temperatureCelsius: null,
    });
  });

  test("says that root is needed instead of that all is well", async () => {
    const { nvml } = open("full", { root: 0 });
    expect(await gpuOf(nvml, 0)).toMatchObject({
      sramThresholdExceeded: null,
      unread: { nvmlDeviceGetSramEccErrorStatus: 4 },
    });
  });

  test("names the symbol without which a library is of no use", async () => {
    const { nvml } = open("broken");
    expect(await nvml.check(GENEROUS_MS)).toMatchObject({
      kind: "failed",
      failure: { reason: "library", message: expect.stringContaining("lacks nvmlInit_v2") },
    });
  });

  test("finds no library, and finds it once it is there", async () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-nvml-"));
    closers.push(() => rmSync(folder, { recursive: true, force: true }));
    const libraryPath = join(folder, "libnvidia-ml.so.1");
    const { nvml } = open("full", {}, { libraryPath });
    const absent = await nvml.check(GENEROUS_MS);
    expect(absent).toMatchObject({ kind: "failed", failure: { reason: "library", code: null } });
    writeFileSync(libraryPath, "not a library");
    expect(await nvml.check(GENEROUS_MS)).toMatchObject({ failure: { reason: "library" } });
    rmSync(libraryPath);
    symlinkSync(built.get("full") ?? "", libraryPath);
    expect(await checkOf(nvml)).toMatchObject({ count: 8 });
  });

  test("never loads a library from the current directory", async () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-nvml-"));
    closers.push(() => rmSync(folder, { recursive: true, force: true }));
    symlinkSync(built.get("full") ?? "", join(folder, "libnvidia-ml.so.1"));
    const child = Bun.spawnSync(
      [
        process.execPath,
        "-e",
        `
        const { openLibrary } = await import(${JSON.stringify(join(import.meta.dir, "../../agent/nvml/library.ts"))});
        console.log(openLibrary(null).bound?.path ?? "none");
      `,
      ],
      { cwd: folder },
    );
    expect(child.stdout.toString().trim()).not.toContain(folder);
    // A machine with a real driver opens that one, by an absolute path.
    expect(child.stdout.toString().trim()).toMatch(/^(none|\/.*)$/);
  });
});

describe.skipIf(skip)("openNvml() on a driver in trouble", () => {
  test.each([1, 2])("abandons a child that hangs (mode %p), and goes on", async (mode) => {
    const { nvml, world } = open("full");
    await checkOf(nvml);
    world.write({ gpus: { 3: { "hang.nvmlDeviceGetPowerUsage": mode } } });
    const startMs = performance.now();
    const hung = await nvml.check(300);
    const tookMs = performance.now() - startMs;
    expect(hung).toMatchObject({ kind: "unresponsive", abandoned: 1 });
    expect(tookMs).toBeLessThan(5_000);
    if (hung.kind !== "unresponsive") throw new Error("not hung");
    expect(hung.evidence).toMatch(/^pid \d+ \S+:[SR]:/);
    const round = runProbes(hung, EMPTY_MEMORY, roundAt(0));
    expect(round.findings).toMatchObject([{ kind: "driver", reason: "unresponsive" }]);
    world.write({});
    expect(await checkOf(nvml)).toMatchObject({ count: 8 });
  });

  test("gives each GPU that has to be started its own time", async () => {
    const slow = { "slow_ms.nvmlDeviceGetHandleByIndex_v2": 500 };
    const gpus = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [i, slow]));
    const { nvml } = open("full", { gpus });
    const startMs = performance.now();
    expect(await nvml.check(2_500)).toMatchObject({ kind: "ok", value: { count: 8 } });
    expect(performance.now() - startMs).toBeGreaterThan(3_500);
  }, 20_000);

  test("lets the main loop run while the driver hangs", async () => {
    const { nvml } = open("full", { gpus: { 0: { hang: 2 } } });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 10);
    const answer = await nvml.sample(500);
    clearInterval(timer);
    expect(answer.kind).toBe("unresponsive");
    expect(ticks).toBeGreaterThan(20);
  });

  test("answers what waited behind a hung call together with it", async () => {
    const { nvml } = open("full", { gpus: { 0: { hang: 1 } } });
    const answers = await Promise.all([nvml.check(300), nvml.sample(300), nvml.sample(300)]);
    expect(answers.map((answer) => answer.kind)).toEqual([
      "unresponsive",
      "unresponsive",
      "unresponsive",
    ]);
    // One child hung, so one was abandoned.
    expect(answers[2]).toMatchObject({ abandoned: 1 });
  });

  test("starts nothing more while too many abandoned children live", async () => {
    const limits = { abandonedMax: 1 };
    const { nvml, world } = open("full", { gpus: { 0: { hang: 1 } } }, { limits });
    // Asked in the same turn in which the child is abandoned, before its end can be noticed.
    const second = await nvml.check(300).then(() => nvml.check(300));
    expect(second).toEqual({ kind: "stuck", abandoned: 1 });
    world.write({});
    const answers: NvmlAnswer<NvmlCheck>[] = [];
    await until(() => {
      void nvml.check(GENEROUS_MS).then((answer) => answers.push(answer));
      return answers.some((answer) => answer.kind === "ok") ? true : null;
    }, "a new child after the old one was reaped");
  });

  test("survives a crash inside the library and starts a new child", async () => {
    const { nvml, world } = open("full");
    await checkOf(nvml);
    world.write({ gpus: { 3: { "crash.nvmlDeviceGetPowerUsage": 1 } } });
    expect(await nvml.check(GENEROUS_MS)).toMatchObject({ kind: "crashed", signal: "SIGSEGV" });
    world.write({});
    expect(await checkOf(nvml)).toMatchObject({ count: 8 });
  });

  test("keeps the identity of a GPU that is lost, asks it no more, and reads the others", async () => {
    const { nvml, world } = open("full");
    const before = await gpuOf(nvml, 3);
    world.write({ gpus: { 0: { temp: 91 }, 3: { rc: 15 } } });
    const check = await checkOf(nvml);
    expect(check.gpus[3]).toMatchObject({
      rc: 15,
      uuid: before.uuid,
      serial: before.serial,
      pciBusId: before.pciBusId,
      temperatureCelsius: null,
    });
    expect(check.gpus[0]?.temperatureCelsius).toBe(91);
    expect(check.gpus.filter((gpu) => gpu.rc === 0)).toHaveLength(7);
    const asked = world.stats().calls.get("nvmlDeviceGetPowerUsage");
    await nvml.sample(GENEROUS_MS);
    expect(world.stats().calls.get("nvmlDeviceGetPowerUsage")).toBe((asked ?? 0) + 7);
    // Its old handle is of no more use: a new one is asked for, once a round.
    expect(world.stats().calls.get("nvmlDeviceGetHandleByIndex_v2")).toBe(9);
    world.write({});
    expect(await gpuOf(nvml, 3)).toMatchObject({
      rc: 0,
      uuid: before.uuid,
      temperatureCelsius: 42,
    });
  });

  test("reports the worst of several faults of one GPU", async () => {
    const rc = { "rc.nvmlDeviceGetFieldValues": 999, "rc.nvmlDeviceGetPersistenceMode": 16 };
    const { nvml } = open("full", { gpus: { 2: rc } });
    expect(await gpuOf(nvml, 2)).toMatchObject({ rc: 16 });
  });

  test("reads on from a GPU with a corrupted infoROM", async () => {
    const { nvml } = open("full", { gpus: { 2: { "rc.nvmlDeviceGetSerial": 14 } } });
    expect(await gpuOf(nvml, 2)).toMatchObject({ rc: 14, serial: null, temperatureCelsius: 42 });
  });

  test.each([999, 3, 17, 2, 6, 20])(
    "reports a GPU that opening answers with %p, from the first check on",
    async (code) => {
      const rc = { "rc.nvmlDeviceGetHandleByIndex_v2": code };
      const { nvml, world } = open("full", { gpus: { 2: rc } });
      const check = await checkOf(nvml);
      expect(check).toMatchObject({ count: 8, denied: 0 });
      expect(check.gpus[2]).toMatchObject({ openCode: code, temperatureCelsius: null });
      const round = runProbes(
        { kind: "ok", value: check, durationMs: 1 },
        EMPTY_MEMORY,
        roundAt(0),
      );
      expect(round.findings).toMatchObject([{ kind: "driver", reason: "unopened", gpu_index: 2 }]);
      expect(round).toMatchObject({ present: 7, expected: { gpus: 8 } });
      world.write({});
      expect(await gpuOf(nvml, 2)).toMatchObject({ openCode: 0, rc: 0, temperatureCelsius: 42 });
    },
  );

  test("reports a GPU that opens and does not give its name", async () => {
    const { nvml } = open("full", { gpus: { 2: { "rc.nvmlDeviceGetUUID": 3 } } });
    const check = await checkOf(nvml);
    const round = runProbes({ kind: "ok", value: check, durationMs: 1 }, EMPTY_MEMORY, roundAt(0));
    expect(round.findings).toMatchObject([{ kind: "driver", reason: "unopened", gpu_index: 2 }]);
  });

  test("leaves out a GPU that it may not open and counts it", async () => {
    const rc = { "rc.nvmlDeviceGetHandleByIndex_v2": 4 };
    const { nvml, world } = open("full", { gpus: { 2: rc } });
    expect(await checkOf(nvml)).toMatchObject({ count: 8, denied: 1 });
    world.write({ count: 2, gpus: { 0: rc, 1: rc } });
    expect(await nvml.check(GENEROUS_MS)).toMatchObject({
      kind: "failed",
      failure: { reason: "permission", code: 4 },
    });
  });

  test("finds the GPUs again when their number changes", async () => {
    const { nvml, world } = open("full");
    await checkOf(nvml);
    world.write({ count: 7 });
    expect((await checkOf(nvml)).gpus).toHaveLength(7);
    world.write({ count: 8 });
    expect((await checkOf(nvml)).gpus).toHaveLength(8);
    expect(world.stats().misuse).toEqual([]);
  });

  test.each([
    [9, "driver"],
    [28, "driver"],
    [18, "version"],
    [17, "permission"],
    [999, "other"],
  ])("tells why init failed with %p", async (initRc, reason) => {
    const { nvml } = open("full", { initRc });
    expect(await nvml.check(GENEROUS_MS)).toMatchObject({
      kind: "failed",
      failure: { reason, code: initRc },
    });
  });

  test("does not hammer init, and loads the library again after a driver upgrade", async () => {
    const { nvml, world } = open("full", { initRc: 9 });
    await nvml.sample(GENEROUS_MS);
    await nvml.sample(GENEROUS_MS);
    await nvml.sample(GENEROUS_MS);
    expect(world.stats().calls.get("nvmlInitWithFlags")).toBe(1);
    const upgraded = open("full", { initRc: 18 });
    expect(await upgraded.nvml.check(GENEROUS_MS)).toMatchObject({
      failure: { reason: "version" },
    });
    upgraded.world.write({});
    const seen: string[] = [];
    await until(() => {
      void upgraded.nvml.check(GENEROUS_MS).then((answer) => seen.push(answer.kind));
      return seen.includes("ok") ? true : null;
    }, "a child with the new library");
    expect(seen).not.toContain("crashed");
  });

  test("waits for a slow driver that is within the deadline", async () => {
    const { nvml } = open("full", { gpus: { 0: { "slow_ms.nvmlDeviceGetPowerUsage": 400 } } });
    const answer = await nvml.sample(GENEROUS_MS);
    expect(answer.kind).toBe("ok");
    if (answer.kind === "ok") expect(answer.durationMs).toBeGreaterThanOrEqual(400);
  });

  test("abandons a child that was stopped", async () => {
    const { nvml } = open("full");
    await checkOf(nvml);
    const [child] = childrenOf(process.pid);
    process.kill(Number(child), "SIGSTOP");
    const answer = await nvml.check(300);
    expect(answer).toMatchObject({ kind: "unresponsive", evidence: expect.stringMatching(/:T:/) });
    expect(await checkOf(nvml)).toMatchObject({ count: 8 });
  });

  test("tells with the next call that the child died between two", async () => {
    const { nvml } = open("full");
    await checkOf(nvml);
    const [child] = childrenOf(process.pid);
    process.kill(Number(child), "SIGSEGV");
    await until(() => (childrenOf(process.pid).length === 0 ? true : null), "the child's end");
    // Its end is noticed by the event loop a moment after /proc shows it.
    const answers: string[] = [];
    await until(() => {
      void nvml.sample(GENEROUS_MS).then((answer) => answers.push(answer.kind));
      return answers.includes("ok") ? true : null;
    }, "a new child");
    expect(answers).toContain("crashed");
  });

  test("leaves no child behind when the agent is killed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-nvml-"));
    closers.push(() => rmSync(folder, { recursive: true, force: true }));
    const library = JSON.stringify(built.get("full"));
    const agent = Bun.spawn(
      [
        process.execPath,
        "-e",
        `
      import { openNvml } from ${JSON.stringify(join(import.meta.dir, "../../agent/nvml/parent.ts"))};
      const clock = { wallMs: Date.now, monoMs: () => performance.now(), after: () => () => {} };
      const nvml = openNvml({
        execArgv: [process.execPath, "run", ${JSON.stringify(CHILD)}],
        childArgv: ["__nvml"], env: {}, clock, libraryPath: ${library},
      });
      console.log((await nvml.check(10_000)).kind);
      setInterval(() => {}, 1_000);
    `,
      ],
      { stdout: "pipe" },
    );
    const first = await agent.stdout.getReader().read();
    expect(new TextDecoder().decode(first.value).trim()).toBe("ok");
    const [child] = childrenOf(agent.pid);
    expect(child).toBeDefined();
    agent.kill("SIGKILL");
    await until(() => (isProbe(child ?? "") ? null : true), "the orphan's end");
  });

  test("answers when the child cannot even be started", async () => {
    const { nvml } = open("full", {}, { execArgv: ["/nonexistent/navarch-node"] });
    const answer = await nvml.check(GENEROUS_MS);
    expect(answer).toMatchObject({ kind: "failed", failure: { reason: "other" } });
    expect(await nvml.sample(GENEROUS_MS)).toMatchObject({ kind: "failed" });
  });

  test("tells of a child that dies at once and does not start it forever", async () => {
    const { nvml } = open("full", {}, { execArgv: ["/bin/true"] });
    expect(await nvml.check(GENEROUS_MS)).toMatchObject({ kind: "crashed", signal: "exit 0" });
  });

  test("close() leaves no child behind, and a later call starts one", async () => {
    const { nvml } = open("full");
    await checkOf(nvml);
    nvml.close();
    await until(() => (childrenOf(process.pid).length === 0 ? true : null), "no children");
    expect(await checkOf(nvml)).toMatchObject({ count: 8 });
  });
});

/** Live children of a process that run the probe, by /proc. */
function childrenOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) => {
    const path = `/proc/${pid}/task/${task}/children`;
    const text = Bun.spawnSync(["cat", path]).stdout.toString();
    return text.split(" ").filter((child) => child !== "" && isProbe(child));
  });
}

function isProbe(pid: string): boolean {
  const argv = Bun.spawnSync(["cat", `/proc/${pid}/cmdline`]).stdout.toString();
  return argv.includes("__nvml");
}
