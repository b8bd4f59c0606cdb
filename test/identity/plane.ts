/**
 * A control plane of a test world behind a real socket, with the code that production listens with:
 * the world's clock is stepped while a request is under way, so nothing waits for real time.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditView } from "../../schema/audit.ts";
import type { JoinReply, JoinTokenView } from "../../schema/join.ts";
import type { GivenPorts } from "../../reconciler/http/route/table.ts";
import { Front, listen } from "../../reconciler/http/route/listen.ts";
import type { ServerTls } from "../../reconciler/security/tls/open.ts";
import { poolYaml, World } from "../world/world.ts";
import { type Json, openWorldApp, type WorldApp } from "../world/app.ts";

export type Answer = { status: number; body: Json; text: string; headers: Headers };

export type Ask = {
  token?: string | null;
  body?: unknown;
  tls?: { ca?: string; cert?: string; key?: string; rejectUnauthorized?: boolean };
};

export class Plane {
  readonly w: World;
  readonly a: WorldApp;
  /** What answers on the socket. */
  readonly ports: GivenPorts;
  readonly front: Front;
  readonly folder: string;
  private readonly server: ReturnType<typeof listen>;
  private readonly trusted: NonNullable<Ask["tls"]>;
  readonly base: string;

  private constructor(w: World, a: WorldApp, folder: string, tls: ServerTls | null) {
    this.w = w;
    this.a = a;
    this.folder = folder;
    this.trusted = tls?.ca == null ? {} : { ca: tls.ca };
    this.ports = { ...a.ports, caPem: tls?.ca ?? null };
    this.front = new Front(this.ports, null);
    const address = { host: "127.0.0.1", port: 0 };
    this.server = listen(() => this.front, w.config, address, tls);
    this.base = `${tls === null ? "http" : "https"}://127.0.0.1:${this.server.port}`;
  }

  /** A world with one pool `p` of `size`, all of it serving. */
  static async open(size = 1, tls: (folder: string) => ServerTls | null = () => null) {
    const w = await World.open(poolYaml(size, "    health: { unhealthy_threshold: 1 }\n"));
    await w.until(() => w.serving().length === size, 120);
    const folder = mkdtempSync(join(tmpdir(), "navarch-identity-"));
    return new Plane(w, openWorldApp(w), folder, tls(folder));
  }

  async close(): Promise<void> {
    await this.server.stop(true);
    await this.w.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Real requests need the world's time to pass: ingest and orders wait for it. */
  async during<T>(pending: Promise<T>): Promise<T> {
    let done = false;
    const settled = pending.finally(() => (done = true));
    settled.catch(() => undefined);
    for (let i = 0; i < 20_000 && !done; i++) {
      await this.w.clock.pass(1);
      if (i % 50 === 0) await this.w.reconciler.activate();
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    return settled;
  }

  async call(
    method: string,
    path: string,
    { token = "root", body, tls }: Ask = {},
  ): Promise<Answer> {
    const pending = fetch(`${this.base}${path}`, {
      method,
      headers: token === null ? {} : { Authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      tls: tls ?? this.trusted,
    });
    const answer = await this.during(pending);
    const text = await answer.text();
    let parsed: unknown = null;
    try {
      parsed = JSON.parse(text);
    } catch {
      // A page that is no JSON is looked at as text.
    }
    return { status: answer.status, body: parsed as Json, text, headers: answer.headers };
  }

  async joinToken(body: Record<string, unknown> = {}): Promise<JoinTokenView & { token: string }> {
    const made = await this.call("POST", "/v1/join-tokens", { body: { pool: "p", ...body } });
    if (made.status !== 201) throw new Error(made.text);
    return made.body as unknown as JoinTokenView & { token: string };
  }

  join(token: string, node: string, more: Record<string, unknown> = {}): Promise<Answer> {
    const nonce = `nonce-of-${node}`.padEnd(24, "x").slice(0, 80);
    const body = { token, node_id: node, nonce, ...more };
    return this.call("POST", "/v1/agent/join", { token: null, body });
  }

  /** The credential of a join that must succeed. */
  async joined(token: string, node: string): Promise<string> {
    const answer = await this.join(token, node);
    if (answer.status !== 201 && answer.status !== 200) throw new Error(answer.text);
    return (answer.body as unknown as JoinReply).credential;
  }

  /** One report; `more` goes over what an agent without news says. */
  report(node: string, token: string, more: Record<string, unknown> = {}): Promise<Answer> {
    const at = new Date(this.w.clock.wallMs()).toISOString();
    const body = {
      version: 1,
      node_id: node,
      boot_id: `boot-${node}`,
      stream: "s",
      agent_version: "x",
      simulated: false,
      sent_at: at,
      inventory: { hostname: node, gpus: [] },
      ...more,
    };
    return this.call("POST", "/v1/agent/report", { token, body });
  }

  async audit(query = "refused=true"): Promise<AuditView[]> {
    const answer = await this.call("GET", `/v1/audit?limit=1000&${query}`);
    return (answer.body as unknown as { audit: AuditView[] }).audit;
  }
}

export const codeOf = (answer: Answer): string => String(answer.body["error"]?.["code"]);
export const messageOf = (answer: Answer): string => String(answer.body["error"]?.["message"]);
