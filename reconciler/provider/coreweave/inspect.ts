/**
 * Whether a cluster would take NodePools of this account: the resource, the permissions, and each
 * instance type by a dry run, which stores nothing.
 *
 * Adapter: network.
 */
import { nearest } from "../../../schema/nearest.ts";
import { coreweaveTypes, gpusOfType } from "../../core/instance-type.ts";
import type { Inspection, Place } from "../../core/provider.ts";
import type { KubeApi } from "../../kubernetes/api.ts";
import { nodePoolOf } from "./node-pool.ts";
import { failedOf } from "../call/cluster-call.ts";
import { inspectRight, row } from "../call/cluster-inspect.ts";
import { NO_RESOURCE, POOLS, whyNotSold } from "./request.ts";

const POOL = { group: "compute.coreweave.com", resource: "nodepools" };
/** What each call needs; without the last, a stock-out is not told from a slow boot. */
const RIGHTS = [
  { verb: "list", ...POOL },
  { verb: "get", ...POOL },
  { verb: "create", ...POOL },
  { verb: "delete", ...POOL },
  { verb: "list", group: "", resource: "nodes" },
  { verb: "list", group: "", resource: "events" },
] as const;

export async function inspectCluster(
  api: KubeApi,
  places: readonly Place[],
  timeoutMs: number,
): Promise<Inspection[]> {
  const query = { limit: "1" };
  const read = { path: POOLS, query, timeoutMs, lane: "read" } as const;
  const listed = await api.call({ verb: "list", ...read });
  if (listed.kind === "refused" && listed.status === 404) {
    return [row("fail", "resource", NO_RESOURCE)];
  }
  if (listed.kind !== "ok" && failedOf(listed).class !== "auth") {
    return [row("warn", "credentials", `not checked: ${listed.message}`)];
  }
  if (listed.kind === "refused" && listed.status === 401) {
    return [row("fail", "credentials", failedOf(listed).message)];
  }
  const rows = [row("ok", "credentials", "the API server knows the account")];
  for (const right of RIGHTS) {
    const isNeeded = right.resource !== "events";
    rows.push(await inspectRight(api, right, { isNeeded, timeoutMs }));
  }
  const types = [...new Map(places.map((place) => [typeKey(place), place])).values()];
  for (const place of types) rows.push(...(await inspectType(api, place, timeoutMs)));
  return rows;
}

const typeKey = ({ instanceType, market }: Place) => `${instanceType} ${market}`;

async function inspectType(api: KubeApi, place: Place, timeoutMs: number): Promise<Inspection[]> {
  const { instanceType } = place;
  const why = whyNotSold(place);
  if (why !== null) return [row("fail", "instance type", why)];
  const name = "navarch-dry-run";
  const request = { ...place, name, token: name, nodeId: name, tags: {}, sshKeys: [] };
  const answer = await api.call({
    verb: "create",
    path: POOLS,
    // Strict: a field that this cluster's NodePools do not have would be dropped without a word.
    query: { dryRun: "All", fieldValidation: "Strict" },
    body: nodePoolOf(request),
    timeoutMs,
    lane: "status",
  });
  if (answer.kind !== "ok") {
    const isRefused = answer.kind === "refused" && answer.status < 500;
    const outcome = isRefused ? "fail" : "warn";
    return [row(outcome, "instance type", `${instanceType}: ${answer.message}`)];
  }
  // The API server takes any name: CoreWeave looks at it only after the purchase.
  if (gpusOfType(instanceType, "coreweave") !== null) {
    return [row("ok", "instance type", `${instanceType} is taken`)];
  }
  const close = nearest(instanceType, coreweaveTypes());
  const hint = close === null ? "" : `: did you mean ${close}?`;
  return [row("warn", "instance type", `${instanceType} is not known to Navarch${hint}`)];
}
