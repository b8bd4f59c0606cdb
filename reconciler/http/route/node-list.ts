/**
 * The list of nodes: filtered, in a stable order, complete unless a limit is given. 10,000 nodes
 * are 25 MiB of JSON, so it is formatted in slices.
 */
import type { Context } from "hono";
import * as v from "valibot";
import type { NodeView } from "../../../schema/api.ts";
import { HEALTH_STATUSES, NODE_STATUSES } from "../../../schema/api.ts";
import { nearest } from "../../../schema/nearest.ts";
import type { Node } from "../../../schema/node.ts";
import type { Env, RoutePorts } from "./route.ts";
import { invalid, readQuery } from "./request.ts";
import { openSliced } from "./sliced.ts";

/** Nodes per slice: 2 ms of work, 250 KiB at eight GPUs a node. */
const SLICE_NODES = 100;

type Filter = {
  status: NodeView["status"] | null;
  health: NodeView["health_status"] | null;
  query: v.InferOutput<typeof NodeQuery>;
  labels: readonly (readonly string[])[];
};

const word = v.optional(v.string());
/** `label` may be repeated: `k=v`, or several with commas. */
export const NodeQuery = v.object({
  pool: word,
  provider: word,
  region: word,
  zone: word,
  status: word,
  health: word,
  label: word,
  limit: word,
  cursor: word,
});

/** `viewOf` is called for a node only when its slice is due. */
export function listNodes(
  c: Context<Env>,
  ports: RoutePorts,
  viewOf: (node: Node) => NodeView,
): Response {
  const query = readQuery(c, NodeQuery);
  const status = choose(query.status, "NODE_STATUS_", NODE_STATUSES);
  const health = choose(query.health, "HEALTH_STATUS_", HEALTH_STATUSES);
  const limit = Number(query.limit ?? 0);
  if (!Number.isInteger(limit) || limit < 0) return invalid("limit: expected a whole number");
  const labels = (c.req.queries("label") ?? [])
    .flatMap((label) => label.split(","))
    .map((label) => label.split("=", 2));
  const filter: Filter = { status, health, query, labels };
  const after = Buffer.from(query.cursor ?? "", "base64url").toString();
  const nodes = orderedAfter(after, ports.reconciler.fleet().nodes.values(), filter);
  const slices = formatList(nodes, limit, (node) => {
    const view = viewOf(node);
    return passes(filter, view) ? view : null;
  });
  return c.body(openSliced(slices), 200, { "Content-Type": "application/json" });
}

/** Sort key of a node, and content of a cursor: pool, then id. */
const keyOf = (node: Node): string => `${node.pool ?? "~"}\u0000${node.id}`;

/** The nodes after the cursor, sorted, filtered by what can be checked without a view. */
function orderedAfter(after: string, nodes: Iterable<Node>, filter: Filter): Node[] {
  const keyed: { key: string; node: Node }[] = [];
  for (const node of nodes) {
    const { kind } = node.phase;
    if (kind === "requested") continue;
    if (kind === "gone" && filter.status !== "NODE_STATUS_TERMINATED") continue;
    if (!matches(filter.query.pool, node.pool)) continue;
    const key = keyOf(node);
    if (key > after) keyed.push({ key, node });
  }
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map((one) => one.node);
}

/** One JSON text. `next` is the cursor of the next page; `null` = no more nodes. */
function* formatList(
  nodes: readonly Node[],
  limit: number,
  show: (node: Node) => NodeView | null,
): Generator<string> {
  let text = '{"nodes":[';
  let shown = 0;
  let last: Node | null = null;
  let next: string | null = null;
  for (const [position, node] of nodes.entries()) {
    if (position > 0 && position % SLICE_NODES === 0) {
      yield text;
      text = "";
    }
    const view = show(node);
    if (view === null) continue;
    if (limit > 0 && shown === limit) {
      next = last === null ? null : Buffer.from(keyOf(last)).toString("base64url");
      break;
    }
    text += `${shown === 0 ? "" : ","}${JSON.stringify(view)}`;
    shown++;
    last = node;
  }
  yield `${text}],"next":${JSON.stringify(next)}}`;
}

function passes({ status, health, query, labels }: Filter, view: NodeView): boolean {
  return (
    (status === null || hasStatus(view, status)) &&
    (health === null || view.health_status === health) &&
    matches(query.provider, view.provider) &&
    matches(query.region, view.region) &&
    matches(query.zone, view.zone) &&
    labels.every(([key, value]) => key !== undefined && view.metadata.labels[key] === (value ?? ""))
  );
}

/** A node shows one status, and is cordoned whatever else it shows. */
function hasStatus({ status, cordons }: NodeView, wanted: NodeView["status"]): boolean {
  const isCordoned = cordons.product !== null || cordons.human !== null;
  const isGone = status === "NODE_STATUS_TERMINATED";
  return status === wanted || (wanted === "NODE_STATUS_CORDONED" && isCordoned && !isGone);
}

/** An empty filter matches everything. */
export function matches(wanted: string | undefined, found: string | null): boolean {
  return wanted === undefined || wanted === "" || wanted === found;
}

/** The full name of a status given with or without its prefix; `null` if none is given. */
function choose<T extends string>(
  given: string | undefined,
  prefix: string,
  all: readonly T[],
): T | null {
  if (given === undefined) return null;
  const upper = given.toUpperCase();
  const full = upper.startsWith(prefix) ? upper : `${prefix}${upper}`;
  const found = all.find((one) => one === full);
  if (found !== undefined) return found;
  const names = all.map((one) => one.slice(prefix.length).toLowerCase());
  const near = nearest(given, names);
  const what = prefix === "NODE_STATUS_" ? "status" : "health";
  const hint = near === null ? "" : `; did you mean "${near}"?`;
  return invalid(`unknown ${what} "${given}" (${names.join(", ")})${hint}`);
}
