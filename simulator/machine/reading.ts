/**
 * What the GPUs of a simulated machine read, recreated from what is wrong with it: an ended failure
 * takes only its own effect with it, so two failures of one GPU never hide or end each other.
 */
import type { NvmlAnswer, NvmlCheck, NvmlGpuCheck, NvmlLink } from "../../agent/port/reading.ts";
import { healthyGpu } from "../../agent/nvml/healthy.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { WHOLE_NODE } from "../scenario/action.ts";
import type { FailureSpec, SimNode } from "../scenario/scenario.ts";
import { lastingOf } from "./xid.ts";

const GIB = 1024 ** 3;
/** The baseline of a healthy GPU. */
const BASE = {
  temperatureCelsius: 45,
  memoryTemperatureCelsius: 48,
  powerWatts: 300,
  memoryUsedBytes: 40 * GIB,
  memoryTotalBytes: 80 * GIB,
} as const;
export const UTILIZATION = 75;
/** A card this hot is slowed down, and one degree is shown for each that the file says. */
const HOT_CELSIUS = 95;
/** Above a fifth over the limit of 700 W the limit is not kept. */
const SURGE_WATTS = 900;
/** More than a clean link replays in an hour, so one injected error is seen as one. */
const REPLAYS = 500;
const RECOVERIES = 20;
/** `nvmlReturn_t`: lost, and unknown error. */
const LOST = 15;
const UNKNOWN = 999;
const RESET_VERDICT = 1;

/** Shared by all GPUs that are well: eighteen objects a GPU would be most of a fleet's memory. */
const LINKS: NvmlLink[] = healthyGpu(0).nvlinks ?? [];

export type Load = { utilization: number; processes: number };

/** The whole reading, or the failure of the library that stands for it. */
export function readMachine(
  node: SimNode,
  ordinal: number,
  failures: Iterable<FailureSpec>,
  load: Load,
  bootedWithoutGpus: boolean,
): NvmlAnswer<NvmlCheck> {
  const all = [...failures];
  for (const { type, message } of all) {
    if (type === "nvml_failure") return broken("driver", 9, message ?? "driver not loaded");
    if (type === "backend_error") return broken("other", UNKNOWN, message ?? "unknown error");
  }
  const count = bootedWithoutGpus ? 0 : node.gpuCount;
  const gpus = Array.from({ length: count }, (_, index) => {
    const own = all.filter(({ gpuIndex }) => gpuIndex === index || gpuIndex === WHOLE_NODE);
    return applyFailures(baseline(node, ordinal, index, load), own);
  });
  const value: NvmlCheck = {
    driverVersion: "570.124.06",
    nvmlVersion: "12.570.124.06",
    cudaVersion: "12.8",
    count,
    excluded: 0,
    gpus,
    missing: [],
  };
  return { kind: "ok", value, durationMs: 20 };
}

function broken(reason: "driver" | "other", code: number, message: string): NvmlAnswer<NvmlCheck> {
  return { kind: "failed", failure: { reason, code, message }, durationMs: 1 };
}

function baseline(node: SimNode, ordinal: number, index: number, load: Load): NvmlGpuCheck {
  const machine = ordinal.toString(16).padStart(12, "0");
  const head = `${machine.slice(4)}-${machine.slice(0, 4)}`;
  return healthyGpu(index, {
    ...BASE,
    uuid: `GPU-${head}-4000-8000-${index.toString(16).padStart(12, "0")}`,
    serial: `${machine.replace(/^0{1,4}/, "")}${index}`,
    name: node.gpuType,
    utilizationPercent: load.utilization,
    // Work fills the GPUs from the first one on.
    processes: Math.max(0, Math.ceil((load.processes - index) / node.gpuCount)),
    eccPending: true,
    nvlinks: LINKS,
  });
}

function applyFailures(gpu: NvmlGpuCheck, failures: readonly FailureSpec[]): NvmlGpuCheck {
  return failures.reduce((before, failure) => applyFailure(before, failure), gpu);
}

function applyFailure(gpu: NvmlGpuCheck, failure: FailureSpec): NvmlGpuCheck {
  switch (failure.type) {
    case "xid_error":
      return applyXid(gpu, failure.xidCode ?? 0);
    case "temperature":
      return { ...gpu, temperatureCelsius: failure.temperature ?? HOT_CELSIUS };
    case "device_error":
      return unread(gpu, UNKNOWN);
    case "memory_error":
      return countEcc(gpu);
    case "nvlink_error":
      return withLink(gpu, { recovery: RECOVERIES, replay: RECOVERIES, crc: RECOVERIES });
    case "pcie_error":
      return { ...gpu, pcieReplay: (gpu.pcieReplay ?? 0) + REPLAYS };
    case "power_error":
      return { ...gpu, powerWatts: SURGE_WATTS };
    // These are of the machine, its network or its library, and show on no single GPU.
    case "nvml_failure":
    case "backend_error":
    case "boot_failure":
    case "network":
    case "preempt":
    case "vm_gone":
    case "hang":
    case "slow_boot":
      return gpu;
    default:
      return unreachable(failure.type);
  }
}

function applyXid(gpu: NvmlGpuCheck, code: number): NvmlGpuCheck {
  const lasting = lastingOf(code);
  switch (lasting) {
    case "none":
      return gpu;
    case "lost":
      return unread(gpu, LOST);
    case "ecc_reset":
      return { ...countEcc(gpu), recoveryAction: RESET_VERDICT };
    case "reset":
      return { ...gpu, recoveryAction: RESET_VERDICT };
    case "remap_pending":
      return { ...gpu, remapPending: true, remappedUncorrectable: 1 };
    case "remap_failed":
      return { ...gpu, remapFailure: true };
    case "link_down":
      return withLink(gpu, { state: 0, recovery: RECOVERIES, replay: RECOVERIES });
    default:
      return unreachable(lasting);
  }
}

function countEcc(gpu: NvmlGpuCheck): NvmlGpuCheck {
  return {
    ...gpu,
    eccUncorrectedVolatile: (gpu.eccUncorrectedVolatile ?? 0) + 1,
    eccUncorrectedAggregate: (gpu.eccUncorrectedAggregate ?? 0) + 1,
  };
}

function withLink(gpu: NvmlGpuCheck, change: Partial<NvmlLink>): NvmlGpuCheck {
  const nvlinks = (gpu.nvlinks ?? []).map((one) => (one.link === 0 ? { ...one, ...change } : one));
  return { ...gpu, nvlinks };
}

/** A device that answers every query with this code. */
function unread(gpu: NvmlGpuCheck, rc: number): NvmlGpuCheck {
  if (gpu.rc === LOST) return gpu;
  return {
    ...gpu,
    rc,
    temperatureCelsius: null,
    memoryTemperatureCelsius: null,
    powerWatts: null,
    utilizationPercent: null,
    memoryUsedBytes: null,
    smClockMhz: null,
    memoryClockMhz: null,
    throttleReasons: null,
    recoveryAction: null,
    processes: null,
    eccCorrectedVolatile: null,
    eccUncorrectedVolatile: null,
    eccCorrectedAggregate: null,
    eccUncorrectedAggregate: null,
    remapPending: null,
    remapFailure: null,
    pcieReplay: null,
    pcieWidth: null,
    nvlinks: null,
  };
}
