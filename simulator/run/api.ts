/**
 * The control plane as the runner sees it: by its HTTP interface and its metrics, like any
 * operator. A control plane that does not answer is an answer.
 */
import type { NodeView } from "../../schema/api.ts";
import type { Plane } from "../stack/plane.ts";
import { readGauge } from "./metric.ts";

/** Pools come before nodes on the metrics page; more than this is read only for whole pages. */
const HEAD_BYTES_MAX = 8 * 1024 * 1024;

export type Call = { status: number; body: unknown };

/** What a moment's sample counts; nodes that registered and have not ended. */
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

  /** Nodes that match, without those that ended unless `terminated`; `null` while unreachable. */
  async nodes(query = ""): Promise<NodeView[] | null> {
    const answer = await this.call("GET", `/v1/nodes${query}`);
    if (answer === null || answer.status !== 200) return null;
    return (answer.body as { nodes: NodeView[] }).nodes;
  }

  /** `null`: unreachable, or unknown to the product. */
  async node(id: string): Promise<NodeView | null> {
    const answer = await this.call("GET", `/v1/nodes/${encodeURIComponent(id)}`);
    return answer?.status === 200 ? (answer.body as NodeView) : null;
  }

  async metrics(): Promise<string | null> {
    const answer = await this.#plane.request("GET", "/metrics");
    return answer === null ? null : answer.text();
  }

  /** Read from the pools' gauges, and the degraded ones from the list. */
  async count(): Promise<Count | null> {
    const head = await this.#metricsHead();
    if (head === null) return null;
    const degraded = (await this.nodes("?health=degraded"))?.length ?? 0;
    const total = readGauge(head, "navarch_nodes_total");
    const healthy = readGauge(head, "navarch_nodes_healthy") - degraded;
    return { total, healthy, unhealthy: readGauge(head, "navarch_nodes_unhealthy"), degraded };
  }

  /** The page up to the first series of a node: a large fleet's page is tens of megabytes. */
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
