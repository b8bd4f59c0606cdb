/**
 * Chooses the repair step of an unhealthy node and judges the reboot that was tried
 * (docs/reference/safety.md#ladder). Pure. A pool opts in by its `repair.ladder`. A rung that
 * cannot be carried out is skipped with its reason, and a repair never goes back to a milder rung.
 */
import type { Rung } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { isOwned, isWell, verdictOfNode } from "../fleet.ts";
import { isLostOnly } from "../safety/cluster-loss.ts";
import { formatFaults, rmaOf } from "../rma.ts";
import { lose } from "./lose.ts";
import type { Scope } from "./decide.ts";
import { pausedBy } from "./admit.ts";
import { lossOf, type PlanBuilder } from "./node.ts";
import { decideOrder, type PhaseOf } from "./leave.ts";
import { decideRecovery } from "./repair.ts";
import { isResting } from "../turn/backoff.ts";
import { type Cause, type NoUse, sayCause } from "../say/cause.ts";

const REBOOTS_MAX = 2;
/** Without a configured ladder. */
const REBOOTS_UNASKED_MAX = 1;
/** Pause between two reboots. */
const REBOOT_COOLDOWN_MS = 30 * 60_000;
/** Time for the new boot to report. */
const REBOOT_MS_MAX = 20 * 60_000;
/** A fault that returns within this time is not the kind that a reboot cures. */
const RELAPSE_MS = 24 * 3_600_000;

export type Climb = {
  /** `null`: the ladder ends below replacement. */
  rung: Exclude<Rung, "gpu-reset"> | null;
  /** Not before this instant. */
  until: number;
  /** Rungs that were passed over, each with its reason. */
  skipped: Cause[];
};

type Ground = Pick<Scope, "pool" | "sight">;

/** The lowest rung that may still cure the node. */
export function nextRung(node: Node, scope: Ground): Climb {
  const skipped: Cause[] = [];
  const { ladder, rebootsMax } = ladderOf(node, scope);
  for (const rung of ladder) {
    if (rung === "replace") return { rung, until: 0, skipped };
    const why = rung === "reboot" ? rebootIsNoUse(node, scope, rebootsMax) : RESET_IS_NO_USE;
    if (why !== null) {
      skipped.push({ code: "skipped", rung, why });
      continue;
    }
    if (rung !== "reboot") continue;
    const tried = (node.session?.attempts?.["reboot"] ?? 0) > 0;
    return { rung, until: tried ? (node.rebootedAt ?? 0) + REBOOT_COOLDOWN_MS : 0, skipped };
  }
  return { rung: null, until: 0, skipped };
}

/**
 * The pool's ladder; an owned machine is rebooted once unless one is configured, and is never
 * replaced. The default one has a reboot before replacement for NVLink and fabric faults and for
 * Nodes that are NotReady or gone only: they are often cured by starting a service of the machine
 * (the fabric manager, the kubelet).
 */
function ladderOf(node: Node, { pool }: Ground): { ladder: readonly Rung[]; rebootsMax: number } {
  const { ladder = [], implied } = pool?.repair ?? {};
  if (isOwned(node)) {
    if (implied === true) return { ladder: ["reboot"], rebootsMax: REBOOTS_UNASKED_MAX };
    return { ladder: ladder.filter((rung) => rung !== "replace"), rebootsMax: REBOOTS_MAX };
  }
  const faults = node.health.held.filter(({ judgement }) => judgement.result === "unhealthy");
  const isFabric = faults.every(
    ({ finding, judgement }) => finding.kind === "nvlink" && judgement.action === "reboot",
  );
  const isCurable = faults.length > 0 ? isFabric : isLostOnly(node);
  if (implied !== true || !isCurable) return { ladder, rebootsMax: REBOOTS_MAX };
  return { ladder: ["reboot", ...ladder], rebootsMax: REBOOTS_UNASKED_MAX };
}

const RESET_IS_NO_USE: NoUse = { code: "no_reset" };

