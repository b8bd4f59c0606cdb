import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { Finding, SEVERITIES } from "../../schema/finding.ts";
import { GpuIdentity, GpuSample } from "../../schema/gpu.ts";
import { BootId } from "../../schema/id.ts";
import { ProbeResult } from "../../schema/report.ts";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import { healthyGpu } from "../nvml/healthy.ts";
import type { NvmlAnswer, NvmlCheck, NvmlGpuCheck } from "../port/reading.ts";
import { HOUR_MS, answerOf, roundAt } from "../../test/fixture/nvml/probe-round.ts";
import { EMPTY_MEMORY, type ProbeContext, type ProbeMemory } from "./probe.ts";
import { PROBES, type ProbeRound, runProbes } from "./run.ts";

/** Plays checks one minute apart; `null` is a driver that hangs. */
function play(
  checks: readonly (NvmlCheck | null | NvmlAnswer<NvmlCheck>)[],
  change: Partial<ProbeContext> = {},
  memory: ProbeMemory = EMPTY_MEMORY,
): ProbeRound[] {
  const rounds: ProbeRound[] = [];
  checks.forEach((check, i) => {
    const answer: NvmlAnswer<NvmlCheck> =
      check === null
        ? { kind: "unresponsive", evidence: "bun:D:nvidia_ioctl", abandoned: 1 }
        : "kind" in check
          ? check
          : answerOf(check);
    const ctx = roundAt(HOUR_MS + i * 60_000, change);
    // Through JSON, because an agent may store it.
    const past: ProbeMemory = JSON.parse(JSON.stringify(rounds.at(-1)?.memory ?? memory));
    rounds.push(runProbes(answer, past, ctx));
  });
  return rounds;
}

const told = (round: ProbeRound | undefined) =>
  round?.findings.map((finding) => `${finding.kind}/${finding.code ?? finding.reason}`);
const uuid = (index: number) => healthyGpu(index).uuid;

