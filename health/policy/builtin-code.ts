/**
 * Built-in rules for what the driver reports by number: XIDs, SXids and the recovery action. Lists
 * of codes come from the catalogue, so the two cannot disagree. The rules follow the order of
 * evidence (docs/reference/xid.md#order-of-evidence): recovery action, decoded registers,
 * catalogue, unknown.
 */
import { allSxids, allXids, type CatalogAction, type SxidClass } from "../catalog/catalog.ts";
import { type BuiltinRule, CLASS, isType, metricIs, ruleOf, TWICE_A_DAY } from "./class.ts";

const verdict = ruleOf("verdict");
const decode = ruleOf("decode");
const catalogue = ruleOf("catalogue");
const unknown = ruleOf("unknown");

/** Codes with rules of their own, although the catalogue says "ignore" or "restart". */
const INSPECT_CODES = [63, 92];
const NOTICE_CODES = [121, 137];
const APP_CODES = [43, 45];
const CONTAINED = 94;
/**
 * Power cables, and an encoder whose error the vendor wants reported: neither proves a board that
 * must be replaced, and a person looks before a machine ends for it.
 */
const PERSON_CODES = [54, 142];
/** Decoded from its registers; without registers the link is watched, not reset. */
const NVLINK4 = 74;

const APART = new Set(
  [INSPECT_CODES, NOTICE_CODES, APP_CODES, PERSON_CODES, CONTAINED, NVLINK4].flat(),
);

const XID = `${isType("xid")} && has(event.metrics.xid_code)`;
const SWITCH = `event.system == "DCGM_HEALTH_WATCH_NVSWITCH"`;

function xidIn(codes: readonly number[]): string {
  return `${XID} && event.metrics.xid_code in [${codes.join(", ")}]`;
}

/** The codes with this action, without those that have a rule of their own. */
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
  verdict(
    "verdict-reboot",
    CLASS.reboot,
    metricIs("verdict", "reboot"),
    "The driver reports that the node must be rebooted.",
  ),
  verdict(
    "verdict-reset",
    CLASS.reset,
    metricIs("verdict", "reset", "drain_reset"),
    "The driver reports that the GPU must be reset, at once or after draining.",
  ),
  verdict(
    "verdict-none",
    CLASS.record,
    metricIs("verdict", "none"),
    "The driver reports that no recovery is needed.",
  ),
  verdict(
    "verdict-other",
    CLASS.watch,
    "has(event.metrics.verdict)",
    "Peer-to-peer drain, IMEX domain, or a verdict of a newer driver: no GPU fault.",
  ),
];

const DECODES: readonly BuiltinRule[] = [
  decode(
    "nvlink-reset",
    CLASS.reset,
    metricIs("decode", "reset"),
    "Registers of XID 74 or 144-150 say that the link needs a GPU reset.",
  ),
  decode(
    "nvlink-app",
    CLASS.app,
    metricIs("decode", "app"),
    "Only the application failed; a later verdict is judged separately.",
  ),
  decode(
    "nvlink-recorded",
    CLASS.record,
    `${metricIs("decode", "ignore")} || has(event.metrics.decode) && has(event.metrics.followed)`,
    "Registers known to be harmless, or a repeat of a decoded event without its registers.",
  ),
  decode(
    "nvlink-watch",
    CLASS.watch,
    metricIs("decode", "watch"),
    "A link error. One occurrence is no proof; two a day on one link are.",
    TWICE_A_DAY,
  ),
];

const XIDS: readonly BuiltinRule[] = [
  catalogue(
    "xid-reboot",
    CLASS.reboot,
    xidIn(codesOf("reboot_node")),
    "A GPU reset does not help: the GPU is off the bus, key rotation, protected memory.",
  ),
  catalogue(
    "xid-remap-exhausted",
    CLASS.replace,
    `${xidIn([64])} && has(event.metrics.remap_exhausted)`,
    "XID 64 because no spare row is left: memory errors can no longer be remapped.",
  ),
  catalogue(
    "xid-person",
    CLASS.inspect,
    xidIn(PERSON_CODES),
    "Auxiliary power is not connected, or an encoder failed: a person looks, nothing is replaced.",
  ),
  catalogue(
    "xid-reset",
    CLASS.reset,
    xidIn(codesOf("reset_gpu")),
    "Double-bit and uncontained errors, halted engines and firmware: reset the GPU.",
  ),
  catalogue(
    "xid-contained",
    CLASS.app,
    xidIn([CONTAINED]),
    "A contained memory error costs one application; twice a day is failing memory.",
    TWICE_A_DAY,
  ),
  decode(
    "xid-cleanup",
    CLASS.record,
    `${xidIn([45])} && has(event.metrics.followed)`,
    "Clean-up after another error, which is judged separately.",
  ),
  catalogue(
    "xid-inspect",
    CLASS.inspect,
    xidIn(INSPECT_CODES),
    "A row was remapped, or corrected errors are frequent: reset when convenient.",
  ),
  catalogue(
    "xid-app",
    CLASS.app,
    xidIn(codesOf("restart_app", APP_CODES)),
    "A fault of an application or a library that it uses.",
  ),
  catalogue("xid-notice", CLASS.notice, xidIn(NOTICE_CODES), "Shown for information; no action."),
  catalogue(
    "xid-recorded",
    CLASS.record,
    xidIn(codesOf("ignore")),
    "The vendor recommends to ignore it.",
  ),
  unknown(
    "xid-unknown",
    CLASS.unknown,
    isType("xid"),
    "Unknown code: shown for one hour, no action.",
  ),
];

const SXIDS: readonly BuiltinRule[] = [
  verdict(
    "sxid-fatal",
    CLASS.reboot,
    `${SWITCH} && ${metricIs("severity", "fatal")}`,
    "The switch driver reports it as fatal; this overrides the catalogue.",
  ),
  verdict(
    "sxid-recorded",
    CLASS.record,
    `${SWITCH} && ${metricIs("severity", "non_fatal", "correctable")}`,
    "The switch driver calls it non-fatal or corrected.",
  ),
  catalogue(
    "sxid-always-fatal",
    CLASS.reboot,
    sxidIs("always_fatal"),
    "No severity printed; the guide says that the whole fabric or host is affected.",
  ),
  catalogue(
    "sxid-harmless",
    CLASS.record,
    sxidIs("non_fatal"),
    "No severity printed; the guide calls it non-fatal.",
  ),
  unknown(
    "sxid-unknown",
    CLASS.watch,
    SWITCH,
    "Fatal for one partition, or unknown; what it does to a GPU shows there as XID 74.",
  ),
];

export const CODE_RULES: readonly BuiltinRule[] = [...VERDICTS, ...DECODES, ...XIDS, ...SXIDS];
