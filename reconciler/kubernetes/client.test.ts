import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { openTlsServer } from "../../test/fixture/kubernetes/tls-server.ts";
import type { Handler, TlsServer } from "../../test/fixture/kubernetes/tls-server.ts";
import { openAuthority } from "../../test/real/kubernetes/certificate.ts";
import type { Clock } from "../core/clock.ts";
import type { KubeApi, KubeRequest, WatchEnd, WatchEvent } from "./api.ts";
import { PATCH } from "./api.ts";
import { readList } from "./call.ts";
import { openClient, resourceOf } from "./client.ts";
import type { Outcome } from "./client.ts";
import type { Transport } from "./connect.ts";
import type { TransportTls } from "./credential.ts";

const authority = openAuthority("ours", Date.now());
const stranger = openAuthority("theirs", Date.now());
const admin = authority.issue({ name: "admin", groups: ["system:masters"] });
const mutual: TransportTls = {
  ca: authority.certificate,
  cert: admin.certificate,
  key: admin.key,
};

/** The real time, except that timers of more than a minute wait for `fire()`. */
function openClock(): Clock & { fire(): void } {
  const long = new Set<() => void>();
  return {
    wallMs: () => Date.now(),
    monoMs: () => performance.now(),
    after(ms, work) {
      if (ms > 60_000) {
        long.add(work);
        return () => long.delete(work);
      }
      const timer = setTimeout(work, ms);
      return () => clearTimeout(timer);
    },
    fire() {
      for (const work of [...long]) work();
      long.clear();
    },
  };
}

let server: TlsServer;
let handle: Handler = () => new Response("none", { status: 500 });
const clock = openClock();
const counted: string[] = [];

beforeAll(async () => {
  server = await openTlsServer(authority, (request, name) => handle(request, name));
});
afterAll(() => server.close());

type Fixture = KubeApi & { refreshed(): number };

function open(tls: TransportTls = mutual, token: () => string | null = () => null): Fixture {
  let refreshed = 0;
  const transport: Transport = {
    server: server.url,
    name: "test",
    async headers(): Promise<Record<string, string>> {
      const value = token();
      return value === null ? {} : { authorization: `Bearer ${value}` };
    },
    tls: async () => tls,
    refresh: () => {
      refreshed += 1;
    },
  };
  const api = openClient(transport, {
    clock,
    count: (verb, resource, pool, outcome: Outcome) => {
      counted.push(`${verb} ${resource} ${pool} ${outcome}`);
    },
    userAgent: "navarch/test",
  });
  return { ...bound(api), refreshed: () => refreshed };
}

const bound = (api: KubeApi): KubeApi => ({
  call: (request) => api.call(request),
  watch: (path, query, take, options) => api.watch(path, query, take, options),
  close: () => api.close(),
});

const get = (path: string, timeoutMs = 5_000): KubeRequest => ({
  verb: "get",
  path,
  timeoutMs,
  lane: "read",
});
const evict: KubeRequest = {
  verb: "create",
  path: "/api/v1/namespaces/a/pods/b/eviction",
  body: { kind: "Eviction" },
  timeoutMs: 5_000,
  lane: "evict",
  pool: "h100",
};

const failure = (code: number, reason: string, more: Record<string, unknown> = {}) =>
  Response.json(
    { kind: "Status", status: "Failure", code, reason, message: "no", ...more },
    { status: code },
  );

