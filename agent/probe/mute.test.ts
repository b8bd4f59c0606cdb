import { describe, expect, test } from "bun:test";
import { answerOf, HOUR_MS, roundAt } from "../../test/fixture/nvml/probe-round.ts";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import { compiledBuiltin } from "../../health/policy/builtin.ts";
import { judge } from "../../health/policy/judge.ts";
import { healthyGpu } from "../nvml/healthy.ts";
import type { NvmlGpuCheck } from "../port/reading.ts";
import { EMPTY_MEMORY, type ProbeMemory } from "./probe.ts";
import { runProbes } from "./run.ts";

const KEPT = new Set(["index", "uuid", "name", "serial", "pciBusId", "architecture"]);
/** A GPU that opens and of which every reading answers `code`. */
function muteGpu(code: number, rc: number): Partial<NvmlGpuCheck> {
  const blank = Object.keys(healthyGpu(0)).filter((key) => !KEPT.has(key));
  const unread = { nvmlDeviceGetPowerUsage: code, nvmlDeviceGetMemoryInfo_v2: code };
  const modes = { migEnabled: false, persistence: true, pcieWidth: 16, pcieWidthMax: 16 };
  const none = Object.fromEntries(blank.map((key) => [key, null]));
  return { ...none, ...modes, rc, openCode: 0, unread };
}
const L40S = { name: "NVIDIA L40S", nvlinks: [], fabric: null };
const node = { id: "n", pool: "p", labels: {}, gpu_count: 4, driver_version: "", fake: false };

/** Four cards, one of them mute, for some rounds. */
function play(code: number, rc: number, rounds: number) {
  const mute = { ...L40S, ...muteGpu(code, rc) };
  const check = healthyCheck(4, { 0: L40S, 1: L40S, 2: mute, 3: L40S });
  let memory: ProbeMemory = EMPTY_MEMORY;
  const said: string[] = [];
  for (let at = 0; at < rounds; at++) {
    const round = runProbes(answerOf(check), memory, roundAt(HOUR_MS + at * 20_000));
    memory = round.memory;
    const found = round.findings.map((finding) => {
      const { result } = judge(finding, compiledBuiltin, node, []);
      return `${finding.reason} ${finding.gpu_index} ${result}`;
    });
    said.push([round.conclusive ? "conclusive" : "inconclusive", ...found].join(", "));
  }
  return said;
}

describe("a GPU that opens and gives no reading", () => {
  test.each([10, 999])("is unhealthy once it answered %p three times, and never well", (code) => {
    expect(play(code, code, 4)).toEqual([
      "inconclusive",
      "inconclusive",
      "conclusive, mute 2 unhealthy",
      "conclusive",
    ]);
  });

  test("is unhealthy at once with a code that states a fault", () => {
    expect(play(14, 14, 1)).toEqual(["conclusive, inforom 2 degraded, mute 2 unhealthy"]);
    expect(play(11, 11, 1)).toEqual(["conclusive, interrupt 2 unhealthy"]);
  });

  test.each([2, 3, 6, 13])("is not checked while it answers %p, and says so", (code) => {
    expect(play(code, 0, 2)).toEqual(["inconclusive, unread 2 degraded", "inconclusive"]);
  });

  test("says which answer that is", () => {
    const check = healthyCheck(1, { 0: { ...L40S, ...muteGpu(3, 0) } });
    const [finding] = runProbes(answerOf(check), EMPTY_MEMORY, roundAt(HOUR_MS)).findings;
    expect(finding?.message).toBe(
      "GPU 0 opens and gives no reading: NVML answers 3 (not supported); it is not checked",
    );
  });

  test("is read again soon while its code may pass", () => {
    const open = (rc: number, rounds: number) => {
      const check = healthyCheck(2, { 1: { rc } });
      let memory: ProbeMemory = EMPTY_MEMORY;
      return Array.from({ length: rounds }, (_, at) => {
        const round = runProbes(answerOf(check), memory, roundAt(at));
        memory = round.memory;
        return round.open;
      });
    };
    expect(open(999, 4)).toEqual([true, true, false, false]);
    expect(open(10, 3)).toEqual([true, true, false]);
    expect([open(0, 1), open(14, 1), open(15, 1)]).toEqual([[false], [false], [false]]);
  });

  test("one reading is enough to be asked: MIG, a card without sensors, an old library", () => {
    const one = [{ temperatureCelsius: 40 }, { eccCorrectedVolatile: 0 }, { powerWatts: 0 }];
    for (const change of one) {
      const check = healthyCheck(1, { 0: { ...L40S, ...muteGpu(3, 0), ...change } });
      const round = runProbes(answerOf(check), EMPTY_MEMORY, roundAt(HOUR_MS));
      expect([round.conclusive, round.findings]).toEqual([true, []]);
    }
  });
});
