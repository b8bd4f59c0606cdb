/** Formats other fleets with pools of our names. Pure. */
import type { FleetsView, OtherFleetView } from "../schema/fleet-view.ts";
import { money } from "./cost-view.ts";
import { formatTable, plain, type Style } from "./table.ts";

/** `3 machines of fleet vngpaq in pool training at aws, $96.00/h`. */
export function sayOther(one: OtherFleetView): string {
  const { machines, pools, providers, unknown_prices: unknown, per_hour: hour } = one;
  const noun = machines === 1 ? "machine" : "machines";
  const price = unknown === machines ? "price unknown" : `${money(hour)}/h`;
  const open = unknown > 0 && unknown < machines ? `, ${unknown} of unknown price` : "";
  const where = `in pool ${pools.join(", ")} at ${providers.join(", ")}`;
  return `${machines} ${noun} of fleet ${one.fleet_id} ${where}, ${price}${open}`;
}

export function formatMachines(one: OtherFleetView): string {
  const lines = one.shown.map(({ instance_id: id, type, region }) => {
    return `  ${plain([id, type, region ?? ""].join("  ").trimEnd())}\n`;
  });
  const left = one.machines - one.shown.length;
  const more = left > 0 ? `  and ${left} more\n` : "";
  return `${plain(sayOther(one))}:\n${lines.join("")}${more}`;
}

export function formatFleets(view: FleetsView, style: Style): string {
  const next = view.next_id === null ? "" : `, and ${view.next_id} from the next start on`;
  const head = `${plain(`This fleet is ${view.fleet_id}${next}`)}\n`;
  if (view.others.length === 0) return `${head}No machines of other fleets have a pool's name\n`;
  const rows = view.others.map((one) => [
    one.fleet_id,
    one.pools.join(", "),
    one.providers.join(", "),
    `${one.machines}`,
    one.unknown_prices === one.machines ? "unknown" : one.per_hour.toFixed(2),
    one.holds ? "holds its pools" : one.ignored_by === null ? "" : `ignored by ${one.ignored_by}`,
  ]);
  const columns = ["Fleet", "Pools", "Providers", "Machines", "$/h", "State"];
  return `${head}\n${formatTable(columns, rows, style)}`;
}
