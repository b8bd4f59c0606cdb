import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { roundAt } from "../../test/fixture/nvml/probe-round.ts";
import type { Clock } from "../port/port.ts";
import { EMPTY_MEMORY } from "../probe/probe.ts";
import { runProbes } from "../probe/run.ts";
import { type SimulatedFaults, openSimulatedGpus } from "./simulated.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-sim-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A clock that stands still until told; what is due runs at once. */
function stepClock(): Clock & { step(ms: number): void } {
  let nowMs = 1_800_000_000_000;
  return {
    wallMs: () => nowMs,
    monoMs: () => nowMs,
    after(ms, work) {
      nowMs += ms;
      work();
      return () => {};
    },
    step: (ms) => {
      nowMs += ms;
    },
  };
}

const FAILED = { state: 3, status: 999, healthMask: null, healthSummary: null };
const EVERY = Array.from({ length: 18 }, (_, link) => link);

let files = 0;
function bed(count = 8, seed = "node-1") {
  const clock = stepClock();
  const faultPath = join(folder, `fault-${++files}.json`);
  const write = (faults: SimulatedFaults | string) => {
    const text = typeof faults === "string" ? faults : JSON.stringify(faults);
    writeFileSync(`${faultPath}.part`, text);
    renameSync(`${faultPath}.part`, faultPath);
  };
  const name = "NVIDIA H100 80GB HBM3";
  const { nvml, readBus } = openSimulatedGpus({ count, name, seed, clock, faultPath });
  const check = async () => {
    const answer = await nvml.check(1_000);
    if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
    return answer.value;
  };
  return { nvml, readBus, clock, write, check, faultPath };
}

describe("openSimulatedGpus()", () => {
  test("makes GPUs that are well and says that they are made up", async () => {
    const { nvml, check } = bed();
    expect(nvml.simulated).toBe(true);
    const value = await check();
    expect(new Set(value.gpus.map((gpu) => gpu.uuid)).size).toBe(8);
    expect(new Set(value.gpus.map((gpu) => gpu.pciBusId)).size).toBe(8);
    for (const gpu of value.gpus) expect(gpu.uuid).toMatch(/^GPU-[0-9a-f-]{36}$/);
    const round = runProbes({ kind: "ok", value, durationMs: 1 }, EMPTY_MEMORY, roundAt(0));
    expect(round).toMatchObject({ findings: [], present: 8 });
  });

  test("reads the same at the same time, something else later, and other GPUs by another seed", async () => {
    const { check, clock } = bed();
    const first = await check();
    expect(await check()).toEqual(first);
    clock.step(45_000);
    const later = await check();
    expect(later).not.toEqual(first);
    expect(later.gpus.map((gpu) => gpu.uuid)).toEqual(first.gpus.map((gpu) => gpu.uuid));
    const other = await bed(8, "node-2").check();
    const both = [...first.gpus, ...other.gpus].map((gpu) => gpu.uuid);
    expect(new Set(both).size).toBe(16);
  });

  test("takes faults from the file, and lets go of them", async () => {
    const { check, write } = bed();
    const before = await check();
    write({ gpus: { "3": { rc: 15 }, "4": { temperatureCelsius: 97, linksDown: [2] } } });
    const sick = await check();
    expect(sick.gpus[3]).toMatchObject({
      rc: 15,
      uuid: before.gpus[3]?.uuid,
      temperatureCelsius: null,
    });
    expect(sick.gpus[4]).toMatchObject({ rc: 0, temperatureCelsius: 97 });
    expect(sick.gpus[4]?.nvlinks?.[2]?.state).toBe(0);
    write({ gpus: { "7": { missing: true } } });
    expect(await check()).toMatchObject({ count: 7 });
    write({});
    expect(await check()).toEqual(before);
  });

  test.each([
    ["one that does not open", { openCode: 3 }, "driver/unopened"],
    ["one that is listed no more", { missing: true }, "lost/unlisted"],
    ["one that failed to join its fabric", { fabric: FAILED }, "nvlink/fabric_status"],
    ["one without a link", { linksDown: EVERY }, "nvlink/down"],
    ["one that nouveau holds", { boundDriver: "nouveau" }, "driver/other_driver"],
    ["one of a virtual machine", { boundDriver: "vfio-pci" }, null],
  ])("plays %s from the first check on", async (_, fault, said) => {
    const { check, write, readBus } = bed();
    write({ gpus: { "3": fault } });
    const value = await check();
    const round = runProbes(
      { kind: "ok", value, durationMs: 1 },
      EMPTY_MEMORY,
      roundAt(0, { bus: readBus() }),
    );
    const told = round.findings.map(({ kind, reason, pci }) => [`${kind}/${reason}`, pci]);
    expect(told).toEqual(said === null ? [] : [[said, "0000:21:00.0"]]);
    if (!("fabric" in fault || "linksDown" in fault)) expect(round).toMatchObject({ present: 7 });
  });

  test("plays a GPU that fell off the bus before the start, which only a promise knows of", async () => {
    const { check, write, readBus } = bed();
    write({ gpus: { "3": { offBus: true } } });
    const value = await check();
    const look = (promised: { gpus: number; from: "pool" }[]) =>
      runProbes(
        { kind: "ok", value, durationMs: 1 },
        EMPTY_MEMORY,
        roundAt(0, { bus: readBus(), promised }),
      );
    expect(look([])).toMatchObject({ findings: [], expected: { gpus: 7, from: "bus" } });
    expect(look([{ gpus: 8, from: "pool" }])).toMatchObject({
      findings: [{ kind: "lost", reason: "count", severity: "fatal" }],
      expected: { gpus: 8, from: "pool" },
    });
  });

  test.each([
    ["crashed", { kind: "crashed" }],
    ["stuck", { kind: "stuck" }],
    ["library", { kind: "failed", failure: { reason: "library" } }],
    ["driver", { kind: "failed", failure: { reason: "driver" } }],
    ["version", { kind: "failed", failure: { reason: "version" } }],
  ] as const)("plays a driver that is %p", async (mode, answer) => {
    const { nvml, write } = bed();
    write({ mode });
    expect(await nvml.check(1_000)).toMatchObject(answer);
  });

  test("hangs until the deadline", async () => {
    const { nvml, write, clock } = bed();
    write({ mode: "unresponsive" });
    const startMs = clock.monoMs();
    expect((await nvml.check(5_000)).kind).toBe("unresponsive");
    expect(clock.monoMs() - startMs).toBe(5_000);
  });

  test("tells each event once", async () => {
    const { nvml, write, check } = bed();
    const events = [{ id: 1, gpu: 2, type: 8, data: 79 }];
    write({ events });
    const { gpus } = await check();
    expect(nvml.takeEvents()).toMatchObject([{ uuid: gpus[2]?.uuid, type: 8, data: 79 }]);
    write({ events: [...events, { id: 2, gpu: 0, type: 8, data: 48 }] });
    expect(nvml.takeEvents()).toMatchObject([{ data: 48 }]);
    expect(nvml.takeEvents()).toEqual([]);
  });

  test.each([
    ["{", "JSON"],
    [`{"gpus":{"3":{"temprature":90}}}`, "temprature"],
    [`{"mode":"broken"}`, "mode"],
  ])("says what is wrong with the file %p", async (text, said) => {
    const { nvml, write, faultPath } = bed();
    write(text);
    const answer = await nvml.check(1_000);
    if (answer.kind !== "failed") throw new Error(answer.kind);
    expect(answer.failure.reason).toBe("other");
    expect(answer.failure.message).toContain(faultPath);
    expect(answer.failure.message).toContain(said);
  });
});
