/**
 * Converts a finding to the map that a condition sees. Pure. Derived metrics are added, so that
 * rules use meanings instead of register bits:
 *
 * | metric | values |
 * |------------|-------------------------------------------------------------------------------|
 * | `reason` | the finding's reason, e.g. `dbe`, `pending`, `unresponsive` |
 * | `verdict` | `none` `reset` `drain_reset` `reboot` `drain_p2p` `imex` `unknown`: the |
 * | | driver's own announcement (XID 154, field 230, RST in 94/95, return code 16) |
 * | `decode` | `ignore` `app` `watch` `reset` `unknown`: registers of XID 74 and 144–150 |
 * | `followed` | true for XID 45 that names a cause or has another XID within 30 s |
 */
import type { Finding, FindingKind, Metrics } from "../../schema/finding.ts";
import type { PolicyEvent } from "../../schema/policy.ts";
import { decodeNvlink4, needsReset } from "../catalog/nvlink4.ts";
import { decodeNvlink5 } from "../catalog/nvlink5.ts";

export type DriverVerdict =
  | "none"
  | "reset"
  | "reboot"
  | "drain_p2p"
  | "drain_reset"
  | "imex"
  /** A number that only newer drivers have. */
  | "unknown";

/** Values of XID 154 and field 230 (docs/reference/xid.md#recovery-action). */
const VERDICTS: readonly DriverVerdict[] = [
  "none",
  "reset",
  "reboot",
  "drain_p2p",
  "drain_reset",
  "imex",
  // Bus reset and system reboot (R615): a reboot resets the bus, a GPU reset does not.
  "reboot",
  "reboot",
];

/**
 * NVML return code: this GPU must be reset before it can be used
 * (docs/reference/nvml.md#return-codes).
 */
const RESET_REQUIRED = 16;

/** What the driver announces in this finding, or `null` if it announces nothing. */
export function driverVerdict(finding: Finding): DriverVerdict | null {
  const metrics = finding.metrics ?? {};
  const action = metrics.recovery_action;
  if (typeof action === "number") return VERDICTS[action] ?? "unknown";
  // NVML's event has the code without its text.
  if (finding.kind === "xid" && finding.code === 154) return "unknown";
  if (metrics.rst === true) return "reset";
  if (metrics.d_rst === true) return "drain_reset";
  if (finding.kind === "driver" && metrics.nvml_code === RESET_REQUIRED) return "reset";
  return finding.reason === "reset_required" ? "reset" : null;
}

export type LinkDecode = "ignore" | "app" | "watch" | "reset" | "unknown";

function registersOf(metrics: Metrics): number[] {
  const registers = [1, 2, 3, 4, 5, 6, 7].map((at) => metrics[`register_${at}`]);
  return registers.every((value) => typeof value === "number") ? registers : [];
}

function decodeXid74(metrics: Metrics): LinkDecode {
  const registers = registersOf(metrics);
  // Without registers (failed training, or seen through NVML) one error does not justify a reset.
  if (registers.length === 0) return "watch";
  const reading = decodeNvlink4(registers);
  if (reading === "ignore" || reading === "corrected") return "ignore";
  return needsReset(reading) ? "reset" : "watch";
}

/**
 * The meaning of a link error's registers; `null` for any other finding. With `XID_154_EVAL` the
 * recovery action is a finding of its own; without one only the application is lost.
 */
export function linkDecode(finding: Finding): LinkDecode | null {
  const { kind, code } = finding;
  if (kind !== "xid" || code === null || code === undefined) return null;
  const metrics = finding.metrics ?? {};
  if (code === 74) return decodeXid74(metrics);
  if (code < 144 || code > 150) return null;
  const { intr_info: intrInfo, error_status: errorStatus } = metrics;
  if (typeof intrInfo !== "number" || typeof errorStatus !== "number") return "unknown";
  const decode = decodeNvlink5(code, intrInfo, errorStatus);
  return decode === null ? "unknown" : IMMEDIATE[decode.immediate];
}

const IMMEDIATE = { IGNORE: "ignore", RESET_GPU: "reset", XID_154_EVAL: "app" } as const;

/** Event type and DCGM health system of each kind. */
const TYPES: Record<FindingKind, readonly [type: string, system: string]> = {
  xid: ["xid", "SM"],
  sxid: ["nvlink", "NVSWITCH"],
  ecc: ["memory", "MEM"],
  remap: ["row_remap", "MEM"],
  thermal: ["thermal", "THERMAL"],
  power: ["power", "POWER"],
  throttle: ["throttle", "THERMAL"],
  nvlink: ["nvlink", "NVLINK"],
  pcie: ["pcie", "PCIE"],
  lost: ["gpu_lost", "PCIE"],
  driver: ["driver_error", "DRIVER"],
  host: ["check", "UNKNOWN"],
  heartbeat: ["heartbeat", "UNKNOWN"],
};

function typeOf({ kind, code, reason }: Finding): readonly [type: string, system: string] {
  if (kind === "xid" && code === 74) return ["xid", "NVLINK"];
  const isCounted = kind === "ecc" && (reason === "dbe" || reason === "sbe");
  return isCounted ? [`ecc_${reason}`, "MEM"] : TYPES[kind];
}

/** Keys whose value stays text: serial `00123` is not a number. */
const NAME_KEY = /_(?:uuid|serial|id|name)$|^(?:name|reason|unit|engine|client)$/;
const INTEGER = /^[+-]?\d+$/;
const FLOAT = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const TRUE = new Set(["t", "T", "true", "TRUE", "True"]);
const FALSE = new Set(["f", "F", "false", "FALSE", "False"]);

/** Converts a metric from text to the type that upstream's wire format gives it. */
export function readMetric(key: string, text: string): number | boolean | string {
  if (NAME_KEY.test(key)) return text;
  if (INTEGER.test(text) || FLOAT.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) ? value : text;
  }
  if (TRUE.has(text)) return true;
  return FALSE.has(text) ? false : text;
}

function typedMetrics(finding: Finding): Metrics {
  const typed: Metrics = {};
  for (const [key, value] of Object.entries(finding.metrics ?? {})) {
    typed[key] = typeof value === "string" ? readMetric(key, value) : value;
  }
  return typed;
}

/** `followed`: another XID explains the finding, as only the caller with all findings knows. */
export function eventOf(finding: Finding, followed = false): PolicyEvent {
  const metrics = typedMetrics(finding);
  const [event_type, system] = typeOf(finding);
  const verdict = driverVerdict(finding);
  const decode = linkDecode(finding);
  if (finding.kind === "xid" && typeof finding.code === "number") metrics.xid_code = finding.code;
  if (finding.kind === "sxid" && typeof finding.code === "number") metrics.sxid_code = finding.code;
  if (finding.kind === "host" && finding.reason) {
    metrics.name = finding.reason;
    metrics.status = finding.severity;
  }
  if (finding.reason) metrics.reason = finding.reason;
  if (verdict !== null) metrics.verdict = verdict;
  if (decode !== null) metrics.decode = decode;
  if (followed) metrics.followed = true;
  return {
    event_type,
    system: `DCGM_HEALTH_WATCH_${system}`,
    gpu_index: finding.gpu_index ?? -1,
    gpu_uuid: finding.gpu_uuid ?? "",
    metrics,
    message: finding.message,
    timestamp: finding.at,
  };
}
