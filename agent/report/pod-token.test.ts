import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LIMIT } from "../../schema/limit.ts";
import { createInventory } from "../service/inventory.ts";
import type { Machine } from "../host/machine.ts";
import { parseOptions } from "../service/option.ts";
import { openPodToken } from "./pod-token.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function open() {
  const folder = mkdtempSync(join(tmpdir(), "navarch-pod-token-"));
  folders.push(folder);
  const logs: string[] = [];
  const log = (level: string, message: string, fields?: object): void =>
    void logs.push(JSON.stringify({ level, message, ...fields }));
  const path = join(folder, "token");
  return { folder, path, logs, read: openPodToken(path, log) };
}

test("openPodToken() reads what the kubelet puts in the file's place, each time", () => {
  const { folder, path, logs, read } = open();
  // The kubelet writes a new folder, and moves the link to it.
  for (const token of ["a.b.c", "d.e.f"]) {
    mkdirSync(join(folder, token));
    writeFileSync(join(folder, token, "token"), `${token}\n`);
    symlinkSync(join(folder, token, "token"), `${path}.next`);
    renameSync(`${path}.next`, path);
    expect(read()).toBe(token);
  }
  // Also where nothing but the content changes.
  writeFileSync(join(folder, "d.e.f", "token"), "g.e.f\n");
  expect(read()).toBe("g.e.f");
  expect(logs).toEqual([]);
});

test("openPodToken() says once what is wrong with the file, and never what is in it", () => {
  const { path, logs, read } = open();
  expect([read(), read()]).toEqual([null, null]);
  expect(logs).toHaveLength(1);
  expect(logs[0]).toContain("not readable: ENOENT");
  for (const [text, says] of [
    ["", "the file holds no token"],
    ["one\ntwo.three.four", "the file holds no token"],
    [`a.b.${"c".repeat(LIMIT.podTokenCharsMax)}`, "longer than 8192 characters"],
  ] as const) {
    writeFileSync(path, text);
    expect(read()).toBeNull();
    expect(logs.at(-1)).toContain(says);
  }
  expect(logs.join()).not.toContain("three");
  writeFileSync(path, "a.b.c");
  expect(read()).toBe("a.b.c");
  writeFileSync(path, "none");
  const before = logs.length;
  expect(read()).toBeNull();
  expect(logs).toHaveLength(before + 1);
});

// A folder cannot be read by root either.
test("openPodToken() survives a file it cannot read", () => {
  const { path, logs, read } = open();
  rmSync(path, { force: true });
  mkdirSync(path);
  expect(read()).toBeNull();
  expect(logs[0]).toContain("EISDIR");
});

test("an agent says that it has a token where it was given a file, and nowhere else", () => {
  const machine = { providerIds: [] } as unknown as Machine;
  const says = (env: Record<string, string>): unknown => {
    const parsed = parseOptions([], env, "n1", 0);
    if (parsed.kind !== "options") throw new Error(JSON.stringify(parsed));
    return createInventory(parsed.options, machine, "n1", [])([]).capabilities;
  };
  expect(says({ NAVARCH_POD_TOKEN_FILE: "/run/token" })).toEqual(["diagnose", "pod_token"]);
  expect(says({})).toEqual(["diagnose"]);
});
