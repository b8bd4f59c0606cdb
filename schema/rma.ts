/** What a vendor's form for a return (RMA) asks about broken hardware, as it was when it failed. */
import * as v from "valibot";
import { count, instant, instantOfNode } from "./number.ts";

const text = v.string();

/** A GPU with a fault, or one fault of the whole machine. */
const RmaFault = v.object({
  /** As a person reads it, such as `XID 79`. */
  fault: text,
  gpu: v.nullable(count),
  uuid: v.nullable(text),
  serial: v.nullable(text),
  model: v.nullable(text),
  pci: v.nullable(text),
  /** The line of the kernel log, or the probe's message. */
  line: text,
  /** The node's clock at the decisive occurrence. */
  at: instantOfNode,
  /** Findings, for a fault of the kernel log its lines. */
  count,
  /** What the lines stand for; absent where they are not counted, and in older records. */
  occurrences: v.optional(count),
});

export const RmaRecord = v.object({
  at: instant,
  /** The machine's own host name. */
  hostname: v.nullable(text),
  /** Its name, address and place in the inventory. */
  host: text,
  address: v.nullable(text),
  rack: v.nullable(text),
  provider: text,
  driver: v.nullable(text),
  kernel: v.nullable(text),
  /** Why no further repair step is left. */
  because: v.array(text),
  rebootedAt: v.nullable(instant),
  faults: v.array(RmaFault),
});
export type RmaRecord = v.InferOutput<typeof RmaRecord>;

/** The record in the HTTP API. */
export type RmaView = {
  at: string;
  host: string;
  hostname: string | null;
  address: string | null;
  rack: string | null;
  provider: string;
  driver_version: string | null;
  kernel_version: string | null;
  /** Why no repair step is left. */
  because: string[];
  rebooted_at: string | null;
  faults: {
    fault: string;
    gpu_index: number | null;
    gpu_uuid: string | null;
    gpu_serial: string | null;
    gpu_model: string | null;
    pci_bus_id: string | null;
    /** Line of the kernel log, or a probe's message. */
    line: string;
    at: string;
    count: number;
    /** What `count` lines of the kernel log stand for. */
    occurrences?: number;
  }[];
};
