/** The rows of `doctor` about machines of other fleets that have a pool's name. Pure. */
import type { FleetsView } from "../schema/fleet-view.ts";
import { sayOther } from "./fleet-view.ts";
import { bad, type Diagnosis } from "./diagnosis-row.ts";

export function judgeFleets(view: FleetsView): Diagnosis[] {
  const held = view.others.filter(({ holds }) => holds);
  const rows = held.map((one) => {
    const message = `${sayOther(one)}: nothing is bought for pool ${one.pools.join(", ")}`;
    const advice =
      `navarch fleet adopt ${one.fleet_id} if its state was lost, ` +
      `or navarch fleet ignore ${one.fleet_id}`;
    return bad("fail", "fleet", message, advice);
  });
  const blind = view.not_seen.map(({ provider, pools, why }) => {
    const message = `machines of a lost state are not seen for pool ${pools.join(", ")}: ${why}`;
    return bad("warn", `provider ${provider}`, message, null);
  });
  return [...rows, ...blind];
}
