import { afterAll, expect, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStateFiles, replaceFile } from "./state-file.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-state-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file may grow to 8 KiB: the write beyond is taken in part, as by a disk that is nearly full. */
const LIMITED = `trap '' XFSZ; ulimit -f 8; exec "$0" "$@"`;

test("openStateFiles() leaves the old text where the disk takes only a part of the new one", () => {
  const files = openStateFiles(folder);
  expect(files.save("probe.json", `{"expected":8}`)).toBeNull();
  const script = `
    const { openStateFiles } = await import(${JSON.stringify(join(import.meta.dir, "state-file.ts"))});
    const text = JSON.stringify({ text: "x".repeat(30_000) });
    process.exit(openStateFiles(${JSON.stringify(folder)}).save("probe.json", text) === null ? 0 : 7);
  `;
  const limited = ["bash", "-c", LIMITED, process.execPath, "-e", script];
  const { exitCode } = Bun.spawnSync(limited, { stdio: ["ignore", "ignore", "inherit"] });
  expect(exitCode).toBe(7);
  expect(files.load("probe.json")).toBe(`{"expected":8}`);
  expect(readdirSync(folder)).toEqual(["probe.json"]);
});

test("openStateFiles() writes for its owner alone, whatever a crash has left there", () => {
  writeFileSync(join(folder, "note.json.new"), "half", { mode: 0o644 });
  expect(openStateFiles(folder).save("note.json", "whole")).toBeNull();
  expect(statSync(join(folder, "note.json")).mode & 0o777).toBe(0o600);
  expect(openStateFiles(folder).load("note.json")).toBe("whole");
  rmSync(join(folder, "note.json"));
});

test("replaceFile() puts a file in place only once all of it is written and synced", () => {
  const calls: string[] = [];
  const { writeSync, fsyncSync, renameSync } = fs;
  const spies = [
    // Half of each write is taken, as by a disk that is nearly full.
    spyOn(fs, "writeSync").mockImplementation(((fd: number, bytes: Uint8Array, at = 0) => {
      calls.push("write");
      const part = Math.max(1, Math.floor((bytes.length - at) / 2));
      return writeSync(fd, bytes, at, part);
    }) as never),
    spyOn(fs, "fsyncSync").mockImplementation((fd) => {
      calls.push("sync");
      fsyncSync(fd);
    }),
    spyOn(fs, "renameSync").mockImplementation((from, to) => {
      calls.push(`rename of ${fs.readFileSync(from, "utf8")}`);
      renameSync(from, to);
    }),
  ];
  try {
    replaceFile(join(folder, "credential.json"), "a secret of some length");
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  expect(calls.filter((call) => call !== "write")).toEqual([
    "sync",
    "rename of a secret of some length",
    "sync",
  ]);
  rmSync(join(folder, "credential.json"));
});
