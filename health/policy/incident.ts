/**
 * Groups judged findings into incidents: the findings of one fault get one root and one action
 * (docs/reference/xid.md#incidents). Pure, and independent of the order of its input.
 */
import type { Finding } from "../../schema/finding.ts";
import {
  ACTIONS,
  type Judgement,
  RESULTS,
  type RuleAction,
  type Verdict,
} from "../../schema/policy.ts";
import { driverVerdict } from "./event.ts";
import { atOf, gpuOf } from "./history.ts";
import { verdictOf } from "./hold.ts";

export type JudgedFinding = { finding: Finding; judgement: Judgement };

export type Incident = {
  /** `<boot id>/<first GPU>/<time of the first finding>`: the same for the same evidence. */
  key: string;
  /** GPU keys (UUID, else address, else `node`), sorted. */
  gpus: string[];
  fromAt: number;
  /** In the order of the kernel log, then of time. */
  findings: JudgedFinding[];
  /** The finding that explains the others. */
  root: JudgedFinding;
  result: Verdict;
  /** The only action of the incident: findings that follow the root start none. */
  action: RuleAction;
};

/** Findings on one GPU with shorter gaps are one incident; the vendor groups them the same way. */
const SILENCE_MS = 180_000;

/** XIDs of a link fault, which the GPUs at both ends report. */
const LINK_CODES = new Set([74, 136, 144, 145, 146, 147, 148, 149, 150, 155]);
/** XIDs that are details of an XID 48, if there is one. */
const DETAIL_OF_48 = new Set([63, 171, 172]);
const PACKET_LOSS_UNIT = "RLW_SRC_TRACK";

function isLink({ finding }: JudgedFinding): boolean {
  if (finding.kind === "sxid" || finding.kind === "nvlink") return true;
  return finding.kind === "xid" && LINK_CODES.has(finding.code ?? -1);
}

function isFollower({ finding }: JudgedFinding, codes: ReadonlySet<number>): boolean {
  const { code } = finding;
  if (finding.kind !== "xid" || typeof code !== "number") return false;
  // XID 45 (cleanup) and 154 (recovery action) always follow another fault.
  if (code === 45 || code === 154) return true;
  if (DETAIL_OF_48.has(code)) return codes.has(48);
  const isLoss = code === 145 && finding.metrics?.unit === PACKET_LOSS_UNIT;
  return isLoss && (codes.has(149) || codes.has(150));
}

function order(a: JudgedFinding, b: JudgedFinding): number {
  const seq = (a.finding.kmsg_seq ?? -1) - (b.finding.kmsg_seq ?? -1);
  const both = a.finding.kmsg_seq != null && b.finding.kmsg_seq != null;
  if (both && seq !== 0) return seq;
  return (
    atOf(a.finding) - atOf(b.finding) ||
    (a.finding.code ?? -1) - (b.finding.code ?? -1) ||
    (gpuOf(a.finding) < gpuOf(b.finding) ? -1 : 1)
  );
}

/** The most severe finding that no other explains; among equals the first. */
function rootOf(findings: readonly JudgedFinding[]): JudgedFinding | undefined {
  const xids = findings.filter((f) => f.finding.kind === "xid").map((f) => f.finding.code);
  const known = new Set(xids.filter((code) => typeof code === "number"));
  const causes = findings.filter((f) => !isFollower(f, known));
  const weigh = (f: JudgedFinding): number =>
    10 * RESULTS.indexOf(f.judgement.result) + ACTIONS.indexOf(f.judgement.action);
  return (causes.length > 0 ? causes : findings).reduce((best, f) =>
    weigh(f) > weigh(best) ? f : best,
  );
}

function worstAction(findings: readonly JudgedFinding[]): RuleAction {
  const actions = findings.map(({ judgement }) => judgement.action);
  return ACTIONS.findLast((action) => actions.includes(action)) ?? "none";
}

