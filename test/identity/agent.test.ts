/** The agent's side: what it keeps, what it does with a refusal, and what no accident may cost. */
import { afterEach, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { ROTATION_MS } from "../../reconciler/security/key.ts";
import { Machine } from "./machine.ts";
import { Plane } from "./plane.ts";

let plane: Plane | null = null;
const machines: Machine[] = [];
afterEach(async () => {
  for (const m of machines.splice(0)) m.close();
  await plane?.close();
  plane = null;
});
async function open(): Promise<Plane> {
  plane = await Plane.open(1);
  return plane;
}
function boot(...from: ConstructorParameters<typeof Machine>): Machine {
  const m = new Machine(...from);
  machines.push(m);
  return m;
}
const uses = async (p: Plane): Promise<number> => {
  const { body } = await p.call("GET", "/v1/join-tokens");
  return (body["join_tokens"] as unknown as { uses: number }[]).reduce((sum, t) => sum + t.uses, 0);
};

test("it joins once and keeps its credential for itself over a restart", async () => {
  const p = await open();
  const { token } = await p.joinToken({ uses: 5 });
  const first = boot(p, "m-1", { joinToken: token });
  expect((await first.say()).kind).toBe("reply");
  const file = join(first.folder, "credential.json");
  expect((statSync(file).mode & 0o777).toString(8)).toBe("600");
  expect(readFileSync(join(first.folder, "join.json"), "utf8")).not.toContain(token);
  const again = boot(p, "m-1", { joinToken: token, folder: first.folder });
  expect((await again.say()).kind).toBe("reply");
  expect(await uses(p)).toBe(1);
});

test("an answer that is lost costs nothing: its next life asks with the same nonce", async () => {
  const p = await open();
  const { token } = await p.joinToken();
  const first = boot(p, "m-1", { joinToken: token });
  // The request was on disk and the answer given; the credential was not stored before it died.
  await first.say();
  rmSync(join(first.folder, "credential.json"));
  const desired = JSON.parse(readFileSync(join(first.folder, "join.json"), "utf8")) as object;
  writeFileSync(join(first.folder, "join.json"), JSON.stringify({ ...desired, done: false }));
  const key = p.a.authority.keyOf("m-1");
  p.a.authority.put({
    ...(p.a.authority.ofNode("m-1") ?? ({} as never)),
    key: { ...key, usedAt: null },
  });
  const second = boot(p, "m-1", { joinToken: token, folder: first.folder });
  expect((await second.say()).kind).toBe("reply");
  expect(await uses(p)).toBe(1);
});

test("a credential that cannot be stored is not used, and the join is finished when it can", async () => {
  const p = await open();
  const { token } = await p.joinToken();
  const m = boot(p, "m-1", { joinToken: token });
  // Whoever runs this may be root, whom no mode stops: a folder in the way of the file does.
  const blocked = join(m.folder, "credential.json.new");
  mkdirSync(join(blocked, "x"), { recursive: true });
  const answer = await m.say();
  expect(answer.kind).toBe("unreachable");
  expect(m.tokens.hasOwn()).toBe(false);
  rmSync(blocked, { recursive: true });
  expect((await m.say()).kind).toBe("reply");
  expect(await uses(p)).toBe(1);
});

test("a rotation that cannot be stored leaves the old credential in use", async () => {
  const p = await open();
  const { token } = await p.joinToken();
  const m = boot(p, "m-1", { joinToken: token });
  await m.say();
  const before = m.tokens.current()?.value;
  const blocked = join(m.folder, "credential.json.new");
  mkdirSync(join(blocked, "x"), { recursive: true });
  p.w.clock.sleepThrough(ROTATION_MS);
  for (let i = 0; i < 3; i++) expect((await m.say()).kind).toBe("reply");
  expect(m.tokens.current()?.value).toBe(before);
  rmSync(blocked, { recursive: true });
  await m.say();
  expect(m.tokens.current()?.value).toBe(nodeToken("s", "m-1", 2));
  expect((await m.say()).kind).toBe("reply");
});

test("revoked, it asks on and is heard again with a join token for it", async () => {
  const p = await open();
  const { token } = await p.joinToken();
  const m = boot(p, "m-1", { joinToken: token });
  await m.say();
  await p.call("DELETE", "/v1/tokens/node:m-1");
  // The stream ends under it, and the next one is refused.
  const kinds = [(await m.say()).kind, (await m.say()).kind, (await m.say()).kind];
  expect(kinds).toEqual(["unreachable", "unauthorized", "unauthorized"]);
  m.joinToken = (await p.joinToken({ node: "m-1" })).token;
  await m.say();
  expect((await m.say()).kind).toBe("reply");
});

test("a used-up token is an answer, told again each time, and no end", async () => {
  const p = await open();
  const { token } = await p.joinToken();
  await boot(p, "m-1", { joinToken: token }).say();
  const late = boot(p, "m-2", { joinToken: token });
  const answer = await late.say();
  expect(answer.kind).toBe("unauthorized");
  expect("message" in answer ? answer.message : "").toContain("used up");
  expect(late.tokens.current()).toBeNull();
});
