/**
 * What each probe tells of a sick GPU, whole: the words that a person reads, the measured values
 * that policies compare, and the level by which it is told again when it gets worse.
 */
import { describe, expect, test } from "bun:test";
import { HOUR_MS, lookWith, roundAt } from "../../test/fixture/nvml/probe-round.ts";
import type { NvmlGpuCheck } from "../port/reading.ts";
import { clockProbe } from "./clock.ts";
import { eccProbe } from "./ecc.ts";
import { fabricProbe } from "./fabric.ts";
import { faultProbe } from "./fault.ts";
import { nvlinkProbe } from "./nvlink.ts";
import { pcieProbe } from "./pcie.ts";
import { powerProbe } from "./power.ts";
import type { Condition, GpuMemory, Probe, ProbeContext } from "./probe.ts";
import { recoveryProbe } from "./recovery.ts";
import { remapProbe } from "./remap.ts";
import { temperatureProbe } from "./temperature.ts";

const GPU = { index: 1, uuid: "GPU-00000001-1111-4111-8111-111111111111" };
const soon = roundAt(HOUR_MS + 60_000);
const links = (...states: (number | null)[]) =>
  states.map((state, link) => ({ link, state, replay: 2, recovery: 0, crc: 3 }));
const up = (count: number) => Array.from({ length: count }, () => 1);

type Case = {
  probe: Probe;
  change: Partial<NvmlGpuCheck>;
  learned?: Partial<GpuMemory>;
  ctx?: ProbeContext;
  told: Partial<Condition>[];
};

const ECC_COUNTERS = { ecc_sbe_count: 0, sbe_per_hour: 0, sbe_volatile: 0, sbe_aggregate: 0 };
const PCIE = { link_width: 16, max_width: 16, link_generation: 5, max_generation: 5 };
const HEAT = { temperature: 42, slowdown_limit: 90, shutdown_limit: 95, memory_temperature: 45 };
const ROWS = { pending: false, failure: false, correctable: 0, uncorrectable: 0 };

