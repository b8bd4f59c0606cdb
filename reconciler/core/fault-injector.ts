/**
 * The port that hurts simulated machines. An adapter of a simulated provider opens one beside its
 * `Provider`; providers of real machines have none, so they cannot be asked.
 */
import type { InstanceId } from "../../schema/id.ts";
import type { MachineFault } from "../../schema/machine-fault.ts";

/** `id` is unique on the machine: the same id is the same fault, however often it is injected. */
export type InjectedFault = MachineFault & { id: string; atMs: number };

export type InjectAnswer =
  | { kind: "ok" }
  /** Nothing was changed: the machine is gone or has not started yet. */
  | { kind: "absent"; message: string }
  /** It may have been changed. */
  | { kind: "failed"; message: string };

export type FaultInjector = {
  /** The machine's agent finds the fault by itself. */
  inject(instance: InstanceId, fault: InjectedFault): Promise<InjectAnswer>;
  /** Ends every injected fault; what was logged stays in the log. */
  clear(instance: InstanceId): Promise<InjectAnswer>;
  /** Faults that were injected and not cleared, as the machine has them. */
  list(
    instance: InstanceId,
  ): Promise<Exclude<InjectAnswer, { kind: "ok" }> | { kind: "ok"; faults: InjectedFault[] }>;
};
