/**
 * An order is answered "done" only once it is stored: with a database that refuses writes, and with
 * one that hangs, no route answers with success, and nothing of the order is remembered afterwards.
 * Routes are found, not listed: a new one is tried, or it is named here with the reason.
 */
import { afterEach, expect, test } from "bun:test";
import { openApp } from "../../reconciler/http/route/app.ts";
import type { App } from "../../reconciler/http/route/route.ts";
import { fullReport } from "../fuzz/document.ts";
import { storeOf } from "../world/story.ts";
import { exampleOf } from "./longest/schema.ts";
import { signed, Target } from "./longest/target.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Where the least that the schema takes is refused, or asks for nothing. */
const BODIES: Readonly<Record<string, unknown>> = {
  "POST /v1/agent/report": fullReport("stray-1"),
  "POST /v1/join-tokens": { pool: "p" },
  "PUT /v1/pools/:pool/size": { nodes: 3 },
  "PUT /v1/pools/:pool/hold": { reason: "x", for: "1h" },
  "POST /api/admin/kubernetes/pods/:pod/restart": { namespace: "kai-ml" },
  "POST /api/admin/kubernetes/pods/:pod/kill": { namespace: "kai-ml" },
};

/** What can be lifted, so that lifting it is a change. */
const BEFORE: [method: string, path: string, body: unknown][] = [
  ["PUT", "/v1/pools/p/hold", { reason: "before", for: "1h" }],
  ["PUT", "/v1/safety/freeze", { reason: "before" }],
];

/** They keep nothing in the store: a profile, a comparison, a copy, a link in memory, a fake. */
const STORES_NOTHING = [
  "DELETE /v1/claims/:id",
  "POST /api/allocations",
  "POST /v1/admin/activations",
  "POST /v1/config/diff",
  "POST /v1/config/reload",
  "POST /v1/console/links",
  "POST /v1/pools/:namespace/:pool/claims",
  // Nothing fails on purpose, and the task is not held.
  "DELETE /v1/providers/:name/failure",
  "POST /api/queue/tasks/:id/release",
];

/** Refused with any store, because this fleet has none of what they are about. */
const NOT_HERE = [
  "DELETE /v1/nodes/:id",
  "DELETE /v1/nodes/:id/faults",
  "DELETE /v1/safety/lemons/:uuid",
  "DELETE /v1/upgrade",
  "POST /api/admin/kubernetes/nodes/:name/uncordon",
  "POST /api/pipelines",
  "POST /api/queue/tasks/:id/complete",
  "POST /api/queue/tasks/:id/fail",
  "POST /api/queue/tasks/:id/heartbeat",
  "POST /v1/admin/backup",
  "POST /v1/agent/join",
  "POST /v1/fleets/:id/adopt",
  "POST /v1/fleets/:id/ignore",
  "POST /v1/nodes/:id/faults",
  "POST /v1/nodes/:id/uncordon",
  "POST /v1/pools/:pool/remove",
  "POST /v1/pools/:pool/shrink-target",
  "POST /v1/slurm/resume",
  "POST /v1/slurm/resume-fail",
  "POST /v1/slurm/suspend",
  "POST /v1/tokens/:id/rotate",
  "POST /v1/upgrade",
  "POST /v1/workflows",
  "POST /v1/workflows/:id/cancel",
  "PUT /v1/safety/trusted/:rule",
];

type Order = { name: string; method: string; path: string; body: string | null };

async function ordersTo(target: Target): Promise<Order[]> {
  const orders: Order[] = [];
  for (const { method, path, body: schema, page } of target.routes()) {
    if (method === "GET" || page) continue;
    const name = `${method} ${path}`;
    const body = BODIES[name] ?? (schema === null ? null : exampleOf(schema));
    const text = body === null ? null : JSON.stringify(body);
    orders.push({ name, method, path: await target.known(path), body: text });
  }
  return orders;
}

type Breaking = "fails" | "hangs";

