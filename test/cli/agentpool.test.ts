/** `navarch agentpool` and `navarch claim` as processes against the real routes. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { formatAgentPool, formatClaims } from "../../cli/agentpool-view.ts";
import { Front, listen } from "../../reconciler/http/route/listen.ts";
import { viewAgentPool } from "../../reconciler/http/view/agentpool.ts";
import type { ClaimView } from "../../schema/agentpool-view.ts";
import { fakePools, QUIET, type FakePools } from "../world/agent-pools.ts";
import { openWorldApp } from "../world/app.ts";
import { closeWorlds, fleet } from "../world/story.ts";
import { json, navarch } from "./spawn.ts";

const KEYS = ["default/t1", "team-a/gpu-pool"];
let pools: FakePools = fakePools(KEYS);
let url = "";
let stop = async (): Promise<void> => undefined;

beforeAll(async () => {
  const world = await fleet(1);
  const current = new Proxy(pools, {
    get: (_target, key) => Reflect.get(pools, key) as unknown,
  });
  const front = new Front(openWorldApp(world, undefined, current).ports, null);
  const server = listen(() => front, world.config, { host: "127.0.0.1", port: 0 }, null);
  url = `http://127.0.0.1:${server.port}`;
  stop = () => server.stop(true);
});
beforeEach(() => {
  pools = fakePools(KEYS);
});
afterAll(async () => {
  await stop();
  await closeWorlds();
});

const run = (...words: string[]) =>
  navarch([...words, "-s", url], { NAVARCH_TOKEN: "root", COLUMNS: "80" });

test("V43: claim create takes a slot, list shows it, release gives it back", async () => {
  const made = await run("claim", "create", "t1", "--label", "job 7", "--ttl", "8h", "--id", "c1");
  expect(made).toMatchObject({ code: 0, err: "" });
  expect(made.out).toContain("Place:      t1-aaaaa slot 0");
  const again = await run("claim", "create", "default/t1", "--label", "job 7", "--id", "c1");
  expect(again.out).toBe(made.out);
  const second = await run("claim", "create", "t1", "-o", "json");
  expect(json(second.out)).toMatchObject({ state: "queued", position: 1 });
  const other = await run("claim", "create", "gpu-pool", "-n", "team-a", "-o", "name");
  expect(other.code).toBe(0);
  const listed = await run("claim", "list");
  expect(listed.out).toContain("c1");
  expect(listed.out).toContain("queue 1");
  const claims = json((await run("claim", "list", "-o", "json")).out) as ClaimView[];
  const narrow = formatClaims(claims, Date.now(), { color: false, columns: 80 });
  expect(narrow.split("\n").filter((line) => line.length > 80)).toEqual([]);
  const one = json((await run("claim", "list", "team-a/gpu-pool", "-o", "json")).out);
  expect((one as ClaimView[]).map(({ id }) => id)).toEqual([other.out.trim()]);
  const ended = await run("claim", "release", "c1", "none");
  expect(ended.code).toBe(3);
  expect(ended.out).toBe("Claim c1 of default/t1 is released\n");
  expect(ended.err).toContain("no claim none");
  expect((await run("claim", "get", "c1")).out).toContain("State:      released");
});

test("V43: claim create --wait tells why it still waits, and ends when it has a slot", async () => {
  await run("claim", "create", "t1", "--id", "c1");
  const late = await run("claim", "create", "t1", "--id", "c2", "--wait", "--timeout", "1s");
  expect(late.code).toBe(1);
  expect(late.err).toContain("claim c2 is still queued, at place 1: no slot is free");
  const waits = run("claim", "create", "t1", "--id", "c2", "--wait", "--timeout", "8s");
  await Bun.sleep(300);
  await run("claim", "release", "c1");
  const placed = await waits;
  expect(placed).toMatchObject({ code: 0 });
  expect(placed.out).toContain("State:      running");
});

test("V44: agentpool describe tells why a pool does not grow", async () => {
  const [view] = pools.views;
  if (view === undefined) throw new Error("no pool");
  view.status = {
    ...QUIET,
    workers: { Idle: 1, Pending: 2 },
    lastAllocationError: { reason: "QuotaExceeded", message: "pods: 10, used: 10", at: 0 },
    conditions: [
      { type: "Gated", status: "True", reason: "UnknownWorkers", message: "waits for t1-bbbbb" },
      { type: "ScaleUpBlocked", status: "True", reason: "QuotaExceeded", message: "pods: 10" },
    ],
  };
  const told = await run("agentpool", "describe", "t1");
  expect(told.code).toBe(0);
  expect(told.out).toContain("Does not grow:\n  Gated (UnknownWorkers): waits for t1-bbbbb\n");
  expect(told.out).toContain("  ScaleUpBlocked (QuotaExceeded): pods: 10\n");
  expect(told.out).toContain("1 Idle, 2 Pending");
  expect(told.out).toMatch(/t1-aaaaa +Idle +0\/1/);
  const style = { color: false, columns: 80 };
  const narrow = formatAgentPool(viewAgentPool(view), Date.now(), { style, whole: true });
  expect(narrow.split("\n").filter((line) => line.length > 80)).toEqual([]);
  const listed = await run("agentpool", "list");
  expect(listed.out).toMatch(/default +t1 +1 +1 +0 +Gated/);
  const some = await run("agentpool", "list", "-n", "team-a", "-o", "name");
  expect(some.out).toBe("team-a/gpu-pool\n");
  expect((await run("agentpool", "get", "t1", "-o", "json")).out).toContain('"blockers"');
});

test("V15: a name is read in its namespace, and a wrong one is told", async () => {
  const unknown = await run("agentpool", "get", "gpu-pool");
  expect([unknown.code, unknown.err]).toEqual([3, expect.stringContaining("team-a/gpu-pool")]);
  const twice = await run("agentpool", "get", "team-a/gpu-pool", "-n", "team-b");
  expect([twice.code, twice.err]).toEqual([2, expect.stringContaining("team-b")]);
  expect((await run("claim", "create", "Bad_Name")).code).toBe(2);
  expect((await run("claim", "create", "t1", "--ttl", "5")).code).toBe(2);
});
