/** What an error of one read means, and what a path is opened as. */
import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSource } from "./read.ts";
import { failureOf, messageOf } from "./source.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "source-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const error = (code: string) => Object.assign(new Error(`${code}: read`), { code });

test.each([
  ["EAGAIN", { kind: "idle" }],
  ["EINTR", { kind: "idle" }],
  // The ring has moved on, or a record was longer than the buffer: the numbers tell how many.
  ["EPIPE", { kind: "overrun" }],
  ["EINVAL", { kind: "overrun" }],
  ["EPERM", { kind: "failed", message: "EPERM: read" }],
  ["ENODEV", { kind: "failed", message: "ENODEV: read" }],
])("failureOf() of %s", (code, read) => expect(failureOf(error(code))).toEqual(read as never));

test("failureOf() has a word for whatever is thrown", () => {
  for (const thrown of [new Error("plain"), "plain"])
    expect(failureOf(thrown)).toEqual({ kind: "failed", message: "plain" });
  expect(failureOf(null)).toEqual({ kind: "failed", message: "null" });
  expect(failureOf(undefined)).toEqual({ kind: "failed", message: "undefined" });
  expect(failureOf({ code: "EAGAIN" })).toEqual({ kind: "idle" });
  expect([messageOf(new Error("why")), messageOf(7)]).toEqual(["why", "7"]);
});

test("openSource() tells a device from a file, and refuses what is none of them", () => {
  const file = join(home, "file");
  const fifo = join(home, "fifo");
  writeFileSync(file, "6,1,1,-;a\n");
  expect(spawnSync("mkfifo", [fifo]).status).toBe(0);
  const devices = ["/dev/null", file, fifo].map((path) => {
    const source = openSource(path, null);
    if ("error" in source) throw new Error(source.error);
    const first = source.next().kind;
    source.close();
    return [source.device, first];
  });
  expect(devices).toEqual([
    [true, "idle"],
    [false, "record"],
    [false, "idle"],
  ]);
  expect(openSource(home, null)).toEqual({ error: `${home} is a directory` });
  const missing = openSource(join(home, "none"), null);
  expect("error" in missing && missing.error).toContain("ENOENT");
});

test.each([
  [16 * 1_024 - 1, "idle"],
  [16 * 1_024, "oversized"],
] as const)("%i bytes without a line end: %s", (length, kind) => {
  const file = join(home, "file");
  writeFileSync(file, "z".repeat(length));
  const source = openSource(file, null);
  if ("error" in source) throw new Error(source.error);
  expect([source.next().kind, source.next().kind]).toEqual([kind, "idle"]);
  source.close();
});

test("a file that is replaced is closed, and the new one read from its beginning", () => {
  const file = join(home, "file");
  const open = () => readdirSync("/proc/self/fd").length;
  writeFileSync(file, "6,1,1,-;a\n");
  const before = open();
  const source = openSource(file, null);
  if ("error" in source) throw new Error(source.error);
  const kinds = () => [source.next().kind, source.next().kind];
  expect(kinds()).toEqual(["record", "idle"]);
  for (let i = 0; i < 5; i++) {
    writeFileSync(`${file}.new`, `6,${i},1,-;b\n`);
    renameSync(`${file}.new`, file);
    expect(kinds()).toEqual(["restarted", "record"]);
  }
  expect(open()).toBe(before + 1);
  source.close();
  expect(open()).toBe(before);
});

test("openSource() keeps no descriptor of what it refuses", () => {
  const open = () => readdirSync("/proc/self/fd").length;
  const before = open();
  for (let i = 0; i < 5; i++) openSource(home, null);
  expect(open()).toBe(before);
});
