/**
 * What an answer about our mark means to the reconciler. Pure.
 */
import { unreachable } from "../../schema/unreachable.ts";
import type { SchedulerAnswer } from "../core/scheduler.ts";
import type { CordonAnswer } from "./cordon.ts";

/** `uid` is the object that was meant. */
export function judgeMark(answer: CordonAnswer, uid: string): SchedulerAnswer {
  switch (answer.kind) {
    case "held":
      return { kind: "ok", on: uid };
    case "released": {
      if (answer.wiped) {
        const message = "its owners were wiped: the owner of the cordon is unknown";
        return { kind: "ok", message };
      }
      const stays = answer.stays.join(", ");
      return { kind: "ok", message: stays === "" ? null : `stays cordoned by ${stays}` };
    }
    case "yielded":
      // What the object shows is then folded as the person's word that it is.
      if (answer.to === "uncordon") return { kind: "ok", on: uid, message: answer.message };
      return { kind: "refused", message: answer.message };
    case "other_object":
      // Its mark went with it; the object that has the name now is matched and marked again.
      return { kind: "ok", message: answer.message };
    case "refused":
      return { kind: "refused", message: answer.message };
    case "lost":
      return { kind: "ambiguous", message: answer.message };
    default:
      return unreachable(answer);
  }
}
