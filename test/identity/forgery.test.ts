/**
 * Four that must come to nothing: a node's credential for another node, a replayed join token, a
 * revoked node, a forged report. Of each the answer, the row as `navarch audit` shows it, and that
 * the fleet is as it was.
 */
import { afterEach, expect, test } from "bun:test";
import { nodeToken } from "../../reconciler/security/auth.ts";
import type { AuditView } from "../../schema/audit.ts";
import { type Answer, codeOf, Plane } from "./plane.ts";
import { navarch } from "./navarch.ts";

let plane: Plane | null = null;
afterEach(async () => {
  await plane?.close();
  plane = null;
});
async function open(): Promise<{ p: Plane; one: string; two: string }> {
  plane = await Plane.open(2);
  const [one = "", two = ""] = plane.w.serving();
  return { p: plane, one, two };
}

/** XID 79: true of one's own GPU it takes a node out of service at once. */
function dead(p: Plane, node: string): Record<string, unknown> {
  const finding = {
    kind: "xid",
    code: 79,
    at: new Date(p.w.clock.wallMs()).toISOString(),
    boot_id: `boot-${node}`,
    severity: "fatal",
    message: "GPU has fallen off the bus",
    source: "kmsg",
  };
  return { findings: [{ seq: 1, finding }] };
}

/** The newest refusal, by the command, in both of its forms. */
async function told(p: Plane): Promise<{ row: AuditView; line: string }> {
  const json = await navarch(p, "audit --refused --limit 1 -o json");
  const [row] = JSON.parse(json.out) as AuditView[];
  if (row === undefined) throw new Error("the audit has no refusal");
  const table = await navarch(p, "audit --refused --limit 1");
  return { row, line: table.out.trim().split("\n").at(-1) ?? "" };
}

/** What a forger would like to change. */
function stateOf(p: Plane): unknown {
  return p.w
    .nodes()
    .map((node) => [
      node.id,
      node.phase.kind,
      node.health.verdict,
      node.agent?.bootId,
      node.agent?.inventory.hostname,
      node.health,
    ]);
}

async function refused(
  p: Plane,
  ask: () => Promise<Answer>,
  expected: { status: number; code: string; row: Partial<AuditView> },
): Promise<void> {
  const before = stateOf(p);
  const answer = await ask();
  expect([answer.status, codeOf(answer)]).toEqual([expected.status, expected.code]);
  const { row, line } = await told(p);
  const { status, code } = expected;
  expect(row).toMatchObject({ status, code, refused: true, ...expected.row, remote: "127.0.0.1" });
  for (const part of [row.who, row.target ?? "", code, "127.0.0.1"]) expect(line).toContain(part);
  // Whatever it would have done has had its time.
  await p.w.live(5);
  expect(stateOf(p)).toEqual(before);
}

test("one node's credential with another's name, and a dead GPU in the report", async () => {
  const { p, one, two } = await open();
  await refused(p, () => p.report(two, nodeToken("s", one), dead(p, two)), {
    status: 403,
    code: "permission_denied",
    row: { who: `node:${one}`, role: "node", target: two, method: "REPORT" },
  });
});

test("the same report with the right credential does what the forger wanted", async () => {
  const { p, two } = await open();
  const before = stateOf(p);
  expect((await p.report(two, nodeToken("s", two), dead(p, two))).status).toBe(202);
  await p.w.live(5);
  expect(stateOf(p)).not.toEqual(before);
});

test("a join token that is used up, by another machine and by the first one again", async () => {
  const { p } = await open();
  const { token, id } = await p.joinToken();
  const credential = await p.joined(token, "n-1");
  expect((await p.report("n-1", credential)).status).toBe(202);
  await p.w.live(2);
  for (const name of ["n-2", "n-1"]) {
    await refused(p, () => p.join(token, name), {
      status: 403,
      code: "permission_denied",
      row: { who: `join:${id}`, target: name, method: "POST", path: "/v1/agent/join" },
    });
  }
  expect((await p.call("GET", "/v1/tokens")).text).not.toContain("node:n-2");
});

