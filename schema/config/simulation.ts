/** Keys of `simulation`: whether people may break this fleet on purpose. */
import { flag } from "./field.ts";

export const SIMULATION = {
  enabled: flag(
    "Accept injected faults of machines and providers. Refused while a pool's provider sells " +
      "real machines. Agents then run a full check every 10 s, where no interval is set.",
    { default: false },
  ),
};
