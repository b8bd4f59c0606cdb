import { expect, test } from "bun:test";
import { configOf, poolYaml } from "../simulator/setting.ts";
import { openAuthority } from "./open-authority.ts";

const identity = { fleetId: "fleet", secret: "s".repeat(64) };
const open = (token: string) =>
  openAuthority(
    { env: { NAVARCH_AUTH_TOKEN: token }, random: (bytes) => new Uint8Array(bytes) },
    configOf(poolYaml(1)),
    { state: "/nowhere", identity, shared: false, log: () => undefined },
  );

// As `echo token | base64` and `kubectl create secret --from-file` leave it.
test.each(["a-token\n", "a-token\r\n", "  a-token"])(
  "openAuthority() takes %j for what was meant",
  (text) => {
    const who = open(text).identify("Bearer a-token", 0);
    expect(who).not.toBeNull();
  },
);

test.each([
  ["one\ntwo", "NAVARCH_AUTH_TOKEN: white space at character 4"],
  ["one two", "NAVARCH_AUTH_TOKEN: white space at character 4"],
  ["\u00fcmlaut", "NAVARCH_AUTH_TOKEN: a character that is not ASCII at character 1"],
])("openAuthority() refuses %j, which nobody could send, and does not repeat it", (text, why) => {
  expect(() => open(text)).toThrow(`${why}: write the token on one line`);
});
