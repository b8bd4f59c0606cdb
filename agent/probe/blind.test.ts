/**
 * What a probe says when the driver does not tell: "not read" is never "well", a missing permission
 * is named, and a fault that was seen before is not over because nobody could look.
 */
import { describe, expect, test } from "bun:test";
import { HOUR_MS, answerOf, lookWith, roundAt } from "../../test/fixture/nvml/probe-round.ts";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import { healthyGpu } from "../nvml/healthy.ts";
import type { NvmlGpuCheck } from "../port/reading.ts";
import { clockProbe } from "./clock.ts";
import { eccProbe } from "./ecc.ts";
import { fabricProbe } from "./fabric.ts";
import { memoryProbe } from "./memory.ts";
import { migProbe } from "./mig.ts";
import { nvlinkProbe } from "./nvlink.ts";
import { pcieProbe } from "./pcie.ts";
import { persistenceProbe } from "./persistence.ts";
import { powerProbe } from "./power.ts";
import { EMPTY_MEMORY, type Probe } from "./probe.ts";
import { recoveryProbe } from "./recovery.ts";
import { remapProbe } from "./remap.ts";
import { PROBES, runProbes } from "./run.ts";
import { temperatureProbe } from "./temperature.ts";
import { utilizationProbe } from "./utilization.ts";

type Change = Partial<NvmlGpuCheck>;
const CARD = { name: "NVIDIA A30" };
/** Values that are missing, the calls that give them, and a fault of this probe, if it has one. */
const BLIND: readonly [Probe, Change, string[], Change | null][] = [
  [
    eccProbe,
    { eccCorrectedVolatile: null, eccUncorrectedVolatile: null },
    ["field.3", "field.4", "nvmlDeviceGetTotalEccErrors"],
    { eccUncorrectedVolatile: 1 },
  ],
  [
    remapProbe,
    { remapPending: null, remapFailure: null, remapHistogram: null, retiredPending: null },
    ["nvmlDeviceGetRemappedRows", "field.31"],
    { remapPending: true },
  ],
  [
    temperatureProbe,
    { temperatureCelsius: null },
    ["nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"],
    { temperatureCelsius: 91 },
  ],
  [powerProbe, { powerWatts: null }, ["nvmlDeviceGetPowerUsage"], { powerWatts: 900 }],
  [
    clockProbe,
    { throttleReasons: null },
    ["nvmlDeviceGetCurrentClocksEventReasons"],
    { throttleReasons: 0x40 },
  ],
  [
    nvlinkProbe,
    { nvlinks: null, ...CARD },
    ["field.91"],
    { nvlinks: [{ link: 0, state: 0, replay: 0, recovery: 0, crc: 0 }] },
  ],
  [
    fabricProbe,
    { fabric: null },
    ["nvmlDeviceGetGpuFabricInfoV"],
    { fabric: { state: 3, status: 1, healthMask: 0, healthSummary: 0 } },
  ],
  [
    pcieProbe,
    { pcieWidth: null, pcieReplay: null },
    ["nvmlDeviceGetCurrPcieLinkWidth", "field.94"],
    { pcieWidth: 8 },
  ],
  [recoveryProbe, { recoveryAction: null }, ["field.230"], { recoveryAction: 1 }],
  [utilizationProbe, { utilizationPercent: null }, ["nvmlDeviceGetUtilizationRates"], null],
  [
    memoryProbe,
    { memoryTotalBytes: null },
    ["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo"],
    null,
  ],
];

describe.each(BLIND.map(([probe, ...rest]) => [probe.name, probe, ...rest] as const))(
  "%s without its readings",
  (_name, probe, change, calls) => {
    test("names the GPU, or all of them", () => {
      const { uuid } = healthyGpu(1);
      expect(lookWith(probe, change)).toMatchObject({
        ...{ conditions: [], outcome: "ok", message: "not read on GPU 1", blind: [uuid] },
      });
      const all = healthyCheck(2, { 0: change, 1: change });
      expect(probe.look(all, EMPTY_MEMORY, roundAt(HOUR_MS))).toMatchObject({
        ...{ conditions: [], outcome: "not_supported", message: "not read on all GPUs" },
        blind: all.gpus.map((gpu) => gpu.uuid),
      });
    });

    test("says that a permission is missing, and only then", () => {
      for (const call of calls) {
        const of = (code: number) => lookWith(probe, { ...change, unread: { [call]: code } });
        expect([call, of(4).outcome, of(3).outcome]).toEqual([call, "no_permission", "ok"]);
      }
      const other = { ...change, unread: { nvmlDeviceGetSerial: 4 } };
      expect(lookWith(probe, other).outcome).toBe("ok");
    });
  },
);

