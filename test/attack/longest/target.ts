/**
 * The control plane that the longest texts are sent to, over a real socket: a fleet with a node, a
 * pool that Slurm names, claims, tasks, workflows and a cluster, so that routes find what they ask.
 */
import { createHmac } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { spyOn } from "bun:test";
import { HonoRequest } from "hono/request";
import type { KubeAnswer, KubeApi } from "../../../reconciler/kubernetes/api.ts";
import { SIGNATURE } from "../../../reconciler/http/route/pipeline.ts";
import {
  type GivenPorts,
  PAGES,
  partsOf,
  withPages,
} from "../../../reconciler/http/route/table.ts";
import { Front, listen } from "../../../reconciler/http/route/listen.ts";
import { Quota } from "../../../reconciler/http/route/quota.ts";
import { REAL_CLOCK } from "../../../reconciler/kubernetes/connect.ts";
import type { ReleaseKey } from "../../../reconciler/security/release-key.ts";
import { lateQueue } from "../../../reconciler/server/open-queue.ts";
import { openPlaneWorkflows } from "../../../simulator/workflow/run/control-plane.ts";
import { hostileCluster } from "../../console/hostile.ts";
import { Plane } from "../../identity/plane.ts";
import { fakePools } from "../../world/agent-pools.ts";
import { openWorldApp } from "../../world/app.ts";
import { openNoRecord } from "../../world/rehearsal.ts";
import { storeOf } from "../../world/story.ts";

/** `body` and `query` are the schemas that the route declares; `null` = none. */
export type Route = { method: string; path: string; body: unknown; query: unknown; page: boolean };

export type Sent = {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: string;
};

const REFUSED: KubeAnswer = {
  ...{ kind: "refused", status: 404, reason: "NotFound", message: "the server is empty" },
  ...{ causes: [], retryAfterMs: null },
};
const EMPTY: KubeApi = {
  call: async () => REFUSED,
  watch: async () => ({ kind: "refused", status: 404, message: "empty", retryAfterMs: null }),
  close: () => undefined,
};
const SECRET = "a shared secret of a build server";
const ADMIN = { Authorization: "Bearer root" };

/** As a build server does; other routes do not look at it. */
export function signed(body: string): Record<string, string> {
  return { [SIGNATURE]: `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}` };
}

export class Target {
  readonly p: Plane;
  readonly ports: GivenPorts;
  private readonly base: string;
  private readonly closing: (() => Promise<unknown> | void)[];

  private constructor(p: Plane, ports: GivenPorts, closing: Target["closing"]) {
    this.p = p;
    this.ports = ports;
    this.closing = closing;
    const front = new Front(ports, null);
    const server = listen(() => front, p.w.config, { host: "127.0.0.1", port: 0 }, null);
    closing.unshift(() => server.stop(true));
    this.base = `http://127.0.0.1:${server.port}`;
  }

  static async open(): Promise<Target> {
    const p = await Plane.open(1);
    const { w } = p;
    const config = w.reconciler.activeConfig();
    const secret = join(p.folder, "pipeline-secret");
    writeFileSync(secret, SECRET);
    config.server.console.pipelineSecretFile = secret;
    config.simulation.enabled = true;
    config.pools = config.pools.map((pool) => {
      return { ...pool, slurm: { ...pool.slurm, nodes: "n[0-65535]" } };
    });
    const queue = lateQueue();
    let serial = 0;
    const log = () => undefined;
    const parts = { clock: w.clock, log, newId: () => `t${++serial}`, dryRun: false };
    const term = { reconciler: w.reconciler, leads: () => true };
    const demand = await queue.open(parts, storeOf(w), term);
    queue.start();
    const ask = async () => ({ status: 409, text: "" });
    const runner = openPlaneWorkflows({ api: EMPTY, clock: REAL_CLOCK, random: () => 0.5, ask });
    const runs = openNoRecord(runner);
    const { ports } = openWorldApp(w, runner, fakePools(["p/p"], 1_000), demand);
    const all: GivenPorts = {
      ...{ ...ports, workflows: runs, console: hostileCluster },
      quota: new Quota(w.clock, () => undefined, 1e9),
      install: {
        releases: { find: async () => null, latest: async () => null },
        ...{ key: {} as ReleaseKey, server: () => null },
      },
    };
    const closing = [() => runs.close(0), () => queue.stop(), () => p.close()];
    return new Target(p, all, closing);
  }

