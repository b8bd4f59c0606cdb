/** Signature only for the moment: made-up GPUs behind an explicit flag. Adapter: reads the fault file. */
import type { Clock, Nvml } from "../port.ts";

export type SimulatedOptions = {
  count: number;
  name: string;
  seed: string;
  clock: Clock;
  /** JSON written by `navarch sim inject`; read again on every call. */
  faultPath?: string | null;
};

export function openSimulatedNvml(options: SimulatedOptions): Nvml {
  throw new Error(`not there yet: ${options.name}`);
}
