import { expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { fingerprintOf, issue, makeAuthority } from "./certificate.ts";

const now = Date.UTC(2026, 5, 1);
const YEAR = 365 * 86_400_000;
const span = { fromMs: now - 1_000, untilMs: now + YEAR };

test("makeAuthority() signs itself, may sign, and is read by another parser", () => {
  const made = makeAuthority({ name: "Navarch abc", ...span });
  const ca = new X509Certificate(made.certificate);
  expect(ca.ca).toBe(true);
  expect(ca.subject).toBe("CN=Navarch abc");
  expect(ca.verify(ca.publicKey)).toBe(true);
  expect(ca.checkPrivateKey(createPrivateKey(made.key))).toBe(true);
  expect(Date.parse(ca.validTo)).toBe(now + YEAR);
  expect(fingerprintOf(made.certificate)).toBe(
    `sha256:${ca.fingerprint256.replaceAll(":", "").toLowerCase()}`,
  );
});

test("issue() names every host, DNS and addresses of both kinds", () => {
  const authority = makeAuthority({ name: "x", ...span });
  const hosts = ["nav.example.net", "10.1.2.3", "fd00::12:7", "::1", "::ffff:192.0.2.1"];
  const made = issue(authority, { name: "server", hosts, ...span });
  const leaf = new X509Certificate(made.certificate);
  const ca = new X509Certificate(authority.certificate);
  expect(leaf.ca).toBe(false);
  expect(leaf.verify(ca.publicKey)).toBe(true);
  expect(leaf.checkIssued(ca)).toBe(true);
  expect(leaf.checkHost("nav.example.net")).toBe("nav.example.net");
  expect(leaf.checkHost("other.example.net")).toBeUndefined();
  for (const address of hosts.slice(1, 4)) expect(leaf.checkIP(address)).toBe(address);
  expect(leaf.checkIP("10.1.2.4")).toBeUndefined();
  const other = makeAuthority({ name: "x", ...span });
  expect(leaf.verify(new X509Certificate(other.certificate).publicKey)).toBe(false);
});

test("issue() writes dates on both sides of 2050, and two serials never meet", () => {
  const authority = makeAuthority({ name: "x", ...span });
  const late = { name: "l", fromMs: now, untilMs: Date.UTC(2051, 0, 1) };
  const made = [issue(authority, late), issue(authority, late)].map(
    (pair) => new X509Certificate(pair.certificate),
  );
  expect(Date.parse(made[0]?.validTo ?? "")).toBe(late.untilMs);
  expect(made[0]?.serialNumber).not.toBe(made[1]?.serialNumber);
});
