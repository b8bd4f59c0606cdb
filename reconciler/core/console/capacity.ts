/** How much of the wanted capacity serves, by which the slots of the demand queue move. Pure. */
import type { Fleet } from "../fleet.ts";

/** Serving machines without a cordon in shares of the wanted ones; 1 where none are wanted. */
export function capacityOf({ nodes, pools }: Pick<Fleet, "nodes" | "pools">): number {
  let wanted = 0;
  for (const { desired } of pools.values()) wanted += desired;
  if (wanted === 0) return 1;
  let serving = 0;
  for (const { phase, pool, cordon } of nodes.values()) {
    const isFree = cordon.human === null && cordon.product === null;
    if (phase.kind === "serving" && pool !== null && isFree) serving++;
  }
  return Math.min(1, serving / wanted);
}
