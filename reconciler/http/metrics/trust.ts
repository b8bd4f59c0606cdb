/** The gauges of how agents reach the control plane and whose orders they carry out. */
import type { Reconciler } from "../../runtime/loop.ts";
import { viewTrust } from "../view/trust.ts";
import { Series } from "./series.ts";

/** `key` is the fingerprint of what signs orders here. */
export function* formatTrust(reconciler: Reconciler, key: string | null): Generator<Uint8Array> {
  const tls = reconciler.activeConfig().server.tls !== null;
  const view = viewTrust(reconciler.fleet().nodes.values(), { key, tls });
  const gauges: [string, string, number][] = [
    [
      "navarch_agents_without_tls",
      "Agents that report over plain http which leaves their machine.",
      view.without_tls.count,
    ],
    [
      "navarch_agents_unverified",
      "Agents older than signed orders: they carry out whatever reaches them.",
      view.unverified.count,
    ],
    [
      "navarch_agents_key_first_use",
      "Agents that know the key of this control plane from a reply over plain http.",
      view.first_use.count,
    ],
    [
      "navarch_agents_other_key",
      "Agents that know another key than this control plane's, and refuse its orders.",
      view.other_key.count,
    ],
    // A gauge: the count of a node ends with the node.
    [
      "navarch_agent_orders_refused",
      "Orders that the present agents refused because their signature was not valid.",
      view.refused.orders,
    ],
  ];
  for (const [name, help, value] of gauges) {
    const series = new Series(name, help);
    series.add({}, value);
    yield series.take();
  }
}
