import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStateFiles } from "./state-file.ts";

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
