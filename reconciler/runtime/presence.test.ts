import { expect, test } from "bun:test";
import * as fc from "fast-check";
import type { NodeId } from "../../schema/id.ts";
import { GPU_FLAGS, GpuSample } from "../../schema/gpu.ts";
import type { Sample } from "../../schema/report.ts";
import { Presence } from "./presence.ts";

const GPU_FIELDS = Object.keys(GpuSample.entries);

const A = "a" as NodeId;
const flags: readonly string[] = GPU_FLAGS;

const none = fc.constantFrom(null, undefined);
const real = fc.double({ noNaN: true, noDefaultInfinity: true });
const fields = GPU_FIELDS.filter((key) => key !== "index" && key !== "uuid").map((key) => {
  const value = flags.includes(key) ? fc.boolean() : key === "processes" ? fc.nat(9) : real;
  return [key, fc.oneof(value, none)];
});
const gpu = fc.record(
  {
    index: fc.integer({ min: 0, max: 64 }),
    uuid: fc.string({ maxLength: 8 }),
    ...Object.fromEntries(fields),
  },
  { requiredKeys: ["index", "uuid"] },
) as fc.Arbitrary<GpuSample>;
const share = fc.oneof(fc.double({ noNaN: true }), none);
const anySample = fc.record(
  {
    at: fc.constantFrom("2026-03-01T10:00:00Z", "2026-03-01T10:00:01Z"),
    gpus: fc.array(gpu, { maxLength: 4 }),
    cpu_percent: share,
    memory_percent: share,
  },
  { requiredKeys: ["at", "gpus"] },
) as fc.Arbitrary<Sample>;

/** The same with every field there: absent is `null`. */
function whole(sample: Sample): Sample {
  const gpus = sample.gpus.map(
    (one) =>
      Object.fromEntries(
        GPU_FIELDS.map((key) => [key, one[key as keyof GpuSample] ?? null]),
      ) as GpuSample,
  );
  const { at, cpu_percent: cpu, memory_percent: memory } = sample;
  return { at, cpu_percent: cpu ?? null, memory_percent: memory ?? null, gpus };
}

test("sample() gives back the newest sample, field by field, whatever came before", () => {
  fc.assert(
    fc.property(fc.array(fc.option(anySample), { minLength: 1, maxLength: 6 }), (samples) => {
      const presence = new Presence(0, 0);
      let last: Sample | null = null;
      for (const [mono, sample] of samples.entries()) {
        presence.note(A, mono, mono, sample);
        last = sample ?? last;
        expect(presence.sample(A)).toEqual(last === null ? null : whole(last));
      }
    }),
    { numRuns: 200 },
  );
});

test("utilization() and left() say what the sample said", () => {
  fc.assert(
    fc.property(anySample, anySample, (before, sample) => {
      const presence = new Presence(0, 0);
      presence.note(A, 0, 0, before);
      presence.note(A, 5, 5, sample);
      const known = sample.gpus.flatMap((one) => one.utilization_percent ?? []);
      const sum = known.reduce((total, one) => total + one, 0);
      expect(presence.utilization(A)).toBe(known.length === 0 ? null : sum / known.length);
      const processes = sample.gpus.map((one) => one.processes ?? null);
      const remaining = processes.reduce((total: number, one) => total + (one ?? 0), 0);
      const unknown = processes.length === 0 || processes.includes(null);
      expect(presence.left(A, 5, 10).kind).toBe(
        processes.length > 0 && remaining > 0 ? "busy" : unknown ? "unknown" : "empty",
      );
      const isRepeated = before.at === sample.at;
      expect(presence.left(A, 16, 10)).toEqual({ kind: "unknown", forMs: isRepeated ? 16 : 11 });
    }),
    { numRuns: 200 },
  );
});

test("a sample that is repeated, because the agent's sampler hangs, is no newer evidence", () => {
  const presence = new Presence(0, 0);
  const gpus = [{ index: 0, uuid: "u", utilization_percent: 7, processes: 0 }];
  const sample: Sample = { at: "2026-03-01T10:00:00Z", gpus };
  for (let mono = 0; mono <= 60; mono += 10) presence.note(A, mono, mono, sample);
  expect(presence.left(A, 30, 30)).toEqual({ kind: "empty", seenAt: 0 });
  expect(presence.left(A, 60, 30)).toEqual({ kind: "unknown", forMs: 60 });
  expect(presence.load(A)).toEqual({ sum: 7, count: 1, atMono: 0 });
  presence.note(A, 70, 70, { at: "2026-03-01T10:00:01Z", gpus });
  expect(presence.left(A, 70, 30)).toEqual({ kind: "empty", seenAt: 70 });
});