describe("call() and TLS", () => {
  const whoami: Handler = (request, name) => {
    const bearer = request.headers.get("authorization");
    if (name === null && bearer !== "Bearer good") return failure(401, "Unauthorized");
    return Response.json({ name: name ?? "bearer" });
  };

  test("shows the client certificate under a private authority", async () => {
    handle = whoami;
    const answer = await open().call(get("/api/v1/nodes/a"));
    expect(answer).toEqual({ kind: "ok", status: 200, body: { name: "admin" } });
  });

  test("refuses a server of another authority, and one of the public ones", async () => {
    handle = whoami;
    for (const tls of [{ ca: stranger.certificate }, {}]) {
      const answer = await open(tls).call(get("/api/v1/nodes/a"));
      expect(answer).toMatchObject({ kind: "lost" });
      expect(JSON.stringify(answer)).toMatch(/CERT|certificate/i);
    }
  });

  test("is nobody without a certificate, also right after somebody was there", async () => {
    handle = whoami;
    expect(await open().call(get("/a"))).toMatchObject({ kind: "ok" });
    for (const tls of [
      { ca: authority.certificate },
      {
        ca: authority.certificate,
        ...(({ certificate, key }) => ({ cert: certificate, key }))(
          stranger.issue({ name: "admin" }),
        ),
      },
    ]) {
      const api = open(tls);
      expect(await api.call(get("/a"))).toMatchObject({ kind: "refused", status: 401 });
      expect(api.refreshed()).toBe(1);
    }
  });

  test("sends the bearer token", async () => {
    handle = whoami;
    const answer = await open({ ca: authority.certificate }, () => "good").call(get("/a"));
    expect(answer).toMatchObject({ kind: "ok", body: { name: "bearer" } });
  });

  test("tries once more after 401, with what a refresh brings", async () => {
    handle = whoami;
    let token = "old";
    let refreshes = 0;
    const transport: Transport = {
      server: server.url,
      name: "t",
      headers: async () => ({ authorization: `Bearer ${token}` }),
      tls: async () => ({ ca: authority.certificate }),
      refresh: () => {
        refreshes += 1;
        token = "good";
      },
    };
    const ports = { clock, count: () => {}, userAgent: "t" };
    const api = openClient(transport, ports);
    expect(await api.call(evict)).toMatchObject({ kind: "ok" });
    expect(await api.call(evict)).toMatchObject({ kind: "ok" });
    expect(refreshes).toBe(1);
  });

  test("verifies another name than the address, and skips what it is told to skip", async () => {
    handle = whoami;
    const named = { ...mutual, serverName: "api.example" };
    expect(await open(named).call(get("/a"))).toMatchObject({ kind: "ok" });
    const wrong = { ...mutual, serverName: "other.example" };
    expect(await open(wrong).call(get("/a"))).toMatchObject({ kind: "lost" });
    const insecure = { rejectUnauthorized: false };
    const api = open(insecure, () => "good");
    expect(await api.call(get("/a"))).toMatchObject({ kind: "ok" });
  });

  test("is lost, with the reason, when no credential can be had", async () => {
    const transport: Transport = {
      server: server.url,
      name: "t",
      headers: () => Promise.reject(new Error("credential plugin x: exit status 3")),
      tls: async () => mutual,
      refresh: () => {},
    };
    const api = openClient(transport, { clock, count: () => {}, userAgent: "t" });
    const answer = await api.call(get("/a"));
    expect(answer).toEqual({ kind: "lost", message: "credential plugin x: exit status 3" });
  });
});

