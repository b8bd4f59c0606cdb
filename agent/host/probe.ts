/**
 * What a probe of the machine is: a pure function from one reading, and what was remembered from
 * earlier ones, to the conditions that hold now. It is the counterpart of `probe/probe.ts` for all
 * that is not a GPU. Every condition is of the whole node, one for each reason, however many ports
 * or file systems it is about.
 */
import type { ProbeOutcome } from "../../schema/report.ts";
import type { Condition, Held, ProbeContext } from "../probe/probe.ts";
import type { Window } from "../probe/window.ts";
import type { HostReading } from "./reading.ts";

/** What is known about one port that was active at some time. */
export type PortMemory = { gigabits: number | null; downed: Window | null };

/** Plain data, so that it may be stored; ports and the module outlive a boot. */
export type HostMemory = {
  bootId: string | null;
  ports: Record<string, PortMemory>;
  /** True once the module was seen loaded. */
  peermem: boolean;
  /** Places of file systems that were writable in this boot. */
  writable: string[];
  /** Places of those that were read-only when this boot first showed them: they are meant to be. */
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
  /** Ports that must be active, if that was said; `null` leaves it to what was seen before. */
  expectedPorts: number | null;
};

export type HostLook = {
  conditions: Condition[];
  outcome: ProbeOutcome;
  message: string | null;
  learned: Partial<HostMemory>;
  /** True if not all could be looked at: what was told before may still hold. */
  blind?: boolean;
};

export type HostProbe = {
  name: string;
  /** Reasons of conditions that this probe alone tells of. */
  reasons: readonly string[];
  look(reading: HostReading, memory: HostMemory, ctx: HostContext): HostLook;
};

/** A part that was not read: what it told before is neither over nor told again. */
export function unread(late: boolean): HostLook {
  const outcome = late ? "timeout" : "not_supported";
  return { conditions: [], outcome, message: null, learned: {}, blind: true };
}

/** A list for people, cut where it would no longer be read. */
export function listed(items: readonly string[]): string {
  const shown = items.slice(0, 8).join(", ");
  return items.length > 8 ? `${shown} and ${items.length - 8} more` : shown;
}
