/**
 * Reads the control plane as an operator does, by its HTTP API and its metrics. If it does not
 * answer, the result is `null`, not an error.
 */
import type { NodeView } from "../../schema/api.ts";
import type { Plane } from "../stack/plane.ts";
import { readGauge } from "./metric.ts";

/** Maximum read for the pools' gauges, which precede the nodes on the metrics page. */
const HEAD_BYTES_MAX = 8 * 1024 * 1024;

export type Call = { status: number; body: unknown };

/** Node counts at one moment, of nodes that registered and have not ended. */
export type Count = { total: number; healthy: number; unhealthy: number; degraded: number };

export class Api {
  readonly #plane: Plane;

  constructor(plane: Plane) {
    this.#plane = plane;
  }

  /** `null` while the process is dead or paused. */
  async call(method: string, path: string, body?: unknown): Promise<Call | null> {
    const answer = await this.#plane.request(method, path, body);
    if (answer === null) return null;
    const text = await answer.text();
    try {
      return { status: answer.status, body: JSON.parse(text) as unknown };
    } catch {
      return { status: answer.status, body: text };
    }
  }

  /** Matching nodes; `null` while unreachable. Ended ones only if the query says `terminated`. */
  async nodes(query = ""): Promise<NodeView[] | null> {
    const answer = await this.call("GET", `/v1/nodes${query}`);
    if (answer === null || answer.status !== 200) return null;
    return (answer.body as { nodes: NodeView[] }).nodes;
  }

  /** `null` if the control plane is unreachable or does not know the node. */
  async node(id: string): Promise<NodeView | null> {
    const answer = await this.call("GET", `/v1/nodes/${encodeURIComponent(id)}`);
    return answer?.status === 200 ? (answer.body as NodeView) : null;
  }

  async metrics(): Promise<string | null> {
    const answer = await this.#plane.request("GET", "/metrics");
    return answer === null ? null : answer.text();
  }

  /** Reads the pools' gauges; degraded nodes are counted from the node list. */
  async count(): Promise<Count | null> {
    const head = await this.#metricsHead();
    if (head === null) return null;
    const degraded = (await this.nodes("?health=degraded"))?.length ?? 0;
    const total = readGauge(head, "navarch_nodes_total");
    const healthy = readGauge(head, "navarch_nodes_healthy") - degraded;
    return { total, healthy, unhealthy: readGauge(head, "navarch_nodes_unhealthy"), degraded };
  }

  /** Reads the page only up to the first node: a large fleet's page is tens of megabytes. */
  async #metricsHead(): Promise<string | null> {
    const answer = await this.#plane.request("GET", "/metrics");
    if (answer === null || answer.body === null) return null;
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    let text = "";
    while (text.length < HEAD_BYTES_MAX && !/^navarch_nodes\{/m.test(text)) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
    await reader.cancel();
    return text;
  }
}
