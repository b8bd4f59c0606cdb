/**
 * Holds findings until they are over, and derives the verdict. Pure. A fault is reported once and
 * lasts until something shows that it is over, which depends on its class. Without the hold a
 * broken GPU would look healthy one report later.
 */
import type { Finding } from "../../schema/finding.ts";
import type { HeldFinding } from "../../schema/held.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { Hold, Judgement, Result, Verdict } from "../../schema/policy.ts";
import type { Check } from "../../schema/report.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { driverVerdict } from "./event.ts";
import { gpuOf } from "./history.ts";

/** Heat and power vary around a limit: three consecutive clean checks end them. */
const CLEAN_CHECKS = 3;
/**
 * Driver, GPUs and heartbeats are present or not: one check decides, and under another boot it
 * decides everything, since the first check judges a repair by reboot.
 */
const CLEAN_CHECKS_AT_ONCE = 1;

const RESULT_RANK: Record<Result, number> = { healthy: 0, degraded: 1, unhealthy: 2 };

const XID_RECOVERY_ACTION = 154;
/**
 * Reasons of the probe that reads the driver's recovery action; it also reports when there is none
 * any more.
 */
const PROBED_VERDICT = "recovery_";

/** How long a hold lasts, for choosing between two judgements of one key. */
function holdRank(hold: Hold): number {
  if (typeof hold === "object") return 1;
  switch (hold) {
    case "none":
      return 0;
    case "while_active":
      return 2;
    case "until_reset":
      return 3;
    case "until_reboot":
      return 4;
    case "until_replaced":
      return 5;
    default:
      return unreachable(hold);
  }
}

/**
 * `<kind>/<code>/<gpu>` with a code, else `<kind>/<reason>/<gpu>`, which is how `Check.active`
 * names the same condition.
 */
export function keyOf(finding: Finding): string {
  const what = finding.code ?? finding.reason ?? "-";
  return `${finding.kind}/${what}/${gpuOf(finding)}`.slice(0, 200);
}

/** How a check may list a finding's condition: one with a code may be listed by its reason. */
export function namesOf(finding: Finding): string[] {
  const { kind, reason } = finding;
  return [keyOf(finding), `${kind}/${reason ?? "-"}/${gpuOf(finding)}`.slice(0, 200)];
}

/** Which of two judgements excludes a node for longer. */
export function isWorse(a: Judgement, b: Judgement): boolean {
  const results = RESULT_RANK[a.result] - RESULT_RANK[b.result];
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
    RESULT_RANK[a.judgement.result] - RESULT_RANK[b.judgement.result] ||
    holdRank(a.judgement.hold) - holdRank(b.judgement.hold) ||
    a.lastAt - b.lastAt
  );
}

/**
 * Bounds the list. A dropped entry is merged into the next of the same result, so that the count
 * stays true.
 */
function bounded(held: HeldFinding[]): HeldFinding[] {
  if (held.length <= LIMIT.heldFindingsMax) return held;
  const [least, ...rest] = [...held].sort(byWeight);
  const heir = rest[0];
  if (!least || !heir) return held;
  const merged = { ...heir, count: heir.count + least.count };
  return held.filter((h) => h !== least).map((h) => (h === heir ? merged : h));
}

/**
 * A recovery action "none" ends the need of a reset; a clean check must follow. A log that is read
 * again repeats it, and it says nothing about later faults.
 */
function cleared(held: readonly HeldFinding[], finding: Finding): HeldFinding[] {
  return held.map((h) => {
    const ends = sameGpu(h, finding) && !isEarlier(finding, h.finding);
    return ends ? { ...h, resetSeen: true } : h;
  });
}

/**
 * Latches one judged finding. Healthy judgements are not held; a driver verdict of "none" marks the
 * GPU's findings as reset. `nowMs` is the control plane's clock. `knownBootId` is the boot that the
 * node reports now: a finding of another boot is history and is held only until the instance is
 * replaced, if its judgement says that.
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
  /** The newest full check; `null` or inconclusive means that nothing was learned. */
  check: Check | null;
  /** The same instant as given to `holdFinding` for findings that came with this check. */
  nowMs: number;
  /** A reset of all GPUs was observed otherwise, such as a reload of the driver. */
  resetSeen: boolean;
};

/**
 * Conditions that do not show whether a reset helped. A chronic one (a narrow PCIe link, an
 * unreadable kernel log) would otherwise keep a repaired GPU unhealthy for ever.
 */
const ASIDE =
  /^(?:(?:thermal|power|throttle|pcie|host)|ecc\/sbe|remap\/(?:spare_low|retired_pages))\//;

/** A condition of this device, or of the node as a whole, that still holds. */
function isStillActive(held: HeldFinding, active: readonly string[]): boolean {
  const gpu = gpuOf(held.finding);
  return active.some(
    (key) =>
      key === held.key || ((key.endsWith(`/${gpu}`) || key.endsWith("/node")) && !ASIDE.test(key)),
  );
}

/** The probe reported a recovery action before and none now: the driver needs nothing more. */
function verdictGone(all: readonly HeldFinding[], gpu: string, active: readonly string[]): boolean {
  const told = all.some(
    (h) =>
      h.finding.code === XID_RECOVERY_ACTION &&
      gpuOf(h.finding) === gpu &&
      (h.finding.reason ?? "").startsWith(PROBED_VERDICT),
  );
  if (!told) return false;
  return !active.some((key) => key.startsWith(`xid/${PROBED_VERDICT}`) && key.endsWith(`/${gpu}`));
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
      // A driver that withdraws its own recovery action is right.
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
  // What a program did, and what lasts as long as its own condition, wait for nothing else. A probe
  // does not repeat itself, so a condition that it still lists is not over whatever the hold says.
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
      // What comes with the first report after a reset came after it.
      resetSeen: h.resetSeen === true || (evaluation.resetSeen && isLater) || gone,
      cleanSince: active === null ? h.cleanSince : isClean ? h.cleanSince + 1 : 0,
    };
    return isOver(next, evaluation, isClean) ? [] : [next];
  });
}

/** The worst held result; `healthy` if nothing is held. */
export function verdictOf(held: readonly Pick<HeldFinding, "judgement">[]): Verdict {
  let worst: Result = "healthy";
  for (const { judgement } of held) {
    if (RESULT_RANK[judgement.result] > RESULT_RANK[worst]) worst = judgement.result;
  }
  return worst;
}
