/**
 * A control plane that only speaks: fixed answers in the shapes of `schema/api.ts`, and a record of
 * what was asked, so that the command line is tested through a real socket and nothing else.
 */
import type { BootstrapView } from "../../schema/api-bootstrap.ts";
import type {
  CommandView,
  ErrorCode,
  EventView,
  HoldView,
  NodeView,
  PoolStatusView,
  PoolView,
  SafetyView,
  VersionView,
} from "../../schema/api.ts";
import type { QuarantineView } from "../../schema/quarantine.ts";
import type { MembersView } from "../../reconciler/http/view/member.ts";
import { formatConfig } from "../../reconciler/config/secret.ts";
import { configOf, poolYaml } from "../world/setting.ts";
import {
  at,
  ENDING,
  EVENTS,
  EXPLAIN,
  INSTANCE,
  MEMBERS,
  nodesOfStub,
  NOW,
  PLAN,
  POOL,
  SAFETY,
  SIZED_TOO,
  tokenView,
} from "./fleet.ts";

const CONFIG = configOf(poolYaml(2));

export const TOKEN = "nvt.stub";

type Seen = { method: string; path: string; query: string; body: unknown };

export type Stub = {
  url: string;
  port: number;
  seen: Seen[];
  nodes: NodeView[];
  pool: PoolStatusView;
  members: MembersView;
  events: EventView[];
  /** Conditions that keep it from being ready. */
  missing: string[];
  /** Answers with this for every API call, if set. */
  broken: { status: number; body: string } | null;
  version: string;
  safety: SafetyView;
  /** Rows that it set aside. */
  aside: QuarantineView[];
  /** The setup of every node. */
  bootstrap: Omit<BootstrapView, "node_id">;
  close(): Promise<void>;
};

const STATUS: Partial<Record<ErrorCode, number>> = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  conflict: 409,
  out_of_bounds: 409,
};

function answer(value: unknown, status = 200): Response {
  const headers = { date: new Date(NOW).toUTCString(), "content-type": "application/json" };
  return new Response(JSON.stringify(value), { status, headers });
}

function refuse(code: ErrorCode, message: string, details = {}): Response {
  return answer({ error: { code, message, details, request_id: "r1" } }, STATUS[code] ?? 500);
}

/** `token: null` lets everyone in. */
export function openStub(options: { token?: string | null; port?: number } = {}): Stub {
  const token = options.token === undefined ? TOKEN : options.token;
  const server = Bun.serve({
    port: options.port ?? 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const url = new URL(request.url);
      const page = pageOf(stub, url.pathname);
      if (page !== null) return page;
      if (stub.broken !== null) {
        const { status, body } = stub.broken;
        return new Response(body, { status });
      }
      const text = await request.text();
      const path = url.pathname.replace("/api/v1", "");
      const seen = { method: request.method, path, query: url.search, body: read(text) };
      stub.seen.push(seen);
      const given = request.headers.get("authorization");
      if (token !== null && given !== `Bearer ${token}`) return refuse("unauthenticated", "no");
      return route(stub, seen, url.searchParams);
    },
  });
  const stub: Stub = {
    url: `http://127.0.0.1:${server.port}`,
    port: server.port ?? 0,
    seen: [],
    nodes: nodesOfStub(),
    pool: { ...POOL },
    members: MEMBERS,
    events: [...EVENTS],
    missing: [],
    broken: null,
    version: "0.1.0",
    safety: SAFETY,
    aside: [],
    bootstrap: { phase: "serving", attempts: [] },
    close: () => server.stop(true),
  };
  return stub;
}

function read(text: string): unknown {
  return text === "" ? null : JSON.parse(text);
}

function pageOf(stub: Stub, path: string): Response | null {
  const headers = { date: new Date(NOW).toUTCString() };
  if (path === "/healthz") return new Response("ok\n", { headers });
  if (path !== "/readyz") return null;
  const ready = stub.missing.length === 0;
  const text = ready ? "ready\n" : `${stub.missing.join("\n")}\n`;
  return new Response(text, { headers, status: ready ? 200 : 503 });
}

