import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configOf, poolYaml } from "../../test/world/setting.ts";
import { openAuthority } from "./open-authority.ts";

const identity = { fleetId: "fleet", secret: "s".repeat(64) };
const state = mkdtempSync(join(tmpdir(), "navarch-token-"));
afterAll(() => rmSync(state, { recursive: true, force: true }));
const lines: unknown[][] = [];
const open = (token: string, isOpen = false) =>
  openAuthority(
    { env: { NAVARCH_AUTH_TOKEN: token }, random: (bytes) => new Uint8Array(bytes) },
    configOf(poolYaml(1)),
    {
      ...{ state, identity, shared: false, isOpen },
      log: (...line) => void lines.push(line),
    },
  );
beforeEach(() => void lines.splice(0));

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

test.each(["x", "changeme", "REPLACE_ME"])(
  "openAuthority() refuses %j where others reach the port, and warns on loopback",
  (token) => {
    expect(() => open(token, true)).toThrow("NAVARCH_AUTH_TOKEN: the token can be guessed: ");
    expect(open(token).identify(`Bearer ${token}`, 0)).not.toBeNull();
    const told = lines.filter(([, msg]) => msg === "the shared token can be guessed");
    expect(told).toMatchObject([["warn", expect.anything(), { source: "NAVARCH_AUTH_TOKEN" }]]);
    expect(JSON.stringify(lines)).not.toContain(`"${token}"`);
  },
);

test("openAuthority() starts with the guide's placeholder, and warns", () => {
  open("your-navarch-auth-token", true);
  expect(lines.map(([level]) => level)).toEqual(["warn", "warn"]);
});

test.each(["", "  \n"])("openAuthority() says that NAVARCH_AUTH_TOKEN=%j is empty", (token) => {
  open(token, true);
  const [level, msg] = lines[0] ?? [];
  expect(level).toBe("warn");
  expect(String(msg)).toStartWith("NAVARCH_AUTH_TOKEN is set and empty");
});
