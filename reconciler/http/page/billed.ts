/** The table of instances that are billed while their termination is not confirmed. Pure. */
import { html } from "hono/html";
import type { SafetyView } from "../../../schema/api.ts";
import { formatDollars, idOf, say, sayDollars, sayNode, sayPool, sayAge } from "./cell.ts";
import type { Block } from "./page.ts";

export function billedBlock({
  count,
  per_hour: perHour,
  unknown_prices: unknown,
  oldest,
}: SafetyView["still_billed"]): Block {
  const more = unknown === 0 ? "" : `, ${unknown} of unknown price`;
  const shown = count > oldest.length ? `; the oldest ${oldest.length} are shown` : "";
  return {
    id: "billed",
    heading: "Terminating instances still billed",
    kind: "table",
    above: count === 0 ? null : html`<p>${count}, ${formatDollars(perHour)}/h${more}${shown}.</p>`,
    columns: [
      { name: "Instance" },
      { name: "Node" },
      { name: "Pool" },
      { name: "Provider" },
      { name: "Since" },
      { name: "$/h", align: "right" },
    ],
    rows: oldest.map((one) => ({
      id: idOf("billed", one.provider, one.instance_id),
      tone: "warn",
      cells: [
        say(one.instance_id),
        sayNode(one.node_id),
        sayPool(one.pool),
        say(one.provider),
        sayAge(one.since),
        sayDollars(one.price_per_hour),
      ],
    })),
    empty: "None: the cloud confirmed each termination.",
    below: null,
  };
}
