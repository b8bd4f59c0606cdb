/** Responses of the HTTP interface about faults on purpose. */
import type { MachineFault } from "./machine-fault.ts";
import type { FailureClass } from "./provider-failure.ts";

/** A fault that was injected into a simulated machine. */
export type FaultView = MachineFault & { id: string; at: string };

/** How a simulated provider fails on purpose, until `until` or for `calls_left` calls. */
export type FailureView = {
  class: FailureClass;
  until: string;
  calls_left: number | null;
  delay_ms: number | null;
  by: string;
};

export type SimulationView = {
  enabled: boolean;
  /** The control plane's clock. */
  now: string;
  providers: {
    name: string;
    type: string;
    simulated: boolean;
    failure: FailureView | null;
  }[];
};
