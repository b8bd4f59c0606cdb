/**
 * A finding as the map that a condition sees. Pure. Besides what the agent measured, an event
 * carries what can be *derived* from it, so that rules, the built-in ones and anybody's, can be
 * written on meaning and not on register bits:
 *
 * | metric | values |
 * |------------|-------------------------------------------------------------------------------|
 * | `reason` | the finding's reason, e.g. `dbe`, `pending`, `unresponsive` |
 * | `verdict` | `none` `reset` `drain_reset` `reboot` `drain_p2p` `imex` `unknown`: the |
 * | | driver's own announcement (XID 154, field 230, RST in 94/95, return code 16) |
 * | `decode` | `ignore` `app` `watch` `reset` `unknown`: registers of XID 74 and 144–150 |
 * | `followed` | true for XID 45 that names a cause or has another XID within 30 s |
 */
import type { Finding, Metrics } from "../../schema/finding.ts";
import type { PolicyEvent } from "../../schema/policy.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { decodeNvlink4, needsReset } from "../catalog/nvlink4.ts";
import { decodeNvlink5 } from "../catalog/nvlink5.ts";

export type DriverVerdict =
  | "none"
  | "reset"
  | "reboot"
  | "drain_p2p"
  | "drain_reset"
  | "imex"
  /** A number that a newer driver gave a meaning. */
  | "unknown";

/** Values of XID 154 and field 230 (docs/reference/xid.md#recovery-action). */
const VERDICTS: readonly DriverVerdict[] = [
  "none",
  "reset",
  "reboot",
  "drain_p2p",
  "drain_reset",
  "imex",
  // Bus reset and system reboot, new in the header of R615; a reboot resets the bus too, while the
  // reset of a GPU does not.
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
  // Announced, but not told what: by NVML's event, which has the number and no text.
  if (finding.kind === "xid" && finding.code === 154) return "unknown";
  if (metrics.rst === true) return "reset";
  if (metrics.d_rst === true) return "drain_reset";
  if (finding.kind === "driver" && metrics.nvml_code === RESET_REQUIRED) return "reset";
  return finding.reason === "reset_required" ? "reset" : null;
}

export type LinkDecode = "ignore" | "app" | "watch" | "reset" | "unknown";

function registersOf(metrics: Metrics): number[] {
  const registers: number[] = [];
  for (let at = 1; at <= 7; at++) {
    const value = metrics[`register_${at}`];
    if (typeof value !== "number") return [];
    registers.push(value);
  }
  return registers;
}

function decodeXid74(metrics: Metrics): LinkDecode {
  const registers = registersOf(metrics);
  // No registers: failed training, or seen through NVML. Worth watching, not worth a reset alone.
  if (registers.length === 0) return "watch";
  const { reading } = decodeNvlink4(registers);
  if (reading === "ignore" || reading === "corrected") return "ignore";
  return needsReset(reading) ? "reset" : "watch";
}

/**
 * What the registers of a link error mean, or `null` for any other finding. An announced recovery
 * (`XID_154_EVAL`) is a finding of its own; without one only the application is lost.
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
  if (decode === null) return "unknown";
  switch (decode.immediate) {
    case "IGNORE":
      return "ignore";
    case "RESET_GPU":
      return "reset";
    case "XID_154_EVAL":
      return "app";
    default:
      return unreachable(decode.immediate);
  }
}

const system = (name: string): string => `DCGM_HEALTH_WATCH_${name}`;

function typeOf(finding: Finding): { type: string; system: string } {
  switch (finding.kind) {
    case "xid":
      return { type: "xid", system: system(finding.code === 74 ? "NVLINK" : "SM") };
    case "sxid":
      return { type: "nvlink", system: system("NVSWITCH") };
    case "ecc":
      if (finding.reason === "dbe") return { type: "ecc_dbe", system: system("MEM") };
      if (finding.reason === "sbe") return { type: "ecc_sbe", system: system("MEM") };
      return { type: "memory", system: system("MEM") };
    case "remap":
      return { type: "row_remap", system: system("MEM") };
    case "thermal":
      return { type: "thermal", system: system("THERMAL") };
    case "power":
      return { type: "power", system: system("POWER") };
    case "throttle":
      return { type: "throttle", system: system("THERMAL") };
    case "nvlink":
      return { type: "nvlink", system: system("NVLINK") };
    case "pcie":
      return { type: "pcie", system: system("PCIE") };
    case "lost":
      return { type: "gpu_lost", system: system("PCIE") };
    case "driver":
      return { type: "driver_error", system: system("DRIVER") };
    case "host":
      return { type: "check", system: system("UNKNOWN") };
    case "heartbeat":
      return { type: "heartbeat", system: system("UNKNOWN") };
    default:
      return unreachable(finding.kind);
  }
}

/** Keys whose value is a name, whatever it looks like: serial `00123` is no number. */
const NAME_KEY = /_(?:uuid|serial|id|name)$|^(?:name|reason|unit|engine|client)$/;
const INTEGER = /^[+-]?\d+$/;
const FLOAT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const TRUE = new Set(["t", "T", "true", "TRUE", "True"]);
const FALSE = new Set(["f", "F", "false", "FALSE", "False"]);

/** A metric that came as text, typed as upstream's wire does. */
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

/**
 * The event of a finding. `followed` says that another XID explains it; it is a fact about the
 * findings around, so the caller knows it.
 */
export function eventOf(finding: Finding, followed = false): PolicyEvent {
  const metrics = typedMetrics(finding);
  const { type, system: watched } = typeOf(finding);
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
    event_type: type,
    system: watched,
    gpu_index: finding.gpu_index ?? -1,
    gpu_uuid: finding.gpu_uuid ?? "",
    metrics,
    message: finding.message,
    timestamp: finding.at,
  };
}
