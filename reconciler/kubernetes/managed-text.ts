/**
 * What the condition `NavarchManaged` says of a node: its phase, and why nothing more is done about
 * it now, as `navarch explain` says it, in short. Pure. Times are absolute, so that a text that is
 * minutes old is still true.
 */
import type { WaitReason } from "../../schema/plan.ts";
import type { ShownNode } from "../core/desired-state.ts";

export type ManagedText = {
  /** CamelCase. */
  reason: string;
  message: string;
  /** While an effect is on its way: what stands after this beginning stays. */
  keeps?: string;
};

type Managed = Pick<
  ShownNode,
  "node" | "phase" | "session" | "wait" | "busy" | "refused" | "onHold" | "cutsOff" | "calledOff"
>;

/** Waits that are neither the phase's own course nor over soon. */
const REASON: Partial<Record<WaitReason, string>> = {
  blind: "ControlPlaneBlind",
  budget: "BudgetExhausted",
  breaker: "BreakerOpen",
  spend: "SpendLimitReached",
  bootstrap_guard: "ReplacementsFail",
};
/** Said before the message where that does not tell what it is about. */
const TITLE: Partial<Record<WaitReason, string>> = {
  blind: "the control plane cannot see enough to act",
  budget: "no room in a budget",
  breaker: "slowed by a circuit breaker",
  spend: "a spend limit is reached",
};
/** The whole text is in `navarch explain`. */
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
