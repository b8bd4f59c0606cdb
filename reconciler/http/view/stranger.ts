/**
 * Other fleets with pools of our names, for the HTTP API
 * (docs/operations/backup-and-restore.md#lost-state). Pure.
 */
import type { FleetsView, OtherFleetView } from "../../../schema/fleet-view.ts";
import type { Fleet } from "../../core/fleet.ts";
import { blindLooks, holdingFleets, holdsNow, otherOwner } from "../../core/stranger.ts";

export function viewFleets(fleet: Fleet): FleetsView {
  return {
    fleet_id: fleet.fleetId,
    next_id: otherOwner(fleet),
    others: viewOthers(fleet),
    not_seen: blindLooks(fleet),
  };
}

export function viewOthers(fleet: Fleet): OtherFleetView[] {
  return holdingFleets(fleet, { ignored: true }).map((one) => {
    const fact = fleet.facts.get(`ignored_fleet:${one.fleet}`);
    return {
      fleet_id: one.fleet,
      pools: one.pools,
      providers: one.providers,
      machines: one.count,
      per_hour: Math.round(one.perHour * 100) / 100,
      unknown_prices: one.unpriced,
      holds: fact === undefined && holdsNow(one, fleet),
      ignored_by: fact?.kind === "ignored_fleet" ? fact.by : null,
      shown: one.machines.map(({ id, type, region }) => ({ instance_id: id, type, region })),
    };
  });
}
