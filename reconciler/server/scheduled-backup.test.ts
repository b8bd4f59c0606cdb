import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@libsql/client";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { openLibsqlStore } from "../store/libsql.ts";
import { restoreBackup, writeBackup } from "./backup.ts";
import { openScheduledBackups, type ScheduledBackups } from "./scheduled-backup.ts";

const HOUR_MS = 3_600_000;
const IDENTITY = { fleetId: "fleet", secret: "s3cret" };

let root: string;
let clock: VirtualClock;
let running: ScheduledBackups | null = null;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "navarch-scheduled-"));
  clock = new VirtualClock();
});
afterEach(() => {
  running?.stop();
  rmSync(root, { recursive: true, force: true });
});

const folder = (): string => join(root, "backups");
const names = (): string[] => readdirSync(folder()).sort();

function start(given: { intervalMs: number | null; keep?: number; write?: () => Promise<string> }) {
  const lines: string[] = [];
  let serial = 0;
  const write = async (): Promise<string> => {
    const path = join(root, `made-${++serial}`);
    writeFileSync(path, `${serial}`);
    return path;
  };
  const settings = { keep: 3, write, ...given };
  running?.stop();
  running = openScheduledBackups({
    ...{ folder: folder(), settings: () => settings, write: () => settings.write(), clock },
    log: (level, message) => void lines.push(`${level} ${message}`),
  });
  return { lines, settings };
}

async function live(hours: number): Promise<void> {
  for (let minute = 0; minute < hours * 60; minute++) await clock.pass(60_000);
}

test("C50: a backup an interval, the newest are kept, and other files are left alone", async () => {
  mkdirSync(folder());
  writeFileSync(join(folder(), "mine.backup"), "");
  const { lines } = start({ intervalMs: HOUR_MS });
  await live(4.5);
  const own = names().filter((name) => name !== "mine.backup");
  expect(own).toHaveLength(3);
  expect(own.every((name) => /^navarch-\d{8}T\d{9}Z\.backup$/.test(name))).toBe(true);
  expect(lines).toEqual(Array.from({ length: 5 }, () => "info wrote a backup"));
  expect(names()).toContain("mine.backup");
});

test("C50: a restart writes none before its time, and one that is late at once", async () => {
  start({ intervalMs: 10 * HOUR_MS });
  await live(1);
  expect(names()).toHaveLength(1);
  start({ intervalMs: 10 * HOUR_MS });
  await live(8);
  expect(names()).toHaveLength(1);
  running?.stop();
  await live(5);
  start({ intervalMs: 10 * HOUR_MS });
  await live(0.1);
  expect(names()).toHaveLength(2);
});

test("C50: none without an interval; a failure is logged, and tried again", async () => {
  const { lines, settings } = start({ intervalMs: null });
  await live(2);
  expect(lines).toEqual([]);
  const { write } = settings;
  Object.assign(settings, { write: () => Promise.reject(new Error("disk full")) });
  settings.intervalMs = 24 * HOUR_MS;
  await live(0.25);
  expect(lines).toEqual(["error cannot write a backup"]);
  settings.write = write;
  await live(0.25);
  expect(lines.at(-1)).toBe("info wrote a backup");
  expect(names()).toHaveLength(1);
});

test("C50: what is written can be restored, and nobody else reads it", async () => {
  const state = join(root, "state");
  mkdirSync(state);
  const store = await openLibsqlStore({ url: `file:${join(state, "navarch.db")}`, now: 1 });
  const out = join(root, "made");
  const write = async (): Promise<string> => {
    await writeBackup(join(state, "navarch.db"), out, IDENTITY);
    return out;
  };
  const { lines } = start({ intervalMs: HOUR_MS, write });
  for (let i = 0; i < 200 && lines.length === 0; i++) {
    await Bun.sleep(10);
    await clock.pass(1);
  }
  expect(lines).toEqual(["info wrote a backup"]);
  await store.close();
  const [name = ""] = names();
  expect(statSync(join(folder(), name)).mode & 0o777).toBe(0o600);
  expect(statSync(folder()).mode & 0o777).toBe(0o700);
  const other = join(root, "other");
  mkdirSync(other);
  const answer = await restoreBackup(join(folder(), name), other, clock.wallMs());
  expect(answer).toMatchObject({ kind: "ok", fleetId: "fleet" });
  const client = createClient({ url: `file:${join(other, "navarch.db")}` });
  expect((await client.execute("PRAGMA integrity_check")).rows[0]?.[0]).toBe("ok");
  client.close();
});