function route(stub: Stub, { method, path, body }: Seen, query: URLSearchParams): Response {
  const [, kind, id = "", verb = ""] = path.split("/").map(decodeURIComponent);
  switch (kind) {
    case "nodes":
      if (id === "") return listNodes(stub, query);
      return routeNode(stub, method, id, verb, body);
    case "pools":
      if (id === "") return answer({ pools: [poolView(stub)] });
      return routePool(stub, method, id, verb, body);
    case "instances":
      if (verb === "explain" && id !== INSTANCE.instance_id) return refuse("not_found", `no ${id}`);
      return verb === "explain"
        ? answer({ ...EXPLAIN, kind: "instance", subject: id })
        : answer({ instances: listInstances(query) });
    case "events":
      return answer(pageEvents(stub, query));
    case "plan":
      return answer(PLAN);
    case "safety":
      if (method === "PUT") {
        const { all, effect } = SAFETY.frozen ?? {};
        return answer({ frozen: { ...holdOf(body), until: null, all, effect } });
      }
      if (method === "DELETE") return answer({ frozen: null, was_frozen: true });
      return answer(stub.safety);
    case "store":
      return answer({ rows: stub.aside });
    case "version":
      return answer({ version: stub.version, commit: "c0ffee" } satisfies Partial<VersionView>);
    case "config":
      return answer(JSON.parse(formatConfig(CONFIG)));
    case "policy":
      return answer({
        name: "builtin",
        hash: "abc",
        rules: [{ name: "fatal", result: "unhealthy", condition: "true", matches: 4 }],
      });
    case "tokens":
      if (method === "POST") return answer(tokenView({ token: "nvt.secret" }), 201);
      if (method === "DELETE") return answer(tokenView({ id, revoked_at: at(0) }));
      return answer({ tokens: [tokenView()] });
    default:
      return refuse("not_found", `no route ${method} ${path}`);
  }
}

function listInstances(query: URLSearchParams) {
  const region = query.get("region");
  return [INSTANCE, ENDING].filter((one) => region === null || one.region === region);
}

function listNodes(stub: Stub, query: URLSearchParams): Response {
  const wanted = stub.nodes.filter((node) => {
    const pool = query.get("pool");
    const status = query.get("status");
    const provider = query.get("provider");
    if (provider !== null && node.provider !== provider) return false;
    const { region, zone, metadata } = node;
    if (query.has("region") && query.get("region") !== region) return false;
    if (query.has("zone") && query.get("zone") !== zone) return false;
    const labels = query.getAll("label").map((label) => label.split("=", 2));
    if (!labels.every(([key = "", value]) => metadata.labels[key] === value)) return false;
    return (pool === null || node.pool === pool) && (status === null || node.status === status);
  });
  const from = Number(query.get("cursor") ?? 0);
  const size = Math.min(Number(query.get("limit") ?? 1_000), 1_000);
  const next = from + size < wanted.length ? String(from + size) : null;
  return answer({ nodes: wanted.slice(from, from + size), next });
}

function routeNode(stub: Stub, method: string, id: string, verb: string, body: unknown): Response {
  const node = stub.nodes.find((one) => one.node_id === id || one.instance_id === id);
  if (node === undefined) return refuse("not_found", `no node ${id}`);
  if (verb === "explain") return answer({ ...EXPLAIN, subject: node.node_id });
  if (verb === "bootstrap") return answer({ node_id: node.node_id, ...stub.bootstrap });
  if (method === "GET") return answer({ ...node, health_events: healthEvents(node) });
  const order = (body ?? {}) as { dry_run?: boolean; force?: boolean; reason?: string };
  if (verb === "uncordon" && node.verdict === "healthy" && node.node_id === "gpu-2") {
    const message = "node gpu-2 is unhealthy: XID 79 on GPU 3 since 11:55";
    return refuse("conflict", `${message} (repair it, or --force with --reason)`);
  }
  if (order.dry_run === true) return answer({ plan: [`cordon ${id}`, `drain ${id}`] });
  if (verb === "drain") {
    const last = stub.events.length;
    const { pool } = node;
    const base = { at: at(0), node_id: id, pool, session_id: null, actor: "human:a" };
    stub.events.push({ ...base, id: last + 1, kind: "node.draining", message: "ordered" });
  }
  const command: CommandView = {
    command_id: `c-${verb}`,
    node_id: node.node_id,
    type: verb,
    issued_at: NOW,
    issued_by: "admin",
    reason: order.reason ?? "",
    status: "applied",
    message: null,
  };
  return answer(command);
}

