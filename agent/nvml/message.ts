/**
 * What agent and probe child say to each other. Both are the same executable, but after an upgrade
 * in place the running agent may start a newer child, so each reply names its version.
 */
import type { NvmlCheck, NvmlEvent, NvmlSample } from "../reading.ts";
import type { Reading } from "./driver.ts";

/** Raised with any change of the messages or of `reading.ts` that an older agent would misread. */
export const PROBE_PROTOCOL = 1;

/** The subcommand of the probe child; no person types it. */
export const PROBE_COMMAND = "__nvml";

/** A ping is one light call per GPU: does the driver still answer? */
export type ProbeOp = "sample" | "check" | "ping";

export type ProbeRequest = { id: number; op: ProbeOp };

export type ProbeMessage =
  | { kind: "reply"; protocol: number; id: number; op: "sample"; reading: Reading<NvmlSample> }
  | { kind: "reply"; protocol: number; id: number; op: "check"; reading: Reading<NvmlCheck> }
  | { kind: "reply"; protocol: number; id: number; op: "ping"; reading: Reading<null> }
  /**
   * The child gets on with the request; `opening` if what comes next opens a GPU, which may take
   * seconds. Without an id, so that an agent that does not know it takes it for no reply.
   */
  | { kind: "step"; protocol: number; opening?: boolean }
  /** Told without being asked. */
  | { kind: "events"; protocol: number; events: NvmlEvent[] };
