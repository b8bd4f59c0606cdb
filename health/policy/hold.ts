/**
 * Holds findings until they are over, and derives the verdict. Pure. A fault is reported once, so
 * without the hold a broken GPU would look healthy one report later.
 */
import type { Finding } from "../../schema/finding.ts";
import type { HeldFinding } from "../../schema/held.ts";
import { LIMIT } from "../../schema/limit.ts";
import { type Hold, type Judgement, RESULTS, type Verdict } from "../../schema/policy.ts";
import type { Check } from "../../schema/report.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { driverVerdict } from "./event.ts";
import { gpuOf } from "./history.ts";

/** Heat and power vary around a limit: three consecutive clean checks end them. */
const CLEAN_CHECKS = 3;
/** Presence of driver, GPUs and heartbeats, and everything after a reboot: one check decides. */
const CLEAN_CHECKS_AT_ONCE = 1;

const XID_RECOVERY_ACTION = 154;

/** Shortest first; a hold with a duration ranks 1. */
const HOLD_RANK: Record<Exclude<Hold, object>, number> = {
  none: 0,
  while_active: 2,
  until_reset: 3,
  until_reboot: 4,
  until_replaced: 5,
};
const holdRank = (hold: Hold): number => (typeof hold === "object" ? 1 : HOLD_RANK[hold]);

const compareResults = (a: Judgement, b: Judgement): number =>
  RESULTS.indexOf(a.result) - RESULTS.indexOf(b.result);

/** `<kind>/<code>/<gpu>` with a code, else `<kind>/<reason>/<gpu>`, as in `Check.active`. */
export function keyOf(finding: Finding): string {
  const what = finding.code ?? finding.reason ?? "-";
  return `${finding.kind}/${what}/${gpuOf(finding)}`.slice(0, 200);
}

/** How a check may list a finding's condition: one with a code may be listed by its reason. */
export function namesOf(finding: Finding): string[] {
  const { kind, reason } = finding;
  return [keyOf(finding), `${kind}/${reason ?? "-"}/${gpuOf(finding)}`.slice(0, 200)];
}

export function isWorse(a: Judgement, b: Judgement): boolean {
  const results = compareResults(a, b);
  return results > 0 || (results === 0 && holdRank(a.hold) > holdRank(b.hold));
}

/**
 * Whether the kernel printed the first of two before the second. Records are numbered within a
 * boot; the node's wall clock may be wrong by a year. Records without a number count by their
 * report, because agents report in order.
 */
function isEarlier(a: Finding, b: Finding): boolean {
  const [first, second] = [a.kmsg_seq ?? null, b.kmsg_seq ?? null];
  return first !== null && second !== null && a.boot_id === b.boot_id && first < second;
}

/** Which of two occurrences of one key counts: the worse, and of equals the newer. */
function supersedes(before: HeldFinding, finding: Finding, judgement: Judgement): boolean {
  // The driver's recovery action is a state: the newest one holds
  // (docs/reference/xid.md#order-of-evidence).
  if (finding.code === XID_RECOVERY_ACTION && finding.kind === "xid") {
    return !isEarlier(finding, before.finding);
  }
  return !isWorse(before.judgement, judgement);
}

function sameGpu(held: HeldFinding, finding: Finding): boolean {
  return gpuOf(held.finding) === gpuOf(finding);
}

/** Least severe first, then oldest: the order in which a full list drops entries. */
export function byWeight(a: HeldFinding, b: HeldFinding): number {
  return (
    compareResults(a.judgement, b.judgement) ||
    holdRank(a.judgement.hold) - holdRank(b.judgement.hold) ||
    a.lastAt - b.lastAt
  );
}

/** Bounds the list. The count of a dropped entry is added to the next one. */
function bounded(held: HeldFinding[]): HeldFinding[] {
  if (held.length <= LIMIT.heldFindingsMax) return held;
  const [least, ...rest] = [...held].sort(byWeight);
  const heir = rest[0];
  if (!least || !heir) return held;
  const merged = { ...heir, count: heir.count + least.count };
  return held.filter((h) => h !== least).map((h) => (h === heir ? merged : h));
}

/** A recovery action "none" ends the need of a reset for faults before it. */
function cleared(held: readonly HeldFinding[], finding: Finding): HeldFinding[] {
  return held.map((h) => {
    const ends = sameGpu(h, finding) && !isEarlier(finding, h.finding);
    return ends ? { ...h, resetSeen: true } : h;
  });
}

/**
 * Holds one judged finding, unless it is healthy. `nowMs` is the control plane's clock. A finding
 * of another boot than `knownBootId` is held only if its hold is `until_replaced`.
 */
export function holdFinding(
  held: readonly HeldFinding[],
  finding: Finding,
  judgement: Judgement,
  nowMs: number,
  knownBootId: string | null = null,
): HeldFinding[] {
  const isHistory = knownBootId !== null && finding.boot_id !== knownBootId;
  if (isHistory && judgement.hold !== "until_replaced") return [...held];
  if (judgement.result === "healthy") {
    return driverVerdict(finding) === "none" ? cleared(held, finding) : [...held];
  }
  const key = keyOf(finding);
  const before = held.find((h) => h.key === key);
  if (!before) {
    const count = 1;
    const fresh = { key, finding, judgement, firstAt: nowMs, lastAt: nowMs, count };
    return bounded([...held, { ...fresh, cleanSince: 0, resetSeen: false }]);
  }
  const wins = supersedes(before, finding, judgement);
  const next: HeldFinding = {
    ...before,
    finding: wins ? finding : before.finding,
    // Seen again in this boot: the held finding is no longer of an older one.
    judgement: wins ? judgement : before.judgement,
    lastAt: nowMs,
    count: before.count + 1,
    cleanSince: 0,
    resetSeen: false,
  };
  return held.map((h) => (h === before ? next : h));
}

