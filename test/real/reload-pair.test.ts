/**
 * Reloads of two real control planes on one libSQL server: each reads its own file, only the leader
 * acts, and a take-over with another file says so. The oracle is the cloud's own journal.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { ConfigStatusView, ReloadView } from "../../schema/api-config.ts";
import { Pair } from "../fixture/plane/pair.ts";
import { buildStale, type Plane, until } from "../fixture/plane/plane.ts";
import { whyNoSqld } from "../fixture/plane/sqld.ts";

const missing = whyNoSqld();
if (missing !== null) console.error(`SKIPPED: reloads of leader and standby: ${missing}`);

test("a libSQL server is here to test reloads with", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

const Q =
  "  - { name: q, provider: fake, instance_type: h100-8x, drain: { unknown_wait: 1s },\n" +
  "      scaling: { min_nodes: 1, max_nodes: 2 } }\n";

describe.skipIf(missing !== null)("two control planes on one server", () => {
  let pair: Pair;
  beforeAll(async () => {
    await buildStale();
    pair = await Pair.start(2);
    const { leader, standby } = await pair.roles();
    await leader.waitServing(2);
    await pair.waitReady(standby);
  }, 120_000);
  afterAll(async () => {
    expect(await pair.destroy()).toEqual([]);
  }, 30_000);

  const edit = (plane: Plane, change: (text: string) => string): void => {
    writeFileSync(`${plane.config}.new`, change(readFileSync(plane.config, "utf8")));
    renameSync(`${plane.config}.new`, plane.config);
  };
  const statusOf = (plane: Plane) => plane.get<ConfigStatusView>("/config/status");
  const inForce = (plane: Plane, before: string) =>
    until("another configuration is in force", 20_000, async () => {
      const { hash, stale } = await statusOf(plane);
      return hash === before || stale ? null : hash;
    });
  const live = (): number => pair.planes[0].reality().live.length;

  test("the leader buys what its file says; a standby's file waits for its take-over", async () => {
    const { leader, standby } = await pair.roles();
    const { hash } = await statusOf(leader);
    expect((await statusOf(standby)).hash).toBe(hash);
    edit(standby, (text) => text.replace("min_nodes: 2", "min_nodes: 3") + Q);
    const ahead = await inForce(standby, hash);
    expect([(await statusOf(leader)).hash, live()]).toEqual([hash, 2]);
    edit(leader, (text) => text.replace("min_nodes: 2", "min_nodes: 3"));
    await inForce(leader, hash);
    await leader.waitServing(3);
    await leader.kill();
    await pair.waitLeads(standby, 30_000);
    await until("the new leader buys for its own file", 40_000, () => (live() === 4 ? true : null));
    const told = await until("the event is there", 10_000, async () => {
      const events = await standby.events();
      return events.findLast(({ message }) => message.includes(ahead)) ?? null;
    });
    expect(told.message).toMatch(/is in force, by start of .+, was [0-9a-f]{12} since /);
    const { doubles, overlaps } = pair.planes[0].reality();
    expect([doubles, overlaps]).toEqual([[], []]);
  }, 120_000);

  test("a replica that comes back with a file without the pool ends nothing", async () => {
    const [a, b] = pair.planes;
    const back = (await pair.leads(a)) ? b : a;
    const leader = back === a ? b : a;
    await back.start();
    await pair.waitReady(back);
    await leader.stop();
    await pair.waitLeads(back, 30_000);
    const { orphaned } = await until("it says what is missing", 20_000, async () => {
      const status = await statusOf(back);
      return status.orphaned.length > 0 ? status : null;
    });
    expect(orphaned.map(({ pool, nodes }) => [pool, nodes])).toEqual([["q", 1]]);
    await Bun.sleep(5_000);
    expect(live()).toBe(4);
    const body = JSON.stringify({ allow_pool_removal: true });
    const answer = await back.fetch("/api/v1/config/reload", { method: "POST", body });
    expect(((await answer.json()) as ReloadView).outcome).toBe("unchanged");
    await until("the nodes of q are gone", 60_000, () => (live() === 3 ? true : null));
    await leader.start();
  }, 150_000);
});
