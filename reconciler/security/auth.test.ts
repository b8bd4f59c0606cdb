import { expect, test } from "bun:test";
import { Authority, hashToken, nodeToken } from "./auth.ts";

const credential = (over: object) => ({
  id: "t1",
  role: "viewer" as const,
  hash: hashToken("view"),
  node: null,
  label: "",
  createdAt: 0,
  createdBy: "admin",
  expiresAt: null,
  revokedAt: null,
  ...over,
});
const authority = (credentials: ReturnType<typeof credential>[] = [], anonymous = false) =>
  new Authority({ secret: "s", admins: ["root"], shared: ["both"], credentials, anonymous });

test("identify() refuses nobody, a wrong token and a malformed header", () => {
  for (const header of [null, "", "Bearer", "Bearer wrong", "Basic root", "Bearer root extra"]) {
    expect(authority().identify(header, 0)).toBeNull();
  }
});

test("identify() knows admin, shared and stored tokens by role", () => {
  const a = authority([credential({})]);
  expect(a.identify("Bearer root", 0)).toMatchObject({ role: "admin", shared: false });
  expect(a.identify("Bearer both", 0)).toMatchObject({ role: "admin", shared: true });
  expect(a.identify("Bearer view", 0)).toMatchObject({ role: "viewer", name: "token:t1" });
});

test("identify() refuses an expired and a revoked token", () => {
  expect(authority([credential({ expiresAt: 10 })]).identify("Bearer view", 10)).toBeNull();
  expect(authority([credential({ revokedAt: 1 })]).identify("Bearer view", 0)).toBeNull();
});

test("identify() ties a node token to its node, and a forged one to nothing", () => {
  const token = nodeToken("s", "n-1");
  expect(authority().identify(`Bearer ${token}`, 0)).toMatchObject({ role: "node", node: "n-1" });
  const forged = `nvn.${Buffer.from("n-2").toString("base64url")}.${token.split(".")[2]}`;
  expect(authority().identify(`Bearer ${forged}`, 0)).toBeNull();
  expect(authority().identify(`Bearer ${nodeToken("other", "n-1")}`, 0)).toBeNull();
  const revoked = credential({ id: "node:n-1", role: "node" as const, revokedAt: 5 });
  expect(authority([revoked]).identify(`Bearer ${token}`, 0)).toBeNull();
});
