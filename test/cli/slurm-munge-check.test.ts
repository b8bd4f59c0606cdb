/** `navarch slurm munge-check`: which machines are left behind when a munge key is replaced. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isMadeWith, readCredential } from "../../cli/munge-credential.ts";
import { json, navarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-munge-check-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The bytes 0 to 127, with which munge 0.5.15 made the credentials. */
const KEY = Uint8Array.from({ length: 128 }, (_, index) => index);
const OTHER = Uint8Array.from(KEY, (byte) => byte ^ 1);

const CREDENTIAL =
  "MUNGE:AwQFAAAoqFWBTIubLhzfber2Qe7/NNUrymFvQhBh05IW5bSBhHFthprXzjwfF36mvUVpOc/F/E5XScSe6G" +
  "3d793w/3tIAbc3tt93wh1BqU/LRiUqoesSEaCnY1+3LSEgsOXH6c0=:";

describe("S22: a credential of munge 0.5.15", () => {
  test.each([
    ["AES-128, SHA-256", CREDENTIAL],
    [
      "AES-256, SHA-512",
      "MUNGE:AwUGAAASev6P69lyGJpD3Io9gNIJ90iJuyz0svWAZ6tz/aXkyMpjn8uRZdJ9Ox6cN65jcza0stnigIHhdy" +
        "kkpeQdgQao0mjgJdJTYDTbNSxKl9WE+jBEWUKRg66GEagbKVZqQGZzqe3x/Na6CVbvK7nfv8kqTZFDPctC/c4tYF" +
        "Q4KjJK/A==:",
    ],
    [
      "no cipher, SHA-1",
      "MUNGE:AwADAACwbH1y7muaQEi+yll2WQjNHTr+/DwBGIz07Q2xBH8AAAFrBDsOAAABLAAAAAAAAAAA//////////" +
        "8AAAABeA==:",
    ],
    [
      "zlib",
      "MUNGE:AwQFAAA1BwWAj36GxMU8uoZS/YLY1YWPsmnihoLB5Ih9aIY92a3ekizDdtCKeNnhTVOsfYBXuYtWaYz++q" +
        "yXvTArkV3StmHSRL61QQ5SMpsK//HTF60tci6t9cpHXXfihl2Gfl4=:",
    ],
  ])("%s", (_, text) => {
    const credential = readCredential(`${text}\n`);
    if (typeof credential === "string") throw new Error(credential);
    expect(isMadeWith(credential, KEY)).toBe(true);
    expect(isMadeWith(credential, OTHER)).toBe(false);
    const bytes = Buffer.from(text.slice(6, -1), "base64");
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x40;
      const read = readCredential(`MUNGE:${changed.toString("base64")}:`);
      const is = typeof read !== "string" && isMadeWith(read, KEY);
      expect({ at, is }).toEqual({ at, is: false });
      const cut = readCredential(`MUNGE:${bytes.subarray(0, at).toString("base64")}:`);
      expect(typeof cut !== "string" && isMadeWith(cut, KEY)).toBe(false);
    }
  });
});

const [key, other] = [join(folder, "key"), join(folder, "other")];
writeFileSync(key, KEY);
writeFileSync(other, OTHER);
const check = (args: readonly string[], input = "") =>
  navarch(["slurm", "munge-check", ...args], {}, input);

test("S22: each machine's key is told, and those that are left end with 1", async () => {
  const lines = `n1: ${CREDENTIAL}\nn10 ${CREDENTIAL}\nn2: ssh: connect refused hunter2\n`;
  const done = await check(["-i", key, "-"], `n1: ${CREDENTIAL}\n`);
  expect(done).toMatchObject({ code: 0, err: "" });
  const left = await check(["-i", key, "--nodes", "n[1-3]", "--output", "json", "-"], lines);
  expect({ code: left.code, rows: json(left.out) }).toEqual({
    code: 1,
    rows: [
      { node: "n1", key: "new", why: "" },
      { node: "n2", key: "unreadable", why: "is no munge credential" },
      { node: "n3", key: "no answer", why: "no line for it" },
      { node: "n10", key: "new", why: "" },
    ],
  });
  expect(left.err).toBe("2 of 4 machines do not hold the key of --in\n");
  expect(left.out).not.toContain("hunter2");
  const old = await check(["-i", other, "--old", key, "--output", "name", "-"], lines);
  expect(old).toMatchObject({ code: 1, out: "n1\nn2\nn10\n" });
  const unknown = await check(["-i", other, "-"], lines);
  expect(unknown.out).toMatch(/n1 +other +not the key of --in/);
});

test("S22: of several answers of a machine the one that is not done counts", async () => {
  const both = [`a: ${CREDENTIAL}\na: nothing\n`, `a: nothing\na: ${CREDENTIAL}\n`];
  for (const text of both) expect((await check(["-i", key, "-"], text)).code).toBe(1);
});

test.each([
  [["-"], "needs --in FILE"],
  [["-i", key, join(folder, "absent")], "no such file"],
  [["-i", key, folder], "is a folder"],
  [["-i", key, "-"], "there is no credential in it"],
  [["-i", key, "--old", key, "-"], "is the same key as --in"],
  [["-i", key, "--nodes", "n[1-", "-"], "--nodes:"],
])("S22: munge-check %p is refused", async (args, message) => {
  const { code, out, err } = await check(args);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(err).toContain(message);
});

test("S22: a credential without a name is refused, and its text is not shown", async () => {
  const { code, err } = await check(["-i", key, "-"], `${CREDENTIAL}\n`);
  expect(code).toBe(2);
  expect(err).toContain("line 1: expected NAME: CREDENTIAL");
  expect(err).not.toContain("AwQF");
});