test("sample() is the same object until a newer sample comes, and an old one is not overwritten", () => {
  const presence = new Presence(0, 0);
  const of = (percent: number): Sample => ({
    at: "2026-03-01T10:00:00Z",
    gpus: [{ index: 0, uuid: "u", utilization_percent: percent }],
  });
  presence.note(A, 0, 0, of(1));
  const first = presence.sample(A);
  presence.note(A, 1, 1, null);
  expect(presence.sample(A)).toBe(first);
  presence.note(A, 2, 2, of(2));
  expect(presence.sample(A)).not.toBe(first);
  expect(first?.gpus[0]?.utilization_percent).toBe(1);
  expect(presence.sample(A)?.gpus[0]?.utilization_percent).toBe(2);
});

test("isHeard(), heardAt() and silentMs() follow every report; forget() ends them", () => {
  const presence = new Presence(0, 1_000);
  expect([presence.isHeard(A), presence.heardAt(A), presence.silentMs(A, 50, 60)]).toEqual([
    false,
    null,
    null,
  ]);
  expect(presence.silentMs(A, 75_070, 60)).toBe(75_070);
  presence.note(A, 80, 1_080, null);
  presence.note(A, 90, 1_090, null);
  expect([presence.isHeard(A), presence.heardAt(A), presence.silentMs(A, 100, 60)]).toEqual([
    true,
    1_090,
    10,
  ]);
  expect([presence.sample(A), presence.packed(A), presence.utilization(A)]).toEqual([
    null,
    null,
    null,
  ]);
  presence.forget(A);
  expect(presence.isHeard(A)).toBe(false);
});

test("silentMs() gives an agent its longest pause after a restart, whatever the timeout", () => {
  const presence = new Presence(0, 0);
  const pulse = (mono: number): void => presence.pulse(mono, mono, 15_000);
  for (let mono = 0; mono <= 75_000; mono += 1_000) {
    pulse(mono);
    expect(presence.silentMs(A, mono, 15_000)).toBeNull();
  }
  pulse(76_000);
  expect(presence.silentMs(A, 76_000, 15_000)).toBe(76_000);
  // From its first word on the timeout alone counts.
  presence.note(A, 76_000, 76_000, null);
  expect(presence.silentMs(A, 92_000, 15_000)).toBe(16_000);
  // A long timeout is its own patience.
  expect(new Presence(0, 0).silentMs(A, 89_000, 90_000)).toBeNull();
});

test("silentMs() gives it as long after a pause of this process", () => {
  const presence = new Presence(0, 0);
  presence.note(A, 0, 0, null);
  presence.pulse(300_000, 300_000, 15_000);
  expect(presence.silentMs(A, 375_000, 15_000)).toBe(15_000);
  expect(presence.silentMs(A, 376_000, 15_000)).toBe(16_000);
});

test("silentMs() waits for the next report by the old interval after a shorter one was ordered", () => {
  const presence = new Presence(0, 0);
  const slow = { heartbeatIntervalMs: 100_000, heartbeatTimeoutMs: 300_000 };
  const fast = { heartbeatIntervalMs: 5_000, heartbeatTimeoutMs: 15_000 };
  presence.note(A, 1_000, 1_000, null);
  presence.adopt(slow, fast, 90_000);
  // It reports at 101 s, and is told then.
  expect(presence.silentMs(A, 100_000, 15_000)).toBe(0);
  expect(presence.attentiveMs(100_000)).toBe(0);
  expect(presence.silentMs(A, 204_000, 15_000)).toBe(0);
  expect(presence.silentMs(A, 270_000, 15_000)).toBeGreaterThan(15_000);
  presence.note(A, 271_000, 271_000, null);
  expect(presence.silentMs(A, 280_000, 15_000)).toBe(9_000);
  // A longer timeout changes nothing.
  presence.adopt(fast, slow, 281_000);
  expect(presence.silentMs(A, 285_000, 300_000)).toBe(14_000);
});
