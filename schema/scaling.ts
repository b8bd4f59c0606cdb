/** An autoscaler's decision about a pool's size, as it is stored. */
import * as v from "valibot";
import { instant } from "./number.ts";

export const ScalingDecision = v.object({
  verdict: v.picklist(["hold", "steady", "cooldown", "scaled"]),
  because: v.string(),
  at: instant,
});
