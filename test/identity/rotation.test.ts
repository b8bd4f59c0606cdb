/** Nodes' credentials change daily and by order, and no node loses its voice over it. */
import { afterEach, expect, test } from "bun:test";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { GRACE_MS, ROTATION_MS } from "../../reconciler/security/key.ts";
import { codeOf, messageOf, Plane } from "./plane.ts";

let plane: Plane | null = null;
afterEach(async () => {
  await plane?.close();
  plane = null;
});
async function open(): Promise<{ p: Plane; id: string; first: string }> {
  plane = await Plane.open(1);
  const [id = ""] = plane.w.serving();
  return { p: plane, id, first: nodeToken("s", id) };
}

const offered = (answer: { body: unknown }): string | null =>
  (answer.body as { credential: string | null }).credential;

test("within a day a node is offered another credential, again and again until it uses it", async () => {
  const { p, id, first } = await open();
  expect(offered(await p.report(id, first))).toBeNull();
  p.w.clock.sleepThrough(ROTATION_MS);
  const next = offered(await p.report(id, first));
  expect(next).toBe(nodeToken("s", id, 1));
  // The answer was lost, and the agent cut off for a week: the old one still speaks.
  p.w.clock.sleepThrough(7 * ROTATION_MS);
  expect(offered(await p.report(id, first))).toBe(next);
  expect((await p.report(id, next ?? "")).status).toBe(202);
  const old = await p.report(id, first);
  expect([old.status, codeOf(old)]).toEqual([401, "unauthenticated"]);
  expect(offered(await p.report(id, next ?? ""))).toBeNull();
});

test("a restart of the control plane forgets nothing of it", async () => {
  const { p, id, first } = await open();
  const answer = await p.call("POST", `/v1/tokens/node:${id}/rotate`, { body: {} });
  expect(answer.body).toMatchObject({ node_id: id, rotation: 1, used_at: null } as never);
  const next = offered(await p.report(id, first)) ?? "";
  await p.report(id, next);
  const stored = (await p.w.store?.load())?.credentials.find((one) => one.node === (id as never));
  expect(stored?.key).toMatchObject({ number: 1, floor: 1 });
  expect(stored?.key?.usedAt).not.toBeNull();
  expect(JSON.stringify(stored)).not.toContain(next);
});

test("a person's order ends the old one within the hour, used or not", async () => {
  const { p, id, first } = await open();
  await p.call("POST", `/v1/tokens/node:${id}/rotate`, { body: {} });
  expect((await p.report(id, first)).status).toBe(202);
  p.w.clock.sleepThrough(GRACE_MS);
  expect((await p.report(id, first)).status).toBe(401);
  expect((await p.report(id, nodeToken("s", id, 1))).status).toBe(202);
});

test("a revoked node is not rotated, and a name that nobody has is not found", async () => {
  const { p, id } = await open();
  await p.call("DELETE", `/v1/tokens/node:${id}`);
  expect((await p.call("POST", `/v1/tokens/node:${id}/rotate`, { body: {} })).status).toBe(409);
  expect((await p.call("DELETE", "/v1/tokens/node:nobody")).status).toBe(404);
  expect((await p.call("POST", "/v1/tokens/node:nobody/rotate", { body: {} })).status).toBe(404);
  const listed = await p.call("GET", "/v1/tokens");
  expect(listed.text).toContain(`node:${id}`);
});

/** The node's own agent, and a thief with a copy of its credential. */
async function withThief() {
  const { p, id, first } = await open();
  /** Folded before the next one is sent. */
  const folded = async (stream: string) => {
    const answer = await p.report(id, first, { stream });
    await p.w.turn();
    return answer;
  };
  const honest = () => folded("s");
  const thief = () => folded("of-a-thief");
  const rotate = () => p.call("POST", `/v1/tokens/node:${id}/rotate`, { body: {} });
  for (const send of [honest, thief, honest]) expect((await send()).status).toBe(202);
  return { p, id, first, honest, thief, rotate };
}

test("while two use a credential neither is given the next one, which a thief would get", async () => {
  const { p, id, honest, thief, rotate } = await withThief();
  const refused = await rotate();
  expect([refused.status, codeOf(refused)]).toEqual([409, "conflict"]);
  expect(messageOf(refused)).toContain(`navarch token revoke node:${id}`);
  // The day's rotation waits too.
  for (let hours = 0; hours < 30; hours += 6) {
    p.w.clock.sleepThrough(ROTATION_MS / 4);
    expect(offered(await thief())).toBeNull();
    expect(offered(await honest())).toBeNull();
  }
  const said = p.w.events.filter(({ message }) => message.includes("two agents report"));
  expect(said.map(({ message }) => message.includes("navarch token revoke node:"))).toEqual([true]);
});

test("what follows a theft: revoked, joined again, and rotated as before", async () => {
  const { p, id, first, thief, rotate } = await withThief();
  await p.call("DELETE", `/v1/tokens/node:${id}`);
  expect((await thief()).status).toBe(401);
  const { token } = await p.joinToken({ node: id });
  const own = await p.joined(token, id);
  expect((await p.report(id, own)).status).toBe(202);
  expect((await p.report(id, first)).status).toBe(401);
  expect((await rotate()).status).toBe(200);
  expect(offered(await p.report(id, own))).not.toBeNull();
});

test("a day after the second sender was last heard the credential rotates again", async () => {
  const { p, honest, rotate } = await withThief();
  p.w.clock.sleepThrough(ROTATION_MS - 1_000);
  expect((await rotate()).status).toBe(409);
  p.w.clock.sleepThrough(2_000);
  expect(offered(await honest())).not.toBeNull();
  expect((await rotate()).status).toBe(200);
});

test("an agent whose credential somebody else has renewed is told of, once an hour", async () => {
  const { p, id, first } = await open();
  p.w.clock.sleepThrough(ROTATION_MS);
  // A copy that looks like the node itself asks first.
  const stolen = offered(await p.report(id, first)) ?? "";
  expect((await p.report(id, stolen)).status).toBe(202);
  const told = async (): Promise<string[]> => {
    const answer = await p.call("GET", `/v1/events?node=${id}&limit=1000`);
    const { events } = answer.body as unknown as { events: { message: string }[] };
    return events.map(({ message }) => message).filter((one) => one.includes("earlier credential"));
  };
  // A report that was under way when the new one was first used proves nothing.
  expect((await p.report(id, first)).status).toBe(401);
  expect(await told()).toEqual([]);
  p.w.clock.sleepThrough(61_000);
  for (let turn = 0; turn < 3; turn++) expect((await p.report(id, first)).status).toBe(401);
  const [message = "", ...more] = await told();
  expect(more).toEqual([]);
  expect(message).toContain(`navarch token revoke node:${id}`);
  expect(message).toContain("127.0.0.1");
  p.w.clock.sleepThrough(3_600_000);
  await p.report(id, first);
  expect(await told()).toHaveLength(2);
});
