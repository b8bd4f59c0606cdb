/**
 * Who guesses is slowed down by the address that really calls: whatever a header claims, whichever
 * of its addresses of IPv6 it takes, and through whichever replica. Nobody else pays for it.
 */
import { afterEach, expect, test } from "bun:test";
import { request as openRequest } from "node:http";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { Logins } from "../../reconciler/security/audit/logins.ts";
import { Forward } from "../../reconciler/http/route/forward.ts";
import { HOP, formatHop } from "../../reconciler/http/route/hop.ts";
import { Front, listen } from "../../reconciler/http/route/listen.ts";
import { Plane } from "./plane.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
async function open(): Promise<Plane> {
  const p = await Plane.open(1);
  closing.push(() => p.close());
  // No allowance grows back meanwhile: how much of the world's time a call takes is this machine's.
  p.a.admission.logins = new Logins({ monoMs: () => 0 });
  return p;
}

/** Failures that one address is told as such, and some. */
const MANY = 70;
const GUESS = { node_id: "n-1", nonce: "nonce-0123456789abcdefghij" };
const guess = (i: number): string => `nvj.${String(i).padStart(43, "g")}`;

type Asked = { status: number; retryAfter: string | null };

/** A call from one of this machine's loopback addresses, all of 127.0.0.0/8. */
function ask(
  p: Plane,
  from: string,
  path: string,
  more: { base?: string; headers?: Record<string, string>; body?: unknown } = {},
): Promise<Asked> {
  const { hostname, port } = new URL(more.base ?? p.base);
  const { promise, resolve, reject } = Promise.withResolvers<Asked>();
  const call = openRequest(
    {
      host: hostname,
      port,
      path,
      localAddress: from,
      method: more.body === undefined ? "GET" : "POST",
      headers: more.headers ?? {},
      agent: false,
    },
    (answer) => {
      answer.resume();
      answer.on("end", () =>
        resolve({
          status: answer.statusCode ?? 0,
          retryAfter: answer.headers["retry-after"] ?? null,
        }),
      );
    },
  );
  call.on("error", reject);
  call.end(more.body === undefined ? undefined : JSON.stringify(more.body));
  return p.during(promise);
}

const join = (p: Plane, from: string, token: string, headers = {}, base?: string): Promise<Asked> =>
  ask(p, from, "/v1/agent/join", {
    headers,
    body: { ...GUESS, token },
    ...(base === undefined ? {} : { base }),
  });

/** A second process of the fleet, as far as its port goes. */
function standBy(p: Plane): string {
  const { authority } = p.a;
  const sign = (text: string): string => authority.sign(text);
  const forward = new Forward({ clock: p.w.clock, leader: () => p.base, peer: () => null, sign });
  const front = new Front(p.a.ports, { forward, refresh: async () => undefined });
  const server = listen(() => front, p.w.config, { host: "127.0.0.1", port: 0 }, null);
  closing.push(() => server.stop(true));
  return `http://127.0.0.1:${server.port}`;
}

test("guessed join tokens are limited by the caller's address, whatever its headers claim", async () => {
  const p = await open();
  const { token } = await p.joinToken();
  const claims = (i: number): Record<string, string> => ({
    "X-Forwarded-For": `127.0.0.3, 10.0.${i}.1`,
    "X-Real-IP": `10.0.${i}.2`,
    Forwarded: `for=10.0.${i}.3`,
    // A stranger that plays the replica.
    [HOP]: formatHop(() => "x".repeat(43), `10.0.${i}.4`, p.w.clock.wallMs()),
  });
  const asked: Asked[] = [];
  for (let i = 0; i < MANY; i++) asked.push(await join(p, "127.0.0.2", guess(i), claims(i)));
  expect(asked.slice(0, 60).map(({ status }) => status)).toEqual(Array(60).fill(401));
  const last = asked.at(-1);
  expect([last?.status, Number(last?.retryAfter)]).toEqual([429, 1]);
  // The one that was claimed has done nothing, nor has the neighbour.
  for (const other of ["127.0.0.3", "127.0.0.4"]) {
    expect((await join(p, other, guess(0))).status).toBe(401);
  }
  const rows = await p.audit();
  expect(rows.length).toBeLessThanOrEqual(4);
  expect(new Set(rows.map(({ remote }) => remote))).toEqual(
    new Set(["127.0.0.2", "127.0.0.3", "127.0.0.4"]),
  );
  expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(MANY + 2);
  // Behind the guesser's address a machine with a good token still gets in.
  expect((await join(p, "127.0.0.2", token)).status).toBe(201);
});

