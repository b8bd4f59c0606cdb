/**
 * A finding: evidence of an agent that may matter to health, never a verdict; the control plane
 * judges it (`health/`). `navarch-node --once` prints the same shape.
 */
import * as v from "valibot";
import { BootId } from "./id.ts";
import { InstantText } from "./instant.ts";
import { LIMIT } from "./limit.ts";
import { count, integer, positive, reading, seq } from "./number.ts";

export const FINDING_KINDS = [
  /** NVRM Xid, from the kernel log or an NVML event. */
  "xid",
  /** NVSwitch SXid. */
  "sxid",
  /** ECC counters moved: `metrics` carries deltas and totals. */
  "ecc",
  /** Row remapping or page retirement pending or failed. */
  "remap",
  /** Temperature against the device's own limits. */
  "thermal",
  /** Power or power brake. */
  "power",
  /** Throttling by hardware or sustained thermal. */
  "throttle",
  "nvlink",
  "pcie",
  /** A GPU is gone: NVML code 15, a low count, or "fallen off the bus" without an Xid. */
  "lost",
  /** The driver or its library is missing, mismatched, hung or crashed. */
  "driver",
  /** The machine around the GPUs: the kernel log is deaf, a clock is off. */
  "host",
  /** Made by the control plane: heartbeats stopped. */
  "heartbeat",
] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

/** The reporter's severity; the policy decides what it means. */
export const SEVERITIES = ["info", "warning", "serious", "fatal"] as const;
export type Severity = (typeof SEVERITIES)[number];

const short = (max: number) => v.pipe(v.string(), v.maxLength(max));

/**
 * `event.metrics` in CEL, bounded: 64 held findings of a report's size would make a document of
 * 16 MB, written with each report.
 */
export const Metrics = v.pipe(
  v.record(short(64), v.union([reading, v.boolean(), short(256)])),
  v.transform(bounded),
);
export type Metrics = v.InferOutput<typeof Metrics>;

function bounded<T>(metrics: Record<string, T>): Record<string, T> {
  const entries = Object.entries(metrics);
  let chars = 0;
  const kept = entries.filter(([name, value], place) => {
    chars += name.length + String(value).length;
    return place < LIMIT.metricsMax && chars <= LIMIT.metricsCharsMax;
  });
  return kept.length === entries.length ? metrics : Object.fromEntries(kept);
}

export const Finding = v.object({
  kind: v.picklist(FINDING_KINDS),
  /** XID or SXid number, or `null`. */
  code: v.nullish(v.pipe(count, v.maxValue(1_000_000)), null),
  /**
   * Refines `kind`: `unresponsive`, `crashed`, `library`, `version`, `count`, `bus`, `pending`,
   * `failure`, `dbe`, `sbe`, …
   */
  reason: v.nullish(short(64), null),
  /** Normalised `dddd:bb:dd.f`, lower case, or `null` for the whole node. */
  pci: v.nullish(short(32), null),
  /** `null` for the whole node. */
  gpu_index: v.nullish(v.pipe(count, v.maxValue(LIMIT.gpusPerNodeMax)), null),
  gpu_uuid: v.nullish(short(96), null),
  /** MIG attribution of the kernel log, `{gi, ci}`. */
  mig: v.nullish(v.object({ gi: count, ci: v.nullish(count, null) }), null),
  pid: v.nullish(integer, null),
  process_name: v.nullish(short(64), null),
  /** RFC 3339 wall time of the occurrence, by the node's clock. */
  at: InstantText,
  /** The boot in which it happened: evidence of an older boot is history, never a trigger. */
  boot_id: BootId,
  severity: v.picklist(SEVERITIES),
  message: short(LIMIT.messageCharsMax),
  metrics: v.nullish(Metrics, {}),
  /** `kmsg` | `nvml` | `probe` | `sim`. */
  source: short(16),
  /** True if the PCI address is not one of this machine's GPUs: counted, never judged. */
  foreign: v.nullish(v.boolean(), false),
  /** Driver-level injection (`i1` in an NVLink5 line): never acted on outside tests. */
  injected: v.nullish(v.boolean(), false),
  /** Kernel record position, when from the kernel log. */
  kmsg_seq: v.nullish(count, null),
});
export type Finding = v.InferOutput<typeof Finding>;

/** A finding of the whole node, with the given fields. */
export function newFinding(
  given: Pick<Finding, "at" | "boot_id" | "message" | "source"> & Partial<Finding>,
): Finding {
  const place = { code: null, reason: null, pci: null, gpu_index: null, gpu_uuid: null };
  const program = { mig: null, pid: null, process_name: null };
  const { at, boot_id, message, source } = given;
  const event = { at, boot_id, severity: "warning" as const, message, metrics: {}, source };
  const marks = { foreign: false, injected: false, kmsg_seq: null };
  return { kind: "host", ...place, ...program, ...event, ...marks, ...given };
}

/** A finding numbered by the spool, so that a repeated one is recognised. */
export const SpooledFinding = v.object({ seq, finding: Finding });
export type SpooledFinding = v.InferOutput<typeof SpooledFinding>;

/** Findings that were dropped by a full spool or lost by the kernel ring. */
export const Gap = v.object({
  seq,
  reason: v.picklist(["spool_full", "kernel_ring", "malformed"]),
  count: positive,
  at: InstantText,
});
export type Gap = v.InferOutput<typeof Gap>;
