import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeTar } from "./tar.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("encodeTar()", () => {
  test("is read by tar, with modes, times and owners as given", () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-tar-"));
    try {
      const entries = [
        { name: "top/", bytes: bytes(""), mode: 0o750 },
        { name: "top/run", bytes: bytes("#!/bin/sh\n"), mode: 0o755 },
        { name: "top/empty", bytes: bytes(""), mode: 0o644 },
        { name: "top/block", bytes: bytes("x".repeat(512)), mode: 0o600 },
        { name: "top/more", bytes: bytes("y".repeat(513)), mode: 0o644 },
      ];
      writeFileSync(join(folder, "a.tar"), encodeTar(entries, 1_767_323_045));
      const tar = (...args: string[]) => {
        const env = { PATH: process.env["PATH"] ?? "", TZ: "UTC", LC_ALL: "C" };
        const { stdout, exitCode } = Bun.spawnSync(["tar", ...args], { cwd: folder, env });
        expect(exitCode).toBe(0);
        return stdout.toString();
      };
      const lines = tar("--full-time", "-tvf", "a.tar").trim().split("\n");
      expect(lines.map((line) => line.replace(/ +/g, " "))).toEqual([
        "drwxr-x--- root/root 0 2026-01-02 03:04:05 top/",
        "-rwxr-xr-x root/root 10 2026-01-02 03:04:05 top/run",
        "-rw-r--r-- root/root 0 2026-01-02 03:04:05 top/empty",
        "-rw------- root/root 512 2026-01-02 03:04:05 top/block",
        "-rw-r--r-- root/root 513 2026-01-02 03:04:05 top/more",
      ]);
      expect(tar("-xOf", "a.tar", "top/more")).toBe("y".repeat(513));
      expect(Buffer.compare(encodeTar(entries, 5), encodeTar(entries, 5))).toBe(0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("refuses a name that does not fit", () => {
    const entry = { name: "n".repeat(101), bytes: bytes(""), mode: 0o644 };
    expect(() => encodeTar([entry], 0)).toThrow("does not fit");
  });
});
