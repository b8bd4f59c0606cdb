/**
 * Compares temperatures with the device's own limits. Models differ by tens of degrees; fixed
 * limits are the fallback for devices that report none.
 */
import { type Condition, ConditionList, type Probe, lookAtEach, metricsOf } from "./probe.ts";
import type { NvmlGpuCheck } from "../port/reading.ts";

/** °C. */
const SLOWDOWN_FALLBACK = 85;
const SHUTDOWN_FALLBACK = 95;

/** Getting worse is told again every five degrees: less is the sensor, more is too late. */
const STEP_CELSIUS = 5;

export const temperatureProbe: Probe = {
  name: "temperature",
  kinds: ["thermal"],
  look: (check) =>
    lookAtEach(check, ["nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"], (gpu) => ({
      read: gpu.temperatureCelsius !== null,
      conditions: judge(gpu),
    })),
};

function judge(gpu: NvmlGpuCheck): Condition[] {
  const { index, temperatureCelsius: now, memoryMaxCelsius: most } = gpu;
  const { memoryTemperatureCelsius: memory } = gpu;
  const slowdown = gpu.slowdownCelsius ?? SLOWDOWN_FALLBACK;
  const shutdown = gpu.shutdownCelsius ?? SHUTDOWN_FALLBACK;
  const metrics = metricsOf({
    temperature: now,
    slowdown_limit: slowdown,
    shutdown_limit: shutdown,
    memory_temperature: memory,
  });
  const thermal = new ConditionList("thermal", gpu, metrics);
  const levelOf = (celsius: number, limit: number) => Math.floor((celsius - limit) / STEP_CELSIUS);
  if (now !== null && now >= shutdown) {
    const message = `GPU ${index} is at ${now} °C, its shutdown limit is ${shutdown} °C`;
    thermal.add("shutdown", "serious", message, { level: levelOf(now, shutdown) });
  } else if (now !== null && now >= slowdown) {
    const message = `GPU ${index} is at ${now} °C, its slowdown limit is ${slowdown} °C`;
    thermal.add("slowdown", "warning", message, { level: levelOf(now, slowdown) });
  }
  // HBM has no fallback limit.
  if (memory !== null && most !== null && memory >= most) {
    const message = `memory of GPU ${index} is at ${memory} °C, its limit is ${most} °C`;
    const limit = { metrics: { ...metrics, memory_limit: most } };
    thermal.add("memory", "warning", message, { ...limit, level: levelOf(memory, most) });
  }
  return thermal.all;
}
