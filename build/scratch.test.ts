/** What a killed test leaves is found by its folder, ended and removed. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clearScratch, clearStale, fastRoot, openScratch } from "./scratch.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "navarch-scratch-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

type How = { cwd?: string; env?: Record<string, string>; args?: string[] };

/** A process that runs on and starts no other: one just forked would count as one more. */
function leave({ cwd = "/", env = {}, args = [] }: How): Bun.Subprocess {
  const command = ["sh", "-c", "read line", "left", ...args];
  return Bun.spawn(command, {
    cwd,
    env: { PATH: "/usr/bin:/bin", ...env },
    stdio: ["pipe", "ignore", "ignore"],
  });
}

describe("clearScratch()", () => {
  test("ends what was started from the folder, by environment, place or argument", async () => {
    const folder = openScratch(root);
    const left = [
      leave({ env: { TMPDIR: folder } }),
      leave({ cwd: folder }),
      leave({ args: [`--state=${join(folder, "plane")}`] }),
    ];
    const other = leave({});
    const lines = await clearScratch(folder, 0);
    expect(lines.filter((line) => line.startsWith("process sh -c")).length).toBe(3);
    await Promise.all(left.map((child) => child.exited));
    expect(left.map(({ signalCode }) => signalCode)).toEqual(["SIGKILL", "SIGKILL", "SIGKILL"]);
    expect(existsSync(folder)).toBe(false);
    expect(other.exitCode).toBeNull();
    other.kill();
    await other.exited;
  });

  test("runs what takes machines away, wherever their bed lies", async () => {
    const folder = openScratch(root);
    const marks = ["bed", "plane/cloud/machine"].map((path) => {
      const bed = join(folder, path);
      mkdirSync(bed, { recursive: true });
      const mark = join(root, path.replaceAll("/", "-"));
      writeFileSync(join(bed, "clear.sh"), `echo done >${mark}`);
      return mark;
    });
    expect(await clearScratch(folder, 0)).toEqual([]);
    expect(marks.filter((mark) => !existsSync(mark))).toEqual([]);
    expect(existsSync(folder)).toBe(false);
  });
});

describe("clearStale()", () => {
  test("takes away what a dead run left, and leaves a living one's and others' alone", async () => {
    const dead = Bun.spawn(["true"]);
    await dead.exited;
    const stale = join(root, `navarch-test-${dead.pid}-abcdef`);
    mkdirSync(join(stale, "navarch-plane-x"), { recursive: true });
    const own = openScratch(root);
    const others = join(root, "navarch-test-notes");
    mkdirSync(others);
    expect(await clearStale([root])).toEqual([`folder ${stale}`]);
    expect(readdirSync(root)).not.toContain(`navarch-test-${dead.pid}-abcdef`);
    expect([existsSync(own), existsSync(others)]).toEqual([true, true]);
  });
});

describe("fastRoot()", () => {
  test("is a folder with room from which a program runs", () => expect(fastRoot(root)).toBe(root));

  test("is the usual one where there is no folder in memory, or no room in it", () => {
    expect(fastRoot(join(root, "none"))).toBe(tmpdir());
    expect(fastRoot("/proc")).toBe(tmpdir());
  });
});
