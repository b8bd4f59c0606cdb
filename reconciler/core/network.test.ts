import { expect, test } from "bun:test";
import { metaOf } from "../../schema/config/field.ts";
import { SERVER } from "../../schema/config/server.ts";
import { callerBehind, isInNetworks, parseNetwork } from "./network.ts";

const DEFAULT = metaOf(metaOf(SERVER.console).keys.networks).default;

test("C32: the default is loopback, RFC 1918, ULA and link-local, in every notation", () => {
  const inside = ["127.0.0.1", "10.255.0.1", "172.16.0.1", "172.31.255.255", "192.168.3.4"];
  inside.push("169.254.1.1", "::1", "fd12::1", "fe80::1%eth0", "::ffff:10.0.0.1", "::ffff:a00:1");
  for (const one of inside) expect([one, isInNetworks(one, DEFAULT)]).toEqual([one, true]);
  const outside = ["8.8.8.8", "172.32.0.1", "192.169.0.1", "11.0.0.1", "::ffff:8.8.8.8", "::2"];
  outside.push("2001:db8::1", "", "none", "::ffff:0:10.0.0.1", "fec0::1", "::", "64:ff9b::a00:1");
  for (const one of outside) expect([one, isInNetworks(one, DEFAULT)]).toEqual([one, false]);
});

test("C32: networks are read as CIDR, and nothing else is one", () => {
  expect(isInNetworks("203.0.113.9", ["203.0.113.9"])).toBe(true);
  expect(isInNetworks("203.0.113.8", ["203.0.113.9"])).toBe(false);
  expect(isInNetworks("203.0.113.8", ["203.0.113.9/31"])).toBe(true);
  expect(isInNetworks("8.8.8.8", ["0.0.0.0/0"])).toBe(true);
  expect(isInNetworks("2001:db8::1", ["0.0.0.0/0"])).toBe(false);
  expect(isInNetworks("2001:db8::1", ["2001:db8::/32"])).toBe(true);
  for (const bad of [
    "10.0.0.0/33",
    "::/129",
    "10.0.0",
    "any",
    "",
    "10.0.0.0/",
    "fe80::1%eth0/64",
  ]) {
    expect([bad, parseNetwork(bad)]).toEqual([bad, null]);
  }
  expect(isInNetworks("10.0.0.1", [])).toBe(false);
});

test("C32: X-Forwarded-For counts only from a configured proxy, from its right end", () => {
  const proxies = ["10.0.0.0/8"];
  expect(callerBehind("203.0.113.9", "10.0.0.1", proxies)).toBe("203.0.113.9");
  expect(callerBehind("127.0.0.1", "203.0.113.9", [])).toBe("127.0.0.1");
  expect(callerBehind("10.0.0.1", null, proxies)).toBe("10.0.0.1");
  expect(callerBehind("10.0.0.1", "203.0.113.9", proxies)).toBe("203.0.113.9");
  expect(callerBehind("10.0.0.1", "127.0.0.1, 203.0.113.9, 10.0.0.2", proxies)).toBe("203.0.113.9");
  expect(callerBehind("10.0.0.1", "10.1.1.1,10.0.0.2", proxies)).toBe("10.1.1.1");
  expect(callerBehind("10.0.0.1", "203.0.113.9:4711", proxies)).toBe("203.0.113.9");
  expect(callerBehind("10.0.0.1", "[2001:db8::1]:80", proxies)).toBe("2001:db8::1");
  for (const bad of ["", "unknown", "10.0.0.2, _hidden", "127.0.0.1, ", "a".repeat(9_999)]) {
    expect([bad, callerBehind("10.0.0.1", bad, proxies)]).toEqual([bad, ""]);
  }
});
