/** The commands of this part against a real port, as a person types them. */
import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fingerprintOf } from "../../reconciler/security/tls/certificate.ts";
import type { ServerTls } from "../../reconciler/security/tls/open.ts";
import { openOwnAuthority, openServerTls } from "../../reconciler/security/tls/own.ts";
import { navarch } from "./navarch.ts";
import { Plane } from "./plane.ts";

let plane: Plane | null = null;
afterEach(async () => {
  await plane?.close();
  plane = null;
});

const ownTls = (folder: string): ServerTls => {
  const authority = openOwnAuthority(folder, "fleet", Date.now());
  return {
    ...openServerTls(folder, authority, ["127.0.0.1"], Date.now()),
    clientCa: null,
    client: null,
    clientFor: null,
  };
};

test("a join token is printed once and alone, listed without its secret, and ended", async () => {
  const p = (plane = await Plane.open(1, ownTls));
  const made = await navarch(p, "join-token create --pool p --uses 2 --ttl 30m --label rack-7");
  expect([made.code, made.out.trim()]).toEqual([
    0,
    expect.stringMatching(/^nvj\.[\w-]{43}(\.[0-9a-f]{64})?$/),
  ]);
  expect(made.err).toContain("for pool p, 2 times");
  await p.joined(made.out.trim(), "m-1");
  const list = await navarch(p, "join-token list");
  expect(list.out).toContain("1/2");
  expect(list.out).not.toContain(made.out.trim());
  const [row] = JSON.parse((await navarch(p, "join-token list -o json")).out) as { id: string }[];
  expect((await navarch(p, `join-token revoke ${row?.id}`)).out).toContain("revoked");
  expect((await p.join(made.out.trim(), "m-2")).status).toBe(403);
  expect((await navarch(p, "join-token create --pool q")).code).toBe(3);
  expect((await navarch(p, "join-token create")).code).toBe(2);
});

test("a node's credential is rotated and revoked by name, and the audit tells by whom", async () => {
  const p = (plane = await Plane.open(1, ownTls));
  const [id = ""] = p.w.serving();
  expect((await navarch(p, `token rotate --node ${id}`)).out).toContain("credential 1");
  expect((await navarch(p, `token revoke node:${id}`)).code).toBe(0);
  expect((await navarch(p, `token rotate --node ${id}`)).code).toBe(6);
  expect((await navarch(p, "token rotate --node nobody")).code).toBe(3);
  expect((await navarch(p, "token list")).out).toContain(`node:${id}`);
  await p.report(id, p.a.authority.issueNode(id));
  // An instant: the plane's clock is virtual, and `1h` counts from the date of its answers.
  const since = new Date(p.w.clock.wallMs() - 3_600_000).toISOString();
  const all = await navarch(p, `audit --since ${since}`);
  for (const part of ["admin", "/rotate", "DELETE", `node:${id}`, "unauthenticated"]) {
    expect(all.out).toContain(part);
  }
  const refused = await navarch(p, "audit --refused -o json");
  expect(JSON.parse(refused.out)).toHaveLength(1);
  expect((await navarch(p, "audit --by nobody")).err).toContain("Nothing found");
  expect((await navarch(p, "audit --limit x")).code).toBe(2);
});

test("doctor prints what agents pin", async () => {
  const p = (plane = await Plane.open(1, ownTls));
  const { out } = await navarch(p, "doctor");
  expect(out).toContain(fingerprintOf(readFileSync(join(p.folder, "ca.pem"), "utf8")));
});
