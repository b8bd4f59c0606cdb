/**
 * What an H100 that is well looks like to the probes: the ground on which made-up GPUs and tests
 * paint their faults. Never a default for a value that a real driver did not give.
 */
import type { NvmlGpuCheck } from "../reading.ts";

/** A GPU that is well; `index` makes it unlike its neighbours. */
export function healthyGpu(index: number, change: Partial<NvmlGpuCheck> = {}): NvmlGpuCheck {
  const bus = (0x18 + index * 3).toString(16).toUpperCase().padStart(2, "0");
  return {
    index,
    uuid: `GPU-${index.toString(16).padStart(8, "0")}-1111-4111-8111-111111111111`,
    rc: 0,
    openCode: 0,
    temperatureCelsius: 42,
    memoryTemperatureCelsius: 45,
    powerWatts: 310,
    utilizationPercent: 40,
    memoryUsedBytes: 1_073_741_824,
    memoryTotalBytes: 85_520_809_984,
    smClockMhz: 1_755,
    memoryClockMhz: 2_619,
    throttleReasons: 0,
    recoveryAction: 0,
    processes: 0,
    name: "NVIDIA H100 80GB HBM3",
    serial: `16510220${index.toString().padStart(5, "0")}`,
    pciBusId: `00000000:${bus}:00.0`,
    architecture: 9,
    migEnabled: false,
    slowdownCelsius: 90,
    shutdownCelsius: 95,
    memoryMaxCelsius: 95,
    powerLimitWatts: 700,
    eccEnabled: true,
    eccPending: true,
    eccCorrectedVolatile: 0,
    eccUncorrectedVolatile: 0,
    eccCorrectedAggregate: 0,
    eccUncorrectedAggregate: 0,
    sramThresholdExceeded: false,
    remappedCorrectable: 0,
    remappedUncorrectable: 0,
    remapPending: false,
    remapFailure: false,
    retiredPending: null,
    retiredSbe: null,
    retiredDbe: null,
    remapHistogram: { max: 2_560, high: 0, partial: 0, low: 0, none: 0 },
    pcieGeneration: 5,
    pcieGenerationMax: 5,
    pcieWidth: 16,
    pcieWidthMax: 16,
    pcieReplay: 0,
    nvlinks: Array.from({ length: 18 }, (_, link) => ({
      link,
      state: 1,
      replay: 0,
      recovery: 0,
      crc: 0,
    })),
    fabric: { state: 3, status: 0, healthMask: 0, healthSummary: 1 },
    persistence: true,
    unread: {},
    ...change,
  };
}