describe("call()", () => {
  test("sends method, query, content type and body of each verb", async () => {
    handle = async (request) => {
      const { pathname, search } = new URL(request.url);
      return Response.json({
        method: request.method,
        at: pathname + search,
        type: request.headers.get("content-type"),
        agent: request.headers.get("user-agent"),
        accept: request.headers.get("accept"),
        body: await request.text(),
      });
    };
    const api = open();
    const ask = async (request: Partial<KubeRequest>) => {
      const answer = await api.call({ ...get("/p"), ...request });
      return answer.kind === "ok" ? answer.body : answer;
    };
    expect(await ask({ query: { fieldManager: "a b", force: "true" } })).toEqual({
      method: "GET",
      at: "/p?fieldManager=a+b&force=true",
      type: null,
      agent: "navarch/test",
      accept: "application/json",
      body: "",
    });
    for (const contentType of Object.values(PATCH)) {
      const found = await ask({ verb: "patch", contentType, body: { a: [1] } });
      expect(found).toMatchObject({ method: "PATCH", type: contentType, body: '{"a":[1]}' });
    }
    expect(await ask({ verb: "delete", body: { a: 1 } })).toMatchObject({
      method: "DELETE",
      type: "application/json",
      body: '{"a":1}',
    });
    expect(await ask({ verb: "create", body: {} })).toMatchObject({ method: "POST" });
    expect(await ask({ verb: "list" })).toMatchObject({ method: "GET" });
  });

  test("counts writes by resource, pool and outcome, and no reads", async () => {
    counted.length = 0;
    handle = () => Response.json({});
    const api = open();
    await api.call(evict);
    await api.call(get("/api/v1/nodes/a"));
    handle = () => failure(409, "Conflict");
    await api.call({ ...get("/api/v1/nodes/a/status"), verb: "patch", lane: "status" });
    expect(counted).toEqual(["create pods/eviction h100 ok", "patch nodes/status null refused"]);
  });

  test("tells a full budget from a busy server", async () => {
    const causes = [{ reason: "DisruptionBudget", message: "needs 1 healthy and has 1" }];
    handle = () => failure(429, "TooManyRequests", { details: { causes } });
    expect(await open().call(evict)).toMatchObject({ kind: "refused", status: 429, causes });
    handle = () =>
      new Response("Too many requests, please try again later.", {
        status: 429,
        headers: { "retry-after": "1" },
      });
    expect(await open().call(evict)).toMatchObject({
      kind: "refused",
      status: 429,
      causes: [],
      retryAfterMs: 1_000,
    });
    const date = new Date(Date.now() + 60_000).toUTCString();
    handle = () => new Response("", { status: 429, headers: { "retry-after": date } });
    const answer = await open().call(evict);
    const waitMs = answer.kind === "refused" ? (answer.retryAfterMs ?? 0) : 0;
    expect(waitMs).toBeWithin(50_000, 60_001);
  });

  test("follows no redirect with its credentials", async () => {
    let asked = 0;
    handle = () => {
      asked += 1;
      return Response.redirect(`${server.url}/elsewhere`, 302);
    };
    expect(await open().call(get("/a"))).toMatchObject({ kind: "refused", status: 302 });
    expect(asked).toBe(1);
  });

  test("is lost after its time, while the answer is awaited and while it trickles in", async () => {
    const gone = Promise.withResolvers<void>();
    handle = (request) => {
      request.signal.addEventListener("abort", () => gone.resolve());
      return new Promise<Response>(() => {});
    };
    const startedMs = performance.now();
    expect(await open().call(get("/a", 100))).toEqual({
      kind: "lost",
      message: "no answer in 100 ms",
    });
    // The server is told, so that it need not finish.
    await gone.promise;
    handle = () =>
      new Response(
        new ReadableStream({ start: (controller) => controller.enqueue(encode('{"a":')) }),
      );
    expect(await open().call(get("/a", 100))).toMatchObject({ kind: "lost" });
    expect(performance.now() - startedMs).toBeLessThan(3_000);
  });

  test("is lost when the connection is refused, cut or breaks off", async () => {
    const nowhere: Transport = {
      server: "https://127.0.0.1:1",
      name: "t",
      headers: async () => ({}),
      tls: async () => mutual,
      refresh: () => {},
    };
    const ports = { clock, count: () => {}, userAgent: "t" };
    const answer = await openClient(nowhere, ports).call(get("/a"));
    const message = "ECONNREFUSED: cannot connect to https://127.0.0.1:1";
    expect(answer).toEqual({ kind: "lost", message });
    const arrived = Promise.withResolvers<void>();
    handle = () => {
      arrived.resolve();
      return new Promise<Response>(() => {});
    };
    const call = open().call(get("/a"));
    await arrived.promise;
    server.cut();
    expect(await call).toMatchObject({ kind: "lost" });
  });

  test("is lost with a body of more than 64 MiB", async () => {
    const chunk = new Uint8Array(1024 * 1024).fill(0x20);
    let sent = 0;
    handle = () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            sent += 1;
            if (sent <= 70) controller.enqueue(chunk);
            else controller.close();
          },
        }),
      );
    const answer = await open().call(get("/a", 30_000));
    expect(answer).toMatchObject({ kind: "lost", message: "HTTP 200 with more than 64 MiB" });
  });

  test("close() ends what is on its way and lets nothing more out", async () => {
    let asked = 0;
    const arrived = Promise.withResolvers<void>();
    handle = () => {
      asked += 1;
      arrived.resolve();
      return new Promise<Response>(() => {});
    };
    const api = open();
    const call = api.call(get("/a"));
    await arrived.promise;
    api.close();
    expect(await call).toMatchObject({ kind: "lost" });
    expect(await api.call(get("/a"))).toMatchObject({ kind: "lost" });
    expect(asked).toBe(1);
  });

  test("makes 1,000 requests at once over 64 connections at most", async () => {
    server.cut();
    const before = server.connections().total;
    handle = () => Response.json({ ok: true });
    const api = open();
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () => api.call(get("/a", 20_000))),
    );
    expect(answers.filter(({ kind }) => kind !== "ok")).toEqual([]);
    expect(server.connections().total - before).toBeLessThanOrEqual(64);
  });

  test("does not send what waited for a connection past its time", async () => {
    let asked = 0;
    handle = () => {
      asked += 1;
      return new Promise<Response>(() => {});
    };
    const api = open();
    const held = Array.from({ length: 60 }, () => api.call(get("/a", 1_500)));
    const late = await api.call({ ...evict, timeoutMs: 200 });
    expect(late).toMatchObject({ kind: "refused", status: 429, reason: "ClientThrottled" });
    await Promise.all(held);
    expect(asked).toBe(60);
  });
});

