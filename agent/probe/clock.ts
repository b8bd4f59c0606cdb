/**
 * Reports throttled clocks. Idle, application clocks, the power cap and sync boost are normal;
 * hardware slowdown, hardware thermal and power brake are faults, and software thermal only if it
 * lasts (docs/reference/nvml.md#constants).
 */
import { type Condition, type Look, type Probe, lookAtEach, onGpu } from "./probe.ts";
import type { NvmlGpuCheck } from "../port/reading.ts";

/** Named as in nvml.h after `nvmlClocksEventReason`. */
export const REASON = {
  HwSlowdown: 0x8,
  SwThermalSlowdown: 0x20,
  HwThermalSlowdown: 0x40,
  HwPowerBrakeSlowdown: 0x80,
} as const;

/** Shorter software thermal is a job that starts; longer is insufficient cooling. */
const SUSTAINED_MS = 300_000;

export const clockProbe: Probe = {
  name: "clock",
  kinds: ["throttle"],
  look: (check, memory, ctx) => {
    const call = "nvmlDeviceGetCurrentClocksEventReasons";
    return lookAtEach(check, [call], (gpu): Look => {
      const reasons = gpu.throttleReasons;
      if (reasons === null) return { read: false, learned: { softThermalSinceMs: null } };
      const soft = has(reasons, REASON.SwThermalSlowdown);
      const before = memory.gpus[gpu.uuid]?.softThermalSinceMs ?? ctx.monoMs;
      // A monotonic clock of an earlier boot may be ahead of this one.
      const sinceMs = Math.min(before, ctx.monoMs);
      const softThermalSinceMs = soft ? sinceMs : null;
      const seconds = soft ? Math.floor((ctx.monoMs - sinceMs) / 1_000) : 0;
      const conditions = throttled(gpu, reasons, seconds);
      return { read: true, conditions, learned: { softThermalSinceMs } };
    });
  },
};

/** Works beyond 32 bits, which no header uses yet. */
const has = (reasons: number, bit: number) => Math.floor(reasons / bit) % 2 === 1;

function throttled(gpu: NvmlGpuCheck, reasons: number, seconds: number): Condition[] {
  const thermal = has(reasons, REASON.HwThermalSlowdown);
  const brake = has(reasons, REASON.HwPowerBrakeSlowdown);
  const found: [reason: string, words: string][] = [];
  if (thermal) found.push(["hw_thermal", "hardware thermal slowdown"]);
  if (brake) found.push(["power_brake", "the external power brake"]);
  // This bit accompanies both of the above; only alone it is a reason of its own.
  const general = has(reasons, REASON.HwSlowdown) && !thermal && !brake;
  if (general) found.push(["hw_slowdown", "hardware slowdown"]);
  if (seconds * 1_000 >= SUSTAINED_MS) {
    found.push(["sw_thermal", `software thermal slowdown for ${seconds} s`]);
  }
  return found.map(([reason, words]) =>
    onGpu(gpu, {
      kind: "throttle",
      reason,
      severity: "warning",
      message: `clocks of GPU ${gpu.index} are held back by ${words}`,
      metrics: { reasons: `0x${reasons.toString(16)}`, seconds },
    }),
  );
}
