/** The gauges of agents' transport security and trust in the control plane's key. */
import type { Reconciler } from "../../runtime/loop.ts";
import { viewTrust } from "../view/trust.ts";
import { single } from "./series.ts";

/** `key` is the fingerprint of the key that signs orders here. */
export function* formatTrust(reconciler: Reconciler, key: string | null): Generator<Uint8Array> {
  const tls = reconciler.activeConfig().server.tls !== null;
  const view = viewTrust(reconciler.fleet().nodes.values(), { key, tls });
  yield single("navarch_agents_without_tls", view.without_tls.count).take();
  yield single("navarch_agents_unverified", view.unverified.count).take();
  yield single("navarch_agents_key_first_use", view.first_use.count).take();
  yield single("navarch_agents_other_key", view.other_key.count).take();
  yield single("navarch_agent_orders_refused", view.refused.orders).take();
}
