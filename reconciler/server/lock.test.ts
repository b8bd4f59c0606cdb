/** Who waits for a state folder reads which folder it is, who has it, and what to do. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Lock, lockState, takeLock } from "./lock.ts";

const HOLDER = { host: "navarch-0", pid: 17, since: "2026-11-22T10:00:00.000Z" };

let folder: string;
let locks: Lock[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "navarch-lock-"));
  locks = [];
});
afterEach(() => {
  for (const lock of locks) lock.release();
  rmSync(folder, { recursive: true, force: true });
});

const open = (host: string, lines: unknown[][] = []): Promise<Lock> =>
  lockState(folder, join(folder, "navarch.db"), {
    log: (...line) => void lines.push(line),
    holder: { ...HOLDER, host },
  });

test("lockState() names the folder, its holder and what to do, while it waits", async () => {
  const first = await open("navarch-0");
  const lines: unknown[][] = [];
  const second = open("navarch-1", lines);
  await Bun.sleep(50);
  const about = { folder, holder_host: "navarch-0", holder_pid: 17, since: HOLDER.since };
  expect(lines).toEqual([
    [
      "warn",
      "another control plane uses the state folder: waiting",
      { ...about, advice: expect.stringContaining("scale to 1 replica") },
    ],
  ]);
  first.release();
  locks.push(await second);
  const third: unknown[][] = [];
  const last = open("navarch-2", third);
  await Bun.sleep(50);
  expect(third).toMatchObject([["warn", expect.anything(), { holder_host: "navarch-1" }]]);
  locks.pop()?.release();
  (await last).release();
  expect(existsSync(join(folder, "lock.holder"))).toBe(false);
});

test.each(["", "{", '{"host":7}', "[]"])(
  "lockState() waits all the same where the holder's file says %j",
  async (text) => {
    locks.push(await open("navarch-0"));
    writeFileSync(join(folder, "lock.holder"), text);
    const lines: unknown[][] = [];
    const waiting = open("navarch-1", lines);
    await Bun.sleep(50);
    expect(lines).toMatchObject([["warn", expect.anything(), { folder, holder_host: null }]]);
    locks.pop()?.release();
    locks.push(await waiting);
  },
);

test("takeLock() says at once that it waits, and then ever more rarely", async () => {
  const path = join(folder, "lock.db");
  locks.push(await takeLock(path, Bun.sleep, () => undefined));
  const told: number[] = [];
  let now = 0;
  const wait = async (ms: number): Promise<void> => {
    now += ms;
    if (now >= 500_000) locks.pop()?.release();
  };
  const lock = await takeLock(path, wait, () => void told.push(now));
  lock.release();
  expect(told).toEqual([0, 60_000, 120_000, 240_000, 480_000]);
}, 60_000);
