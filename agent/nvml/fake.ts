/**
 * An NVML port in memory for tests of the agent's core: answers are set by the test, and each call
 * is recorded.
 */
import type { Nvml } from "../port.ts";
import type { NvmlAnswer, NvmlCheck, NvmlEvent, NvmlGpuCheck, NvmlSample } from "./reading.ts";

export type FakeNvml = Nvml & {
  /** The next answers, until set again. A sample is made from a check that is `ok`. */
  set(answer: NvmlAnswer<NvmlCheck>): void;
  /** Holds every call until `release` is called, as a hung driver would without the deadline. */
  hold(): void;
  release(): void;
  emit(event: NvmlEvent): void;
  readonly calls: { op: "sample" | "check"; deadlineMs: number }[];
  readonly closed: () => boolean;
};

/** A GPU that is well; `index` makes it unlike its neighbours. */
export function healthyGpu(index: number, change: Partial<NvmlGpuCheck> = {}): NvmlGpuCheck {
  const bus = (0x18 + index * 8).toString(16).toUpperCase().padStart(2, "0");
  return {
    index,
    uuid: `GPU-${index.toString(16).padStart(8, "0")}-1111-4111-8111-111111111111`,
    rc: 0,
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
    persistence: true,
    unread: {},
    ...change,
  };
}

/** A node of `count` GPUs that are well, with changes to some by index. */
export function healthyCheck(
  count = 8,
  changes: Readonly<Record<number, Partial<NvmlGpuCheck>>> = {},
): NvmlCheck {
  return {
    driverVersion: "570.86.16",
    nvmlVersion: "12.570.86.16",
    cudaVersion: "12.8",
    count,
    excluded: 0,
    gpus: Array.from({ length: count }, (_, index) => healthyGpu(index, changes[index])),
    missing: [],
  };
}

export function openFakeNvml(check: NvmlCheck = healthyCheck()): FakeNvml {
  let answer: NvmlAnswer<NvmlCheck> = { kind: "ok", value: check, durationMs: 1 };
  let events: NvmlEvent[] = [];
  let held: PromiseWithResolvers<void> | null = null;
  let closed = false;
  const calls: FakeNvml["calls"] = [];
  return {
    simulated: false,
    calls,
    closed: () => closed,
    async sample(deadlineMs): Promise<NvmlAnswer<NvmlSample>> {
      calls.push({ op: "sample", deadlineMs });
      await held?.promise;
      return answer.kind === "ok" ? { ...answer, value: { gpus: answer.value.gpus } } : answer;
    },
    async check(deadlineMs) {
      calls.push({ op: "check", deadlineMs });
      await held?.promise;
      return answer;
    },
    takeEvents: () => events.splice(0),
    close: () => {
      closed = true;
    },
    set: (next) => {
      answer = next;
    },
    hold: () => {
      held ??= Promise.withResolvers<void>();
    },
    release: () => {
      held?.resolve();
      held = null;
    },
    emit: (event) => {
      events = [...events, event];
    },
  };
}