const CASES: readonly Case[] = [
  {
    probe: eccProbe,
    change: { eccUncorrectedVolatile: 3, eccUncorrectedAggregate: 9 },
    told: [
      {
        ...{ kind: "ecc", reason: "dbe", severity: "fatal", level: 3 },
        message: "GPU 1 has 3 uncorrected memory errors since the driver started",
        metrics: { ...ECC_COUNTERS, ecc_dbe_count: 3, volatile: 3, aggregate: 9 },
      },
    ],
  },
  {
    probe: eccProbe,
    change: { eccCorrectedVolatile: 1_900, eccCorrectedAggregate: 7_000 },
    learned: { corrected: { base: 1_000, sinceMs: HOUR_MS, grown: 0 } },
    ctx: soon,
    told: [
      {
        ...{ kind: "ecc", reason: "sbe", severity: "warning", level: 2 },
        message: "GPU 1 corrected 900 memory errors within an hour",
        metrics: {
          ...{ ecc_sbe_count: 900, ecc_dbe_count: 0, sbe_per_hour: 900, sbe_volatile: 1_900 },
          ...{ sbe_aggregate: 7_000, volatile: 1_900, aggregate: 0 },
        },
      },
    ],
  },
  {
    probe: eccProbe,
    change: { sramThresholdExceeded: true },
    told: [
      {
        ...{ kind: "ecc", reason: "sram_threshold", severity: "fatal", level: 0, metrics: {} },
        message: "GPU 1 exceeded the SRAM error threshold: replace the hardware",
      },
    ],
  },
  {
    probe: pcieProbe,
    change: { pcieWidth: 4 },
    told: [
      {
        ...{ kind: "pcie", reason: "width", severity: "warning", level: 12 },
        message: "GPU 1 runs on 4 of 16 PCIe lanes",
        metrics: { ...PCIE, replay_count: 0, link_width: 4, utilization: 40 },
      },
    ],
  },
  {
    probe: pcieProbe,
    change: { pcieGeneration: 3, utilizationPercent: 75 },
    learned: { slowRounds: 1 },
    told: [
      {
        ...{ kind: "pcie", reason: "generation", severity: "warning", level: 0 },
        message: "GPU 1 at work runs on PCIe generation 3 of 5",
        metrics: { ...PCIE, replay_count: 0, link_generation: 3, utilization: 75 },
      },
    ],
  },
  {
    probe: pcieProbe,
    change: { pcieReplay: 1_049 },
    learned: { replay: { base: 50, sinceMs: HOUR_MS, grown: 0 } },
    ctx: soon,
    told: [
      {
        ...{ kind: "pcie", reason: "replay", severity: "warning", level: 2 },
        message: "GPU 1 replayed 999 PCIe packets within an hour",
        metrics: { ...PCIE, replay_count: 999, utilization: 40 },
      },
    ],
  },
  {
    probe: temperatureProbe,
    change: { temperatureCelsius: 101 },
    told: [
      {
        ...{ kind: "thermal", reason: "shutdown", severity: "serious", level: 1 },
        message: "GPU 1 is at 101 °C, its shutdown limit is 95 °C",
        metrics: { ...HEAT, temperature: 101 },
      },
    ],
  },
  {
    probe: temperatureProbe,
    change: { temperatureCelsius: 94, slowdownCelsius: null, shutdownCelsius: null },
    told: [
      {
        ...{ kind: "thermal", reason: "slowdown", severity: "warning", level: 1 },
        message: "GPU 1 is at 94 °C, its slowdown limit is 85 °C",
        metrics: { ...HEAT, temperature: 94, slowdown_limit: 85 },
      },
    ],
  },
  {
    probe: temperatureProbe,
    change: { memoryTemperatureCelsius: 104 },
    told: [
      {
        ...{ kind: "thermal", reason: "memory", severity: "warning", level: 1 },
        message: "memory of GPU 1 is at 104 °C, its limit is 95 °C",
        metrics: { ...HEAT, memory_temperature: 104, memory_limit: 95 },
      },
    ],
  },
  {
    probe: powerProbe,
    change: { powerWatts: 900 },
    told: [
      {
        ...{ kind: "power", reason: "over_limit", severity: "warning", level: 0 },
        message: "GPU 1 draws 900 W, its limit is 700 W",
        metrics: { power_watts: 900, limit_watts: 700 },
      },
    ],
  },
  {
    probe: clockProbe,
    change: { throttleReasons: 0x20 | 0x80 },
    learned: { softThermalSinceMs: HOUR_MS },
    ctx: roundAt(HOUR_MS + 300_999),
    told: [
      {
        ...{ kind: "throttle", reason: "power_brake", severity: "warning", level: 0 },
        message: "clocks of GPU 1 are held back by the external power brake",
        metrics: { reasons: "0xa0", seconds: 300 },
      },
      {
        ...{ kind: "throttle", reason: "sw_thermal", severity: "warning", level: 0 },
        message: "clocks of GPU 1 are held back by software thermal slowdown for 300 s",
        metrics: { reasons: "0xa0", seconds: 300 },
      },
    ],
  },
  {
    probe: remapProbe,
    change: { remapFailure: true, retiredPending: true, remapPending: false },
    told: [
      {
        ...{ kind: "remap", reason: "failure", severity: "fatal", level: 0 },
        message: "row remapping of GPU 1 failed: replace the hardware",
        metrics: { ...ROWS, failure: true },
      },
      {
        ...{ kind: "remap", reason: "pending", severity: "serious", level: 0 },
        message: "page retirement of GPU 1 waits for a reset",
        metrics: { ...ROWS, failure: true },
      },
    ],
  },
  {
    probe: remapProbe,
    change: {
      ...{ remapPending: true, remappedCorrectable: 4, remappedUncorrectable: 2 },
      remapHistogram: { max: 9, high: 8, partial: 7, low: 2, none: 3 },
    },
    told: [
      {
        ...{ kind: "remap", reason: "pending", severity: "serious", level: 0 },
        message: "row remapping of GPU 1 waits for a reset",
        metrics: { ...ROWS, pending: true, correctable: 4, uncorrectable: 2 },
      },
      {
        ...{ kind: "remap", reason: "spare_low", severity: "warning", level: 8 },
        message: "GPU 1: 2 memory banks have few spare rows, 3 have none",
        metrics: {
          ...{ ...ROWS, pending: true, correctable: 4, uncorrectable: 2 },
          ...{ banks_low: 2, banks_none: 3 },
        },
      },
    ],
  },
  {
    probe: remapProbe,
    change: { remapPending: null, remapFailure: null, retiredPending: true, retiredDbe: 60 },
    told: [
      {
        ...{ kind: "remap", reason: "pending", severity: "serious", level: 0 },
        message: "page retirement of GPU 1 waits for a reset",
        metrics: { pending: true, correctable: 0, uncorrectable: 0, retired_dbe: 60 },
      },
      {
        ...{ kind: "remap", reason: "retired_pages", severity: "serious", level: 60 },
        message: "GPU 1 retired 60 memory pages: replace the hardware",
        metrics: { pending: true, correctable: 0, uncorrectable: 0, retired_dbe: 60 },
      },
    ],
  },
  {
    probe: nvlinkProbe,
    change: { nvlinks: links(1, 0, ...up(15), 3) },
    told: [
      {
        ...{ kind: "nvlink", reason: "inactive", severity: "serious", level: 2 },
        message: "GPU 1: 2 of 18 NVLinks are down (1, 17)",
        metrics: { link_id: 1, inactive: 2, total: 18, state: 0 },
      },
    ],
  },
  {
    probe: nvlinkProbe,
    change: { nvlinks: links(0, 0, null) },
    told: [
      {
        ...{ kind: "nvlink", reason: "down", severity: "serious", level: 18 },
        message: "GPU 1: no NVLink is up, NVIDIA H100 80GB HBM3 has 18",
        metrics: { inactive: 3, total: 18, state: 0 },
      },
    ],
  },
  {
    probe: nvlinkProbe,
    change: { nvlinks: links(...up(17)) },
    told: [
      {
        ...{ kind: "nvlink", reason: "missing", severity: "warning", level: 1 },
        message: "GPU 1 (NVIDIA H100 80GB HBM3): the driver lists 17 of 18 NVLinks",
        metrics: { present: 17, total: 18 },
      },
    ],
  },
  {
    probe: nvlinkProbe,
    change: { nvlinks: links(null, null) },
    told: [
      {
        ...{ kind: "nvlink", reason: "missing", severity: "warning", level: 18 },
        message: "GPU 1: the driver does not report the 18 NVLinks of NVIDIA H100 80GB HBM3",
        metrics: { total: 18 },
      },
    ],
  },
  {
    probe: nvlinkProbe,
    change: { nvlinks: links(...up(18)).map((link) => ({ ...link, recovery: 5 })) },
    learned: { linkErrors: { base: 40, sinceMs: HOUR_MS, grown: 0 } },
    ctx: soon,
    told: [
      {
        ...{ kind: "nvlink", reason: "recovery", severity: "warning", level: 1 },
        message: "NVLinks of GPU 1 recovered 50 times within an hour",
        metrics: { recovery_errors: 50, replay_errors: 36, crc_errors: 54 },
      },
    ],
  },
  {
    probe: fabricProbe,
    change: { fabric: { state: 2, status: 3, healthMask: null, healthSummary: null } },
    learned: { fabricJoined: true, fabricSinceMs: HOUR_MS - 479_999 },
    told: [
      {
        ...{ kind: "nvlink", reason: "fabric_pending", severity: "serious", level: 0 },
        message: "GPU 1: the fabric is in progress after 7 min",
        metrics: { fabric_state: 2, fabric_status: 3 },
      },
    ],
  },
  {
    probe: fabricProbe,
    change: { fabric: { state: 9, status: 0, healthMask: 1, healthSummary: 1 } },
    learned: { fabricSinceMs: HOUR_MS - 600_000 },
    told: [
      {
        ...{ kind: "nvlink", reason: "fabric_pending", severity: "serious", level: 0 },
        message: "GPU 1: the fabric is in state 9 after 10 min",
        metrics: {
          ...{ fabric_state: 9, fabric_status: 0 },
          ...{ fabric_health_mask: 1, fabric_health_summary: 1 },
        },
      },
    ],
  },
  {
    probe: fabricProbe,
    change: { fabric: { state: 3, status: 20, healthMask: null, healthSummary: 1 } },
    told: [
      {
        ...{ kind: "nvlink", reason: "fabric_status", severity: "serious", level: 0 },
        message: "GPU 1: joining the fabric ended with 20 (out of memory)",
        metrics: { fabric_state: 3, fabric_status: 20, fabric_health_summary: 1 },
      },
    ],
  },
  {
    probe: faultProbe,
    change: { rc: 8 },
    told: [
      {
        ...{ kind: "power", reason: "insufficient", severity: "serious", level: 0 },
        message: "GPU 1 lacks external power: check its cables",
        metrics: { nvml_code: 8 },
      },
    ],
  },
  {
    probe: faultProbe,
    change: { rc: 999, openCode: 3 },
    told: [
      {
        ...{ kind: "driver", reason: "unopened", severity: "serious", level: 0 },
        message: "GPU 1 is listed and cannot be opened: NVML answers 3 (not supported)",
        metrics: { nvml_code: 3 },
      },
    ],
  },
  {
    probe: faultProbe,
    change: { rc: 999 },
    learned: { unknownRounds: 4 },
    told: [
      {
        ...{ kind: "driver", reason: "unknown", severity: "warning", level: 0 },
        message: "GPU 1 answered 999 (unknown error) in 5 checks in a row",
        metrics: { nvml_code: 999 },
      },
    ],
  },
];

