/**
 * Interprets an API server's answer to one eviction or deletion. Pure. It covers every row of
 * docs/reference/kubernetes.md#eviction in the wording of server 1.37; the test has the literal
 * bodies. Budgets are refused with 429 or 403, throttling with 429, and only the causes distinguish
 * them. Several budgets for one pod give 500 without a reason.
 */
import { unreachable } from "../../schema/unreachable.ts";
import { readAdmission } from "./admission.ts";
import type { Admission } from "./admission.ts";
import type { Cause, KubeAnswer } from "./api.ts";
import { readObject, readText } from "./read-field.ts";

export type EvictionVerdict =
  /** The deletion of this UID has begun. */
  | { kind: "begun" }
  | { kind: "gone" }
  /** Another pod has this name now, so this UID is gone. */
  | { kind: "otherPod" }
  | {
      kind: "budget";
      message: string;
      /** Name of the PodDisruptionBudget in the pod's namespace, if the server names it. */
      budget: string | null;
      needs: number | null;
      has: number | null;
      /** The first wait; the caller raises it up to `BUDGET_RETRY_MAX_MS`. */
      retryMs: number;
    }
  /** Unrelated to this pod: the server is overloaded, or (`own`) our own limit did not send it. */
  | { kind: "throttled"; retryMs: number; own: boolean }
  /** A configuration error: waiting does not help. */
  | { kind: "severalBudgets"; message: string; retryMs: number }
  /** The deletion of the namespace ends the pod. */
  | { kind: "namespaceTerminating"; retryMs: number }
  /** The controller of the budget's status lags. */
  | { kind: "controllerBehind"; message: string; budget: string | null; retryMs: number }
  /**
   * A webhook or policy refused it, or a webhook could not be called. Some delay an eviction (for a
   * checkpoint, a migration), so it is retried like a budget.
   */
  | { kind: "admission"; by: Admission; retryMs: number }
  /** Refused for a reason that a person must remove. */
  | { kind: "forbidden"; message: string; retryMs: number }
  /** The outcome is unknown: read the pod by its UID first. */
  | { kind: "unknown"; message: string };

/** As between two attempts of `kubectl drain`. */
const BUDGET_RETRY_MS = 5_000;
export const BUDGET_RETRY_MAX_MS = 30_000;
const BEHIND_RETRY_MS = 30_000;
/** For errors that a person must fix. */
const PERSON_RETRY_MS = 300_000;
/** Answers of `limiter.ts` and `client.ts`: nothing was sent. */
const UNSENT = new Set(["ClientThrottled", "NotWanted"]);
const THROTTLED_RETRY_MS = 1_000;

/** `uid`: of the pod that was to be evicted. */
export function judgeEviction(answer: KubeAnswer, uid: string): EvictionVerdict {
  switch (answer.kind) {
    case "ok":
      return judgeSuccess(readObject(answer.body));
    case "lost":
      return { kind: "unknown", message: answer.message };
    case "refused":
      return judgeRefusal(answer, uid);
    default:
      return unreachable(answer);
  }
}

/** The server answers with a Status or the pod; a bare 200 comes from a proxy. */
function judgeSuccess({ kind, status, message }: Record<string, unknown>): EvictionVerdict {
  // client-go treats a failed Status with a 2xx code as an error, too.
  if (status === "Failure") return { kind: "unknown", message: readText(message) ?? "failed" };
  if (kind === undefined && status === undefined)
    return { kind: "unknown", message: "an answer without a body" };
  return { kind: "begun" };
}

type Refusal = Extract<KubeAnswer, { kind: "refused" }>;

function judgeRefusal(answer: Refusal, uid: string): EvictionVerdict {
  const { status, message, causes, retryAfterMs } = answer;
  const by = readAdmission(message);
  if (by !== null) return { kind: "admission", by, retryMs: BUDGET_RETRY_MS };
  const budget = causes.find(({ reason }) => reason === "DisruptionBudget");
  switch (status) {
    case 404:
      // A missing namespace or an unknown resource is 404, too.
      if (/^pods? "/.test(message)) return { kind: "gone" };
      return { kind: "unknown", message };
    case 409:
      return judgeConflict(message, uid);
    case 429:
      if (budget !== undefined) return judgeBudget(budget, retryAfterMs);
      return {
        kind: "throttled",
        retryMs: retryAfterMs ?? THROTTLED_RETRY_MS,
        own: UNSENT.has(answer.reason),
      };
    case 412:
      if (!UNSENT.has(answer.reason)) break;
      return { kind: "throttled", retryMs: THROTTLED_RETRY_MS, own: true };
    case 403:
      return judgeForbidden(answer, budget);
    case 401:
      // Credentials rotate; the next call uses the new ones.
      return { kind: "unknown", message };
    default:
      break;
  }
  if (/more than one PodDisruptionBudget/i.test(message))
    return { kind: "severalBudgets", message, retryMs: BUDGET_RETRY_MAX_MS };
  if (status >= 500) return { kind: "unknown", message };
  return { kind: "forbidden", message, retryMs: PERSON_RETRY_MS };
}

/**
 * A wrong UID and a lost race for the budget's status are both conflicts. Only a message with the
 * requested UID proves that the pod is gone.
 */
function judgeConflict(message: string, uid: string): EvictionVerdict {
  const isOther = /UID in (the )?precondition/i.test(message) && message.includes(uid);
  return isOther ? { kind: "otherPod" } : { kind: "unknown", message };
}

function judgeBudget(cause: Cause, retryAfterMs: number | null): EvictionVerdict {
  const { message } = cause;
  const counts = /needs (\d+) healthy pods and has (\d+) currently/.exec(message);
  return {
    kind: "budget",
    message,
    budget: nameOf(message),
    needs: counts === null ? null : Number(counts[1]),
    has: counts === null ? null : Number(counts[2]),
    retryMs: Math.max(BUDGET_RETRY_MS, retryAfterMs ?? 0),
  };
}

function judgeForbidden(answer: Refusal, budget: Cause | undefined): EvictionVerdict {
  const { message, causes } = answer;
  if (causes.some(({ reason }) => reason === "NamespaceTerminating"))
    return { kind: "namespaceTerminating", retryMs: BUDGET_RETRY_MS };
  if (/disruptions allowed is negative|DisruptedPods map too big/.test(message)) {
    const said = budget?.message ?? message;
    return {
      kind: "controllerBehind",
      message: said,
      budget: nameOf(said),
      retryMs: BEHIND_RETRY_MS,
    };
  }
  return { kind: "forbidden", message, retryMs: PERSON_RETRY_MS };
}

/** The causes name the budget only in their text. */
function nameOf(message: string): string | null {
  return /^The disruption budget (\S+) /.exec(message)?.[1] ?? null;
}
