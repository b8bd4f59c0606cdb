/**
 * Reads the parameters of the driver's kernel module (GPU Operator documentation, "Customizing
 * NVIDIA GPU Driver Parameters"). `NvLinkDisable` turns all NVLinks off, as in guests without a
 * fabric, where CUDA would wait for it forever (cozystack/website#561, Dstack-TEE/dstack#1157).
 * Adapter: /proc.
 */
import { readFileSync } from "node:fs";

const PARAMETERS = "/proc/driver/nvidia/params";

/** True if NVLink is off by configuration; false if the parameters cannot be read. */
export function hasLinksOff(path: string = PARAMETERS): boolean {
  try {
    return /^NvLinkDisable:[ \t]*[1-9]/m.test(readFileSync(path, "utf8"));
  } catch {
    return false;
  }
}
