/**
 * Why the clocks are held back. Idle, application clocks, the power cap and sync boost are normal
 * operation; hardware slowdown, hardware thermal and power brake are not, and software thermal only
 * when it lasts (docs/reference/nvml.md#constants).
 */
import { type Condition, type Look, type Probe, lookAtEach, onGpu } from "./probe.ts";
import type { NvmlGpuCheck } from "../reading.ts";

/** By the ends of their names in nvml.h, `nvmlClocksEventReason…`. */
export const REASON = {
  HwSlowdown: 0x8,
  SwThermalSlowdown: 0x20,
  HwThermalSlowdown: 0x40,
  HwPowerBrakeSlowdown: 0x80,
} as const;
const { HwSlowdown: HW_SLOWDOWN, SwThermalSlowdown: SW_THERMAL } = REASON;
const { HwThermalSlowdown: HW_THERMAL, HwPowerBrakeSlowdown: HW_POWER_BRAKE } = REASON;

/**
 * Shorter software thermal is a job that starts; longer is a node whose cooling does not suffice.
 */
const SUSTAINED_MS = 300_000;

export const clockProbe: Probe = {
  name: "clock",
  kinds: ["throttle"],
  look: (check, memory, ctx) => {
    const call = "nvmlDeviceGetCurrentClocksEventReasons";
    return lookAtEach(check, [call], (gpu): Look => {
      const reasons = gpu.throttleReasons;
      if (reasons === null) return { read: false, learned: { softThermalSinceMs: null } };
      const soft = has(reasons, SW_THERMAL);
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

/** The bit set exceeds 32 bits in no header, but arithmetic on it must not depend on that. */
const has = (reasons: number, bit: number) => Math.floor(reasons / bit) % 2 === 1;

function throttled(gpu: NvmlGpuCheck, reasons: number, seconds: number): Condition[] {
  const thermal = has(reasons, HW_THERMAL);
  const brake = has(reasons, HW_POWER_BRAKE);
  const found: [reason: string, words: string][] = [];
  if (thermal) found.push(["hw_thermal", "hardware thermal slowdown"]);
  if (brake) found.push(["power_brake", "the external power brake"]);
  // This bit comes with either of the two above, and says something of its own only when alone.
  const general = has(reasons, HW_SLOWDOWN) && !thermal && !brake;
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
