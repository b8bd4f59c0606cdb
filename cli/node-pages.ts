/** Reads the nodes of a control plane, page by page. */
import type { NodeView } from "../schema/api.ts";
import type { Client, Query } from "./client.ts";
import type { Failure } from "./failure.ts";

/** Rows of one request. */
const PAGE = 1_000;

type Nodes = { ok: true; nodes: NodeView[]; nowMs: number };

/** Reads all pages; a repeated cursor ends the list. */
export async function getNodes(
  client: Client,
  query: Query,
  limit = Number.POSITIVE_INFINITY,
): Promise<Nodes | Failure> {
  const nodes: NodeView[] = [];
  let cursor: string | null = null;
  for (;;) {
    const size = String(Math.min(PAGE, limit - nodes.length));
    const page: Query = { ...query, limit: size, cursor };
    const answer = await client.get<{ nodes: NodeView[]; next?: string | null }>(
      "/nodes",
      ["nodes"],
      page,
    );
    if (!answer.ok) return answer;
    nodes.push(...answer.value.nodes);
    const given: unknown = answer.value.next;
    // An object would never equal the last cursor.
    const next = typeof given === "string" ? given : null;
    if (next === null || next === cursor || nodes.length >= limit) {
      return { ok: true, nodes: nodes.slice(0, limit), nowMs: answer.nowMs };
    }
    cursor = next;
  }
}
