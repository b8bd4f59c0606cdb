/** Checks of `doctor`: transport of the agents, and the keys that they accept. Pure. */
import type { AgentsView, TrustView } from "../schema/order.ts";
import { bad, type Diagnosis, ok } from "./diagnosis-row.ts";

const TLS_ADVICE = "set server.tls: { own_ca: true } and give agents an https address";
const UPGRADE_ADVICE = "upgrade these agents (navarch upgrade agents, or install.sh there)";
const FIRST_USE_ADVICE = "give the key to these agents: a join token, or --key-fingerprint";
const OTHER_KEY_ADVICE =
  "enrol these nodes again with the key above; if it was not rotated, check for interception";
const REFUSED_ADVICE = "see navarch events --node; check for proxies that change the traffic";

/** One row for each problem; two if there is none. */
export function judgeTrust(view: TrustView): Diagnosis[] {
  const { key, without_tls: plain, unverified, first_use: first, other_key: other } = view;
  const found: Diagnosis[] = [
    plain.count === 0
      ? ok("agent transport", `${count(view.agents)} report over TLS or from this machine`)
      : bad("warn", "agent transport", `${say(plain)} report over plain http`, TLS_ADVICE),
  ];
  if (key !== null) found.push(ok("release key", `${key} (agents: --key-fingerprint)`));
  if (unverified.count > 0) {
    const message = `${say(unverified)} verify no orders: older than signed orders`;
    found.push(bad("warn", "agent keys", message, UPGRADE_ADVICE));
  }
  if (first.count > 0) {
    const message = `${say(first)} trusted the first key that came over plain http`;
    found.push(bad("warn", "agent keys", message, FIRST_USE_ADVICE));
  }
  if (other.count > 0) {
    const message = `${say(other)} refused this key, and every order: another one is known there`;
    found.push(bad("fail", "agent keys", message, OTHER_KEY_ADVICE));
  }
  const { orders, nodes } = view.refused;
  if (orders > 0) {
    const [one] = nodes;
    const what = orders === 1 ? "1 order was" : `${orders} orders were`;
    const last = one === undefined ? "" : `; ${one.node_id}: ${one.last ?? ""}`;
    found.push(bad("warn", "orders", `${what} refused by agents${last}`, REFUSED_ADVICE));
  }
  return found;
}

const count = (n: number): string => (n === 1 ? "1 agent" : `${n} agents`);
const say = (group: AgentsView): string => `${count(group.count)} (${names(group)})`;

function names({ count: all, nodes }: AgentsView): string {
  const more = all - nodes.length;
  return `${nodes.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
