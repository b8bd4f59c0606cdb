import { afterEach, expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { issue } from "./certificate.ts";
import { hostsOf, openOwnAuthority, openServerTls, openSharedAuthority } from "./own.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "navarch-tls-"));
  folders.push(made);
  return made;
}
const now = Date.UTC(2026, 5, 1);
const DAY = 86_400_000;
const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);

test("openOwnAuthority() is made once, and only the certificate is for others", () => {
  const state = folder();
  const first = openOwnAuthority(state, "abc", now);
  expect(openOwnAuthority(state, "abc", now + DAY)).toEqual(first);
  expect([mode(join(state, "ca.pem")), mode(join(state, "ca.key"))]).toEqual(["644", "600"]);
  expect(readFileSync(join(state, "ca.pem"), "utf8")).toBe(first.certificate);
});

test("openServerTls() keeps its certificate while it is good, and makes another when it is not", () => {
  const state = folder();
  const authority = openOwnAuthority(state, "abc", now);
  const hosts = ["nav.example.net", "127.0.0.1"];
  const first = openServerTls(state, authority, hosts, now);
  expect(first.fresh).toBe(true);
  expect(mode(join(state, "server.key"))).toBe("600");
  expect(first.cert.match(/BEGIN CERTIFICATE/g)?.length).toBe(2);
  const again = openServerTls(state, authority, hosts, now + 30 * DAY);
  expect([again.fresh, again.cert === first.cert]).toEqual([false, true]);
  const moved = openServerTls(state, authority, [...hosts, "10.0.0.9"], now + 30 * DAY);
  expect(moved.fresh).toBe(true);
  expect(new X509Certificate(moved.cert).checkIP("10.0.0.9")).toBe("10.0.0.9");
  expect(openServerTls(state, authority, hosts, now + 31 * DAY).fresh).toBe(false);
  expect(openServerTls(state, authority, hosts, moved.renewAtMs).fresh).toBe(true);
  const other = openOwnAuthority(folder(), "abc", now);
  expect(openServerTls(state, other, hosts, now).fresh).toBe(true);
});

test("openServerTls() takes no certificate for a pair whose key another one replaced", () => {
  const state = folder();
  const authority = openOwnAuthority(state, "abc", now);
  const hosts = ["nav.example.net"];
  const first = openServerTls(state, authority, hosts, now);
  // An interface came, and the process ended after the new key; the interface is gone again.
  const fresh = issue(authority, { name: "x", hosts, fromMs: now, untilMs: now + DAY });
  writeFileSync(join(state, "server.key"), fresh.key);
  const next = openServerTls(state, authority, hosts, now);
  expect([next.fresh, next.cert === first.cert]).toEqual([true, false]);
  const leaf = new X509Certificate(next.cert);
  expect(leaf.checkPrivateKey(createPrivateKey(next.key))).toBe(true);
});

test("openSharedAuthority() is the first replica's for all, in every folder", async () => {
  const kept = new Map<string, string>();
  const first = async (key: string, value: string): Promise<string> => {
    if (!kept.has(key)) kept.set(key, value);
    return kept.get(key) ?? "";
  };
  const [one, two] = [folder(), folder()];
  const a = await openSharedAuthority(one, "abc", now, first);
  const b = await openSharedAuthority(two, "abc", now, first);
  expect(b).toEqual(a);
  expect(readFileSync(join(two, "ca.pem"), "utf8")).toBe(a.certificate);
});

test("hostsOf() knows every name once, and no wildcard or link-local address", () => {
  const from = {
    given: ["", "0.0.0.0", "nav.example.net", "[::1]"],
    hostname: "Box",
    addresses: ["10.0.0.1", "fe80::1", "127.0.0.1"],
  };
  expect(hostsOf(from)).toEqual([
    "nav.example.net",
    "::1",
    "box",
    "localhost",
    "127.0.0.1",
    "10.0.0.1",
  ]);
});
