import { expect, test } from "bun:test";
import { Logins } from "./logins.ts";

function open() {
  let now = 0;
  return { logins: new Logins({ monoMs: () => now }), pass: (ms: number) => void (now += ms) };
}

test("failed() lets a burst be told, then one a second, and says when", () => {
  const { logins, pass } = open();
  for (let i = 0; i < 60; i++) expect(logins.failed("10.0.0.1")).toBeNull();
  expect(logins.failed("10.0.0.1")).toBe(1);
  expect(logins.failed("10.0.0.2")).toBeNull();
  pass(1_000);
  expect(logins.failed("10.0.0.1")).toBeNull();
  expect(logins.failed("10.0.0.1")).toBe(1);
});

test("failed() takes a /64 of IPv6 for one, and IPv4 in IPv6 for IPv4", () => {
  const { logins } = open();
  for (let i = 0; i < 60; i++) logins.failed(`2001:db8:0:7::${i.toString(16)}`);
  expect(logins.failed("2001:db8:0:7:1:2:3:4")).toBe(1);
  expect(logins.failed("2001:db8:0:8::1")).toBeNull();
  for (let i = 0; i < 60; i++) logins.failed("10.0.0.9");
  expect(logins.failed("::ffff:10.0.0.9")).toBe(1);
});

test("failed() forgets who was quiet, and never holds more than its bound", () => {
  const { logins, pass } = open();
  for (let i = 0; i < 20_000; i++) logins.failed(`10.${i >> 8}.${i & 255}.1`);
  expect(logins.size).toBeLessThanOrEqual(10_000);
  pass(120_000);
  logins.failed("10.0.0.1");
  expect(logins.size).toBe(1);
});
