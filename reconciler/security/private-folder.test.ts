import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keepPrivate } from "./private-folder.ts";

let folder = "";
// Each test has its own, so that it can be run again in one process.
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "navarch-private-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

function put(...names: string[]): void {
  for (const name of names) {
    writeFileSync(join(folder, name), "");
    chmodSync(join(folder, name), 0o644);
  }
}

test("keepPrivate() closes an open folder and its database to other users, and says so", () => {
  chmodSync(folder, 0o755);
  put("navarch.db", "navarch.db-wal", "lock.db");
  const said: string[] = [];
  keepPrivate(folder, (_level, _message, fields) => void said.push(String(fields?.["path"])));
  expect(modeOf(folder)).toBe("700");
  for (const name of ["navarch.db", "navarch.db-wal", "lock.db"]) {
    expect(modeOf(join(folder, name))).toBe("600");
  }
  expect(said).toHaveLength(4);
});

test("keepPrivate() closes only its own files in a folder with other things in it", () => {
  chmodSync(folder, 0o755);
  put("navarch.db", "notes.txt");
  keepPrivate(folder, () => undefined);
  expect(modeOf(folder)).toBe("755");
  expect(modeOf(join(folder, "navarch.db"))).toBe("600");
  expect(modeOf(join(folder, "notes.txt"))).toBe("644");
});

test("a control plane makes all its files for its owner alone, whatever the umask", async () => {
  const state = join(folder, "state");
  mkdirSync(state, { mode: 0o755 });
  chmodSync(state, 0o755);
  const port = join(folder, "port");
  const before = process.umask(0o022);
  const child = Bun.spawn({
    cmd: [
      process.execPath,
      "run",
      join(import.meta.dir, "../../cli/main.ts"),
      ...["control-plane", "--state", state, "--addr", "127.0.0.1:0", "--test-port-file", port],
    ],
    env: { PATH: process.env["PATH"] ?? "", HOME: folder },
    stdout: "ignore",
    stderr: "ignore",
  });
  try {
    for (let i = 0; i < 300 && !existsSync(port); i++) await Bun.sleep(100);
    const modes = readdirSync(state)
      .filter((name) => statSync(join(state, name)).isFile())
      .map((name) => `${name} ${modeOf(join(state, name))}`);
    expect(modeOf(state)).toBe("700");
    expect(modes).toContain("navarch.db 600");
    expect(modes).toContain("lock.db 600");
    expect(modes.filter((one) => !one.endsWith(" 600"))).toEqual([]);
  } finally {
    process.umask(before);
    child.kill("SIGKILL");
    await child.exited;
  }
}, 60_000);
