/**
 * Every route answers every request: with 2xx or 4xx and an error in one shape, the caller and
 * whatever is sent, and nothing is read of a body before it is known who sent it.
 */
import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import { ERROR_STATUS } from "../../schema/api.ts";
import { LIMIT } from "../../schema/limit.ts";
import { poolYaml, World } from "../world/world.ts";
import { fakePools } from "../world/agent-pools.ts";
import { openWorldApp, type WorldApp } from "../world/app.ts";
import { fullReport } from "./document.ts";
import { mutate, mutations, odd } from "./mutate.ts";
import { PATIENCE_MS, runs } from "./runs.ts";
import { isPage } from "../../reconciler/http/route/route.ts";

let world: World | null = null;
afterEach(async () => {
  await world?.close();
  world = null;
});

async function open(): Promise<{ w: World; a: WorldApp }> {
  const w = await World.open(poolYaml(1, ""), { store: "memory" });
  world = w;
  await w.until(() => w.serving().length === 1, 120);
  return { w, a: openWorldApp(w, undefined, fakePools(["p/p"], 1_000)) };
}

/** A secret that must never come back; it stands in headers and bodies. */
const SECRET = "nvs_do_not_show_me";

const BODIES: Record<string, unknown> = {
  size: { nodes: 1, reason: "x", clamp: false },
  grow: { by: 1, reason: "x", clamp: false },
  remove: { nodes: ["fleet-p-0-1"], reason: "x" },
  "shrink-target": { to: 1, reason: "x" },
  hold: { reason: "x", for: "1h" },
  demand: { pending_jobs: 1, queue_depth: 2, observed_at: "2026-01-01T00:00:00Z" },
  freeze: { reason: "x", until: "2026-01-02T00:00:00Z" },
  claims: { label: "l", ttl: "5m", id: "c1" },
  tokens: { role: "viewer", label: "l", expires_in: "1h" },
  report: fullReport("stray-1"),
};
const ORDER = { reason: "x", timeout: "5m", force: false, dry_run: true };

/** The console's API: for internal networks, with errors of its own form. */
const CONSOLE = /^\/api\/(?:admin|allocations|hpa-events|pipelines|queue)(?:[/?]|$)/;
/** As the server sees a path: `/api/queue/..` is `/api/`. */
const seenAs = (path: string): string => {
  const { pathname, search } = new URL(`http://h${path}`);
  return `${pathname}${search}`;
};
const callerOf = (path: string): { remote?: string } =>
  CONSOLE.test(seenAs(path)) ? { remote: "10.1.2.3" } : {};

/** Answered 503 here: the control plane of this test has no Kubernetes cluster. */
const CLUSTER = /^\/api\/(?:admin\/kubernetes|hpa-events)(?:[/?]|$)/;

/** What this control plane has none of: a row set aside, a workflow, a simulated machine. */
const ABSENT = [
  ["/quarantine/:id", 404],
  ["/workflows/:id", 404],
  ["/workflows/:id/events", 404],
  ["/nodes/:id/faults", 409],
  ["/claims/:id", 404],
  ["/queue/tasks/:id", 404],
  // A world serves no releases.
  ["/install.sh", 404],
  ["/key.pem", 404],
  ["/:name", 404],
  // Its query has no namespace.
  ["/kubernetes/logs/:pod", 400],
] as const;

type Route = { method: Ask["method"]; path: string };

const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"] as const;
const TIMES = [
  "2026-01-01T00:00:00+01",
  "2026-02-31T23:59:59Z",
  "0000-01-01T00:00:00Z",
  "9999-12-31T23:59:59Z",
  "275760-09-13",
  "now",
];

/** A segment of a path or a value of a query: known names, near misses, and noise, encoded. */
const word = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("p", "fleet-p-0-1", "fake-mkor-1", "id1", "", "P") },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...["%", "%00", "%ff%fe", "%2e%2e%2f", "..", "a".repeat(5_000), "*", ":id", "1e400", "-1"],
      ...["0", "1.5", "9007199254740993", "null", "%F0%9F%98%80", "__proto__", "x=y,z", "bm9k"],
      ...TIMES.map(encodeURIComponent),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => {
      return text.isWellFormed() ? encodeURIComponent(text) : "%EF%BF%BD";
    }),
  },
);

const KEYS =
  "status health pool provider state region zone label limit cursor since after node since".split(
    " ",
  );

type Ask = {
  method: (typeof METHODS)[number];
  path: string;
  token: string | null;
  headers: Record<string, string>;
  body: string | Uint8Array<ArrayBuffer> | null;
};

/** Every route of the API that the application has, by asking it: a new one is fuzzed from its first day. */
function routesOf(a: WorldApp): Route[] {
  const seen = new Map<string, Route>();
  for (const { method, path } of a.app.routes) {
    if (method === "ALL" || path.includes("*") || isPage(path)) continue;
    // Its answer ends after minutes.
    if (path.endsWith("/watch")) continue;
    const known = METHODS.find((one) => one === method);
    if (known !== undefined) seen.set(`${method} ${path}`, { method: known, path });
  }
  return [...seen.values()];
}