test.each(CASES.map((one) => [one.probe.name, one.told[0]?.reason, one] as const))(
  "%s tells of %s",
  (_name, _reason, { probe, change, learned, ctx, told }) => {
    const out = lookWith(probe, change, learned, ctx);
    expect(out).toMatchObject({ outcome: "finding", message: null, blind: [] });
    expect(out.conditions).toEqual(
      told.map((condition) => {
        const gpu = { ...GPU, pciBusId: "00000000:1B:00.0" };
        return { code: null, gpu, ...condition } as Condition;
      }),
    );
  },
);

describe("recoveryProbe", () => {
  test.each([
    [1, "reset", "fatal", 3, "reset the GPU"],
    [2, "reboot", "fatal", 5, "reboot the node"],
    [3, "drain_p2p", "serious", 1, "drain peer-to-peer work"],
    [4, "drain_reset", "fatal", 4, "drain and reset the GPU"],
    [5, "imex", "serious", 2, "recover the IMEX domain"],
    [6, "bus_reset", "fatal", 5, "reset the GPU's bus"],
    [7, "system_reboot", "fatal", 5, "reboot the system"],
    [8, "unknown", "warning", 1, "unknown action 8"],
  ] as const)("action %i is told as XID 154, %s", (action, reason, severity, level, words) => {
    const { conditions, message } = lookWith(recoveryProbe, { recoveryAction: action });
    expect(message).toBeNull();
    expect(conditions).toMatchObject([
      {
        ...{ kind: "xid", code: 154, reason: `recovery_${reason}`, severity, level },
        message: `driver's verdict on GPU 1: ${words}`,
        metrics: { xid_code: 154, recovery_action: action },
      },
    ]);
  });
});

