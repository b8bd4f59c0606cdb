/**
 * The GPUs of a pod: those that the library shows there, and none where it was given none. A
 * machine without a driver is broken; a pod without one is a pod for other work. Pure.
 */
import type { Bus, Nvml } from "../port/port.ts";
import type { NvmlAnswer, NvmlCheck, NvmlSample } from "../port/reading.ts";

/** The bus shows the machine's GPUs to each of its pods. */
export const POD_BUS: Bus = {
  kind: "unreadable",
  why: "a pod has the GPUs that it was given, and the bus shows those of the machine",
  restricted: true,
};

const NO_GPUS: NvmlCheck = {
  driverVersion: null,
  nvmlVersion: null,
  cudaVersion: null,
  count: 0,
  excluded: 0,
  gpus: [],
  missing: [],
};

export type PodGpus = {
  /** `NVIDIA_VISIBLE_DEVICES`, by which a device plugin gives GPUs to a pod. */
  visible: string | undefined;
  /**
   * It has device files of GPUs: by the Container Device Interface, which brings the library too,
   * or because a privileged pod has all of the machine's.
   */
  hasDevices: boolean;
};

/** The same library; where there is none, and the pod was given no GPUs, it has none. */
export function ownGpus(nvml: Nvml, { visible, hasDevices }: PodGpus): Nvml {
  const isGiven = !["", "void", "none"].includes(visible?.trim() ?? "");
  const absences = isGiven ? [] : hasDevices ? ["library"] : ["library", "driver"];
  const none = <T>(answer: NvmlAnswer<T>, value: T): NvmlAnswer<T> => {
    const isAbsent = answer.kind === "failed" && absences.includes(answer.failure.reason);
    return isAbsent ? { kind: "ok", value, durationMs: answer.durationMs } : answer;
  };
  return {
    simulated: nvml.simulated,
    sample: async (deadlineMs) => none<NvmlSample>(await nvml.sample(deadlineMs), { gpus: [] }),
    check: async (deadlineMs) => none(await nvml.check(deadlineMs), NO_GPUS),
    takeEvents: () => nvml.takeEvents(),
    close: () => nvml.close(),
  };
}
