/**
 * Temperature against the device's own limits. Models differ by tens of degrees, so fixed numbers
 * are only the fallback for a device that does not tell.
 */
import { type Condition, type Probe, lookAtEach, metricsOf, onGpu } from "./probe.ts";
import type { NvmlGpuCheck } from "../reading.ts";

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
      conditions: [...coreConditions(gpu), ...memoryConditions(gpu)],
    })),
};

function metricsFor(gpu: NvmlGpuCheck): Condition["metrics"] {
  return metricsOf({
    temperature: gpu.temperatureCelsius,
    slowdown_limit: gpu.slowdownCelsius ?? SLOWDOWN_FALLBACK,
    shutdown_limit: gpu.shutdownCelsius ?? SHUTDOWN_FALLBACK,
    memory_temperature: gpu.memoryTemperatureCelsius,
  });
}

function coreConditions(gpu: NvmlGpuCheck): Condition[] {
  const now = gpu.temperatureCelsius;
  if (now === null) return [];
  const slowdown = gpu.slowdownCelsius ?? SLOWDOWN_FALLBACK;
  const shutdown = gpu.shutdownCelsius ?? SHUTDOWN_FALLBACK;
  const hot = { kind: "thermal", metrics: metricsFor(gpu) } as const;
  if (now >= shutdown) {
    const message = `GPU ${gpu.index} is at ${now} °C, its shutdown limit is ${shutdown} °C`;
    const level = Math.floor((now - shutdown) / STEP_CELSIUS);
    return [onGpu(gpu, { ...hot, reason: "shutdown", severity: "serious", message, level })];
  }
  if (now < slowdown) return [];
  const message = `GPU ${gpu.index} is at ${now} °C, its slowdown limit is ${slowdown} °C`;
  const level = Math.floor((now - slowdown) / STEP_CELSIUS);
  return [onGpu(gpu, { ...hot, reason: "slowdown", severity: "warning", message, level })];
}

/** HBM has no fallback: without the device's limit nothing can be said about its memory. */
function memoryConditions(gpu: NvmlGpuCheck): Condition[] {
  const { memoryTemperatureCelsius: now, memoryMaxCelsius: max } = gpu;
  if (now === null || max === null || now < max) return [];
  return [
    onGpu(gpu, {
      kind: "thermal",
      reason: "memory",
      severity: "warning",
      message: `memory of GPU ${gpu.index} is at ${now} °C, its limit is ${max} °C`,
      metrics: { ...metricsFor(gpu), memory_limit: max },
      level: Math.floor((now - max) / STEP_CELSIUS),
    }),
  ];
}
