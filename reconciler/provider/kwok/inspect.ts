/**
 * Whether a cluster would take virtual Nodes of this account: the permissions, and each instance
 * type by a dry run, which stores nothing.
 *
 * Adapter: network.
 */
import type { Inspection, Place } from "../../core/provider.ts";
import { failedOf } from "../call/cluster-call.ts";
import { inspectRight, row } from "../call/cluster-inspect.ts";
import { nodeOf } from "./instance.ts";
import type { KwokOptions } from "./kwok.ts";
import { resourcesOf, whyNotSold } from "./type.ts";

const NODES = "/api/v1/nodes";
const VERBS = ["list", "get", "watch", "create", "patch", "delete"] as const;

type Parts = Required<KwokOptions>;

export async function inspectCluster(
  parts: Parts,
  places: readonly Place[],
): Promise<Inspection[]> {
  const { api, callMs: timeoutMs } = parts;
  const query = { limit: "1" };
  const listed = await api.call({ verb: "list", path: NODES, query, timeoutMs, lane: "read" });
  if (listed.kind !== "ok" && failedOf(listed).class !== "auth") {
    return [row("warn", "credentials", `not checked: ${listed.message}`)];
  }
  if (listed.kind === "refused" && listed.status === 401) {
    return [row("fail", "credentials", failedOf(listed).message)];
  }
  const rows = [row("ok", "credentials", "the API server knows the account")];
  for (const verb of VERBS) {
    const right = { verb, group: "", resource: "nodes" };
    rows.push(await inspectRight(api, right, { isNeeded: true, timeoutMs }));
  }
  const types = new Map(places.map((place) => [place.instanceType, place]));
  for (const place of types.values()) rows.push(await inspectType(parts, place));
  return rows;
}

async function inspectType(
  { api, callMs: timeoutMs, isTainted, name: provider, types }: Parts,
  place: Place,
): Promise<Inspection> {
  const { instanceType } = place;
  const why = whyNotSold(place, types);
  if (why !== null) return row("fail", "instance type", why);
  const name = "navarch-dry-run";
  const request = { ...place, name, token: name, nodeId: name, tags: {}, sshKeys: [] };
  const resources = resourcesOf(instanceType, types);
  const answer = await api.call({
    verb: "create",
    path: NODES,
    query: { dryRun: "All", fieldValidation: "Strict" },
    body: nodeOf(request, { fence: 0, resources }, { provider, isTainted }),
    timeoutMs,
    lane: "status",
  });
  if (answer.kind === "ok") return row("ok", "instance type", `${instanceType} is taken`);
  const isRefused = answer.kind === "refused" && answer.status < 500;
  return row(isRefused ? "fail" : "warn", "instance type", `${instanceType}: ${answer.message}`);
}