function rebootIsNoUse(node: Node, { sight }: Ground, most: number): NoUse | null {
  const { agent, instance, session, rebootedAt } = node;
  const isMine = isOwned(node);
  if (isMine && agent?.inventory.capabilities.includes("reboot") !== true) {
    return { code: "no_commands" };
  }
  if (session?.refused !== undefined) return { code: "refused", said: session.refused };
  if (instance === null) return { code: "no_instance" };
  if (!isMine && sight.providers.get(instance.provider)?.canReboot !== true) {
    return { code: "no_reboots" };
  }
  const beyond = node.health.held.find(
    ({ judgement }) =>
      judgement.result === "unhealthy" &&
      (judgement.hold === "until_replaced" || judgement.action === "replace"),
  );
  if (beyond !== undefined) return { code: "outlives", because: beyond.judgement.because };
  const tried = session?.attempts?.["reboot"] ?? 0;
  if (tried >= most) return { code: "tried", times: tried };
  if (tried > 0 || rebootedAt === null || session === null) return null;
  const relapsed = session.openedAt - rebootedAt < RELAPSE_MS;
  return relapsed ? { code: "relapsed" } : null;
}

/** An owned machine that is drained: its agent reboots it, or a person repairs it. */
export function decideOwnedRepair(node: Node, scope: Scope, plan: PlanBuilder): void {
  const { rung, until, skipped } = nextRung(node, scope);
  if (isResting(until, scope.sight.now)) {
    return plan.wait("backoff", { code: "reboot_rests" }, until);
  }
  const { instance } = node;
  if (instance === null) return;
  if (rung === "reboot") {
    const { provider, id } = instance;
    const bootId = node.agent?.bootId ?? null;
    const by = { kind: "reboot", provider, instanceId: id, bootId, by: "agent" } as const;
    return plan.effect(by, [{ code: "drained_for_reboot" }]);
  }
  const rma = rmaOf(node, skipped.map(sayCause), scope.sight.now);
  const { host, because } = rma;
  const by: Cause = { code: "repair_by_hand", host, because, node: node.id };
  const why = sayCause(by);
  const held = { kind: "held", since: scope.sight.now, heldBy: "navarch", why, rma } as const;
  plan.advance(held, "node.held", [by, { code: "rma", said: formatFaults(rma) }], "held");
}

/** After a reboot request, only another boot id and a full check under it count. */
export function decideRepairing(
  node: Node,
  phase: PhaseOf<"repairing">,
  scope: Scope,
  plan: PlanBuilder,
): void {
  const { sight } = scope;
  const waitedMs = Math.min(sight.now - phase.since, sight.attentiveMs);
  const late = waitedMs >= REBOOT_MS_MAX;
  const loss = lossOf(node, scope);
  // The cloud may list a machine as stopped, or not at all, while it reboots.
  const isListed = node.instance?.state !== "stopped" && node.instance?.absentSince === null;
  if (loss !== null && (isListed || late) && node.health.silentSince !== null) {
    return lose(node, scope, plan, loss);
  }
  if (node.order !== null) return decideOrder(node, scope, plan);
  const refused = node.session?.refused ?? null;
  // Its order is held back too (`core/fold/reboot-order.ts`), and it is not late meanwhile.
  const paused = phase.order === undefined ? null : pausedBy(node, scope);
  const booted = node.agent !== null && node.agent.bootId !== phase.bootId;
  const check = node.health.lastCheckAt;
  const giveUp = (why: Cause): void =>
    plan.advance({ kind: "suspect", since: sight.now }, "node.suspect", [why]);
  const { rung } = phase;
  if (refused !== null && !booted) return giveUp({ code: "agent_refused", rung, said: refused });
  if (paused !== null && !booted) return plan.refuse(paused);
  if (booted && check !== null && check > phase.since) {
    if (isWell(node)) return decideRecovery(node, scope, plan);
    // Its kubelet may start later than its agent.
    if (isLostOnly(node) && !late) {
      const until = phase.since + REBOOT_MS_MAX;
      return plan.wait("cluster", { code: "rebooted_not_ready" }, until);
    }
    return giveUp({ code: "not_cured", verdict: verdictOfNode(node), rung });
  }
  if (late) {
    const minutes = REBOOT_MS_MAX / 60_000;
    return giveUp({ code: "rung_late", hasBooted: booted, minutes, rung });
  }
  plan.wait("boot", { code: booted ? "rebooted" : "rebooting" }, phase.since + REBOOT_MS_MAX);
}