const encode = (text: string) => new TextEncoder().encode(text);
const line = (type: string, object: unknown) => `${JSON.stringify({ type, object })}\n`;

/** A watch whose body the test writes. */
function stream(): { respond: Handler; write(text: string | Uint8Array): void; end(): void } {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  return {
    respond: () => new Response(readable),
    write: (text) => {
      writer.write(typeof text === "string" ? encode(text) : text).catch(() => {});
    },
    end: () => {
      writer.close().catch(() => {});
    },
  };
}

function watch(api: KubeApi, signal = new AbortController().signal, silenceMs = 20_000) {
  const events: WatchEvent[] = [];
  const waiting = new Set<() => void>();
  const end: Promise<WatchEnd> = api.watch(
    "/api/v1/nodes",
    { resourceVersion: "1" },
    (event) => {
      events.push(event);
      for (const work of waiting) work();
    },
    { signal, silenceMs },
  );
  const seen = (count: number): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (events.length >= count) resolve();
    };
    waiting.add(look);
    look();
    return promise;
  };
  return { events, end, seen };
}

describe("watch()", () => {
  test("delivers events as they come, cut anywhere, until the server ends", async () => {
    const body = stream();
    let asked = "";
    handle = (request, name) => {
      asked = new URL(request.url).search;
      return body.respond(request, name);
    };
    const { events, end, seen } = watch(open());
    const bytes = encode(line("ADDED", { name: "grün" }) + line("BOOKMARK", { n: 1 }));
    for (const byte of bytes.subarray(0, 60)) body.write(Uint8Array.of(byte));
    await seen(1);
    body.write(bytes.subarray(60));
    await seen(2);
    body.end();
    expect(await end).toEqual({ kind: "ended" });
    expect(events).toEqual([
      { type: "ADDED", object: { name: "grün" } },
      { type: "BOOKMARK", object: { n: 1 } },
    ]);
    expect(asked).toBe("?resourceVersion=1&watch=true");
  });

  test("is expired by a 410 in its head and by one in its body", async () => {
    handle = () => failure(410, "Expired");
    expect(await watch(open()).end).toEqual({ kind: "expired" });
    const status = { kind: "Status", status: "Failure", code: 410, reason: "Expired" };
    handle = () => new Response(line("ADDED", { a: 1 }) + line("ERROR", status));
    const { end, events } = watch(open());
    expect(await end).toEqual({ kind: "expired" });
    expect(events).toHaveLength(1);
  });

  test("is refused with the server's desired to wait", async () => {
    handle = () => new Response("busy", { status: 429, headers: { "retry-after": "4" } });
    expect(await watch(open()).end).toMatchObject({
      kind: "refused",
      status: 429,
      retryAfterMs: 4_000,
    });
    handle = () => failure(403, "Forbidden");
    expect(await watch(open()).end).toMatchObject({ kind: "refused", status: 403 });
  });

  test("tries once more after 401", async () => {
    let asked = 0;
    handle = () => {
      asked += 1;
      return asked === 1 ? failure(401, "Unauthorized") : new Response(line("ADDED", {}));
    };
    const api = open();
    const { end, events } = watch(api);
    expect(await end).toEqual({ kind: "ended" });
    expect([events.length, asked, api.refreshed()]).toEqual([1, 2, 1]);
  });

  test("is lost by silence, before the head and after it; each byte restarts it", async () => {
    handle = () => new Promise<Response>(() => {});
    expect(await watch(open(), undefined, 100).end).toEqual({
      kind: "lost",
      message: "silent for 100 ms",
    });
    const body = stream();
    handle = body.respond;
    const { end, events, seen } = watch(open(), undefined, 90_000);
    body.write(line("ADDED", {}));
    await seen(1);
    clock.fire();
    expect(await end).toMatchObject({ kind: "lost", message: "silent for 90000 ms" });
    body.write(line("ADDED", {}));
    expect(events).toHaveLength(1);
  });

  test("ends by its signal, and the connection with it", async () => {
    const body = stream();
    const gone = Promise.withResolvers<void>();
    handle = (request, name) => {
      request.signal.addEventListener("abort", () => gone.resolve());
      return body.respond(request, name);
    };
    const stop = new AbortController();
    const { end, seen } = watch(open(), stop.signal);
    body.write(line("ADDED", {}));
    await seen(1);
    stop.abort();
    expect(await end).toEqual({ kind: "ended" });
    await gone.promise;
    expect(await watch(open(), stop.signal).end).toEqual({ kind: "ended" });
  });

  test("ends by close()", async () => {
    const body = stream();
    handle = body.respond;
    const api = open();
    const { end, seen } = watch(api);
    body.write(line("ADDED", {}));
    await seen(1);
    api.close();
    expect(await end).toEqual({ kind: "ended" });
  });

  test("is lost when it is cut, torn in a line, or no watch at all", async () => {
    const body = stream();
    handle = body.respond;
    const { end, seen } = watch(open());
    body.write(line("ADDED", {}));
    await seen(1);
    server.cut();
    expect(await end).toMatchObject({ kind: "lost" });
    handle = () => new Response('{"type":"ADDED","obj');
    expect(await watch(open()).end).toMatchObject({ kind: "lost" });
    handle = () => new Response("<html>log in</html>\n");
    expect(await watch(open()).end).toMatchObject({ kind: "lost" });
    handle = () => new Response(null, { status: 204 });
    expect(await watch(open()).end).toMatchObject({ kind: "lost" });
    handle = () => new Response("bad gateway", { status: 502 });
    expect(await watch(open()).end).toMatchObject({ kind: "lost" });
  });

  test("rejects with what the taker throws, for that is a bug", async () => {
    handle = () => new Response(line("ADDED", {}));
    const boom = () => {
      throw new Error("boom");
    };
    const options = { signal: new AbortController().signal, silenceMs: 1_000 };
    const end = open().watch("/api/v1/nodes", {}, boom, options);
    expect(end).rejects.toThrow("boom");
    await end.catch(() => {});
  });

  test("carries 50 events of 200 KB", async () => {
    const big = "x".repeat(200_000);
    handle = () => new Response(Array.from({ length: 50 }, () => line("ADDED", { big })).join(""));
    const { end, events } = watch(open());
    expect(await end).toEqual({ kind: "ended" });
    expect(events).toHaveLength(50);
  });
});

