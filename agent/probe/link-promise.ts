/**
 * Which NVLinks a node must have. A single GPU has none to be linked with (a guest that is given
 * one of eight, for instance), and a GPU in MIG mode may have its links switched off, so neither
 * promises any (NVIDIA Fabric Manager user guide, "shared NVSwitch partitions" and "MIG"). Nor does
 * a node whose driver was told to leave NVLink off, as guests without a fabric do. Pure.
 */
import type { NvmlCheck, NvmlGpuCheck } from "../reading.ts";
import { modelOf } from "./model.ts";
import { isUnopened } from "./probe.ts";

export type LinkPromise = {
  /** Links that must be up; `null` where the model is not known. */
  links: number | null;
  partial: boolean;
};

/** True if at least two GPUs of linked models are listed: only then a link has two ends. */
export function isLinkedNode(check: NvmlCheck): boolean {
  if (check.linksOff === true) return false;
  const linked = check.gpus.filter((gpu) => (modelOf(gpu.name)?.links ?? 0) > 0);
  return linked.length >= 2;
}

/**
 * True if CUDA starts on this GPU only once it has joined its fabric, alone or not: a single GPU of
 * a linked board that waits for it answers "system not yet initialized", error 802, unless NVLink
 * was left off (huggingface/huggingface_hub#4134, NVIDIA/kubevirt-gpu-device-plugin#193).
 */
export function needsFabric(check: NvmlCheck, { name, migEnabled }: NvmlGpuCheck): boolean {
  if (check.linksOff === true || migEnabled === true) return false;
  return (modelOf(name)?.links ?? 0) > 0;
}

/** What must hold for the links of one GPU. */
export function promisedLinks(gpu: NvmlGpuCheck, linkedNode: boolean): LinkPromise {
  const model = modelOf(gpu.name);
  if (model === null) return { links: null, partial: false };
  const promises = linkedNode && gpu.migEnabled !== true && !isUnopened(gpu);
  return { links: promises ? model.links : 0, partial: model.partial };
}