const fill = (path: string, id: string): string =>
  path.replace(":namespace", "p").replace(":pool", "p").replace(":id", id);

function askOf(routes: Route[]): fc.Arbitrary<Ask> {
  const query = fc
    .array(fc.tuple(fc.oneof(fc.constantFrom(...KEYS), word), word), { maxLength: 4 })
    .map((pairs) => pairs.map(([key, value]) => `${key}=${value}`).join("&"));
  const route = fc.constantFrom(...routes).chain(({ method, path }) =>
    fc.record({
      method: fc.oneof(
        { weight: 6, arbitrary: fc.constant(method) },
        { weight: 1, arbitrary: fc.constantFrom(...METHODS) },
      ),
      path: fc
        .tuple(fc.array(word, { minLength: 3, maxLength: 3 }), query)
        .map(([words, asked]) => {
          let at = 0;
          const filled = path.replace(/:\w+/g, () => words[at++] ?? "x");
          return asked === "" ? filled : `${filled}?${asked}`;
        }),
      body: bodyFor(path),
    }),
  );
  const stray = fc.record({
    method: fc.constantFrom(...METHODS),
    path: fc.array(word, { maxLength: 5 }).map((words) => `/${words.join("/")}`),
    body: bodyFor(""),
  });
  const token = fc.constantFrom("root", "root", "root", "both", null, "wrong", SECRET, "");
  const headers = fc.dictionary(
    fc.constantFrom(
      ...["Content-Type", "Content-Length", "Content-Encoding", "Idempotency-Key", "Accept"],
      ...["Transfer-Encoding", "Host", "X-Forwarded-For", "Cookie", "Expect", "Range"],
    ),
    fc.constantFrom("", "0", "-1", "gzip", "chunked", "text/plain", "a b", "k1", "x".repeat(9_000)),
    { maxKeys: 3 },
  );
  return fc
    .tuple(
      fc.oneof({ weight: 9, arbitrary: route }, { weight: 1, arbitrary: stray }),
      token,
      headers,
    )
    .map(([ask, who, more]) => ({ ...ask, token: who, headers: more }));
}

function bodyFor(path: string): fc.Arbitrary<Ask["body"]> {
  const known = BODIES[path.split("/").at(-1) ?? ""] ?? ORDER;
  const spoiled = mutations.map((all) => JSON.stringify(mutate(known, all)) ?? "null");
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant(JSON.stringify(known)) },
    { weight: 6, arbitrary: spoiled },
    { weight: 1, arbitrary: odd.map((value) => JSON.stringify(value) ?? "") },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 80 }) },
    {
      weight: 1,
      arbitrary: fc.uint8Array({ maxLength: 80 }) as fc.Arbitrary<Uint8Array<ArrayBuffer>>,
    },
    { weight: 1, arbitrary: fc.constantFrom("[".repeat(50_000), "", null) },
  );
}

/** A status 503 is none of these routes' answers here: this process leads and its store works. */
async function judge(a: WorldApp, w: World, ask: Ask): Promise<void> {
  const start = performance.now();
  const headers: Record<string, string> = { ...ask.headers };
  if (ask.token !== null) headers["Authorization"] = `Bearer ${ask.token}`;
  const takesBody = ask.method !== "GET" && ask.method !== "HEAD";
  const init = { method: ask.method, headers, ...(takesBody ? { body: ask.body } : {}) };
  const pending = Promise.resolve(a.app.request(`http://h${ask.path}`, init, callerOf(ask.path)));
  let done = false;
  void pending.then(() => (done = true));
  for (let i = 0; i < 10 && !done; i++) await w.turn();
  for (let i = 0; i < 5 && !done; i++) await w.clock.pass(1_000);
  const answer = await pending;
  const text = await answer.text();
  expect(text).not.toContain(SECRET);
  expect(performance.now() - start).toBeLessThan(10_000);
  if (answer.status < 400) return;
  const isDark = answer.status === 503 && CLUSTER.test(seenAs(ask.path));
  expect([answer.status < 500 || isDark, text]).toEqual([true, text]);
  if (ask.method === "HEAD") return;
  if (answer.headers.get("content-type")?.startsWith("text/html") === true) {
    expect(text).toContain("</main>");
    return;
  }
  const told = JSON.parse(text) as Record<string, unknown>;
  const isFlat = CONSOLE.test(seenAs(ask.path));
  const error = (isFlat ? told : told["error"]) as Record<string, unknown>;
  expect(Object.keys(ERROR_STATUS)).toContain(error["code"] as never);
  expect(error[isFlat ? "error" : "message"]).toBeString();
  if (!isFlat) expect(error["request_id"]).toBeString();
  expect(text.length).toBeLessThan(20_000);
}

