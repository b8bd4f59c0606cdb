import { describe, expect, test } from "bun:test";
import { answerOf, HOUR_MS, roundAt } from "../../test/fixture/nvml/probe-round.ts";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import { compiledBuiltin } from "../../health/policy/builtin.ts";
import { judge } from "../../health/policy/judge.ts";
import { healthyGpu } from "../nvml/healthy.ts";
import type { NvmlCheck, NvmlGpuCheck } from "../port/reading.ts";
import { EMPTY_MEMORY } from "./probe.ts";
import { runProbes } from "./run.ts";

const node = { id: "n", pool: "p", labels: {}, gpu_count: 4, driver_version: "", fake: false };

/** `<reason> <GPU or node> <result>` of each finding. */
function said(check: NvmlCheck): string[] {
  const { findings } = runProbes(answerOf(check), EMPTY_MEMORY, roundAt(HOUR_MS));
  return findings.map((finding) => {
    const { result } = judge(finding, compiledBuiltin, node, []);
    return `${finding.reason} ${finding.gpu_index ?? "node"} ${result}`;
  });
}

const CARD = { nvlinks: [], fabric: null };
const of = (...changes: Partial<NvmlGpuCheck>[]) =>
  said(healthyCheck(changes.length, Object.fromEntries(changes.entries())));

describe("a GPU that is not what it should be", () => {
  test("is noticed by its memory: less than its name or its equals", () => {
    const half = { memoryTotalBytes: 42_000_000_000 };
    expect(of({}, half)).toEqual(["memory_short 1 unhealthy"]);
    const both = ["memory_short 0 unhealthy", "memory_short 1 unhealthy"];
    expect(of({ ...half }, { ...half })).toEqual(both);
    const card = { ...CARD, name: "NVIDIA L40S", memoryTotalBytes: 48_305_799_168 };
    expect(of(card, card)).toEqual([]);
    const less = { ...card, memoryTotalBytes: 24_000_000_000 };
    expect(of(card, less)).toEqual(["memory_short 1 unhealthy"]);
    for (const [name, memoryTotalBytes] of [
      // The figure in its name is the memory of its CPU.
      ["NVIDIA GH200 480GB", 102_625_181_696],
      ["Tesla V100-PCIE-16GB", 16_945_512_448],
      ["NVIDIA A100-PCIE-40GB", 42_949_672_960],
    ] as const) {
      expect(of({ ...CARD, name, memoryTotalBytes })).toEqual([]);
    }
  });

  test("is noticed by ECC that is off, where that is no choice", () => {
    const off = { eccEnabled: false, eccPending: false };
    expect(of({}, off)).toEqual(["disabled 1 degraded"]);
    const card = { ...CARD, name: "NVIDIA RTX A6000", memoryTotalBytes: 51_000_000_000 };
    const chosen = { ...card, ...off };
    expect(of(chosen, chosen)).toEqual(["disabled 0 healthy", "disabled 1 healthy"]);
    expect(of(card, { ...card, ...off })).toEqual(["disabled 1 degraded"]);
    expect(of({ eccEnabled: null })).toEqual([]);
  });

  test("is noticed by a UUID that another GPU has", () => {
    const { uuid } = healthyGpu(0);
    expect(of({}, { uuid }, {})).toEqual(["duplicate_uuid node degraded"]);
  });

  test("is noticed by its model: on a board a fault, beside a display a choice", () => {
    const a100 = { name: "NVIDIA A100-SXM4-80GB" };
    const mixed = of({}, a100).filter((one) => one.startsWith("mixed"));
    expect(mixed).toEqual(["mixed_models node degraded"]);
    const card = { ...CARD, name: "NVIDIA L40S", memoryTotalBytes: 48_305_799_168 };
    const small = { memoryTotalBytes: 4_000_000_000, eccEnabled: null };
    const display = { ...CARD, name: "NVIDIA T400", ...small };
    expect(of(card, display)).toEqual(["mixed_models node healthy"]);
    expect(of(card, { ...display, rc: 15 })).toEqual(["bus 1 unhealthy"]);
  });
});