export type Evaluation = {
  /** The boot that the node reports now; `null` if it has not reported. */
  bootId: string | null;
  /** The newest full check; `null` or inconclusive proves nothing. */
  check: Check | null;
  /** The same instant as given to `holdFinding` for findings that came with this check. */
  nowMs: number;
  /** A reset of all GPUs was observed otherwise, such as a reload of the driver. */
  resetSeen: boolean;
};

/**
 * Conditions that do not show whether a reset helped. A chronic one, such as a narrow PCIe link,
 * would otherwise keep a repaired GPU unhealthy.
 */
const UNRELATED =
  /^(?:(?:thermal|power|throttle|pcie|host)|ecc\/sbe|remap\/(?:spare_low|retired_pages))\//;

/** A condition of this device, or of the node as a whole, that still holds. */
function isStillActive(held: HeldFinding, active: readonly string[]): boolean {
  const gpu = gpuOf(held.finding);
  const isOfDevice = (key: string) => key.endsWith(`/${gpu}`) || key.endsWith("/node");
  return active.some((key) => key === held.key || (isOfDevice(key) && !UNRELATED.test(key)));
}

/**
 * The probe reported a recovery action before and reports none now. A line of the kernel log has no
 * reason, and an event of the driver no action. Only probes have conditions of kind `xid`.
 */
function verdictGone(all: readonly HeldFinding[], gpu: string, active: readonly string[]): boolean {
  const wasReported = all.some(
    (h) =>
      h.finding.code === XID_RECOVERY_ACTION &&
      gpuOf(h.finding) === gpu &&
      typeof h.finding.reason === "string" &&
      typeof h.finding.metrics?.recovery_action === "number",
  );
  if (!wasReported) return false;
  return !active.some((key) => key.startsWith("xid/") && key.endsWith(`/${gpu}`));
}

function isOver(held: HeldFinding, evaluation: Evaluation, isClean: boolean): boolean {
  const { hold } = held.judgement;
  const rebooted = evaluation.bootId !== null && held.finding.boot_id !== evaluation.bootId;
  if (typeof hold === "object") {
    const isListed = evaluation.check?.conclusive === true && !isClean;
    return evaluation.nowMs >= held.lastAt + hold.forMs && !isListed;
  }
  switch (hold) {
    case "none":
      return isClean;
    case "while_active": {
      const { kind } = held.finding;
      const isPresence = kind === "driver" || kind === "lost" || kind === "heartbeat";
      const needed = isPresence || rebooted ? CLEAN_CHECKS_AT_ONCE : CLEAN_CHECKS;
      return isClean && held.cleanSince >= needed;
    }
    case "until_reset":
      return isClean && (rebooted || held.resetSeen === true);
    case "until_reboot": {
      const withdrawn = held.finding.code === XID_RECOVERY_ACTION && held.resetSeen === true;
      return isClean && (rebooted || withdrawn);
    }
    case "until_replaced":
      return false;
    default:
      return unreachable(hold);
  }
}

/** Clean for a finding: a later conclusive check no longer lists its condition. */
function isCleanFor(held: HeldFinding, evaluation: Evaluation): boolean {
  const { check, nowMs } = evaluation;
  if (!check?.conclusive || held.lastAt >= nowMs) return false;
  const { hold } = held.judgement;
  // These holds depend on their own condition alone: it is over once a check no longer lists it.
  const isOwn = typeof hold === "object" || hold === "none" || hold === "while_active";
  if (isOwn && held.finding.kind !== "heartbeat") return !check.active.includes(held.key);
  return !isStillActive(held, check.active);
}

/**
 * One evaluation: drops what is over. Without a conclusive check only timed holds end. A check that
 * came with a finding says nothing about it.
 */
export function releaseHeld(held: readonly HeldFinding[], evaluation: Evaluation): HeldFinding[] {
  const active = evaluation.check?.conclusive ? evaluation.check.active : null;
  return held.flatMap((h) => {
    const isClean = isCleanFor(h, evaluation);
    const isLater = h.lastAt < evaluation.nowMs;
    const gone = active !== null && isLater && verdictGone(held, gpuOf(h.finding), active);
    const next: HeldFinding = {
      ...h,
      // Findings of the first report after a reset are newer than the reset.
      resetSeen: h.resetSeen === true || (evaluation.resetSeen && isLater) || gone,
      cleanSince: active === null ? h.cleanSince : isClean ? h.cleanSince + 1 : 0,
    };
    return isOver(next, evaluation, isClean) ? [] : [next];
  });
}

/** The worst held result; `healthy` if nothing is held. */
export function verdictOf(held: readonly Pick<HeldFinding, "judgement">[]): Verdict {
  const results = held.map(({ judgement }) => judgement.result);
  return RESULTS.findLast((result) => results.includes(result)) ?? "healthy";
}