function healthEvents(node: NodeView): NodeView["health_events"] & object {
  if (node.reasons.length === 0) return [];
  const uuid = node.gpus[1]?.uuid ?? null;
  return [
    {
      timestamp: at(300),
      kind: "xid",
      code: 79,
      gpu_index: 1,
      gpu_uuid: uuid,
      severity: "fatal",
      message: "GPU has \u001b[31mfallen off the bus.",
      foreign: false,
    },
  ];
}

function poolView({ pool }: Stub): PoolView {
  return {
    name: pool.name,
    desired: pool.desired,
    nodes: pool.total_nodes,
    ready: pool.healthy_nodes,
    min: pool.min_nodes,
    max: pool.max_nodes,
    providers: ["lambda", "gcp"],
    strategy: "priority",
    conditions: pool.conditions,
  };
}

function routePool(stub: Stub, method: string, id: string, verb: string, body: unknown): Response {
  if (id !== stub.pool.name) return refuse("not_found", `no pool ${id}`);
  if (verb === "explain") return answer({ ...EXPLAIN, kind: "pool", subject: id });
  if (verb === "hold" && method === "PUT") return answer({ ...stub.pool, hold: holdOf(body) });
  if (verb === "hold") return answer({ ...stub.pool, hold: null, was_held: true });
  if (verb === "members") return answer(stub.members);
  if (verb === "remove") {
    const { nodes: removed } = body as { nodes: string[] };
    const unknown = removed.find((one) => !stub.nodes.some((node) => node.node_id === one));
    if (unknown !== undefined)
      return refuse("not_found", `no node ${unknown}; nothing was removed`);
    stub.pool.desired -= removed.length;
    return answer({ ...stub.pool, removed, already_leaving: [], warnings: [SIZED_TOO] });
  }
  if (verb === "shrink-target") return refuse("conflict", `pool ${id} has 2 nodes`);
  if (method === "PUT" || verb === "grow") {
    const request = body as { nodes?: number; by?: number };
    const nodes = request.nodes ?? stub.pool.desired + (request.by ?? 0);
    const { min_nodes: min, max_nodes: max } = stub.pool;
    if (nodes < min || nodes > max) {
      const message = `${nodes} is outside ${min}…${max} of pool ${id}`;
      return refuse("out_of_bounds", message, { min_nodes: min, max_nodes: max });
    }
    stub.pool.desired = nodes;
  }
  return answer(stub.pool);
}

/** A person's veto as it was asked for. */
function holdOf(body: unknown): HoldView {
  const { reason } = body as { reason: string };
  return { by: "admin", why: reason, at: at(0), until: at(-86_400) };
}

function pageEvents(stub: Stub, query: URLSearchParams) {
  const after = Number(query.get("after") ?? 0);
  const node = query.get("node");
  const since = Date.parse(query.get("since") ?? "1970-01-01T00:00:00Z");
  const events = stub.events
    .filter((one) => one.id > after && (node === null || one.node_id === node))
    .filter((one) => Date.parse(one.at) >= since)
    // Two at a time, so that every reader has to follow pages.
    .slice(0, 2);
  return { events, next: events.at(-1)?.id ?? after };
}