describe("readList()", () => {
  const page = (from: number, to: number, more: string) =>
    Response.json({
      metadata: { resourceVersion: "77", continue: more },
      items: Array.from({ length: to - from }, (_, index) => ({ n: from + index })),
    });

  test("follows the pages of 500 and keeps what it is told to", async () => {
    const asked: string[] = [];
    handle = (request) => {
      const query = new URL(request.url).searchParams;
      asked.push(`${query.get("limit")} ${query.get("continue")} ${query.get("labelSelector")}`);
      return query.get("continue") === null ? page(0, 500, "c1") : page(500, 700, "");
    };
    const answer = await readList(
      open(),
      "/api/v1/pods",
      { labelSelector: "a=b" },
      {
        timeoutMs: 5_000,
        read: (item) => (JSON.stringify(item).includes("99") ? JSON.stringify(item) : null),
      },
    );
    expect(answer).toMatchObject({ kind: "ok", resourceVersion: "77" });
    expect(answer.kind === "ok" ? answer.items.length : 0).toBe(7);
    expect(asked).toEqual(["500 null a=b", "500 c1 a=b"]);
  });

  test("begins once more when the pages expire, and only once", async () => {
    let asked = 0;
    let expiring = 1;
    handle = (request) => {
      asked += 1;
      const query = new URL(request.url).searchParams;
      if (query.get("continue") === null) return page(0, 2, "c");
      if (expiring-- > 0) return failure(410, "Expired");
      return page(2, 3, "");
    };
    const options = { timeoutMs: 5_000, read: (item: unknown) => item };
    const answer = await readList(open(), "/api/v1/pods", {}, options);
    expect(answer).toMatchObject({ kind: "ok", items: [{ n: 0 }, { n: 1 }, { n: 2 }] });
    expect(asked).toBe(4);
    expiring = 2;
    expect(await readList(open(), "/api/v1/pods", {}, options)).toMatchObject({
      kind: "refused",
      status: 410,
    });
  });

  test("is lost when the answer is no list", async () => {
    handle = () => Response.json({ kind: "Node" });
    const options = { timeoutMs: 5_000, read: () => null };
    const answer = await readList(open(), "/api/v1/pods", {}, options);
    expect(answer).toMatchObject({ kind: "lost" });
  });
});

describe("resourceOf()", () => {
  test.each([
    ["/api/v1/nodes", "nodes"],
    ["/api/v1/nodes/a", "nodes"],
    ["/api/v1/nodes/a/status", "nodes/status"],
    ["/api/v1/namespaces/x", "namespaces"],
    ["/api/v1/namespaces/x/pods", "pods"],
    ["/api/v1/namespaces/x/pods/b/eviction", "pods/eviction"],
    ["/apis/events.k8s.io/v1/namespaces/x/events", "events"],
    ["/apis/policy/v1/poddisruptionbudgets", "poddisruptionbudgets"],
    ["/", ""],
  ])("names %s %s", (path, resource) => {
    expect(resourceOf(path)).toBe(resource);
  });
});

test("a server that speaks no TLS is lost, not awaited", async () => {
  const plain = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hi") });
  try {
    const transport: Transport = {
      server: `https://127.0.0.1:${plain.port}`,
      name: "t",
      headers: async () => ({}),
      tls: async () => mutual,
      refresh: () => {},
    };
    const api = openClient(transport, { clock, count: () => {}, userAgent: "t" });
    expect(await api.call(get("/a"))).toMatchObject({ kind: "lost" });
  } finally {
    await plain.stop(true);
  }
});
