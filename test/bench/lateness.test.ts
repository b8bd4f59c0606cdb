import { expect, test } from "bun:test";
import { Lateness } from "./lateness.ts";

/** Milliseconds of wall-clock and of CPU time that `work` takes. */
function timed(work: () => void): { wall: number; cpu: number } {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  work();
  const { user, system } = process.cpuUsage(cpu);
  return { wall: performance.now() - begun, cpu: (user + system) / 1_000 };
}

const block = (ms: number): void =>
  void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

test("a reply that is taken after the process had no core for a while is late", async () => {
  const lateness = new Lateness();
  await Bun.sleep(20);
  block(30);
  expect(lateness.isLate()).toBe(true);
  // Other replies that were waiting are late too; later ones are not.
  expect(lateness.isLate()).toBe(true);
  for (let tries = 0; lateness.isLate() && tries < 1_000; tries++) await Bun.sleep(5);
  expect(lateness.isLate()).toBe(false);
  lateness.close();
});

test("a reply that is taken after the process computed for a while is not", async () => {
  const compute = (): void => {
    for (const begun = performance.now(); performance.now() - begun < 6;);
  };
  // Tries again: if another process takes the core meanwhile, the reply is late.
  for (let tries = 0; tries < 1_000; tries++) {
    const lateness = new Lateness();
    await Bun.sleep(0);
    const { wall, cpu } = timed(compute);
    const late = lateness.isLate();
    lateness.close();
    if (wall - cpu > 1) continue;
    expect(late).toBe(false);
    return;
  }
  throw new Error("this process never had a core for 6 ms");
});
