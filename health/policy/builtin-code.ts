/**
 * Built-in rules for what the driver reports by number: XIDs, SXids and the recovery action. Lists
 * of codes come from the catalogue, so the two cannot disagree. The rules follow the order of
 * evidence (docs/reference/xid.md#order-of-evidence): recovery action, decoded registers,
 * catalogue, unknown.
 */
import { allSxids, allXids, type CatalogAction, type SxidClass } from "../catalog/catalog.ts";
import { type BuiltinRule, CLASS, isType, metricIs, rule, TWICE_A_DAY } from "./class.ts";

/** Codes that the catalogue calls "ignore" or "restart" and the class table treats on their own. */
const INSPECT_CODES = [63, 92];
const NOTICE_CODES = [121, 137];
const APP_CODES = [43, 45];
const CONTAINED = 94;
/** Decoded by its registers; without any it is watched, not reset. */
const NVLINK4 = 74;

const APART = new Set([...INSPECT_CODES, ...NOTICE_CODES, ...APP_CODES, CONTAINED, NVLINK4]);

const XID = `${isType("xid")} && has(event.metrics.xid_code)`;
const SWITCH = `event.system == "DCGM_HEALTH_WATCH_NVSWITCH"`;

function xidIn(codes: readonly number[]): string {
  return `${XID} && event.metrics.xid_code in [${codes.join(", ")}]`;
}

/**
 * The codes to which the catalogue gives an action, without those that have a rule of their own.
 */
function codesOf(action: CatalogAction, extra: readonly number[] = []): number[] {
  const listed = allXids().filter((e) => e.policy.action === action && !APART.has(e.code));
  return [...listed.map((e) => e.code), ...extra].sort((a, b) => a - b);
}

function sxidIs(wanted: SxidClass): string {
  const codes = allSxids().filter((e) => e.class === wanted);
  const list = codes.map((e) => e.code).join(", ");
  return `${SWITCH} && has(event.metrics.sxid_code) && event.metrics.sxid_code in [${list}]`;
}

const VERDICTS: readonly BuiltinRule[] = [
  rule(
    "verdict-reboot",
    "verdict",
    CLASS.reboot,
    metricIs("verdict", "reboot"),
    "The driver reports that the node must be rebooted.",
  ),
  rule(
    "verdict-reset",
    "verdict",
    CLASS.reset,
    metricIs("verdict", "reset", "drain_reset"),
    "The driver reports that the GPU must be reset, at once or after draining.",
  ),
  rule(
    "verdict-none",
    "verdict",
    CLASS.record,
    metricIs("verdict", "none"),
    "The driver reports that no recovery is needed.",
  ),
  rule(
    "verdict-other",
    "verdict",
    CLASS.watch,
    "has(event.metrics.verdict)",
    "Peer-to-peer drain, IMEX domain, or a verdict of a newer driver: no GPU fault.",
  ),
];

const DECODES: readonly BuiltinRule[] = [
  rule(
    "nvlink-reset",
    "decode",
    CLASS.reset,
    metricIs("decode", "reset"),
    "Registers of XID 74 or 144-150 say that the link needs a GPU reset.",
  ),
  rule(
    "nvlink-app",
    "decode",
    CLASS.app,
    metricIs("decode", "app"),
    "Only the application failed; a later verdict is judged separately.",
  ),
  rule(
    "nvlink-recorded",
    "decode",
    CLASS.record,
    `${metricIs("decode", "ignore")} || has(event.metrics.decode) && has(event.metrics.followed)`,
    "Registers known to be harmless, or a repeat of a decoded event without its registers.",
  ),
  rule(
    "nvlink-watch",
    "decode",
    CLASS.watch,
    metricIs("decode", "watch"),
    "A link error. One occurrence is no proof; two a day on one link are.",
    TWICE_A_DAY,
  ),
];

const XIDS: readonly BuiltinRule[] = [
  rule(
    "xid-reboot",
    "catalogue",
    CLASS.reboot,
    xidIn(codesOf("reboot_node")),
    "A GPU reset does not help: the GPU is off the bus, key rotation, protected memory.",
  ),
  rule(
    "xid-remap-exhausted",
    "catalogue",
    CLASS.replace,
    `${xidIn([64])} && has(event.metrics.remap_exhausted)`,
    "XID 64 because no spare row is left: memory errors can no longer be remapped.",
  ),
  rule(
    "xid-replace",
    "catalogue",
    CLASS.replace,
    xidIn(codesOf("rma")),
    "The vendor recommends to replace the hardware.",
  ),
  rule(
    "xid-reset",
    "catalogue",
    CLASS.reset,
    xidIn(codesOf("reset_gpu")),
    "Double-bit and uncontained errors, halted engines and firmware: reset the GPU.",
  ),
  rule(
    "xid-contained",
    "catalogue",
    CLASS.app,
    xidIn([CONTAINED]),
    "A contained memory error costs one application; twice a day is failing memory.",
    TWICE_A_DAY,
  ),
  rule(
    "xid-cleanup",
    "decode",
    CLASS.record,
    `${xidIn([45])} && has(event.metrics.followed)`,
    "Clean-up after another error, which is judged separately.",
  ),
  rule(
    "xid-inspect",
    "catalogue",
    CLASS.inspect,
    xidIn(INSPECT_CODES),
    "A row was remapped, or corrected errors are frequent: reset when convenient.",
  ),
  rule(
    "xid-app",
    "catalogue",
    CLASS.app,
    xidIn(codesOf("restart_app", APP_CODES)),
    "A fault of an application or a library that it uses.",
  ),
  rule(
    "xid-notice",
    "catalogue",
    CLASS.notice,
    xidIn(NOTICE_CODES),
    "Shown for information; no action.",
  ),
  rule(
    "xid-recorded",
    "catalogue",
    CLASS.record,
    xidIn(codesOf("ignore")),
    "The vendor recommends to ignore it.",
  ),
  rule(
    "xid-unknown",
    "unknown",
    CLASS.unknown,
    isType("xid"),
    "Unknown code: shown for one hour, no action.",
  ),
];

const SXIDS: readonly BuiltinRule[] = [
  rule(
    "sxid-fatal",
    "verdict",
    CLASS.reboot,
    `${SWITCH} && ${metricIs("severity", "fatal")}`,
    "The switch driver reports it as fatal; this overrides the catalogue.",
  ),
  rule(
    "sxid-recorded",
    "verdict",
    CLASS.record,
    `${SWITCH} && ${metricIs("severity", "non_fatal", "correctable")}`,
    "The switch driver calls it non-fatal or corrected.",
  ),
  rule(
    "sxid-always-fatal",
    "catalogue",
    CLASS.reboot,
    sxidIs("always_fatal"),
    "No severity printed; the guide says that the whole fabric or host is affected.",
  ),
  rule(
    "sxid-harmless",
    "catalogue",
    CLASS.record,
    sxidIs("non_fatal"),
    "No severity printed; the guide calls it non-fatal.",
  ),
  rule(
    "sxid-unknown",
    "unknown",
    CLASS.watch,
    SWITCH,
    "Fatal for one partition, or unknown; what it does to a GPU shows there as XID 74.",
  ),
];

export const CODE_RULES: readonly BuiltinRule[] = [...VERDICTS, ...DECODES, ...XIDS, ...SXIDS];
