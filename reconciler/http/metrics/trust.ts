/** The gauges of agents' transport security and trust in the control plane's key. */
import type { Reconciler } from "../../runtime/loop.ts";
import { viewTrust } from "../view/trust.ts";
import { Series } from "./series.ts";

/** `key` is the fingerprint of the key that signs orders here. */
export function* formatTrust(reconciler: Reconciler, key: string | null): Generator<Uint8Array> {
  const tls = reconciler.activeConfig().server.tls !== null;
  const view = viewTrust(reconciler.fleet().nodes.values(), { key, tls });
  const gauges: [string, string, number][] = [
    [
      "navarch_agents_without_tls",
      "Agents that report over unencrypted HTTP, except loopback.",
      view.without_tls.count,
    ],
    [
      "navarch_agents_unverified",
      "Agents that predate signed orders and cannot verify them.",
      view.unverified.count,
    ],
    [
      "navarch_agents_key_first_use",
      "Agents that trusted this control plane's key on first use over unencrypted HTTP.",
      view.first_use.count,
    ],
    [
      "navarch_agents_other_key",
      "Agents that trust a different key and refuse this control plane's orders.",
      view.other_key.count,
    ],
    // A gauge: a node's count ends with the node.
    [
      "navarch_agent_orders_refused",
      "Orders that current agents refused because of an invalid signature.",
      view.refused.orders,
    ],
  ];
  for (const [name, help, value] of gauges) {
    const series = new Series(name, help);
    series.add({}, value);
    yield series.take();
  }
}
