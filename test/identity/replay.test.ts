/**
 * One join asked for again and again: each answer is the one that was given before, so it costs the
 * audit no row of its own and pushes out nothing that was done, and it ends with its token.
 */
import { afterEach, expect, test } from "bun:test";
import { WINDOW_MS } from "../../reconciler/security/audit/audit.ts";
import { AGAIN_MS } from "../../reconciler/security/join/joins.ts";
import { messageOf, Plane } from "./plane.ts";

let plane: Plane | null = null;
afterEach(async () => {
  await plane?.close();
  plane = null;
});
async function open(): Promise<Plane> {
  plane = await Plane.open(1);
  return plane;
}

/** The same request `times` times, without a socket for each. Gives the statuses. */
async function replay(p: Plane, token: string, times: number): Promise<Set<number>> {
  const desired = { token, node_id: "n-1", nonce: "nonce-of-n-1".padEnd(24, "x") };
  const init = { method: "POST", body: JSON.stringify(desired) };
  const statuses = new Set<number>();
  for (let i = 0; i < times; i++) {
    const answer = await p.a.app.request("/v1/agent/join", init, { remote: "192.0.2.66" });
    statuses.add(answer.status);
  }
  return statuses;
}

test("a thousand replays of one join are one row, apart from the row of the join", async () => {
  const p = await open();
  const { token, id } = await p.joinToken();
  const credential = await p.joined(token, "n-1");
  const before = await p.audit("refused=false");
  expect(await replay(p, token, 1_000)).toEqual(new Set([200]));
  const rows = await p.audit("refused=false");
  expect(rows.length).toBe(before.length + 1);
  expect(rows.slice(0, 2)).toMatchObject([
    { who: `join:${id}`, target: "n-1", code: "ok", status: 200, count: 1_000 },
    { who: `join:${id}`, target: "n-1", code: "ok", status: 201, count: 1 },
  ]);
  expect(await p.audit()).toEqual([]);
  await p.w.clock.pass(WINDOW_MS);
  expect(await replay(p, token, 5)).toEqual(new Set([200]));
  expect((await p.audit("refused=false")).map((row) => row.count).slice(0, 2)).toEqual([5, 1_000]);
  // It was the same answer each time, and its use ends the matter.
  expect(await p.joined(token, "n-1")).toBe(credential);
  expect((await p.report("n-1", credential)).status).toBe(202);
  expect(await replay(p, token, 2)).toEqual(new Set([403]));
});

test("a lost answer is given again for some minutes after the token's end, and then no more", async () => {
  const p = await open();
  const { token } = await p.joinToken({ ttl: "1m" });
  const credential = await p.joined(token, "n-1");
  await p.w.clock.pass(60_000);
  expect(messageOf(await p.join(token, "n-2"))).toContain("used up");
  expect(await p.joined(token, "n-1")).toBe(credential);
  await p.w.clock.pass(AGAIN_MS);
  const late = await p.join(token, "n-1");
  expect([late.status, messageOf(late)]).toEqual([403, "this join token has expired"]);
  // What was given before that is not taken back.
  expect((await p.report("n-1", credential)).status).toBe(202);
});
