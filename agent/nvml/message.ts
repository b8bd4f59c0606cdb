/**
 * Messages between agent and probe child. Both are one executable, but after an upgrade in place
 * the running agent may start a newer child, so each message names its protocol.
 */
import type { NvmlCheck, NvmlEvent, NvmlSample } from "../port/reading.ts";
import type { Reading } from "./driver.ts";

/** Raised with any change of messages or `reading.ts` that an older agent would misread. */
export const PROBE_PROTOCOL = 1;

/** The internal subcommand of the probe child. */
export const PROBE_COMMAND = "__nvml";

/** A ping is one light call per GPU. */
export type ProbeOp = "sample" | "check" | "ping";

export type ProbeRequest = { id: number; op: ProbeOp };

export type ProbeMessage =
  | { kind: "reply"; protocol: number; id: number; op: "sample"; reading: Reading<NvmlSample> }
  | { kind: "reply"; protocol: number; id: number; op: "check"; reading: Reading<NvmlCheck> }
  | { kind: "reply"; protocol: number; id: number; op: "ping"; reading: Reading<null> }
  /**
   * The child makes progress; `opening` if it opens a GPU next, which may take seconds. It has no
   * id, so that an older agent does not take it for a reply.
   */
  | { kind: "step"; protocol: number; opening?: boolean }
  | { kind: "events"; protocol: number; events: NvmlEvent[] };
