/** Which configuration is in force, and what its files say since. Pure. */
import type { ConfigStatusView, ReloadView } from "../../../schema/api-config.ts";
import { factsOf } from "../../../schema/safety.ts";
import { hashConfig } from "../../config/hash.ts";
import { policyId, type Reload, type Reloader } from "../../core/reload.ts";
import { formatHolding, isHeld, orphanedPools } from "../../core/removal.ts";
import type { Reconciler } from "../../runtime/loop.ts";
import { iso } from "./node.ts";

export function viewReload(reload: Reload, reloader: Reloader): ReloadView {
  return { ...reload, at: iso(reload.at), hash: hashConfig(reloader.loaded().config) };
}

export function viewConfigStatus(reloader: Reloader, reconciler: Reconciler): ConfigStatusView {
  const fleet = reconciler.fleet();
  const { policy } = reconciler.activePolicy();
  const last = reloader.last();
  const nodes = [...fleet.nodes.values()].filter(isHeld);
  return {
    files: [...reloader.files()],
    hash: hashConfig(reloader.loaded().config),
    policy: policyId(policy),
    since: iso(reloader.loadedAt()),
    stale: reloader.isStale(),
    last: last === null ? null : viewReload(last, reloader),
    removing: factsOf(fleet.facts, "removed_pool").map(({ pool, by, at }) => {
      return { pool, by, at: iso(at), nodes: nodes.filter((node) => node.pool === pool).length };
    }),
    orphaned: orphanedPools(fleet, reconciler.activeConfig()).map((one) => {
      return { pool: one.pool, nodes: one.nodes, message: formatHolding(one) };
    }),
  };
}
