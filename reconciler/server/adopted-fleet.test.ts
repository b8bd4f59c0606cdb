/** A start whose store a person gave to another fleet: which id it has, and what a crash leaves. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configOf, poolYaml } from "../../test/world/setting.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { emptyChange } from "../core/store.ts";
import { parseIdentity } from "../security/identity.ts";
import { openKept } from "./open-start.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const lines: string[] = [];
const by = {
  clock: new VirtualClock(),
  random: (bytes: number) => new Uint8Array(bytes).fill(7),
  log: (_level: string, message: string) => void lines.push(message),
  own: { host: "h", pid: 1 },
};

const open = (folder: string) =>
  openKept({ state: folder, folder, env: {} }, configOf(poolYaml(1)), by);

const identityOf = (folder: string) => {
  const path = join(folder, "identity.json");
  return parseIdentity(readFileSync(path, "utf8"), path);
};

test("openKept() takes the id that the store was given and keeps the secret", async () => {
  const folder = mkdtempSync(join(tmpdir(), "navarch-adopted-"));
  folders.push(folder);
  const first = await open(folder);
  const { secret, fleetId } = first.identity;
  const fact = { kind: "fleet", id: "former", by: "anna", at: 1 } as const;
  await first.store.commit({ ...emptyChange(), facts: [fact] });
  await first.store.close();
  first.lock?.release();
  expect(identityOf(folder)).toEqual({ fleetId, secret });
  // A start that died while it wrote leaves the part of a file beside the whole one.
  writeFileSync(join(folder, "identity.json.new"), "{");
  for (let start = 0; start < 2; start++) {
    const kept = await open(folder);
    expect(kept.identity).toEqual({ fleetId: "former", secret });
    expect(identityOf(folder)).toEqual({ fleetId: "former", secret });
    await kept.store.close();
    kept.lock?.release();
  }
  // The id outlives the database, as any fleet's does.
  for (const end of ["", "-wal", "-shm"]) rmSync(join(folder, `navarch.db${end}`), { force: true });
  const late = await open(folder);
  expect(late.identity.fleetId).toBe("former");
  await late.store.close();
  late.lock?.release();
  expect(lines.filter((line) => line === "fleet adopted")).toHaveLength(1);
});
