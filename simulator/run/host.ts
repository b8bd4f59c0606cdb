/**
 * What a run needs of the machine it runs on.
 *
 * Adapter: timers, the process's clocks, memory and signals.
 */
import type { Time } from "../engine/clock.ts";

/** Time that passes by itself, `speed` times as fast as on the wall. */
export function openRealTime(speed: number): Time {
  const beganMono = performance.now();
  const beganWall = Date.now();
  // Whole milliseconds, as in virtual time: durable instants are integers.
  const passed = (): number => Math.floor((performance.now() - beganMono) * speed);
  const after = (ms: number, work: () => void): (() => void) => {
    const timer = setTimeout(work, Math.max(0, ms) / speed);
    return () => clearTimeout(timer);
  };
  return {
    monoMs: passed,
    wallMs: () => Math.round(beganWall + passed()),
    after,
    pass: (ms) => new Promise((resolve) => void after(ms, resolve)),
  };
}

export function rssMb(): number {
  return Math.round(process.memoryUsage.rss() / 1_048_576);
}

/** True from the first SIGINT or SIGTERM on; a second one ends the process at once. */
export function watchSignals(): { isAborted: () => boolean; close: () => void } {
  let aborted = false;
  const heard = (): void => {
    if (aborted) process.exit(130);
    aborted = true;
  };
  process.on("SIGINT", heard);
  process.on("SIGTERM", heard);
  return {
    isAborted: () => aborted,
    close: () => {
      process.off("SIGINT", heard);
      process.off("SIGTERM", heard);
    },
  };
}

/** Default random seed; printed so that the run can be repeated. */
export function drawSeed(): number {
  return 1 + Math.floor(Math.random() * 0x7fff_fffe);
}