test(
  "openApp() answers any request with 2xx or 4xx, and the loop goes on",
  async () => {
    const { w, a } = await open();
    const routes = routesOf(a);
    expect(routes.length).toBeGreaterThan(50);
    const ask = askOf(routes);
    await fc.assert(
      fc.asyncProperty(ask, (one) => judge(a, w, one)),
      runs(1_200),
    );
    await w.live(10);
  },
  PATIENCE_MS,
);

test(
  "openApp() answers each field of each body with each time and span in its place",
  async () => {
    const { w, a } = await open();
    const spans = ["2500000000h", "0.0000001ns", "-1h", 2 ** 53, 1e300, "\u0000"];
    // An answer names what was sent and never repeats a whole body.
    const long = ["1h", "0s", "9", "x"].map((text) => text.repeat(100_000));
    const values = [...TIMES, ...spans, ...long];
    for (const { method, path } of routesOf(a)) {
      const known = BODIES[path.split("/").at(-1) ?? ""] ?? ORDER;
      if (method === "GET" || path.startsWith("/api/") || path.endsWith("/report")) continue;
      for (const key of Object.keys(known)) {
        for (const value of values) {
          // The route of demand answers this one with 500, until it reads the time as reports do.
          const body = JSON.stringify({ ...known, [key]: value });
          const filled = fill(path, "fleet-p-0-1");
          await judge(a, w, { method, path: filled, token: "root", headers: {}, body });
        }
      }
    }
    // An agent's log keeps what it was answered.
    const path = "/v1/agent/report";
    await judge(a, w, { method: "POST", path, token: "root", headers: {}, body: SECRET });
    // What was taken can be shown.
    const ordered = await a.call("POST", "/v1/nodes/fleet-p-0-1/cordon", { reason: "look" });
    expect(ordered.status).toBe(200);
    for (const { method, path } of routesOf(a)) {
      const id = path.includes("/commands/") ? String(ordered.body["command_id"]) : "fleet-p-0-1";
      const filled = fill(path, id);
      if (method !== "GET") continue;
      const headers = { Authorization: "Bearer root" };
      const { status } = CONSOLE.test(path)
        ? await a.app.request(filled, { headers }, callerOf(path))
        : await a.call("GET", filled);
      const usual = CLUSTER.test(path) ? 503 : 200;
      const [, absent = usual] = ABSENT.find(([end]) => path.endsWith(end)) ?? [];
      expect([path, status]).toEqual([path, absent]);
    }
  },
  PATIENCE_MS,
);

test(
  "openApp() asks who it is before it looks at what was sent",
  async () => {
    const { a, w } = await open();
    const bodies = ["{", "x".repeat(LIMIT.requestBytesMax + 1), JSON.stringify(BODIES["size"])];
    for (const { method, path } of routesOf(a)) {
      if (!/^\/(api\/)?v1\//.test(path)) continue;
      // A machine that joins has nothing but what it sends, and may send little.
      if (path.endsWith("/agent/join")) continue;
      for (const token of [null, SECRET]) {
        for (const body of bodies) {
          const headers: Record<string, string> =
            token === null ? {} : { Authorization: `Bearer ${token}` };
          let read = false;
          const stream = new ReadableStream(
            {
              pull(controller) {
                read = true;
                controller.enqueue(new TextEncoder().encode(body));
                controller.close();
              },
            },
            { highWaterMark: 0 },
          );
          const init = method === "GET" ? { method, headers } : { method, headers, body: stream };
          const answer = await a.app.request(path.replace(/:\w+/g, "p"), init);
          expect([method, path, answer.status, read]).toEqual([method, path, 401, false]);
          // So many failures in no time at all would be told to slow down.
          w.clock.sleepThrough(1_000);
          expect(await answer.text()).not.toContain(SECRET);
        }
      }
    }
  },
  PATIENCE_MS,
);

test(
  "openApp() refuses a body that is too large with 413, by its length and by its bytes",
  async () => {
    const { a } = await open();
    const sizes = [
      ["/v1/agent/report", LIMIT.reportBytesMax],
      ["/v1/tokens", LIMIT.requestBytesMax],
      ["/v1/nodes/fleet-p-0-1/cordon", LIMIT.requestBytesMax],
    ] as const;
    for (const [path, max] of sizes) {
      for (const size of [max, max + 1, 2 * max]) {
        const text = `{"x":"${"y".repeat(size - 8)}"}`;
        const whole = await a.call("POST", path, text);
        expect([path, size, whole.status]).toEqual([path, size, size > max ? 413 : 400]);
        const stream = new Blob([text]).stream();
        const headers = { Authorization: "Bearer root" };
        const piecewise = await a.app.request(path, { method: "POST", headers, body: stream });
        expect([path, size, piecewise.status]).toEqual([path, size, size > max ? 413 : 400]);
      }
    }
  },
  PATIENCE_MS,
);