describe("runProbes()", () => {
  test("finds eight GPUs that are well", () => {
    const [round] = play([healthyCheck(8)]);
    expect(round).toMatchObject({
      findings: [],
      active: [],
      conclusive: true,
      present: 8,
      expected: { gpus: 8, from: "baseline" },
    });
    expect(round?.gpus.map((gpu) => gpu.index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(round?.results.map((result) => result.outcome)).toEqual(
      Array.from({ length: PROBES.length + 1 }, () => "ok"),
    );
    // The time goes to the driver; a look at its answer takes none.
    const spent = round?.results.filter((result) => result.duration_ms > 0);
    expect(spent).toMatchObject([{ name: "driver", duration_ms: 3 }]);
  });

  test("expects no fewer GPUs of the bus while the driver answers nothing", () => {
    const gpu = (index: number) => `0000:${index}0:00.0`;
    const gpus = [gpu(1), gpu(2)].map((pci) => ({ pci, driver: "nvidia" }));
    const [round] = play([null], { bus: { kind: "read", gpus } });
    expect(round?.expected).toEqual({ gpus: 2, from: "bus" });
    expect(round?.results.filter((result) => result.duration_ms !== 0)).toEqual([]);
  });

  test("ends the loss of a GPU with the exchange of it", () => {
    const lost = healthyCheck(8, { 3: { rc: 15 } });
    const exchanged = healthyCheck(8, { 3: { uuid: "GPU-new" } });
    const rounds = play([lost, exchanged]);
    expect(rounds.map(({ active }) => active)).toEqual([[`lost/bus/${uuid(3)}`], []]);
  });

  test("reports a GPU that never opened by its place, and no longer once it has a name", () => {
    const mute = {
      uuid: "unknown-3",
      name: "NVIDIA GPU",
      serial: null,
      pciBusId: "",
      rc: 999,
      openCode: 3,
    };
    const ill = healthyCheck(8, { 3: mute });
    const rounds = play([ill, ill, healthyCheck(8)]);
    expect(rounds.map(told)).toEqual([["driver/unopened"], [], []]);
    expect(rounds[0]).toMatchObject({
      present: 7,
      expected: { gpus: 8, from: "baseline" },
      findings: [{ gpu_uuid: null, gpu_index: 3, severity: "serious" }],
    });
    expect(rounds.map((round) => round.active)).toEqual([
      ["driver/unopened/gpu-3"],
      ["driver/unopened/gpu-3"],
      [],
    ]);
    expect(rounds[0]?.samples.map((sample) => sample.index)).toEqual([0, 1, 2, 4, 5, 6, 7]);
  });

  test("lets nothing last from one boot into the next", () => {
    const soft = healthyCheck(1, { 0: { throttleReasons: 0x20 } });
    const [last] = play([soft]);
    // The clock of the second boot is ahead of the first one's.
    const later = { bootId: v.parse(BootId, "boot-2"), monoMs: 9 * HOUR_MS };
    expect(play([soft], later, last?.memory).map(told)).toEqual([[]]);
    expect(play([soft], { monoMs: 9 * HOUR_MS }, last?.memory).map(told)).toEqual([
      ["throttle/sw_thermal"],
    ]);
  });

  test("tells a condition once while it lasts, and lists it in every round", () => {
    const sick = healthyCheck(8, { 2: { remapPending: true } });
    const rounds = play([sick, sick, healthyCheck(8), sick]);
    expect(rounds.map(told)).toEqual([["remap/pending"], [], [], ["remap/pending"]]);
    const key = `remap/pending/${uuid(2)}`;
    expect(rounds.map((round) => round.active)).toEqual([[key], [key], [], [key]]);
  });

  test("tells again what got worse, and not what wavers", () => {
    const errors = (count: number) => healthyCheck(8, { 0: { eccUncorrectedVolatile: count } });
    expect(play([errors(1), errors(1), errors(3), errors(2), errors(3)]).map(told)).toEqual([
      ["ecc/dbe"],
      [],
      ["ecc/dbe"],
      [],
      [],
    ]);
  });

  test("never masks a lost GPU by a warm one before it", () => {
    const check = healthyCheck(8, { 0: { temperatureCelsius: 91 }, 5: { rc: 15 } });
    const [round] = play([check]);
    expect(round?.findings.map((finding) => [finding.gpu_index, finding.severity])).toEqual([
      [5, "fatal"],
      [0, "warning"],
    ]);
    expect(round?.present).toBe(7);
    expect(round?.gpus).toHaveLength(8);
    expect(round?.samples).toHaveLength(7);
  });

  test("keeps what it knew of a GPU that went away", () => {
    const gone = healthyCheck(8, { 3: { remapPending: true } });
    const less = { ...gone, count: 7, gpus: gone.gpus.filter((gpu) => gpu.index !== 3) };
    const [, round] = play([gone, less]);
    expect(told(round)).toEqual(["lost/count"]);
    expect([...(round?.active ?? [])].sort()).toEqual([
      `lost/count/${uuid(3)}`,
      `remap/pending/${uuid(3)}`,
    ]);
    expect(round?.gpus).toHaveLength(8);
  });

  test("names a GPU that was lost before the new child could ask its name", () => {
    const nameless = {
      ...healthyGpu(3),
      uuid: "unknown-3",
      name: "NVIDIA GPU",
      pciBusId: "",
      rc: 15,
    };
    const check = healthyCheck(8);
    const lost = { ...check, gpus: check.gpus.map((gpu) => (gpu.index === 3 ? nameless : gpu)) };
    const [, round] = play([check, lost]);
    expect(round?.findings[0]).toMatchObject({
      kind: "lost",
      reason: "bus",
      gpu_uuid: uuid(3),
      pci: "0000:21:00.0",
    });
    // Without a past it is still told, under the only name there is.
    expect(play([lost])[0]?.findings[0]).toMatchObject({ gpu_uuid: null, gpu_index: 3 });
  });

  test("ends no GPU's fault because the driver hangs", () => {
    const sick = healthyCheck(8, { 2: { remapFailure: true } });
    const rounds = play([sick, null, null, sick]);
    expect(rounds.map(told)).toEqual([["remap/failure"], ["driver/unresponsive"], [], []]);
    expect(rounds[1]?.active).toContain(`remap/failure/${uuid(2)}`);
    expect(rounds[1]?.active).toContain("driver/unresponsive/node");
    expect(rounds[1]).toMatchObject({ conclusive: true, present: 8, samples: [] });
    expect(rounds[3]?.active).toEqual([`remap/failure/${uuid(2)}`]);
  });

  test("ends no fault because the value is no longer told", () => {
    const sick = healthyCheck(2, { 1: { remapPending: true } });
    const mig = healthyCheck(2, {
      1: { migEnabled: true, remapPending: null, remapFailure: null, remapHistogram: null },
    });
    const [, round] = play([sick, mig]);
    expect(round?.active).toEqual([`remap/pending/${uuid(1)}`]);
  });

  test("lists no GPUs and one fatal finding without a library", () => {
    const failure = { reason: "library", code: null, message: "nowhere" } as const;
    const [, round] = play([healthyCheck(8), { kind: "failed", failure, durationMs: 1 }]);
    expect(round).toMatchObject({
      gpus: [],
      present: 0,
      expected: { gpus: 8 },
      conclusive: true,
    });
    expect(round?.findings).toMatchObject([{ reason: "library", severity: "fatal" }]);
  });

  test("proves nothing while the first driver of a fresh machine may be on its way", () => {
    const failure = { reason: "library", code: null, message: "nowhere" } as const;
    const missing: NvmlAnswer<NvmlCheck> = { kind: "failed", failure, durationMs: 1 };
    const fresh = { uptimeMs: 599_999 };
    const [first, then] = play([missing, healthyCheck(8)], fresh);
    expect([first?.conclusive, told(first)]).toEqual([false, ["driver/library"]]);
    expect([then?.conclusive, then?.active]).toEqual([true, []]);
    expect(play([missing], { uptimeMs: 600_000 })[0]?.conclusive).toBe(true);
    // One that was seen before is gone, and does not come by itself.
    expect(play([healthyCheck(8), missing], fresh)[1]?.conclusive).toBe(true);
    expect(play([null], fresh)[0]?.conclusive).toBe(true);
  });

  test("learns nothing from a refusal of the operating system", () => {
    const failure = { reason: "permission", code: 17, message: "blocked" } as const;
    const [round] = play([{ kind: "failed", failure, durationMs: 1 }]);
    expect(round).toMatchObject({ conclusive: false });
    expect(round?.results[0]?.outcome).toBe("no_permission");
  });

  test("tells everything again under the id of a new boot", () => {
    const sick = healthyCheck(8, { 2: { remapFailure: true } });
    const [first] = play([sick]);
    const bootId = v.parse(BootId, "boot-2");
    const [again] = play([sick], { bootId }, first?.memory);
    expect(told(again)).toEqual(["remap/failure"]);
    expect(again?.findings[0]?.boot_id).toBe(bootId);
  });

  test("finds a node with MIG on every GPU well, and says what it could not see", () => {
    const mig: Partial<NvmlGpuCheck> = {
      migEnabled: true,
      utilizationPercent: null,
      remapPending: null,
      remapFailure: null,
      remapHistogram: null,
      eccCorrectedVolatile: null,
      eccUncorrectedVolatile: null,
    };
    const [round] = play([healthyCheck(2, { 0: mig, 1: mig })]);
    expect(round).toMatchObject({ findings: [], active: [], conclusive: true });
    const blind = round?.results.filter((result) => result.outcome === "not_supported");
    expect(blind?.map((result) => result.name)).toEqual(["ecc", "remap", "utilization"]);
  });

  test("marks made-up GPUs in every finding", () => {
    const [round] = play([healthyCheck(1, { 0: { rc: 15 } })], { simulated: true });
    expect(round?.findings.map((finding) => finding.source)).toEqual(["sim"]);
  });
});

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
const counter = maybe(
  fc.oneof(fc.nat(3), fc.nat(), fc.double({ noNaN: true, min: 0, max: 2 ** 60 })),
);
const flag = maybe(fc.boolean());

/** Any GPU that the child could hand over, wild readings included. */
const wildGpu = (index: number): fc.Arbitrary<NvmlGpuCheck> =>
  fc
    .record(
      {
        rc: fc.constantFrom(0, 0, 0, 8, 11, 14, 15, 16, 999),
        uuid: fc.constantFrom(uuid(index), uuid(index), `unknown-${index}`),
        temperatureCelsius: maybe(fc.integer({ min: -50, max: 300 })),
        memoryTemperatureCelsius: maybe(fc.integer({ min: -50, max: 300 })),
        slowdownCelsius: maybe(fc.integer({ min: 60, max: 130 })),
        shutdownCelsius: maybe(fc.integer({ min: 60, max: 130 })),
        powerWatts: counter,
        powerLimitWatts: counter,
        throttleReasons: counter,
        recoveryAction: maybe(fc.nat(300)),
        eccCorrectedVolatile: counter,
        eccUncorrectedVolatile: counter,
        sramThresholdExceeded: flag,
        remapPending: flag,
        remapFailure: flag,
        retiredPending: flag,
        retiredDbe: counter,
        pcieWidth: counter,
        pcieWidthMax: counter,
        pcieReplay: counter,
        migEnabled: flag,
        pciBusId: fc.constantFrom(`00000000:${18 + index}:00.0`, "", "nonsense"),
        nvlinks: maybe(
          fc.array(
            fc.record({
              link: fc.nat(17),
              state: maybe(fc.nat(3)),
              replay: counter,
              recovery: counter,
              crc: counter,
            }),
            { maxLength: 18 },
          ),
        ),
        unread: fc.dictionary(fc.constantFrom("field.3", "field.230"), fc.constantFrom(3, 4)),
      },
      { requiredKeys: [] },
    )
    .map((change) => ({ ...healthyGpu(index), ...change }));

const wildGpus = fc
  .nat(9)
  .chain((count) => fc.tuple(...Array.from({ length: count }, (_, i) => wildGpu(i))));

const wildAnswer: fc.Arbitrary<NvmlAnswer<NvmlCheck>> = fc.oneof(
  {
    weight: 4,
    arbitrary: wildGpus.map((gpus) => answerOf({ ...healthyCheck(0), count: gpus.length, gpus })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<NvmlAnswer<NvmlCheck>>(
      { kind: "unresponsive", evidence: "x".repeat(5_000), abandoned: 1 },
      { kind: "crashed", signal: "SIGSEGV", abandoned: 0 },
      { kind: "stuck", abandoned: 3 },
      { kind: "failed", failure: { reason: "driver", code: 9, message: "m" }, durationMs: 0 },
    ),
  },
);

const rank = (finding: { severity: (typeof SEVERITIES)[number] }) =>
  SEVERITIES.indexOf(finding.severity);

describe("runProbes() over wild checks", () => {
  test("keeps to the contract, whatever the driver says", () => {
    const Round = v.object({
      findings: v.array(Finding),
      results: v.array(ProbeResult),
      gpus: v.array(GpuIdentity),
      samples: v.array(GpuSample),
      active: v.pipe(v.array(v.pipe(v.string(), v.maxLength(200))), v.maxLength(256)),
    });
    fc.assert(
      fc.property(fc.array(wildAnswer, { maxLength: 5 }), (answers) => {
        for (const round of play(answers)) {
          const parsed = v.safeParse(Round, round);
          if (!parsed.success) throw new Error(JSON.stringify(v.flatten(parsed.issues)));
        }
      }),
      { numRuns: 150 },
    );
  });

  test("tells of every lost GPU, and of the worst first", () => {
    fc.assert(
      fc.property(wildAnswer, (answer) => {
        const [round] = play([answer]);
        if (round === undefined || answer.kind !== "ok") return;
        const lost = answer.value.gpus.filter((gpu) => gpu.rc === 15).map((gpu) => gpu.index);
        const toldLost = round.findings.filter((finding) => finding.kind === "lost");
        expect(toldLost.map((finding) => finding.gpu_index)).toEqual(lost);
        const ranks = round.findings.map(rank);
        expect(ranks).toEqual([...ranks].sort((a, b) => b - a));
      }),
      { numRuns: 150 },
    );
  });

  test("says the same twice never, and never forgets what is active", () => {
    fc.assert(
      fc.property(wildAnswer, (answer) => {
        const [first, second] = play([answer, answer]);
        const repeated = (second?.findings ?? []).filter((finding) => finding.reason !== "unknown");
        expect(repeated).toEqual([]);
        for (const key of first?.active ?? []) expect(second?.active).toContain(key);
      }),
      { numRuns: 150 },
    );
  });
});