test("joins, credentials, tokens and upgrades share one allowance", async () => {
  const p = await open();
  const [one = ""] = p.w.serving();
  const forged = `${nodeToken("s", one).slice(0, -4)}AAAA`;
  const headers = { Authorization: `Bearer ${forged}` };
  const upgrade = { Upgrade: "websocket", Connection: "Upgrade" };
  const statuses: number[] = [];
  for (let i = 0; i < 20; i++) {
    const stream = ask(p, "127.0.0.2", "/v1/agent/stream", { headers: { ...headers, ...upgrade } });
    statuses.push((await stream).status);
    statuses.push((await join(p, "127.0.0.2", guess(i))).status);
    statuses.push((await ask(p, "127.0.0.2", "/v1/nodes", { headers })).status);
  }
  expect(statuses).toEqual(Array(60).fill(401));
  for (const path of ["/v1/nodes", "/v1/agent/stream"]) {
    const asked = await ask(p, "127.0.0.2", path, { headers });
    expect([path, asked.status]).toEqual([path, 429]);
  }
  expect((await join(p, "127.0.0.2", guess(0))).status).toBe(429);
});

test("all addresses of one /64 are one caller, and those of the next are not", async () => {
  const p = await open();
  const front = new Front(p.a.ports, null);
  const from = async (remote: string, i: number): Promise<number> => {
    const body = JSON.stringify({ ...GUESS, token: guess(i) });
    const call = new Request(`${p.base}/v1/agent/join`, { method: "POST", body });
    return (await p.during(front.answer(call, "/v1/agent/join", remote))).status;
  };
  for (let i = 0; i < 60; i++) {
    expect(await from(`2001:db8:0:7:${i.toString(16)}::${i}`, i)).toBe(401);
  }
  expect(await from("2001:db8:0:7:ffff:ffff:ffff:ffff", 61)).toBe(429);
  expect(await from("2001:db8:0:8::1", 62)).toBe(401);
});

test("behind a standby each caller has its own allowance, and the audit names it", async () => {
  const p = await open();
  const base = standBy(p);
  for (let i = 0; i < 60; i++) {
    expect((await join(p, "127.0.0.2", guess(i), {}, base)).status).toBe(401);
  }
  expect((await join(p, "127.0.0.2", guess(61), {}, base)).status).toBe(429);
  // Neither the neighbour behind the same standby nor the standby's own address pays.
  expect((await join(p, "127.0.0.3", guess(62), {}, base)).status).toBe(401);
  expect((await join(p, "127.0.0.1", guess(63))).status).toBe(401);
  // And nobody has a second allowance at the leader itself.
  expect((await join(p, "127.0.0.2", guess(64))).status).toBe(429);
  const rows = await p.audit();
  expect(new Set(rows.map(({ remote }) => remote))).toEqual(
    new Set(["127.0.0.1", "127.0.0.2", "127.0.0.3"]),
  );
});

test("a report that a standby passes on is audited with the agent's address", async () => {
  const p = await open();
  const base = standBy(p);
  const [one = ""] = p.w.serving();
  const headers = { Authorization: `Bearer ${nodeToken("s", one)}` };
  const at = new Date(p.w.clock.wallMs()).toISOString();
  const body = {
    version: 1,
    node_id: "somebody-else",
    boot_id: "b",
    stream: "s",
    agent_version: "x",
    simulated: false,
    sent_at: at,
    inventory: { hostname: "x", gpus: [] },
  };
  const asked = await ask(p, "127.0.0.5", "/v1/agent/report", { base, headers, body });
  expect(asked.status).toBe(403);
  expect((await p.audit())[0]).toMatchObject({ who: `node:${one}`, remote: "127.0.0.5" });
});
