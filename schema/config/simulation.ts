/** Keys of `simulation`: whether people may break this fleet on purpose. */
import { flag } from "./field.ts";

export const SIMULATION = {
  enabled: flag(
    "Accept injected faults of machines and providers. Refused while a pool's provider sells " +
      "real machines.",
    { default: false },
  ),
};
