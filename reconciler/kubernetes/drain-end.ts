/**
 * Texts about the end of a drain for a remaining pod: when it is deleted, why it was not evicted,
 * and what its owner can do. Pure. Times are absolute, so that a text stays true.
 */
import { formatAdmission } from "./admission.ts";
import type { Ask } from "./drain-ask.ts";
import type { PlannedPod } from "../core/kubernetes/drain-plan.ts";
import { DOMAIN } from "../core/kubernetes/object.ts";

/** Why a pod is deleted and was not evicted. */
export type Cut = {
  /** A budget refused its eviction: the deletion goes beyond what that allows. */
  isPastBudget: boolean;
  /** A clause for "because … and". */
  why: string;
};

/** What a drain's deadline does to a remaining pod. */
export type DrainEnd =
  /** There is no deadline, or it moves because evictions are not allowed now. */
  | { kind: "open" }
  /** `at`: when the pod is deleted. `mayHold`: a hold on the Node prevents it. */
  | { kind: "deletes"; at: string; mayHold: boolean }
  /** Its deletion has begun; the drain waits until `at` at most. */
  | { kind: "leaves"; at: string }
  /** Nothing is deleted: the node waits for a person. */
  | { kind: "stops"; at: string };

const DAY_MS = 86_400_000;

/** `16:18:50 UTC`, with the date if it is not the day of `since`. */
export function formatTime(at: number, since: number): string {
  const [date = "", time = ""] = new Date(at).toISOString().split("T");
  const isSameDay = Math.floor(at / DAY_MS) === Math.floor(since / DAY_MS);
  return `${isSameDay ? "" : `${date} `}${time.slice(0, 8)} UTC`;
}

export function cutOf(planned: PlannedPod, { verdict, state }: Ask): Cut {
  const cut = (why: string, isPastBudget = false): Cut => ({ why, isPastBudget });
  if (planned.verdict !== "evict") return cut(`it was not evicted before: ${planned.why}`);
  if (state === "begun") return cut("its accepted eviction had no effect");
  switch (verdict?.kind) {
    case "budget": {
      const name = `${planned.namespace}/${verdict.budget ?? "?"}`;
      return cut(`PodDisruptionBudget ${name} did not allow its eviction before`, true);
    }
    case "severalBudgets":
      return cut("it cannot be evicted: more than one PodDisruptionBudget covers it", true);
    case "controllerBehind":
      return cut("the disruption controller did not allow its eviction before", true);
    case "admission":
      return cut(`its eviction was ${formatAdmission(verdict.by)}`);
    case "forbidden":
      return cut(`its eviction was refused by the server: ${verdict.message}`);
    default:
      return cut("it was not evicted in time");
  }
}

/** What happens to `count` pods, as a sentence after the one about them. */
export function formatEnd(end: DrainEnd, count: number): string {
  const isOne = count === 1;
  const them = isOne ? "it" : "them";
  switch (end.kind) {
    case "open":
      return "";
    case "leaves":
      return `. The drain ends at ${end.at} with or without ${them}`;
    case "stops":
      return `. At ${end.at} the drain stops and waits for a person`;
    case "deletes": {
      const hold = end.mayHold ? `; ${DOMAIN}/hold=true on the Node keeps ${them}` : "";
      return `. Deleted at ${end.at} unless ${isOne ? "it ends" : "they end"} before${hold}`;
    }
  }
}

/** The same for the pod's owner. */
export function formatOwnEnd(end: DrainEnd, node: string): string {
  if (end.kind !== "deletes") return formatEnd(end, 1);
  const hold = end.mayHold ? `, or set ${DOMAIN}/hold=true on Node ${node}` : "";
  return `. Deleted at ${end.at} unless it ends before: save its work${hold}`;
}
