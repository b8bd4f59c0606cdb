/**
 * The conditions, labels and taints that a node's Kubernetes object should have: pure. Conditions
 * have positive polarity like `Ready`, so `GPUHealthy=False` reports a fault. `NavarchManaged`
 * gives the phase and why nothing more is done now, with absolute times, so that an old text stays
 * true.
 */
import type { KubernetesConfig } from "../../schema/config.ts";
import type { WaitReason } from "../../schema/plan.ts";
import type { ShownNode } from "../core/kubernetes/desired-state.ts";
import { FLEET_LABEL, DOMAIN, type KubeNode } from "../core/kubernetes/object.ts";
import type { DesiredStatus } from "./status-diff.ts";

const HEALTH = {
  healthy: { status: "True", reason: "NoFault" },
  degraded: { status: "True", reason: "Degraded" },
  unhealthy: { status: "False", reason: "Fault" },
  unknown: { status: "Unknown", reason: "NotChecked" },
} as const;

export function desiredStatusOf(
  node: ShownNode,
  object: KubeNode,
  mirror: KubernetesConfig["mirror"],
  fleet: string,
): DesiredStatus {
  const { status, reason } = HEALTH[node.verdict];
  const session = node.session === null ? "" : ` (session ${node.session})`;
  const because = node.because === "" ? "no fault is held against it" : node.because;
  const pool = node.pool === null ? {} : { [`${DOMAIN}/pool`]: node.pool as string };
  return {
    node: node.node,
    name: node.name,
    uid: node.uid,
    pool: node.pool,
    object,
    conditions: [
      { type: "GPUHealthy", status, reason, message: `${because}${session}` },
      { type: "NavarchManaged", status: "True", ...formatManaged(node) },
    ],
    labels: { ...node.labels, ...pool, [FLEET_LABEL]: fleet },
    taints: node.taints,
    fleet: node.bought ? null : fleet,
    unhealthyTaint: node.verdict === "unhealthy" && node.cordoned ? "gpu" : null,
    draining: node.draining,
    verified: node.phase === "serving",
    later: node.marking,
    mirror,
  };
}

export type ManagedText = {
  /** CamelCase. */
  reason: string;
  message: string;
  /** While an effect is in progress: a shown message with this prefix stays. */
  keeps?: string;
};

type Managed = Pick<
  ShownNode,
  "node" | "phase" | "session" | "wait" | "busy" | "refused" | "onHold" | "cutsOff" | "calledOff"
>;

/** Reasons of long waits that the phase does not imply. */
const REASON: Partial<Record<WaitReason, string>> = {
  blind: "ControlPlaneBlind",
  budget: "BudgetExhausted",
  breaker: "BreakerOpen",
  spend: "SpendLimitReached",
  bootstrap_guard: "ReplacementsFail",
};
/** Put before messages that do not name their subject. */
const TITLE: Partial<Record<WaitReason, string>> = {
  blind: "the control plane cannot see enough to act",
  budget: "no room in a budget",
  breaker: "slowed by a circuit breaker",
  spend: "a spend limit is reached",
};
/** `navarch explain` has the whole text. */
const WAIT_CHARS_MAX = 500;

const camel = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

export function formatManaged(shown: Managed): ManagedText {
  const { node, phase, session, wait, busy } = shown;
  const head = `node ${node} is ${phase}${session === null ? "" : ` (session ${session})`}`;
  const reason = reasonOf(shown);
  if (busy) return { reason, message: head, keeps: head };
  if (wait === null) return { reason, message: head };
  const title = TITLE[wait.reason];
  const why = `${title === undefined ? "" : `${title}: `}${wait.message}`.slice(0, WAIT_CHARS_MAX);
  return { reason, message: `${head}: ${why}${formatEnd(shown)}` };
}

function reasonOf({ phase, wait, busy, refused, onHold, calledOff }: Managed): string {
  if (calledOff) return "RepairCalledOff";
  const why = busy ? null : (wait?.reason ?? null);
  if (why === "backoff" && refused) return "CordonRefused";
  if (why === "human" && onHold) return "OnHold";
  return (why === null ? undefined : REASON[why]) ?? camel(phase);
}

function formatEnd({ wait, cutsOff }: Managed): string {
  if (wait === null || wait.until === null) return "";
  const at = `${new Date(wait.until).toISOString().slice(0, 19)}Z`;
  if (wait.reason !== "drain") return `; not before ${at}`;
  return cutsOff ? `; what is left is cut off at ${at}` : `; the drain's deadline is ${at}`;
}
