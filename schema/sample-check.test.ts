import { expect, test } from "bun:test";
import * as fc from "fast-check";
import * as v from "valibot";
import { GPU_READINGS, GpuSample } from "./gpu.ts";
import { INTEGER_MAX } from "./number.ts";
import { Sample } from "./report.ts";
import { isSample } from "./sample-check.ts";

const GPU_FIELDS = Object.keys(GpuSample.entries);

const TIMES = [
  "2026-03-01T10:00:00Z",
  "2026-03-01T10:00:00.123Z",
  "2026-03-01T10:00:00+01:00",
  "2026-03-01 10:00:00Z",
  "2026-03-01T10:00Z",
  "2026-13-01T10:00:00Z",
  "2026-03-01",
  "",
];
const HOSTILE: unknown[] = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -0,
  -1,
  0.5,
  63,
  64,
  65,
  1e308,
  2 ** 53,
  "",
  "1",
  "x".repeat(96),
  "x".repeat(97),
  true,
  false,
  null,
  undefined,
  [],
  {},
  1n,
  new Date(0),
  () => 1,
];
const at = fc.constantFrom(...TIMES);
const goodAt = fc.constantFrom(...TIMES.slice(0, 3));
const hostile = fc.oneof(fc.constantFrom(...HOSTILE), fc.double(), fc.string(), fc.anything());
const readings = GPU_FIELDS.filter((key) => key !== "index" && key !== "uuid");

/** A value that the schema takes for this field of a GPU. */
function valid(key: string): fc.Arbitrary<unknown> {
  const value =
    key === "processes"
      ? fc.nat()
      : key.startsWith("remap_")
        ? fc.boolean()
        : fc.double({ noNaN: true, noDefaultInfinity: true });
  return fc.oneof(value, fc.constantFrom(null, undefined));
}

const gpu: fc.Arbitrary<Record<string, unknown>> = fc.record(
  {
    index: fc.integer({ min: 0, max: 64 }),
    uuid: fc.string({ maxLength: 96 }),
    ...Object.fromEntries(readings.map((key) => [key, valid(key)])),
  },
  { requiredKeys: ["index", "uuid"] },
);
const share = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(null, undefined),
);
const good = fc.record(
  { at: goodAt, gpus: fc.array(gpu, { maxLength: 5 }), cpu_percent: share, memory_percent: share },
  { requiredKeys: ["at", "gpus"] },
);

/** The schema's answer, and the same data for every key that it knows. */
function agree(raw: unknown): boolean {
  const parsed = v.safeParse(Sample, raw);
  expect(isSample(raw)).toBe(parsed.success && !isBounded(raw));
  if (parsed.success && isSample(raw)) {
    const { at, cpu_percent, memory_percent, gpus } = raw;
    expect({ at, cpu_percent, memory_percent, gpus: gpus.map(known) } as Sample).toEqual(
      parsed.output,
    );
  }
  return parsed.success;
}

/** Whether the schema replaces a reading of it that is beyond the bounds. */
function isBounded(raw: unknown): boolean {
  const { cpu_percent, memory_percent, gpus } = raw as Sample;
  const readings = gpus.flatMap((one) => GPU_READINGS.map((key) => one[key]));
  const parts = gpus.map((one) => one.utilization_percent ?? 0);
  if (parts.some((part) => part < 0 || part > 100)) return true;
  return [cpu_percent, memory_percent, ...readings].some((one) => Math.abs(one ?? 0) > INTEGER_MAX);
}

const known = (one: GpuSample): GpuSample =>
  Object.fromEntries(Object.entries(one).filter(([key]) => GPU_FIELDS.includes(key))) as GpuSample;

test("isSample() accepts every valid sample", () => {
  fc.assert(
    fc.property(good, (raw) => {
      expect(agree(raw)).toBe(true);
    }),
    { numRuns: 150 },
  );
});

test("isSample() agrees with the schema about one wrong value in a GPU, for every field", () => {
  for (const key of [...GPU_FIELDS, "extra", "__proto__", "constructor"]) {
    for (const value of HOSTILE) {
      const one: object = { index: 0, uuid: "u" };
      Object.defineProperty(one, key, { value, enumerable: true, configurable: true });
      agree({ at: TIMES[0], gpus: [{ index: 1, uuid: "v" }, one] });
    }
    const without: Record<string, unknown> = { index: 0, uuid: "u" };
    delete without[key];
    agree({ at: TIMES[0], gpus: [without] });
  }
});

test("isSample() agrees with the schema about one wrong value in the sample, for every field", () => {
  for (const key of ["at", "cpu_percent", "memory_percent", "gpus", "extra"]) {
    for (const value of [...HOSTILE, ...TIMES]) agree({ at: TIMES[0], gpus: [], [key]: value });
  }
  for (const value of HOSTILE) agree({ at: TIMES[0], gpus: [value] });
  for (const value of HOSTILE) agree(value);
  agree({ gpus: [] });
  agree({ at: TIMES[0] });
  agree({ at: TIMES[0], gpus: new Array(1) });
  agree(Object.assign([], { at: TIMES[0], gpus: [] }));
});

test("isSample() agrees with the schema about the number of GPUs", () => {
  const one = { index: 0, uuid: "u" };
  expect(agree({ at: TIMES[0], gpus: new Array(64).fill(one) })).toBe(true);
  expect(agree({ at: TIMES[0], gpus: new Array(65).fill(one) })).toBe(false);
});

test("isSample() agrees with the schema about mutated and hostile samples", () => {
  const mutation = fc.tuple(fc.constantFrom(...GPU_FIELDS, "extra"), hostile, fc.nat());
  const outer = fc.tuple(fc.constantFrom("at", "cpu_percent", "memory_percent", "gpus"), hostile);
  fc.assert(
    fc.property(
      good,
      fc.option(at),
      fc.array(mutation, { maxLength: 2 }),
      fc.option(outer),
      (sample, time, changes, change) => {
        const raw: Record<string, unknown> = { ...sample };
        const gpus: Record<string, unknown>[] = sample.gpus.map((one) => ({ ...one }));
        for (const [key, value, which] of changes) {
          const one = gpus[which % Math.max(1, gpus.length)];
          if (one !== undefined) one[key] = value;
        }
        raw["gpus"] = gpus;
        if (time !== null) raw["at"] = time;
        if (change !== null) raw[change[0]] = change[1];
        agree(raw);
      },
    ),
    { numRuns: 400 },
  );
});

test("isSample() agrees with the schema about anything at all", () => {
  fc.assert(
    fc.property(fc.anything(), (raw) => void agree(raw)),
    { numRuns: 200 },
  );
});
