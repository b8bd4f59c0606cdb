/**
 * An old backup in place of the database: the cloud has gone on meanwhile. What was bought since is
 * adopted by its tags and not bought again, and what was decided at the time of the backup is not
 * carried out on machines that are well by now.
 */
import { createClient } from "@libsql/client";
import { afterEach, describe, expect, test } from "bun:test";
import { dirname, join } from "node:path";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { restoreBackup, writeBackup } from "../../reconciler/server/backup.ts";
import type { World } from "../world/world.ts";
import {
  counts,
  closeWorlds,
  fleet,
  instanceOf,
  liveIds,
  order,
  phaseOf,
  resize,
  threshold,
  wrongs,
} from "../world/story.ts";

afterEach(closeWorlds);

function databaseOf(world: World): string {
  const url: unknown = Reflect.get(world, "url");
  if (typeof url !== "string") throw new Error("the world keeps its database elsewhere now");
  return url.slice("file:".length);
}

async function lastEventOf(file: string): Promise<number> {
  const client = createClient({ url: `file:${file}` });
  const { rows } = await client.execute("SELECT max(id) FROM event");
  client.close();
  return Number(rows[0]?.[0]);
}

async function backUp(world: World): Promise<string> {
  const file = databaseOf(world);
  const out = join(dirname(file), "old.backup");
  await writeBackup(file, out, { fleetId: "fleet", secret: "s" });
  return out;
}

async function restore(world: World, backup: string): Promise<void> {
  await world.crash();
  const answer = await restoreBackup(backup, dirname(databaseOf(world)), world.clock.wallMs());
  expect(answer).toMatchObject({ kind: "ok", fleetId: "fleet" });
  await world.start();
}

describe("C50: an hour-old backup", () => {
  test("instances that were bought since are adopted, and none is bought twice", async () => {
    const w = await fleet(2);
    const backup = await backUp(w);
    await resize(w, 4);
    await w.until(() => w.serving().length === 4, 200);
    await w.live(600);
    const before = liveIds(w);
    await restore(w, backup);
    // The wanted size is as old as the backup: what is too much would be given back unless asked.
    await resize(w, 4);
    await w.live(900);
    expect(liveIds(w)).toEqual(before);
    expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
    const owned = w.nodes().map((node): string => node.instance?.id ?? "none");
    expect(owned.sort()).toEqual(before);
    expect(wrongs(w)).toEqual([]);
  });

  test("a node that was replaced since stays gone, and its successor is kept", async () => {
    const w = await fleet(3, threshold(1));
    const [sick = ""] = w.serving();
    const dead = instanceOf(w, sick);
    const backup = await backUp(w);
    w.xid(sick, 79);
    await w.until(() => w.story(sick).includes("node.replaced"), 300);
    await w.live(600);
    const before = liveIds(w);
    expect(before).not.toContain(dead);
    await restore(w, backup);
    await w.live(900);
    expect(liveIds(w)).toEqual(before);
    expect(counts(w)).toEqual({ live: 3, ended: 1, asks: 4 });
    expect(w.serving().length).toBe(3);
    expect(wrongs(w)).toEqual([]);
  });

  test("a session and an order that ended since end nothing", async () => {
    const w = await fleet(3, threshold(1));
    const [node = "", other = ""] = w.serving();
    w.agent(node).quiet = true;
    w.agent(other).processes = 1;
    await w.until(() => w.node(node).session !== null, 300);
    await order(w, other, "drain");
    await w.until(() => phaseOf(w, other) === "draining", 60);
    const backup = await backUp(w);
    // Since then the one has come back, and a person has taken the other's order back.
    w.agent(node).quiet = false;
    await order(w, other, "uncordon");
    await w.until(() => w.serving().length === 3, 300);
    w.agent(other).processes = 0;
    const before = liveIds(w);
    await restore(w, backup);
    await w.live(900);
    expect(liveIds(w)).toEqual(before);
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    expect(wrongs(w)).toEqual([]);
  }, 20_000);
});

describe("restoreBackup()", () => {
  test("gives no number out again that was given out since the backup", async () => {
    const w = await fleet(1);
    const backup = await backUp(w);
    await resize(w, 3);
    await w.until(() => w.serving().length === 3, 200);
    const given = await lastEventOf(databaseOf(w));
    await restore(w, backup);
    await resize(w, 3);
    await w.live(60);
    const client = createClient({ url: `file:${databaseOf(w)}` });
    const { rows } = await client.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'");
    expect(Number(rows[0]?.[0])).toBeGreaterThanOrEqual(1_000_000);
    const { rows: late } = await client.execute({
      sql: "SELECT min(id) FROM event WHERE at > ?",
      args: [w.clock.wallMs() - 61_000],
    });
    client.close();
    expect(Number(late[0]?.[0])).toBeGreaterThan(given);
  });

  test("refuses what is damaged, of another fleet or in use, and changes nothing then", async () => {
    const w = await fleet(1);
    const folder = dirname(databaseOf(w));
    const backup = await backUp(w);
    await w.crash();
    const now = w.clock.wallMs();
    const bad = join(folder, "bad.backup");
    await Bun.write(bad, (await Bun.file(backup).text()).slice(0, 5_000));
    const files = (): string[] =>
      readdirSync(folder)
        .filter((name) => name !== "lock.db")
        .sort();
    const there = files();
    const refusal = async (path: string): Promise<string> => {
      const answer = await restoreBackup(path, folder, now);
      return answer.kind === "refused" ? answer.message : "";
    };
    expect(await refusal(join(folder, "none"))).toContain("does not exist");
    expect(await refusal(bad)).toMatch(/not a database of ours|damaged/);
    // The file alone, without what is still in its log, is no backup either.
    expect(await refusal(databaseOf(w))).toMatch(/names no fleet|not a database of ours/);
    expect(files()).toEqual(there);
    const identity = join(folder, "identity.json");
    await Bun.write(identity, JSON.stringify({ fleetId: "other", secret: "s" }));
    expect(await refusal(backup)).toContain("of fleet other");
    rmSync(identity);
    const { takeLock } = await import("../../reconciler/server/lock.ts");
    const lock = await takeLock(join(folder, "lock.db"), Bun.sleep, () => undefined);
    expect(await refusal(backup)).toContain("stop it first");
    lock.release();
    const done = await restoreBackup(backup, folder, now);
    expect(done).toMatchObject({ kind: "ok", nodes: 1, forgotten: 1 });
    expect(done.kind === "ok" && existsSync(done.kept ?? "")).toBe(true);
  });
});
