/**
 * The rungs below replacement (docs/reference/safety.md#ladder): which one a sick node's repair is
 * at, and what became of the one that was tried. Pure. A pool opts in by its `repair.ladder`; a
 * rung that cannot be carried out is skipped with its reason, and never climbed down again. A fault
 * of the fabric is rebooted once without being asked for.
 */
import type { Rung } from "../../../schema/config.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import { verdictOfNode } from "../fleet.ts";
import { lose } from "./arrive.ts";
import type { Scope } from "./decide.ts";
import { lossOf, type PlanBuilder } from "./node.ts";
import { decideOrder } from "./leave.ts";
import { decideRecovery } from "./repair.ts";

/** Attempts, pause between them, and how long the new boot has to report. */
const REBOOTS_MAX = 2;
/** Where nobody wrote a ladder. */
const REBOOTS_UNASKED_MAX = 1;
const REBOOT_COOLDOWN_MS = 30 * 60_000;
const REBOOT_MS_MAX = 20 * 60_000;
/** A fault that is back this soon after a reboot is not the kind that a reboot cures. */
const RELAPSE_MS = 24 * 3_600_000;

export type Climb = {
  /** `null`: the ladder ends below replacement. */
  rung: Exclude<Rung, "gpu-reset"> | null;
  /** Not before this instant. */
  until: number;
  /** Rungs that were passed over, each with its reason. */
  skipped: string[];
};

/** The lowest rung that may still cure the node. */
export function nextRung(node: Node, scope: Scope): Climb {
  const skipped: string[] = [];
  const { ladder, rebootsMax } = ladderOf(node, scope);
  for (const rung of ladder) {
    if (rung === "replace") return { rung, until: 0, skipped };
    const why = rung === "reboot" ? rebootIsNoUse(node, scope, rebootsMax) : RESET_IS_NO_USE;
    if (why !== null) {
      skipped.push(`${rung} skipped: ${why}`);
      continue;
    }
    if (rung !== "reboot") continue;
    const tried = (node.session?.attempts?.["reboot"] ?? 0) > 0;
    return { rung, until: tried ? (node.rebootedAt ?? 0) + REBOOT_COOLDOWN_MS : 0, skipped };
  }
  return { rung: null, until: 0, skipped };
}

/**
 * The pool's ladder. One that nobody wrote has a reboot before replacement for faults of links and
 * fabric alone: often a service of the machine (the fabric manager) needs to be started, and for
 * that nobody gives up eight GPUs.
 */
function ladderOf(node: Node, { pool }: Scope): { ladder: readonly Rung[]; rebootsMax: number } {
  const { ladder = [], implied } = pool?.repair ?? {};
  const faults = node.health.held.filter(({ judgement }) => judgement.result === "unhealthy");
  const isFabric =
    faults.length > 0 &&
    faults.every(({ finding, judgement }) => {
      return finding.kind === "nvlink" && judgement.action === "reboot";
    });
  if (implied !== true || !isFabric) return { ladder, rebootsMax: REBOOTS_MAX };
  return { ladder: ["reboot", ...ladder], rebootsMax: REBOOTS_UNASKED_MAX };
}

const RESET_IS_NO_USE = "agents of this version do not carry it out";

function rebootIsNoUse(node: Node, { sight }: Scope, most: number): string | null {
  const { instance, session, rebootedAt } = node;
  if (instance === null || sight.providers.get(instance.provider)?.canReboot !== true) {
    return "the provider does not reboot machines";
  }
  const beyond = node.health.held.find(
    ({ judgement }) =>
      judgement.result === "unhealthy" &&
      (judgement.hold === "until_replaced" || judgement.action === "replace"),
  );
  if (beyond !== undefined) return `${beyond.judgement.because} outlives a reboot`;
  const tried = session?.attempts?.["reboot"] ?? 0;
  if (tried >= most) return `${tried} reboot${tried === 1 ? "" : "s"} did not cure it`;
  if (tried > 0 || rebootedAt === null || session === null) return null;
  const relapsed = session.openedAt - rebootedAt < RELAPSE_MS;
  return relapsed ? "it was rebooted less than a day ago and is sick again" : null;
}

/** After a reboot was asked for: only another boot id, and a full check under it, are news. */
export function decideRepairing(
  node: Node,
  phase: Extract<Phase, { kind: "repairing" }>,
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { sight } = scope;
  const waitedMs = Math.min(sight.now - phase.since, sight.attentiveMs);
  const late = waitedMs >= REBOOT_MS_MAX;
  const loss = lossOf(node, scope);
  // A machine on its way down and up again may be shown as stopped, or not at all.
  const shown = node.instance?.state !== "stopped" && node.instance?.absentSince === null;
  const isDown = !shown && !late;
  if (loss !== null && !isDown && node.health.silentSince !== null) {
    return lose(node, scope, plan, loss);
  }
  if (node.order !== null) return decideOrder(node, scope, plan);
  const booted = node.agent !== null && node.agent.bootId !== phase.bootId;
  const check = node.health.lastCheckAt;
  if (booted && check !== null && check > phase.since) {
    const verdict = verdictOfNode(node);
    if (verdict === "healthy" || verdict === "degraded") return decideRecovery(node, scope, plan);
    const back = { kind: "suspect", since: sight.now } as const;
    return plan.advance(back, "node.suspect", [`still ${verdict} after its ${phase.rung}`]);
  }
  if (late) {
    const why = booted ? "no full check" : "no new boot";
    const minutes = Math.round(REBOOT_MS_MAX / 60_000);
    const back = { kind: "suspect", since: sight.now } as const;
    return plan.advance(
      back,
      "node.suspect",
      [`${why} within ${minutes} min of its ${phase.rung}`],
    );
  }
  const waits = booted ? "rebooted; its first full check is open" : "it is rebooting";
  plan.wait("boot", waits, phase.since + REBOOT_MS_MAX);
}
