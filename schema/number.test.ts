import { expect, test } from "bun:test";
import * as v from "valibot";
import { Finding, Gap, SpooledFinding } from "./finding.ts";
import { GpuSample } from "./gpu.ts";
import * as number from "./number.ts";
import { Check, CommandResult, ProbeResult, Sample } from "./report.ts";
import { isSample } from "./sample-check.ts";

const LOST = [Number.NaN, 1e999, -1e999];
const UNSAFE = 9_007_199_254_740_994;
const at = "2026-01-01T00:00:00Z";
const finding = {
  kind: "xid",
  code: 79,
  at,
  boot_id: "b",
  severity: "fatal",
  message: "gone",
  source: "kmsg",
};
const takes = (schema: v.GenericSchema, value: unknown) => v.safeParse(schema, value).success;

test.each(Object.entries(number).filter(([, value]) => typeof value === "object"))(
  "%s accepts no number that JSON turns into null",
  (_name, schema) => {
    for (const value of LOST) expect(takes(schema as v.GenericSchema, value)).toBe(false);
  },
);

test.each(["integer", "count", "positive", "seq", "millis", "instant"] as const)(
  "%s accepts no integer that loses digits, and no fraction",
  (name) => {
    expect(takes(number[name], UNSAFE)).toBe(false);
    expect(takes(number[name], 1.5)).toBe(false);
    expect(takes(number[name], 1)).toBe(true);
  },
);

test("instant accepts what a date can show and nothing later", () => {
  expect(takes(number.instant, 8_640_000_000_000_000)).toBe(true);
  expect(takes(number.instant, 8_640_000_000_000_001)).toBe(false);
});

test("reading keeps a device's odd value out of the way of the rest: it becomes the bound", () => {
  const sample = { index: 0, uuid: "GPU-1", power_watts: 18_446_744_073_709_551_615 };
  expect(v.parse(GpuSample, sample).power_watts).toBe(number.INTEGER_MAX);
  expect(v.parse(Finding, { ...finding, metrics: { total: -1e300 } }).metrics).toEqual({
    total: -number.INTEGER_MAX,
  });
});

test("a GPU's utilisation is at most a hundred percent, or one node outvotes its pool", () => {
  const gpus = [9_007_199_254_740_991, 101, -9e15].map((utilization_percent, index) => {
    return { index, uuid: `GPU-${index}`, utilization_percent };
  });
  expect(isSample({ at, gpus })).toBe(false);
  const read = v.parse(Sample, { at, gpus }).gpus;
  expect(read.map((gpu) => gpu.utilization_percent)).toEqual([100, 100, 0]);
});

const check = { at, conclusive: true, probes: [], present_gpus: 8, active: [] };
test.each<[string, v.GenericSchema, unknown]>([
  ["mig.gi 1e999", Finding, { ...finding, mig: { gi: 1e999, ci: 0 } }],
  ["mig.ci 1e999", Finding, { ...finding, mig: { gi: 0, ci: 1e999 } }],
  ["pid beyond 2^53", Finding, { ...finding, pid: UNSAFE }],
  ["kmsg_seq beyond 2^53", Finding, { ...finding, kmsg_seq: UNSAFE }],
  ["seq beyond 2^53", SpooledFinding, { seq: UNSAFE, finding }],
  ["gaps[].count beyond 2^53", Gap, { seq: 1, reason: "malformed", count: UNSAFE, at }],
  ["cpu_percent 1e999", Sample, { at, cpu_percent: 1e999, gpus: [] }],
  ["memory_percent 1e999", Sample, { at, memory_percent: 1e999, gpus: [] }],
  ["duration_ms 1e999", ProbeResult, { name: "ecc", outcome: "ok", duration_ms: 1e999 }],
  ["exit_code 1e999", CommandResult, { command_id: "c", outcome: "failed", exit_code: 1e999 }],
  ["expected_gpus beyond 2^53", Check, { ...check, expected_gpus: UNSAFE }],
])("a report with %s is refused", (_what, schema, document) => {
  expect(takes(schema, document)).toBe(false);
});
