/**
 * Defines a probe of the machine around the GPUs, the counterpart of `probe/probe.ts`: a pure
 * function from one reading and the memory of earlier ones to the current conditions. Each reason
 * is one condition of the node, however many ports or file systems it is about.
 */
import type { ProbeOutcome } from "../../schema/report.ts";
import type { Condition, Held, ProbeContext } from "../probe/probe.ts";
import type { Window } from "../probe/window.ts";
import type { HostReading } from "./reading.ts";

/** Memory of a port that was ever active. */
export type PortMemory = { gigabits: number | null; downed: Window | null };

/** Plain data to be stored; ports and the module outlive a boot. */
export type HostMemory = {
  bootId: string | null;
  ports: Record<string, PortMemory>;
  /** True once the module was seen loaded. */
  peermem: boolean;
  /** Paths of file systems that were writable in this boot. */
  writable: string[];
  /** Paths of file systems that were read-only when first seen in this boot. */
  sealed: string[];
  held: Record<string, Held>;
};

export const EMPTY_HOST_MEMORY: HostMemory = {
  bootId: null,
  ports: {},
  peermem: false,
  writable: [],
  sealed: [],
  held: {},
};

export type HostContext = Pick<
  ProbeContext,
  "bootId" | "wallMs" | "monoMs" | "uptimeMs" | "simulated"
> & {
  /** Configured number of active ports; `null` expects those that were ever active. */
  expectedPorts: number | null;
};

export type HostLook = {
  conditions: Condition[];
  outcome: ProbeOutcome;
  message: string | null;
  learned: Partial<HostMemory>;
  /** True if the part was not read: earlier conditions stay. */
  blind: boolean;
};

export type HostProbe = {
  name: string;
  /** Reasons of the conditions that only this probe reports. */
  reasons: readonly string[];
  look(reading: HostReading, memory: HostMemory, ctx: HostContext): HostLook;
};

/** A part that was read; `outcome` applies without conditions. */
export function lookOf(
  conditions: Condition[],
  learned: Partial<HostMemory>,
  outcome: ProbeOutcome = "ok",
  message: string | null = null,
): HostLook {
  const found = conditions.length > 0 ? "finding" : outcome;
  return { conditions, outcome: found, message, learned, blind: false };
}

/** A part that was not read. */
export function unread(late: boolean): HostLook {
  const outcome = late ? "timeout" : "not_supported";
  return { conditions: [], outcome, message: null, learned: {}, blind: true };
}

export function formatList(items: readonly string[]): string {
  const shown = items.slice(0, 8).join(", ");
  return items.length > 8 ? `${shown} and ${items.length - 8} more` : shown;
}
