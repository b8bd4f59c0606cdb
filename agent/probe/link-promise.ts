/**
 * Decides which NVLinks a node must have. None are expected of a single GPU (a guest with one of
 * eight), of a GPU in MIG mode (NVIDIA Fabric Manager user guide, "shared NVSwitch partitions" and
 * "MIG"), and of a driver loaded with NVLink off, as in guests without a fabric. Pure.
 */
import type { NvmlCheck, NvmlGpuCheck } from "../port/reading.ts";
import { modelOf } from "./model.ts";
import { isUnopened } from "./probe.ts";

export type LinkPromise = {
  /** Links that must be up; `null` where the model is not known. */
  links: number | null;
  partial: boolean;
};

/** True if at least two GPUs of linked models are listed: a link has two ends. */
export function isLinkedNode(check: NvmlCheck): boolean {
  if (check.linksOff === true) return false;
  const linked = check.gpus.filter((gpu) => (modelOf(gpu.name)?.links ?? 0) > 0);
  return linked.length >= 2;
}

/**
 * True if CUDA needs the fabric to start on this GPU, even on a single GPU of a linked board: it
 * answers "system not yet initialized", error 802, unless NVLink is off
 * (huggingface/huggingface_hub#4134, NVIDIA/kubevirt-gpu-device-plugin#193).
 */
export function needsFabric(check: NvmlCheck, { name, migEnabled }: NvmlGpuCheck): boolean {
  if (check.linksOff === true || migEnabled === true) return false;
  return (modelOf(name)?.links ?? 0) > 0;
}

/** The links that one GPU must have. */
export function promisedLinks(gpu: NvmlGpuCheck, linkedNode: boolean): LinkPromise {
  const model = modelOf(gpu.name);
  if (model === null) return { links: null, partial: false };
  const promises = linkedNode && gpu.migEnabled !== true && !isUnopened(gpu);
  return { links: promises ? model.links : 0, partial: model.partial };
}
