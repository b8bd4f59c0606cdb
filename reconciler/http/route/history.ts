/** The recorded findings of the fleet, page by page, for `policy test --replay`. */
import * as v from "valibot";
import type { NodeId } from "../../../schema/id.ts";
import type { RecordedNode, RecordedPage } from "../../../schema/past.ts";
import { policyNodeOf } from "../../core/fold/rejudge.ts";
import { iso } from "../view/node.ts";
import type { RoutePorts, Route } from "./route.ts";
import { queryNumber, queryTime, readQuery } from "./request.ts";

/** About a megabyte, and some milliseconds of the loop. */
const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 500;

const PageQuery = v.object({
  since: queryTime,
  after: queryNumber("expected a whole number from 0 on"),
  limit: queryNumber("expected a whole number from 1 on", 1),
});

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

/** A forgotten node still has its pool in its id (`decide/offer.ts`). */
function poolNameIn(id: string, pools: readonly { name: string }[]): string | null {
  const place = id.replace(/-\d+-\d+$/, "");
  const fitting = pools.filter(({ name }) => place !== id && place.endsWith(`-${name}`));
  return fitting.sort((a, b) => b.name.length - a.name.length)[0]?.name ?? null;
}

export const historyRoutes: readonly Route<RoutePorts>[] = [
  {
    at: "GET /v1/findings",
    access: "viewer",
    query: PageQuery,
    says: "recorded findings; `since`; pass `next` as `after`; `limit`",
    run: async (c, ports) => {
      const { since = 0, after = null, limit = PAGE_DEFAULT } = readQuery(c, PageQuery);
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
    },
  },
];
