/**
 * The recorded findings of the fleet, page by page, with what a condition may ask about their
 * nodes: what `policy test --replay` reads.
 */
import type { NodeId } from "../../../schema/id.ts";
import type { RecordedNode, RecordedPage } from "../../../schema/past.ts";
import { policyNodeOf } from "../../core/fold/rejudge.ts";
import { iso } from "../view/node.ts";
import { needs, refuse, type App, type RoutePorts } from "./app.ts";

/** Rows of one page: about a megabyte, and some milliseconds of the loop. */
const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 500;

export function historyRoutes(api: App, ports: RoutePorts): void {
  api.get("/findings", needs("viewer"), async (c) => {
    const { since: from = "1970-01-01T00:00:00Z", after: last, limit: most } = c.req.query();
    const since = Date.parse(from);
    if (Number.isNaN(since))
      return refuse(c, "invalid_argument", "since: expected an RFC 3339 time");
    const after = last === undefined ? null : Number(last);
    const limit = most === undefined ? PAGE_DEFAULT : Number(most);
    for (const [name, value, least] of [
      ["after", after ?? 0, 0],
      ["limit", limit, 1],
    ] as const) {
      if (!Number.isInteger(value) || value < least) {
        return refuse(c, "invalid_argument", `${name}: expected a whole number from ${least} on`);
      }
    }
    const rows = await ports.store.pastFindings({
      since,
      after,
      limit: Math.min(limit, PAGE_MAX),
    });
    const nodes = new Map<NodeId, RecordedNode>();
    for (const { node } of rows) if (!nodes.has(node)) nodes.set(node, recordOf(ports, node));
    const page: RecordedPage = {
      findings: rows.map(({ id, node, receivedAt, finding }) => {
        return { id, node_id: node, received_at: iso(receivedAt), finding };
      }),
      nodes: Object.fromEntries(nodes),
      next: rows.at(-1)?.id ?? after,
    };
    return c.json(page);
  });
}

function recordOf(ports: RoutePorts, id: NodeId): RecordedNode {
  const { pools, server } = ports.reconciler.activeConfig();
  const node = ports.reconciler.fleet().nodes.get(id) ?? null;
  const named = node === null ? poolNameIn(id, pools) : node.pool;
  const pool = pools.find((one) => one.name === named);
  const labels = pool?.labels ?? {};
  const agent = node?.agent ?? null;
  const seen = node === null || agent === null ? null : policyNodeOf(node, agent, labels);
  return {
    pool: named,
    labels: seen?.labels ?? labels,
    gpu_count: seen?.gpu_count ?? 0,
    driver_version: seen?.driver_version ?? "",
    fake: seen?.fake ?? false,
    threshold: pool?.health.unhealthyThreshold ?? 1,
    check_ms: server.healthCheckIntervalMs,
    known: seen !== null,
  };
}

/** A node that was forgotten still carries its pool in its id (`decide/offer.ts`). */
function poolNameIn(id: string, pools: readonly { name: string }[]): string | null {
  const place = id.replace(/-\d+-\d+$/, "");
  const fitting = pools.filter(({ name }) => place !== id && place.endsWith(`-${name}`));
  return fitting.sort((a, b) => b.name.length - a.name.length)[0]?.name ?? null;
}
