/**
 * A control plane's agent endpoint, reduced to the wire: it takes reports over WebSocket and POST,
 * acknowledges what it stored and remembers it over its own restarts.
 * Adapter: a listening socket.
 */
import type { AgentCommand, Report, ReportReply } from "../../schema/report.ts";
import type { Finding } from "../../schema/finding.ts";
import { makeKey, signed } from "./test-key.ts";

export type StubOptions = {
  /** Upgrades are answered with 403, as some proxies do. */
  noUpgrade?: boolean;
  /** Accepted bearer tokens; without it anybody may report. */
  tokens?: Set<string>;
  /** Given once to whoever comes with `shared`. */
  exchange?: { shared: string; own: string };
  config?: Partial<ReportReply["config"]>;
  /** Where to listen, if not on loopback. */
  hostname?: string;
};

export class StubControlPlane {
  readonly reports: { report: Report; by: "ws" | "post"; token: string | null }[] = [];
  readonly findings: Finding[] = [];
  readonly options: StubOptions;
  /** What signs its orders. */
  readonly key = makeKey();
  port = 0;
  refused = 0;
  /** Reports get no answer, and are not remembered. */
  deaf = false;
  #acked = new Map<string, number>();
  #known = new Set<string>();
  #server: Bun.Server<{ token: string | null }> | null = null;
  #sockets = new Set<Bun.ServerWebSocket<{ token: string | null }>>();
  #last: Report | null = null;

  constructor(options: StubOptions = {}) {
    this.options = options;
  }

  get base(): string {
    return `${this.options.hostname ?? "127.0.0.1"}:${this.port}`;
  }

  start(): this {
    this.#server = Bun.serve<{ token: string | null }>({
      hostname: this.options.hostname ?? "127.0.0.1",
      port: this.port,
      fetch: async (request, server) => {
        const path = new URL(request.url).pathname;
        const token = request.headers.get("authorization")?.replace(/^Bearer /, "") ?? null;
        if (this.options.tokens && !this.options.tokens.has(token ?? "")) {
          this.refused++;
          return Response.json(
            { error: { code: "unauthenticated", message: "token rejected" } },
            { status: 401 },
          );
        }
        if (path === "/v1/agent/stream") {
          if (this.options.noUpgrade) return new Response("no", { status: 403 });
          return server.upgrade(request, { data: { token } })
            ? undefined
            : new Response("", { status: 400 });
        }
        if (path !== "/v1/agent/report") return new Response("", { status: 404 });
        if (this.deaf) return new Response("", { status: 503 });
        return Response.json(this.#take((await request.json()) as Report, "post", token));
      },
      websocket: {
        open: (socket) => void this.#sockets.add(socket),
        close: (socket) => void this.#sockets.delete(socket),
        message: (socket, text) => {
          if (this.deaf) return;
          const reply = this.#take(JSON.parse(String(text)) as Report, "ws", socket.data.token);
          socket.send(JSON.stringify(reply));
        },
      },
    });
    this.port = this.#server.port ?? 0;
    return this;
  }

  /** As a killed process: sockets are cut. What was stored stays. */
  async stop(): Promise<void> {
    await this.#server?.stop(true);
    this.#known.clear();
    this.#sockets.clear();
  }

  push(command: AgentCommand): void {
    if (!this.#last) throw new Error("nobody has reported yet");
    const commands = [signed(this.key, command, this.#last.node_id)];
    const frame = JSON.stringify({ push: this.#reply(this.#last, { commands }) });
    for (const socket of this.#sockets) socket.send(frame);
  }

  #take(report: Report, by: "ws" | "post", token: string | null): ReportReply {
    this.reports.push({ report, by, token });
    this.#last = report;
    const acked = this.#acked.get(report.stream) ?? 0;
    for (const { seq, finding } of report.findings ?? [])
      if (seq > acked) this.findings.push(finding);
    const rows = [...(report.findings ?? []), ...(report.gaps ?? [])];
    this.#acked.set(report.stream, Math.max(acked, ...rows.map((row) => row.seq)));
    if (report.inventory) this.#known.add(report.node_id);
    const { exchange } = this.options;
    const own = exchange && token === exchange.shared ? { credential: exchange.own } : {};
    return this.#reply(report, { want_inventory: !this.#known.has(report.node_id), ...own });
  }

  #reply(report: Report, more: Partial<ReportReply>): ReportReply {
    return {
      ack_seq: this.#acked.get(report.stream) ?? 0,
      stream: report.stream,
      node_id: report.node_id,
      config: { heartbeat_ms: 300, sample_ms: 200, check_ms: 600, ...this.options.config },
      commands: [],
      server_time: new Date().toISOString(),
      want_inventory: false,
      node_status: null,
      verdict: null,
      credential: null,
      order_key: this.key.shown,
      ...more,
    };
  }
}

/** Waits on a level with a deadline. */
export async function until(what: string, level: () => boolean, deadlineMs = 8_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!level()) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await Bun.sleep(10);
  }
}
