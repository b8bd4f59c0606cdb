import { expect, test } from "bun:test";
import type { BootId } from "../../schema/id.ts";
import { EMPTY_MEMORY } from "../probe/probe.ts";
import { runProbes } from "../probe/run.ts";
import { healthyCheck, openFakeNvml } from "../../test/fixture/nvml/fake.ts";
import { releasableNvml } from "./release.ts";

const AT = {
  bootId: "boot-1" as BootId,
  wallMs: 1_772_359_200_000,
  monoMs: 3_600_000,
  uptimeMs: 3_600_000,
  promised: [],
  bus: { kind: "unreadable" as const, why: "" },
  simulated: false,
};

test("release() lets a question end, lets go of the library, and answers without it", async () => {
  const fake = openFakeNvml(healthyCheck(2, { 1: { rc: 16 } }));
  const { nvml, release } = releasableNvml(fake);
  const before = runProbes(await nvml.check(8_000), EMPTY_MEMORY, AT);
  fake.hold();
  const asked = nvml.sample(5_000);
  let within = async () => {};
  const done = release(async () => {
    expect(fake.closed()).toBe(true);
    await within();
    return "reset";
  });
  expect(fake.closed()).toBe(false);
  within = async () => {
    const calls = fake.calls.length;
    const during = runProbes(await nvml.check(8_000), before.memory, AT);
    expect(fake.calls).toHaveLength(calls);
    // Reports no new finding, clears none, and returns no verdict.
    expect(during).toMatchObject({ findings: [], active: before.active, conclusive: false });
    expect(during.gpus).toEqual(before.gpus);
  };
  fake.release();
  expect(await asked).toMatchObject({ kind: "ok" });
  expect(await done).toBe("reset");
  expect(await nvml.check(8_000)).toMatchObject({ kind: "ok" });
});

test("release() takes the library back from work that throws", async () => {
  const { nvml, release } = releasableNvml(openFakeNvml());
  const work = Promise.withResolvers<void>();
  const done = release(() => work.promise);
  expect(await nvml.sample(5_000)).toMatchObject({ kind: "failed" });
  work.reject(new Error("no nvidia-smi"));
  expect(await done.catch(String)).toBe("Error: no nvidia-smi");
  expect(await nvml.sample(5_000)).toMatchObject({ kind: "ok" });
});
