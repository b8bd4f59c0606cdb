/**
 * Upgrades by order are off until somebody with root on the machine says otherwise: the flag of the
 * installer, what it writes, and the ways back.
 */
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { INSTALLER } from "../../bootstrap/install/script.ts";
import { type Bench, openBench, TOKEN } from "./bench.ts";

let open: Bench | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

const FOLDER = "etc/systemd/system/navarch-node.service.d";
const JOIN = ["--join-token", TOKEN];

async function start(): Promise<{ bench: Bench; path: string; text: () => string | null }> {
  const bench = (open = await openBench());
  bench.release("0.1.0");
  const path = join(bench.root, FOLDER, "allow-upgrades.conf");
  return { bench, path, text: () => (existsSync(path) ? readFileSync(path, "utf8") : null) };
}

/** What systemd reads of a file. */
const meant = (text: string): string[] => text.split("\n").filter((line) => /^[^#\s]/.test(line));

test("without the flag nothing lets the agent write to its program", async () => {
  const { bench, text } = await start();
  expect((await bench.install(JOIN)).code).toBe(0);
  expect(text()).toBeNull();
  expect(bench.tree().some((line) => line.includes("service.d"))).toBe(false);
});

test("--allow-upgrades writes what systemd/allow-upgrades.conf says, where anybody may read it", async () => {
  const { bench, path, text } = await start();
  const answer = await bench.install([...JOIN, "--allow-upgrades"]);
  expect([answer.code, answer.out.includes(`wrote ${path}\n`)]).toEqual([0, true]);
  const shipped = join(import.meta.dir, "../../systemd/allow-upgrades.conf");
  expect(meant(text() ?? "")).toEqual(meant(readFileSync(shipped, "utf8")));
  expect(statSync(path).mode & 0o777).toBe(0o644);
  expect(statSync(join(bench.root, FOLDER)).mode & 0o777).toBe(0o755);
  // It names the folder that this script installs into, and nothing of it came over the network.
  expect(INSTALLER).toContain("bin_dir=$root/usr/local/bin");
  expect(bench.requests.filter((one) => one.includes("allow"))).toEqual([]);
});

test("consent outlives upgrades and a run without the flag, and an ordinary run never adds it", async () => {
  const { bench, text } = await start();
  await bench.install([...JOIN, "--allow-upgrades"]);
  const again = await bench.install(["--allow-upgrades"]);
  expect(again.out).toBe("navarch-node 0.1.0 is installed: nothing to do\n");
  bench.release("0.2.0");
  expect((await bench.install(["--version", "0.2.0"])).out).toContain("upgraded");
  expect(text()).not.toBeNull();
});

test("--no-allow-upgrades takes it back, and leaves other drop-ins alone", async () => {
  const { bench, path, text } = await start();
  await bench.install([...JOIN, "--allow-upgrades"]);
  const own = join(bench.root, FOLDER, "own.conf");
  writeFileSync(own, "[Service]\n");
  const dry = await bench.install(["--no-allow-upgrades", "--dry-run"]);
  expect([dry.out, text() === null]).toEqual([`would remove ${path}\n`, false]);
  const done = await bench.install(["--no-allow-upgrades"]);
  expect([done.out.includes(`removed ${path}\n`), text(), existsSync(own)]).toEqual([
    true,
    null,
    true,
  ]);
  const again = await bench.install(["--no-allow-upgrades"]);
  expect(again.out).toBe("navarch-node 0.1.0 is installed: nothing to do\n");
});

test("--dry-run makes nothing, and --uninstall takes consent away", async () => {
  const { bench, path, text } = await start();
  for (const folder of ["usr/local/bin", "etc/systemd/system/multi-user.target.wants", "var/lib"]) {
    mkdirSync(join(bench.root, folder), { recursive: true });
  }
  const clean = bench.tree();
  const dry = await bench.install([...JOIN, "--allow-upgrades", "--dry-run"]);
  expect([dry.code, dry.out.includes(`would write ${path}\n`)]).toEqual([0, true]);
  expect(bench.tree()).toEqual(clean);
  await bench.install([...JOIN, "--allow-upgrades"]);
  expect(text()).not.toBeNull();
  expect((await bench.install(["--uninstall"])).code).toBe(0);
  expect(bench.tree()).toEqual(clean);
});
