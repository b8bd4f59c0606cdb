/**
 * What the driver's kernel module was told when it was loaded; the kernel shows its parameters
 * (GPU Operator documentation, "Customizing NVIDIA GPU Driver Parameters"). `NvLinkDisable` turns
 * all NVLinks off: the usual way to use GPUs of a linked board in guests that have no fabric, where
 * CUDA would wait for it without end (cozystack/website#561, Dstack-TEE/dstack#1157).
 * Adapter: /proc.
 */
import { readFileSync } from "node:fs";

const PARAMETERS = "/proc/driver/nvidia/params";

/** True if NVLink was switched off on purpose; what cannot be read was not. */
export function hasLinksOff(path: string = PARAMETERS): boolean {
  try {
    return /^NvLinkDisable:[ \t]*[1-9]/m.test(readFileSync(path, "utf8"));
  } catch {
    return false;
  }
}
