/**
 * A man in the middle on loopback: between real agents and a real control plane, over plain http.
 * It passes everything on and hands each reply and each download to the attack of the moment.
 * Adapter: network.
 */
import type { ReportReply } from "../../schema/report.ts";

export type Attack = {
  /** Changes what the control plane says to an agent. */
  reply?: (reply: ReportReply) => ReportReply;
  /** Reports go no further: the attacker answers them all, as the control plane last did. */
  alone?: boolean;
  /** Another file in the place of a download; `null` = the real one. */
  file?: (path: string) => Uint8Array<ArrayBuffer> | string | null;
};

type Data = { header: string | null; up: WebSocket | null; queue: string[] };

export class Middle {
  attack: Attack = {};
  /** Every reply as the control plane gave it. */
  readonly replies: ReportReply[] = [];
  readonly url: string;
  private readonly server: Bun.Server<Data>;

  /** `hostname` is where it listens. */
  constructor(behind: () => string, hostname = "127.0.0.1") {
    this.server = Bun.serve<Data>({
      hostname,
      port: 0,
      fetch: async (request, server) => {
        const { pathname } = new URL(request.url);
        const header = request.headers.get("authorization");
        if (pathname === "/v1/agent/stream") {
          const data = { header, up: null, queue: [] };
          return server.upgrade(request, { data }) ? undefined : new Response("", { status: 400 });
        }
        const forged = this.attack.file?.(pathname) ?? null;
        if (forged !== null) return new Response(forged);
        const answer = await fetch(`${behind()}${pathname}`, {
          method: request.method,
          headers: header === null ? {} : { authorization: header },
          ...(request.method === "GET" ? {} : { body: await request.text() }),
        });
        if (pathname !== "/v1/agent/report") {
          return new Response(await answer.arrayBuffer(), { status: answer.status });
        }
        return new Response(this.change(await answer.text()), { status: answer.status });
      },
      websocket: {
        open: (socket) => {
          const { header } = socket.data;
          const headers = header === null ? {} : { authorization: header };
          const base = behind().replace("http", "ws");
          const up = new WebSocket(`${base}/v1/agent/stream`, { headers });
          socket.data.up = up;
          up.onopen = () => {
            for (const text of socket.data.queue.splice(0)) up.send(text);
          };
          up.onmessage = ({ data }) => void socket.send(this.change(String(data)));
          up.onerror = () => {};
          up.onclose = () => socket.close();
        },
        message: (socket, text) => {
          const { up, queue } = socket.data;
          const { node_id } = JSON.parse(String(text)) as { node_id: string };
          const known = this.replies.findLast((one) => one.node_id === node_id);
          if (this.attack.alone === true && known !== undefined) {
            socket.send(JSON.stringify(this.attack.reply?.(known) ?? known));
            return;
          }
          if (up?.readyState === WebSocket.OPEN) up.send(String(text));
          else queue.push(String(text));
        },
        close: (socket) => socket.data.up?.close(),
      },
    });
    this.url = `http://${hostname}:${this.server.port}`;
  }

  private change(text: string): string {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("commands" in value)) return text;
    const reply = value as ReportReply;
    this.replies.push(reply);
    return JSON.stringify(this.attack.reply?.(reply) ?? reply);
  }

  async stop(): Promise<void> {
    await this.server.stop(true);
  }
}