  async close(): Promise<void> {
    for (const close of this.closing) await close();
  }

  /** Every route and every page, once. */
  routes(): Route[] {
    return withPages(PAGES).map((route) => {
      const { access, body = null, query = null } = route;
      return { ...partsOf(route), body, query, page: access === "page" };
    });
  }

  /** Sends one request as an administrator; `sent.path` begins with a slash. */
  async send(sent: Sent): Promise<{ status: number; text: string }> {
    const { method, path, headers = {}, body } = sent;
    const asked = fetch(`${this.base}${path}`, {
      method,
      headers: { ...ADMIN, ...(body === undefined ? {} : signed(body)), ...headers },
      redirect: "manual",
      ...(body === undefined ? {} : { body }),
    });
    const answer = await this.p.during(asked);
    const { status } = answer;
    // Its answer ends after minutes.
    const type = answer.headers.get("content-type") ?? "";
    if (/watch$/.test(path) || type.startsWith("text/event-stream")) {
      await answer.body?.cancel();
      return { status, text: "" };
    }
    return { status, text: await this.p.during(answer.text()) };
  }

  /** Milliseconds of CPU that this process spent on it, the caller's and the loop's with it. */
  async cpuMsOf(sent: Sent): Promise<number> {
    const start = process.cpuUsage();
    await this.send(sent);
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1_000;
  }

  /** What the answer to one request looks at: the names of queries and headers, and the body. */
  async reads(sent: Sent): Promise<{ queries: string[]; headers: string[]; body: boolean }> {
    const query = spyOn(URLSearchParams.prototype, "get");
    const asked = spyOn(HonoRequest.prototype, "query");
    const header = spyOn(Headers.prototype, "get");
    const texts = (["text", "json", "arrayBuffer"] as const).map((way) => {
      return spyOn(HonoRequest.prototype, way);
    });
    try {
      await this.send(sent);
      const queries = [...query.mock.calls, ...asked.mock.calls].flatMap(([name]) => name ?? []);
      const headers = header.mock.calls.map(([name]) => name.toLowerCase());
      const body = texts.some(({ mock }) => mock.calls.length > 0);
      return { queries: [...new Set(queries)], headers: [...new Set(headers)], body };
    } finally {
      for (const spy of [query, asked, header, ...texts]) spy.mockRestore();
    }
  }

  private async made(path: string, body: unknown, key = "id"): Promise<string> {
    const { text } = await this.send({ method: "POST", path, body: JSON.stringify(body) });
    return `${(JSON.parse(text) as Record<string, unknown>)[key]}`;
  }

  /** The path with what this fleet has in it, so that the route finds it. */
  async known(path: string): Promise<string> {
    const task = { class: "batch", priority: "low", type: "train" };
    const FINDS: [RegExp, () => Promise<string> | string][] = [
      [/queue\/tasks\/:id/, () => this.made("/api/queue/tasks", task)],
      [/\/join-tokens\/:id/, () => this.made("/v1/join-tokens", { pool: "p" })],
      [/\/tokens\/:id/, () => this.made("/v1/tokens", { role: "viewer", label: "x" })],
      [/^\/v1\/claims\/:id/, () => this.made("/v1/pools/p/p/claims", { label: "x" })],
      [/\/workflows\/:id/, () => this.made("/v1/workflows", { name: "x", tasks: [] })],
      [/\/providers\/:name/, () => "fake"],
      [/\/(?:nodes|instances|node)\/:\w+/, () => this.p.w.serving()[0] ?? ""],
    ];
    let filled = path.replace(/:(?:namespace|ns)\b/, "p").replace(":pool", "p");
    for (const [pattern, find] of FINDS) {
      if (!pattern.test(filled)) continue;
      const value = await find();
      filled = filled.replace(/:\w+/, () => value);
      break;
    }
    return filled.replace(":kind", "helmrelease").replace(/:\w+/g, "x");
  }
}
