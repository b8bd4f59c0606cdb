import { expect, test } from "bun:test";
import { Authority } from "../../security/auth.ts";
import { formatHop, readHop } from "./hop.ts";

const of = (secret: string) => {
  const from = { secret, admins: [], shared: [], credentials: [], anonymous: false };
  const authority = new Authority(from);
  return (text: string): string => authority.sign(text);
};
const sign = of("a");
const NOW = 1_800_000_000_000;

test("readHop() gives back what a replica with the same secret said", () => {
  for (const remote of ["10.0.0.1", "2001:db8::7", "::ffff:10.0.0.1", "fe80::1%eth0"]) {
    expect(readHop(sign, formatHop(sign, remote, NOW), NOW + 1_000)).toBe(remote);
  }
  // A caller without a socket has no address, and none is made up for it.
  expect(readHop(sign, formatHop(sign, "", NOW), NOW)).toBeNull();
});

test("readHop() believes no other secret, no changed address, no old word, no nonsense", () => {
  const header = formatHop(sign, "10.0.0.1", NOW);
  expect(readHop(of("b"), header, NOW)).toBeNull();
  expect(readHop(sign, header.replace("10.0.0.1", "10.0.0.2"), NOW)).toBeNull();
  expect(readHop(sign, header.replace(String(NOW), String(NOW + 1)), NOW)).toBeNull();
  for (const late of [-301_000, 301_000]) expect(readHop(sign, header, NOW + late)).toBeNull();
  for (const text of [null, "", "1", "10.0.0.1", `${header} x`, `${header}\n`, "9".repeat(500)]) {
    expect(readHop(sign, text, NOW)).toBeNull();
  }
});

test("sign() of an authority is no token of a node", () => {
  expect(sign("node:n")).not.toBe(of("b")("node:n"));
  const from = { secret: "a", admins: [], shared: [], credentials: [], anonymous: false };
  const token = new Authority(from).issueNode("n");
  expect(token.split(".").at(-1)).not.toBe(sign("node:n"));
});