/** Below everything that the store does. The returned function lets what hangs go on. */
function breakWrites(target: Target, how: Breaking): () => void {
  const base = Reflect.get(storeOf(target.p.w), "base") as object;
  const writer = Reflect.get(base, "writer") as object;
  const full = { code: "SQLITE_FULL" };
  const gate = Promise.withResolvers<void>();
  const answer = (go: () => unknown): Promise<unknown> =>
    how === "fails"
      ? Promise.reject(Object.assign(new Error("database or disk is full"), full))
      : gate.promise.then(go);
  for (const way of ["batch", "execute"]) {
    const real = (Reflect.get(writer, way) as (...all: unknown[]) => unknown).bind(writer);
    const isWrite = (one: unknown): boolean => /^\s*(?:insert|update|delete)/i.test(sqlOf(one));
    Reflect.set(writer, way, (given: unknown, ...more: unknown[]) => {
      const all = way === "batch" ? (given as unknown[]) : [given];
      const go = (): unknown => real(given, ...more);
      return all.some(isWrite) ? answer(go) : go();
    });
  }
  return gate.resolve;
}

function sqlOf(given: unknown): string {
  if (typeof given === "string") return given;
  return Array.isArray(given) ? String(given[0]) : String((given as { sql?: unknown }).sql);
}

/** What people see of the fleet and its credentials. */
async function shown(app: App): Promise<string> {
  const all: string[] = [];
  for (const path of ["/v1/nodes", "/v1/pools/p", "/v1/safety", "/v1/tokens"]) {
    const answer = await app.request(path, { headers: { Authorization: "Bearer root" } });
    const steady = (await answer.text()).replace(/"blind":\[[^\]]*\]/g, "");
    all.push(steady.replace(/"[^"]*(?:_at|_since|age|heartbeat|seen|time)[^"]*":"?[^,"}]*"?/g, ""));
  }
  return all.join("\n");
}

type Answer = { status: number; text: string };

/** 0: the caller still waits, and gives up by itself. */
async function give(target: Target, app: App, order: Order): Promise<Answer> {
  const { method, path, body } = order;
  const headers = { Authorization: "Bearer root", ...(body === null ? {} : signed(body)) };
  const init = { method, headers, ...(body === null ? {} : { body }) };
  const got: Answer = { status: 0, text: "" };
  const asked = Promise.resolve(app.request(path, init, { remote: "10.1.2.3" }));
  void asked.then(async (answer) => {
    got.text = await answer.text();
    got.status = answer.status;
  });
  for (let i = 0; i < 40 && got.status === 0; i++) {
    await target.p.w.clock.pass(250);
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
  return got;
}

test.each(["fails", "hangs"] as const)(
  "with a store that %s, no route answers as done",
  async (how) => {
    const target = await Target.open();
    closing.push(() => target.close());
    const app = openApp(target.ports);
    for (const [method, path, body] of BEFORE) {
      const { status } = await target.send({ method, path, body: JSON.stringify(body) });
      expect([path, status]).toEqual([path, 200]);
    }
    const orders = await ordersTo(target);
    const before = await shown(app);
    const release = breakWrites(target, how);
    closing.unshift(async () => release());
    const done: string[] = [];
    const refused: string[] = [];
    for (const order of orders) {
      const { status, text } = await give(target, app, order);
      if (status >= 200 && status < 300) done.push(order.name);
      else if (status >= 400 && status < 500) refused.push(order.name);
      else if (how === "fails") expect([order.name, text]).toEqual([order.name, WHY]);
      expect([order.name, await shown(app)]).toEqual([order.name, before]);
    }
    // Of those that hang, the audit's row is what the answer waits for.
    expect(done.sort()).toEqual(how === "fails" ? STORES_NOTHING.toSorted() : []);
    expect(refused.sort()).toEqual(how === "fails" ? NOT_HERE.toSorted() : []);
  },
  60_000,
);

const WHY = expect.stringMatching(
  /the disk of the database is full: free space in|audit log cannot be written/,
) as string;
