/**
 * A control plane that gets another name: its nodes were given credentials under the old one, and
 * what bootstrap placed is outdated by then. They are heard all the same, and nothing that went
 * over TLS goes out without.
 */
import { afterEach, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { ROTATION_MS } from "../../reconciler/security/key.ts";
import { fingerprintOf } from "../../reconciler/security/tls/certificate.ts";
import { openOwnAuthority, openServerTls } from "../../reconciler/security/tls/own.ts";
import { Machine } from "./machine.ts";
import { Plane } from "./plane.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
async function open(...from: Parameters<typeof Plane.open>): Promise<Plane> {
  const p = await Plane.open(...from);
  closing.push(() => p.close());
  return p;
}
function boot(...from: ConstructorParameters<typeof Machine>): Machine {
  const m = new Machine(...from);
  closing.push(() => m.close());
  return m;
}

const kept = (m: Machine): string => readFileSync(join(m.folder, "credential.json"), "utf8");

for (const post of [false, true]) {
  test(`under another name a rotated credential is accepted, ${post ? "POST" : "stream"}`, async () => {
    const p = await open(1);
    const { token } = await p.joinToken();
    const first = boot(p, "m-1", { joinToken: token, post });
    await first.say();
    p.w.clock.sleepThrough(ROTATION_MS);
    for (let i = 0; i < 3; i++) expect((await first.say()).kind).toBe("reply");
    const own = nodeToken("s", "m-1", 2);
    expect(first.tokens.current()?.value).toBe(own);
    first.close();
    // As bootstrap placed it; the machine's default file.
    writeFileSync(join(p.folder, "none"), nodeToken("s", "m-1"));
    const base = p.base.replace("127.0.0.1", "localhost");
    const moved = boot(p, "m-1", { folder: first.folder, base, post });
    // The first in line is outdated, and that is told.
    const kinds: string[] = [];
    for (let i = 0; i < 3; i++) kinds.push((await moved.say()).kind);
    expect(kinds.slice(1)).toEqual(["reply", "reply"]);
    expect(JSON.parse(kept(moved))).toMatchObject({ server: base, credential: own });
    moved.close();
    const next = boot(p, "m-1", { folder: first.folder, base, post });
    expect((await next.say()).kind).toBe("reply");
  });
}

test("from https to http the credential stays at home", async () => {
  const p = await open(1, (folder) => {
    const authority = openOwnAuthority(folder, "fleet", Date.now());
    const made = openServerTls(folder, authority, ["127.0.0.1"], Date.now());
    return { ...made, client: null, clientCa: null, clientFor: null };
  });
  const fingerprint = fingerprintOf(readFileSync(join(p.folder, "ca.pem"), "utf8"));
  const { token } = await p.joinToken();
  const m = boot(p, "m-1", { joinToken: token, fingerprint });
  expect((await m.say()).kind).toBe("reply");
  const credential = m.tokens.current()?.value ?? "";
  expect(kept(m)).toContain(credential);
  m.close();

  const heard: string[] = [];
  const thief = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      heard.push(JSON.stringify([...request.headers]) + (await request.text()));
      return new Response("no", { status: 401 });
    },
  });
  closing.push(() => thief.stop(true));
  const base = `http://127.0.0.1:${thief.port}`;
  for (const post of [false, true]) {
    const bare = boot(p, "m-1", { folder: m.folder, base, post });
    for (let i = 0; i < 3; i++) await bare.say();
  }
  expect(heard.length).toBeGreaterThan(3);
  expect(heard.join()).not.toContain(credential);
  // Back at its own address nothing is missing.
  const back = boot(p, "m-1", { folder: m.folder, fingerprint });
  expect((await back.say()).kind).toBe("reply");
});