test.each(
  BLIND.flatMap(([probe, change, , fault]) =>
    fault === null ? [] : [[probe.name, change, fault] as const],
  ),
)("%s ends no fault of its own that was seen before", (_name, change, fault) => {
  const play = ({ name = healthyGpu(0).name, ...given }: Change, memory = EMPTY_MEMORY) => {
    const check = healthyCheck(2, { 0: { name }, 1: { name, ...given } });
    return runProbes(answerOf(check), memory, roundAt(HOUR_MS));
  };
  const sick = play(fault);
  expect(sick.active).toHaveLength(1);
  expect(play({ ...fault, ...change }, sick.memory).active).toEqual(sick.active);
  expect(play({}, sick.memory).active).toEqual([]);
});

test("a GPU that answers one of two questions of a probe is read", () => {
  const read = (probe: Probe, change: Change) => lookWith(probe, change).message;
  expect(read(eccProbe, { eccCorrectedVolatile: null })).toBeNull();
  expect(read(eccProbe, { eccUncorrectedVolatile: null })).toBeNull();
  expect(read(remapProbe, { remapPending: null, retiredPending: false })).toBeNull();
  expect(read(pcieProbe, { pcieWidth: null })).toBeNull();
  expect(read(pcieProbe, { pcieReplay: null })).toBeNull();
  expect(read(memoryProbe, { memoryUsedBytes: null })).toBe("not read on GPU 1");
});

test("a counter that is not read keeps its hour, and no rate is made of it", () => {
  const window = { base: 10, sinceMs: HOUR_MS, grown: 900 };
  const [, ecc] = Object.values(
    lookWith(eccProbe, { eccCorrectedVolatile: null }, { corrected: window }).learned,
  );
  expect(ecc).toEqual({ corrected: window });
  const blind = { eccCorrectedVolatile: null, eccUncorrectedVolatile: 1 };
  const { conditions } = lookWith(eccProbe, blind, { corrected: window });
  expect(conditions.map(({ reason, metrics }) => [reason, metrics["ecc_sbe_count"]])).toEqual([
    ["dbe", 0],
  ]);
  const pcie = lookWith(pcieProbe, { pcieReplay: null, pcieWidth: 8 }, { replay: window });
  expect(pcie.conditions.map(({ reason, metrics }) => [reason, metrics["replay_count"]])).toEqual([
    ["width", 0],
  ]);
  expect(Object.values(pcie.learned)[1]).toEqual({ replay: window, slowRounds: 0 });
});

test("a lost GPU is asked nothing; with no other there was nothing to look at", () => {
  for (const probe of PROBES.filter(({ name }) => name !== "bus" && name !== "count")) {
    const out = probe.look(healthyCheck(1, { 0: { rc: 15 } }), EMPTY_MEMORY, roundAt(HOUR_MS));
    const none = probe === migProbe || probe === persistenceProbe ? "not_supported" : "skipped";
    expect({ name: probe.name, ...out }).toMatchObject({
      ...{ name: probe.name, outcome: none, conditions: [], learned: {}, blind: [] },
    });
  }
});

describe("migProbe", () => {
  const look = (...on: (boolean | null)[]) => {
    const changes = Object.fromEntries(on.map((migEnabled, index) => [index, { migEnabled }]));
    const { outcome, message } = migProbe.look(
      healthyCheck(on.length, changes),
      EMPTY_MEMORY,
      roundAt(0),
    );
    return [outcome, message];
  };
  test("names the GPUs in MIG mode", () => {
    expect(look(false, false)).toEqual(["ok", null]);
    expect(look(true, false, true)).toEqual(["ok", "on: GPU 0, 2"]);
    expect(look(null, null)).toEqual(["not_supported", null]);
    expect(look(null, false)).toEqual(["ok", null]);
  });

  test("asks no lost GPU", () => {
    const lost = healthyCheck(2, { 0: { rc: 15, migEnabled: true }, 1: { migEnabled: null } });
    const out = migProbe.look(lost, EMPTY_MEMORY, roundAt(0));
    expect(out).toMatchObject({ outcome: "not_supported", message: null });
  });
});

describe("persistenceProbe", () => {
  const look = (...modes: (boolean | null)[]) => {
    const changes = Object.fromEntries(modes.map((mode, index) => [index, { persistence: mode }]));
    return persistenceProbe.look(healthyCheck(modes.length, changes), EMPTY_MEMORY, roundAt(0));
  };
  test("is one finding of the node with all GPUs where it is off", () => {
    expect(look(false, true, false)).toMatchObject({
      outcome: "finding",
      conditions: [
        {
          ...{ kind: "host", reason: "persistence", severity: "info", gpu: null, level: 2 },
          message: "persistence mode is off on GPU 0, 2",
          metrics: { gpus: 2 },
        },
      ],
    });
    expect(look(true, null)).toMatchObject({ outcome: "ok", conditions: [] });
    expect(look(null)).toMatchObject({ outcome: "not_supported", conditions: [] });
  });
});
