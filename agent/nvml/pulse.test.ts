import { describe, expect, test } from "bun:test";
import type { Clock } from "../port/port.ts";
import { openFakeNvml } from "../../test/fixture/nvml/fake.ts";
import { PULSE_DEADLINE_MS, PULSE_MS, keepPulse } from "./pulse.ts";
import type { NvmlAnswer } from "../port/reading.ts";

const ALIVE: NvmlAnswer<null> = { kind: "ok", value: null, durationMs: 1 };
const HUNG: NvmlAnswer<null> = { kind: "unresponsive", evidence: "D", abandoned: 1 };

/** A library whose next signs of life are given, and a clock that moves by hand. */
function bed(...signs: NvmlAnswer<null>[]) {
  let now = 0;
  let due: { atMs: number; work: () => void }[] = [];
  const clock: Clock = {
    wallMs: () => now,
    monoMs: () => now,
    after: (ms, work) => {
      const entry = { atMs: now + ms, work };
      due.push(entry);
      return () => void (due = due.filter((each) => each !== entry));
    },
  };
  const pass = async (ms: number) => {
    now += ms;
    const ready = due.filter(({ atMs }) => atMs <= now);
    due = due.filter(({ atMs }) => atMs > now);
    for (const { work } of ready) work();
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };
  const fake = openFakeNvml();
  const pings: number[] = [];
  const silences: number[] = [];
  const held: PromiseWithResolvers<void>[] = [];
  const ping = async (deadlineMs: number) => {
    expect(deadlineMs).toBe(PULSE_DEADLINE_MS);
    pings.push(now);
    await held[0]?.promise;
    return signs.shift() ?? ALIVE;
  };
  const nvml = keepPulse({ ...fake, ping }, clock, () => void silences.push(now));
  return { nvml, fake, pings, silences, held, pass };
}

describe("keepPulse()", () => {
  test("asks for a sign of life in each pause, and not before anything answered", async () => {
    const { nvml, pings, pass } = bed();
    await pass(60_000);
    expect(pings).toEqual([]);
    await nvml.sample(4_000);
    for (let i = 0; i < 3; i++) await pass(PULSE_MS);
    expect(pings).toEqual([65_000, 70_000, 75_000]);
    await pass(PULSE_MS - 1);
    await nvml.check(4_000);
    await pass(PULSE_MS - 1);
    expect(pings).toHaveLength(3);
  });

  test("says at once that the driver fell silent, and answers the next reading with it", async () => {
    const { nvml, fake, silences, pass } = bed(ALIVE, HUNG);
    await nvml.sample(4_000);
    await pass(PULSE_MS);
    await pass(PULSE_MS);
    expect(silences).toEqual([2 * PULSE_MS]);
    expect(await nvml.sample(4_000)).toEqual(HUNG);
    expect(fake.calls).toHaveLength(1);
    // Told once: the next reading asks the driver.
    expect(await nvml.sample(4_000)).toMatchObject({ kind: "ok" });
  });

  test("rests while nothing answers, and while the library is let go of", async () => {
    const { nvml, fake, pings, pass } = bed();
    await nvml.sample(4_000);
    fake.set({ kind: "stuck", abandoned: 3 });
    await nvml.sample(4_000);
    await pass(60_000);
    expect(pings).toEqual([]);
    fake.set({ kind: "ok", value: { gpus: [] } as never, durationMs: 1 });
    await nvml.sample(4_000);
    nvml.close();
    await pass(60_000);
    expect(pings).toEqual([]);
  });

  test("takes nothing from a sign that a closing cut off", async () => {
    const { nvml, silences, held, pass } = bed({ kind: "crashed", signal: "closed", abandoned: 0 });
    await nvml.sample(4_000);
    held.push(Promise.withResolvers());
    await pass(PULSE_MS);
    nvml.close();
    held[0]?.resolve();
    await pass(0);
    expect(silences).toEqual([]);
    expect(await nvml.sample(4_000)).toMatchObject({ kind: "ok" });
  });
});