describe("fabricProbe reads the health mask", () => {
  // Fields of two bits, but for the configuration, which has four (nvml.h of R580).
  test.each([
    [1 << 0, "degraded", "degraded bandwidth"],
    [1 << 2, "degraded", "route recovery under way"],
    [1 << 4, "unhealthy", "route unhealthy"],
    [1 << 6, "degraded", "access timeout recovery under way"],
    [2 << 14, "degraded", "fabric manager disconnected"],
    [2 << 8, "unhealthy", "system GUID differs"],
    [3 << 8, "unhealthy", "chassis serial number differs"],
    [4 << 8, "degraded", "no partition assigned"],
    [5 << 8, "unhealthy", "too few NVLinks"],
    [6 << 8, "unhealthy", "GPU firmware does not fit"],
    [7 << 8, "unhealthy", "location does not fit"],
    [8 << 8, "unhealthy", "GPU state does not fit"],
    [15 << 8, "unhealthy", "configuration problem 15"],
    [(1 << 0) | (4 << 8), "degraded", "degraded bandwidth, no partition assigned"],
    [2, null, ""],
    [2 << 2, null, ""],
    [2 << 4, null, ""],
    [2 << 6, null, ""],
    [1 << 14, null, ""],
    [1 << 8, null, ""],
  ])("%i", (healthMask, reason, words) => {
    for (const healthSummary of [null, 0, 1]) {
      const fabric = { state: 3, status: 0, healthMask, healthSummary };
      const is = reason === "degraded" ? "has limits" : "is unhealthy";
      const severity = reason === "degraded" ? "warning" : "serious";
      const message = `GPU 1: the fabric ${is}: ${words}`;
      const told = reason === null ? [] : [{ reason: `fabric_${reason}`, severity, message }];
      const { conditions } = lookWith(fabricProbe, { fabric });
      expect(
        conditions.map(({ reason: why, severity: how, message: text }) => {
          return { reason: why, severity: how, message: text };
        }),
      ).toEqual(told as never);
    }
  });

  test("and the summary, alone and with it", () => {
    const said = (healthSummary: number, healthMask: number | null) => {
      const fabric = { state: 3, status: 0, healthMask, healthSummary };
      return lookWith(fabricProbe, { fabric }).conditions.map(({ message }) => message);
    };
    expect(said(2, null)).toEqual(["GPU 1: the fabric is unhealthy"]);
    expect(said(2, 1)).toEqual(["GPU 1: the fabric is unhealthy: degraded bandwidth"]);
    expect(said(3, 0)).toEqual(["GPU 1: the fabric has limits"]);
    expect(said(1, 0)).toEqual([]);
    expect(said(0, null)).toEqual([]);
  });
});