test("a revoked node by POST, by upgrade, and on the stream that it has open", async () => {
  const { p, one } = await open();
  const own = nodeToken("s", one);
  const headers = { authorization: `Bearer ${own}` };
  const url = `${p.base.replace("http", "ws")}/v1/agent/stream`;
  const socket = new WebSocket(url, { headers });
  let closed = 0;
  socket.onclose = (event) => (closed = event.code);
  const level = async (reached: () => boolean): Promise<void> => {
    for (let i = 0; i < 5_000 && !reached(); i++) await p.during(Promise.resolve());
    expect(reached()).toBe(true);
  };
  await level(() => socket.readyState === WebSocket.OPEN);
  expect((await navarch(p, `token revoke node:${one}`)).code).toBe(0);
  const row = { who: `node:${one}`, target: null, count: 1 };
  await refused(p, () => p.report(one, own, dead(p, one)), {
    status: 401,
    code: "unauthenticated",
    row: { ...row, method: "POST" },
  });
  socket.send(JSON.stringify({ node_id: one }));
  await level(() => closed !== 0);
  expect(closed).toBe(1008);
  expect((await told(p)).row).toMatchObject({ ...row, method: "REPORT", status: 401 });
  const answer = await p.during(
    fetch(`${p.base}/v1/agent/stream`, { headers: { ...headers, Upgrade: "websocket" } }),
  );
  expect(answer.status).toBe(401);
  expect((await told(p)).row).toMatchObject({ ...row, method: "UPGRADE", status: 401 });
});

test("a credential made up for a node, and one of another fleet", async () => {
  const { p, two } = await open();
  const made = nodeToken("s", two);
  for (const token of [`${made.slice(0, -4)}AAAA`, nodeToken("another fleet's", two)]) {
    const last = await p.audit();
    await refused(p, () => p.report(two, token, dead(p, two)), {
      status: 401,
      code: "unauthenticated",
      row: { who: "anonymous", role: null, target: `node:${two}`, count: last.length + 1 },
    });
  }
});

test("a stranger's own name with another machine's identity names the victim in the audit", async () => {
  const { p, two } = await open();
  const { token } = await p.joinToken();
  const credential = await p.joined(token, "n-9");
  const instance = p.w.node(two).instance?.id ?? "";
  const inventory = { hostname: two, gpus: [], provider_ids: [instance] };
  await refused(p, () => p.report("n-9", credential, { inventory, ...dead(p, two) }), {
    status: 403,
    code: "permission_denied",
    row: { who: "node:n-9", target: two, method: "REPORT" },
  });
});

test("a known node that claims another's identity stays itself", async () => {
  const { p, one, two } = await open();
  const instance = p.w.node(two).instance?.id ?? "";
  const inventory = { hostname: two, gpus: [], provider_ids: [instance] };
  const victim = p.w.node(two);
  const answer = await p.report(one, nodeToken("s", one), { inventory, ...dead(p, one) });
  expect([answer.status, answer.body["node_id"]]).toEqual([202, one as never]);
  await p.w.live(3);
  // (Its real agent speaks of another boot in between, so the verdict itself may be over.)
  expect(p.w.story(one)).toContain("node.finding");
  expect(p.w.story(two)).not.toContain("node.finding");
  expect(p.w.node(two).health).toEqual(victim.health);
  expect(p.w.serving()).toContain(two);
});

test("a person's token without that right reports for nobody", async () => {
  const { p, two } = await open();
  const made = await p.call("POST", "/v1/tokens", { body: { role: "operator" } });
  const token = String(made.body["token"]);
  await refused(p, () => p.report(two, token, dead(p, two)), {
    status: 403,
    code: "permission_denied",
    row: { who: `token:${String(made.body["id"])}`, role: "operator", target: two },
  });
});
