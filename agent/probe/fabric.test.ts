import { describe, expect, test } from "bun:test";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import type { NvmlFabric, NvmlGpuCheck } from "../port/reading.ts";
import {
  HOUR_MS,
  answerOf,
  formatConditions,
  roundAt,
} from "../../test/fixture/nvml/probe-round.ts";
import { fabricProbe } from "./fabric.ts";
import { EMPTY_MEMORY, type ProbeContext } from "./probe.ts";
import { runProbes } from "./run.ts";

const MINUTE_MS = 60_000;
const GOOD: NvmlFabric = { state: 3, status: 0, healthMask: 0, healthSummary: 1 };

/** Two GPUs, the second with this fabric. */
function check(fabric: Partial<NvmlFabric> | null, change: Partial<NvmlGpuCheck> = {}, count = 2) {
  const merged = fabric === null ? null : { ...GOOD, ...fabric };
  return healthyCheck(count, { [count - 1]: { fabric: merged, ...change } });
}

function look(given: ReturnType<typeof check>, change: Partial<ProbeContext> = {}): string[] {
  const out = fabricProbe.look(given, EMPTY_MEMORY, roundAt(HOUR_MS, change));
  return formatConditions(out.conditions);
}

describe("fabricProbe", () => {
  test.each([
    [{}, []],
    [{ state: 0 }, []],
    [{ state: 1 }, ["nvlink/fabric_pending serious 1"]],
    [{ state: 2 }, ["nvlink/fabric_pending serious 1"]],
    [{ state: 9 }, ["nvlink/fabric_pending serious 1"]],
    [{ status: 999 }, ["nvlink/fabric_status serious 1"]],
    // In progress the status means nothing yet.
    [{ healthSummary: 2 }, ["nvlink/fabric_unhealthy serious 1"]],
    [{ healthSummary: 3 }, ["nvlink/fabric_degraded warning 1"]],
    [{ healthMask: 0b01, healthSummary: null }, ["nvlink/fabric_degraded warning 1"]],
    [{ healthMask: 0b10, healthSummary: null }, []],
    [{ healthMask: 0b01 << 4, healthSummary: null }, ["nvlink/fabric_unhealthy serious 1"]],
    [{ healthMask: 5 << 8, healthSummary: null }, ["nvlink/fabric_unhealthy serious 1"]],
    [{ healthMask: 4 << 8, healthSummary: null }, ["nvlink/fabric_degraded warning 1"]],
    [{ healthMask: 1 << 8, healthSummary: null }, []],
  ])("judges %j", (fabric, said) => {
    expect(look(check(fabric))).toEqual(said);
  });

  test("names what is wrong", () => {
    const given = check({ healthMask: (5 << 8) | 1, healthSummary: 2 });
    const [condition] = fabricProbe.look(given, EMPTY_MEMORY, roundAt(HOUR_MS)).conditions;
    expect(condition?.message).toBe(
      "GPU 1: the fabric is unhealthy: degraded bandwidth, too few NVLinks",
    );
    expect(condition?.metrics).toEqual({
      fabric_state: 3,
      fabric_status: 0,
      fabric_health_mask: 1281,
      fabric_health_summary: 2,
    });
  });

  test("gives the fabric manager ten minutes after a boot", () => {
    expect(look(check({ state: 2 }), { uptimeMs: 10 * MINUTE_MS - 1 })).toEqual([]);
    expect(look(check({ state: 2 }), { uptimeMs: 10 * MINUTE_MS })).toHaveLength(1);
  });

  test.each([
    ["a fabric that is not joined", { fabric: { ...GOOD, state: 2 } }],
    [
      "links that are all down",
      { nvlinks: [{ link: 0, state: 0, replay: 0, recovery: 0, crc: 0 }] },
    ],
  ])("a check proves nothing in the first ten minutes with %s", (_, change) => {
    const given = healthyCheck(2, { 1: change });
    let memory = EMPTY_MEMORY;
    const play = (minute: number, value = given) => {
      const at = { monoMs: minute * MINUTE_MS, uptimeMs: minute * MINUTE_MS };
      const round = runProbes(answerOf(value), memory, roundAt(0, at));
      memory = JSON.parse(JSON.stringify(round.memory));
      return [round.conclusive, round.active.length];
    };
    expect(play(1, healthyCheck(2))).toEqual([true, 0]);
    memory = EMPTY_MEMORY;
    expect([play(1), play(9)]).toEqual([
      [false, 0],
      [false, 0],
    ]);
    expect(play(10)).toEqual([true, 1]);
    memory = EMPTY_MEMORY;
    expect(play(1, { ...given, linksOff: true })[0]).toBe(true);
    const cards = given.gpus.map((gpu) => ({ ...gpu, name: "NVIDIA A30" }));
    expect(play(1, { ...given, gpus: cards })[0]).toBe(true);
  });

  test("gives it five once it had joined, and begins again with a boot", () => {
    const rounds: string[][] = [];
    let memory = EMPTY_MEMORY;
    const play = (state: number, minute: number, change: Partial<ProbeContext> = {}) => {
      const ctx = roundAt(HOUR_MS + minute * MINUTE_MS, change);
      const round = runProbes(answerOf(check({ state })), memory, ctx);
      memory = JSON.parse(JSON.stringify(round.memory));
      rounds.push(round.active);
    };
    play(3, 0);
    play(2, 1);
    play(2, 5);
    play(2, 6);
    play(3, 7);
    play(2, 8, { bootId: "boot-2" as never, uptimeMs: MINUTE_MS });
    expect(rounds.map((active) => active.length)).toEqual([0, 0, 0, 1, 0, 0]);
  });

  test("takes a single GPU that waits for its fabric out of service, unless NVLink is off", () => {
    const single = check({ state: 2 }, {}, 1);
    expect(look(single)).toEqual(["nvlink/fabric_pending serious 0"]);
    expect(look({ ...single, linksOff: true })).toEqual(["nvlink/fabric_degraded warning 0"]);
    for (const name of ["NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA GH200 480GB"]) {
      expect(look(check({ state: 2 }, { name }, 1))).toEqual(["nvlink/fabric_degraded warning 0"]);
    }
  });

  test("only degrades where no GPU is linked with another, and in MIG mode", () => {
    const single = check({ status: 999 }, {}, 1);
    expect(look(single)).toEqual(["nvlink/fabric_degraded warning 0"]);
    for (const ill of [{ state: 1 }, { status: 999 }])
      expect(look(check(ill, { migEnabled: true }))).toEqual(["nvlink/fabric_degraded warning 1"]);
    expect(look(check({ status: 999 }, { name: "NVIDIA H100 NVL" }, 1))).toEqual([
      "nvlink/fabric_degraded warning 0",
    ]);
  });

  test("says so where the library does not tell, and keeps what it knew", () => {
    const out = fabricProbe.look(
      healthyCheck(1, { 0: { fabric: null } }),
      EMPTY_MEMORY,
      roundAt(0),
    );
    expect(out).toMatchObject({ outcome: "not_supported", conditions: [] });
    const ill = runProbes(answerOf(check({ status: 999 })), EMPTY_MEMORY, roundAt(HOUR_MS));
    const blind = runProbes(answerOf(check(null)), ill.memory, roundAt(HOUR_MS + MINUTE_MS));
    expect(blind.active).toEqual(ill.active);
    const well = runProbes(answerOf(check({})), blind.memory, roundAt(HOUR_MS + 2 * MINUTE_MS));
    expect(well.active).toEqual([]);
  });
});
