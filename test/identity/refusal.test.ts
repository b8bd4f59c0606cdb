/**
 * Whoever may not is refused, and it is written down: another node's name, a used token, a revoked
 * node, a forged report, and a scanner that must cost nothing.
 */
import { afterEach, expect, test } from "bun:test";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { KEYS_MAX, WINDOW_MS } from "../../reconciler/security/audit/audit.ts";
import { codeOf, Plane } from "./plane.ts";

let plane: Plane | null = null;
afterEach(async () => {
  await plane?.close();
  plane = null;
});
async function open(size = 1): Promise<Plane> {
  plane = await Plane.open(size);
  return plane;
}

test("another node's name, a replayed join, a revoked node, a forged credential: refused, audited", async () => {
  const p = await open(2);
  const [one = "", two = ""] = p.w.serving();
  const own = nodeToken("s", one);
  const cases: [string, () => Promise<{ status: number }>, number, Record<string, unknown>][] = [
    [
      "another node's name",
      () => p.report(two, own),
      403,
      { who: `node:${one}`, target: two, code: "permission_denied", method: "REPORT" },
    ],
    [
      "a forged credential",
      () => p.report(two, `${nodeToken("s", two).slice(0, -4)}AAAA`),
      401,
      { who: "anonymous", target: `node:${two}`, code: "unauthenticated" },
    ],
  ];
  for (const [what, ask, status, row] of cases) {
    expect(`${what}: ${(await ask()).status}`).toBe(`${what}: ${status}`);
    const [last] = await p.audit();
    expect(last).toMatchObject({ ...row, refused: true, count: 1, remote: "127.0.0.1" });
  }
  const join = await p.joinToken();
  await p.joined(join.token, "n-1");
  expect((await p.join(join.token, "n-2")).status).toBe(403);
  expect((await p.audit())[0]).toMatchObject({
    who: `join:${join.id}`,
    target: "n-2",
    path: "/v1/agent/join",
    status: 403,
  });
  expect((await p.call("DELETE", `/v1/tokens/node:${one}`)).status).toBe(200);
  const revoked = await p.report(one, own);
  expect([revoked.status, codeOf(revoked)]).toEqual([401, "unauthenticated"]);
  expect((await p.audit())[0]).toMatchObject({ who: `node:${one}`, status: 401 });
  // The token that all share does not stand in for it.
  const shared = await p.report(one, "both");
  expect(shared.status).toBe(403);
  expect((await p.audit())[0]).toMatchObject({ who: "shared", target: one, status: 403 });
});

test("over the stream the same is refused and audited, and a revocation ends it", async () => {
  const p = await open(2);
  const [one = "", two = ""] = p.w.serving();
  const said: string[] = [];
  const url = `${p.base.replace("http", "ws")}/v1/agent/stream`;
  const headers = { authorization: `Bearer ${nodeToken("s", one)}` };
  const socket = new WebSocket(url, { headers });
  let closed: number | null = null;
  socket.onmessage = (event) => void said.push(String(event.data));
  socket.onclose = (event) => (closed = event.code);
  const level = async (reached: () => boolean): Promise<void> => {
    for (let i = 0; i < 5_000 && !reached(); i++) await p.during(Promise.resolve());
    expect(reached()).toBe(true);
  };
  await level(() => socket.readyState === WebSocket.OPEN);
  const at = new Date(p.w.clock.wallMs()).toISOString();
  const frame = {
    version: 1,
    node_id: two,
    boot_id: "b",
    stream: "s",
    agent_version: "x",
    simulated: false,
    sent_at: at,
  };
  socket.send(JSON.stringify(frame));
  await level(() => said.length === 1);
  expect(said[0]).toContain("permission_denied");
  expect((await p.audit())[0]).toMatchObject({
    who: `node:${one}`,
    target: two,
    remote: "127.0.0.1",
  });
  await p.call("DELETE", `/v1/tokens/node:${one}`);
  socket.send(JSON.stringify({ ...frame, node_id: one }));
  await level(() => closed !== null);
  expect(closed as unknown).toBe(1008);
});

