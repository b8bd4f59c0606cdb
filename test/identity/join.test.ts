/** Join tokens over real HTTP: what they open, how often, and what a lost answer costs. */
import { afterEach, expect, test } from "bun:test";
import { codeOf, messageOf, Plane } from "./plane.ts";

let plane: Plane | null = null;
afterEach(async () => {
  await plane?.close();
  plane = null;
});
async function open(size = 1): Promise<Plane> {
  plane = await Plane.open(size);
  return plane;
}

test("a machine joins once, speaks as itself, and its token is used up", async () => {
  const p = await open();
  const made = await p.joinToken();
  expect(made.token).toMatch(/^nvj\.[A-Za-z0-9_-]+$/);
  expect(made).toMatchObject({ state: "open", uses: 0, uses_max: 1, pool: "p", node_id: null });
  const credential = await p.joined(made.token, "fresh-1");
  expect(credential).toStartWith("nvn.");
  expect((await p.report("fresh-1", credential)).status).toBe(202);
  await p.w.live(2);
  expect(p.w.reconciler.fleet().nodes.get("fresh-1" as never)?.pool).toBeNull();
  const replay = await p.join(made.token, "fresh-2");
  expect([replay.status, codeOf(replay)]).toEqual([403, "permission_denied"]);
  expect(messageOf(replay)).toContain("used up");
  const list = await p.call("GET", "/v1/join-tokens");
  expect(list.text).not.toContain(made.token);
  expect(list.body["join_tokens"]).toMatchObject([{ state: "used", uses: 1 }] as never);
});

test("a lost answer is asked for again with the same nonce, until its credential is used", async () => {
  const p = await open();
  const { token } = await p.joinToken();
  const first = await p.joined(token, "n-1");
  expect(await p.joined(token, "n-1")).toBe(first);
  // Another process of the control plane knows it, too: it is in the store.
  const other = await p.join(token, "n-1", { nonce: "another-nonce-of-22-chars" });
  expect(other.status).toBe(403);
  const stranger = await p.join(token, "n-2", { nonce: "nonce-of-n-1".padEnd(24, "x") });
  expect(stranger.status).toBe(403);
  expect((await p.report("n-1", first)).status).toBe(202);
  const late = await p.join(token, "n-1");
  expect([late.status, messageOf(late).includes("was answered")]).toEqual([403, true]);
});

test("the use is in the store before the credential leaves", async () => {
  const p = await open();
  const { token, id } = await p.joinToken();
  const table = p.w.store?.joinTable();
  const pending = p.join(token, "n-1");
  const answer = await pending;
  expect(answer.status).toBe(201);
  expect((await table?.byId(id))?.uses).toBe(1);
  // The database itself refuses a second use of the same number, whatever the process believes.
  const give = table?.give({
    token: id,
    ordinal: 1,
    nonce: "x",
    at: 0,
    use: { asked: "n-9", node: "n-9", rotation: 1, hostname: null, remote: "" } as never,
    credential: { id: "node:n-9", hash: "node:n-9" } as never,
  });
  await expect(give ?? Promise.resolve()).rejects.toThrow();
  await give?.catch(() => undefined);
  expect((await table?.byId(id))?.uses).toBe(1);
});

test("a counted token lets so many machines in, all at once, and no more", async () => {
  const p = await open();
  const { token } = await p.joinToken({ uses: 3 });
  const names = ["a", "b", "c", "d", "e"].map((one) => `many-${one}`);
  const answers = await p.during(
    Promise.all(
      names.map((node_id) =>
        fetch(`${p.base}/v1/agent/join`, {
          method: "POST",
          body: JSON.stringify({ token, node_id, nonce: `nonce-${node_id}-0123456789abc` }),
        }),
      ),
    ),
  );
  const statuses = answers.map((answer) => answer.status).sort();
  expect(statuses).toEqual([201, 201, 201, 403, 403]);
});

test("a token ends by its time and by a person", async () => {
  const p = await open();
  const short = await p.joinToken({ ttl: "1m" });
  const revoked = await p.joinToken();
  expect((await p.call("DELETE", `/v1/join-tokens/${revoked.id}`)).status).toBe(200);
  expect(messageOf(await p.join(revoked.token, "n-1"))).toContain("revoked");
  await p.w.clock.pass(61_000);
  expect(messageOf(await p.join(short.token, "n-1"))).toContain("expired");
  const unknown = await p.join(`nvj.${"A".repeat(43)}`, "n-1");
  expect([unknown.status, codeOf(unknown)]).toEqual([401, "unauthenticated"]);
});

test("a pool's token takes nobody's place: not a serving node's, nor that of one that joined", async () => {
  const p = await open(2);
  const [serving = ""] = p.w.serving();
  const { token } = await p.joinToken({ uses: 5 });
  const taken = await p.join(token, serving);
  expect([taken.status, messageOf(taken).includes("known already")]).toEqual([403, true]);
  await p.joined(token, "n-1");
  expect((await p.join(token, "n-1", { nonce: "another-machine-same-name" })).status).toBe(403);
  const instance = p.w.node(serving).instance?.id ?? "";
  const machine = await p.join(token, "n-7", { provider_ids: [instance] });
  expect(machine.status).toBe(403);
  const uses = (await p.call("GET", "/v1/join-tokens")).body["join_tokens"]?.[0]?.["uses"];
  expect(Number(uses)).toBe(1);
});

test("a token for one node lets that one back, with all that was given before worth nothing", async () => {
  const p = await open();
  const pool = await p.joinToken();
  const old = await p.joined(pool.token, "n-1");
  expect((await p.report("n-1", old)).status).toBe(202);
  expect((await p.call("DELETE", "/v1/tokens/node:n-1")).status).toBe(200);
  expect((await p.report("n-1", old)).status).toBe(401);
  const again = await p.joinToken({ node: "n-1" });
  expect((await p.join(again.token, "n-2")).status).toBe(403);
  const fresh = await p.joined(again.token, "n-1");
  expect((await p.report("n-1", fresh)).status).toBe(202);
  const replaced = await p.report("n-1", old);
  expect([replaced.status, messageOf(replaced).includes("newer")]).toEqual([401, true]);
});

test("a token that was made before a revocation does not lift it", async () => {
  const p = await open();
  const [serving = ""] = p.w.serving();
  const { token } = await p.joinToken({ node: serving });
  await p.w.clock.pass(1_000);
  await p.call("DELETE", `/v1/tokens/node:${serving}`);
  const answer = await p.join(token, serving);
  expect([answer.status, messageOf(answer).includes("after")]).toEqual([403, true]);
});

test("only an administrator makes join tokens, of pools that exist, within bounds", async () => {
  const p = await open();
  const made = await p.call("POST", "/v1/tokens", { body: { role: "operator" } });
  const operator = String(made.body["token"]);
  const cases: [Record<string, unknown>, string, number][] = [
    [{ pool: "p" }, operator, 403],
    [{ pool: "q" }, "root", 404],
    [{ pool: "p", uses: 0 }, "root", 400],
    [{ pool: "p", ttl: "1s" }, "root", 400],
    [{ pool: "p", ttl: "9000h" }, "root", 400],
    [{ pool: "p", uses: 2, node: "n" }, "root", 400],
    [{ pool: "p", more: 1 }, "root", 400],
  ];
  for (const [body, token, status] of cases) {
    const answer = await p.call("POST", "/v1/join-tokens", { body, token });
    expect(`${JSON.stringify(body)} ${answer.status}`).toBe(`${JSON.stringify(body)} ${status}`);
  }
});