/** A lost GPU cannot be reset: the node must be rebooted, whatever the driver announces. */
function isLost({ finding }: JudgedFinding): boolean {
  return finding.kind === "lost" || (finding.kind === "xid" && finding.code === 79);
}

/**
 * The driver's newest verdict outranks the catalogue, in both directions; evidence that the board
 * is worn out (replace) and a lost GPU outrank the verdict.
 */
function actionOf(findings: readonly JudgedFinding[]): RuleAction {
  const worst = worstAction(findings);
  if (worst === "replace" || findings.some(isLost)) return worst;
  const verdicts = new Map<string, JudgedFinding>();
  for (const judged of findings) {
    if (judged.finding.code !== 154 || driverVerdict(judged.finding) === "unknown") continue;
    verdicts.set(gpuOf(judged.finding), judged);
  }
  if (verdicts.size === 0) return worst;
  const others = findings.filter((f) => !verdicts.has(gpuOf(f.finding)));
  return worstAction([...verdicts.values(), ...others]);
}

type Burst = {
  gpu: string;
  bootId: string;
  fromAt: number;
  toAt: number;
  findings: JudgedFinding[];
};

/** Findings of one GPU and boot, cut where it was silent. */
function bursts(findings: readonly JudgedFinding[]): Burst[] {
  const byTime = [...findings].sort((a, b) => atOf(a.finding) - atOf(b.finding) || order(a, b));
  const open = new Map<string, Burst>();
  const all: Burst[] = [];
  for (const judged of byTime) {
    const at = atOf(judged.finding);
    const gpu = gpuOf(judged.finding);
    const bootId = judged.finding.boot_id;
    const last = open.get(`${bootId}/${gpu}`);
    if (last && at - last.toAt < SILENCE_MS) {
      last.findings.push(judged);
      last.toAt = at;
      continue;
    }
    const fresh: Burst = { gpu, bootId, fromAt: at, toAt: at, findings: [judged] };
    open.set(`${bootId}/${gpu}`, fresh);
    all.push(fresh);
  }
  return all;
}

/** One fault on several GPUs: a reboot verdict for the whole system, or both ends of a link. */
function belongTogether(a: Burst, b: Burst): boolean {
  const apart = Math.max(a.fromAt, b.fromAt) - Math.min(a.toAt, b.toAt);
  if (a.bootId !== b.bootId || apart >= SILENCE_MS) return false;
  const reboots = (burst: Burst): boolean =>
    burst.findings.some((f) => driverVerdict(f.finding) === "reboot");
  const links = (burst: Burst): boolean => burst.findings.some(isLink);
  return (reboots(a) && reboots(b)) || (links(a) && links(b));
}

/** Joins bursts that belong together, directly or through others. */
function join(all: readonly Burst[]): Burst[][] {
  const groups: Burst[][] = [];
  for (const burst of all) {
    const touching = groups.filter((group) => group.some((other) => belongTogether(other, burst)));
    const merged = [...touching.flat(), burst];
    for (const group of touching) groups.splice(groups.indexOf(group), 1);
    groups.push(merged);
  }
  return groups;
}

/** The incidents in the findings of one node, oldest first. Foreign findings are left out. */
export function groupIncidents(findings: readonly JudgedFinding[]): Incident[] {
  const own = findings.filter((f) => f.finding.foreign !== true);
  const incidents = join(bursts(own)).flatMap((group): Incident[] => {
    const inside = group.flatMap((burst) => burst.findings).sort(order);
    const root = rootOf(inside);
    const gpus = [...new Set(group.map((burst) => burst.gpu))].sort();
    const [first] = group;
    if (!root || !first) return [];
    const fromAt = Math.min(...group.map((burst) => burst.fromAt));
    const key = `${first.bootId}/${gpus[0] ?? "node"}/${fromAt}`;
    const [result, action] = [verdictOf(inside), actionOf(inside)];
    return [{ key, gpus, fromAt, findings: inside, root, result, action }];
  });
  return incidents.sort((a, b) => a.fromAt - b.fromAt || (a.key < b.key ? -1 : 1));
}