test("each mutating call has one row, reads have none, and no row has a secret or a body", async () => {
  const p = await open();
  const [one = ""] = p.w.serving();
  const made = await p.call("POST", "/v1/tokens", { body: { role: "operator", label: "ann" } });
  const [secret, id] = [String(made.body["token"]), String(made.body["id"])];
  await p.call("GET", "/v1/nodes", { token: secret });
  await p.call("POST", `/v1/nodes/${one}/cordon`, { token: secret, body: { reason: "hush" } });
  await p.call("POST", `/v1/nodes/${one}/uncordon`, { token: secret, body: {} });
  await p.call("PUT", "/v1/pools/p/size", { token: secret, body: { nodes: "x" } });
  await p.call("POST", "/v1/tokens", { token: secret, body: { role: "admin" } });
  const rows = (await p.audit("limit=50")).reverse();
  expect(rows.map((row) => [row.who, row.target, row.code])).toEqual([
    ["admin", id, "ok"],
    [`token:${id}`, one, "ok"],
    [`token:${id}`, one, "ok"],
    [`token:${id}`, "p", "invalid_argument"],
    [`token:${id}`, null, "permission_denied"],
  ]);
  expect(rows.map((row) => row.refused)).toEqual([false, false, false, false, true]);
  const all = JSON.stringify(rows);
  for (const hidden of [secret, "hush", "root"]) expect(all).not.toContain(`"${hidden}"`);
  expect(all).not.toContain(secret);
  expect((await p.audit(`by=token:${id}`)).length).toBe(4);
  expect((await p.call("GET", "/v1/audit", { token: secret })).status).toBe(200);
  const seen = await p.call("POST", "/v1/tokens", { body: { role: "viewer", label: "bob" } });
  const viewer = await p.call("GET", "/v1/audit", { token: String(seen.body["token"]) });
  expect(viewer.status).toBe(403);
});

test("a scanner is slowed down and costs a bounded number of rows; a good token passes", async () => {
  const p = await open();
  const statuses: number[] = [];
  for (let i = 0; i < 80; i++) {
    const path = `/v1/nodes/x${i}`;
    statuses.push((await p.call("GET", path, { token: `guess-${i}` })).status);
  }
  expect(statuses.slice(0, 60).every((status) => status === 401)).toBe(true);
  expect(statuses.slice(70)).toContain(429);
  const late = await p.call("GET", "/v1/nodes", { token: "guess" });
  if (late.status === 429) expect(Number(late.headers.get("Retry-After"))).toBeGreaterThan(0);
  // The neighbour behind the same address has done nothing wrong.
  expect((await p.call("GET", "/v1/nodes")).status).toBe(200);
  const rows = await p.audit();
  expect(rows.length).toBeLessThanOrEqual(2);
  expect(rows.reduce((sum, row) => sum + row.count, 0)).toBe(81);
  await p.w.clock.pass(WINDOW_MS);
  expect((await p.call("GET", "/v1/nodes", { token: "guess" })).status).toBe(401);
  expect((await p.audit()).length).toBeLessThanOrEqual(3);
});

test("a stranger's broken desired to join push out nothing that was done", async () => {
  const p = await open();
  await p.joinToken();
  for (let i = 0; i < 20; i++) {
    const answer = await p.call("POST", "/v1/agent/join", {
      token: null,
      body: { token: `x${i}` },
    });
    expect(answer.status).toBe(400);
  }
  expect((await p.audit("refused=false")).length).toBe(1);
  expect(await p.audit()).toMatchObject([
    { who: "anonymous", code: "invalid_argument", count: 20 },
  ]);
});

test("refusals of many kinds in one minute share the last row", async () => {
  const p = await open();
  const draft = {
    refused: true,
    role: null,
    method: "GET",
    path: "/v1/nodes",
    target: null,
    code: "unauthenticated",
    status: 401,
    request: "",
    verb: "get",
    kind: "node",
    namespace: null,
    detail: null,
  };
  for (let i = 0; i < KEYS_MAX * 3; i++) {
    const at = p.w.clock.wallMs();
    await p.a.admission.audit.share({ ...draft, at, who: "anonymous", remote: `10.0.0.${i}` });
  }
  const rows = await p.audit();
  expect(rows.length).toBe(KEYS_MAX + 1);
  expect(rows[0]).toMatchObject({ who: "several", count: KEYS_MAX * 2 });
});
