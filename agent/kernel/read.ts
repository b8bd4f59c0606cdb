/** Stub: signatures only, the body follows. Adapter: reads the kernel log. */
import type { Clock, KernelCursor, KernelLog } from "../port.ts";
import type { GpuTable } from "./finding.ts";

export type KernelLogOptions = {
  /** `/dev/kmsg`, or a FIFO or file in kmsg record form. */
  path: string;
  bootId: string;
  /** Wall time of boot: record time = this + usec / 1000. */
  bootWallMs: number;
  clock: Clock;
  /** Asked per finding, so that GPUs found later are used. */
  gpus: () => GpuTable;
  cursor: KernelCursor | null;
  /** Wall time in ms: records before it are passed over (`--since`). */
  since?: number;
};
export function openKernelLog(options: KernelLogOptions): KernelLog {
  throw new Error(`not built yet: ${options.path}`);
}
