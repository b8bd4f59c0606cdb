/** Money in a whole control plane: what is counted, what survives, and what a ceiling refuses. */
import { afterEach, describe, expect, test } from "bun:test";
import type { CostView } from "../../schema/cost-view.ts";
import type { PoolStatusView } from "../../schema/api.ts";
import { openWorldApp, type WorldApp } from "../world/app.ts";
import { HOUR_MS } from "../world/part.ts";
import { closeWorlds, fleet, lie, order, resize, threshold } from "../world/story.ts";
import type { World } from "../world/world.ts";

afterEach(closeWorlds);

const PRICE = 30;
const PRICED = { store: "memory", terms: { pricePerHour: PRICE } } as const;
const MINUTE_MS = 60_000;

async function look(world: World, path = "/v1/cost"): Promise<CostView> {
  return (await openWorldApp(world).call("GET", path)).body as unknown as CostView;
}

async function metric(app: WorldApp, name: string): Promise<string[]> {
  const { text } = await app.call("GET", "/metrics");
  return text.split("\n").filter((line) => line.startsWith(name) && !line.startsWith("#"));
}

const pass = (world: World, ms: number): Promise<boolean> => world.advance(() => false, ms);

/** Instance-hours times price, by the cloud's own record of births and deaths. */
function owed(world: World): number {
  let ms = 0;
  for (const { instance, ended } of livesOf(world)) {
    ms += (ended ?? world.clock.wallMs()) - instance.createdAtMs;
  }
  return (ms / HOUR_MS) * PRICE;
}

const deaths = new WeakMap<World, Map<string, number>>();
function livesOf(world: World) {
  const ends = deaths.get(world) ?? new Map<string, number>();
  deaths.set(world, ends);
  return [...world.cloud.world().instances.values()].map(({ instance }) => {
    if (instance.state === "terminated" && !ends.has(instance.id)) {
      ends.set(instance.id, world.clock.wallMs());
    }
    return { instance, ended: ends.get(instance.id) ?? null };
  });
}

describe("what is counted", () => {
  test("is what the cloud's own record adds up to, through a hold, a silence and a restart", async () => {
    const world = await fleet(3, threshold(1), PRICED);
    await pass(world, HOUR_MS);
    const [held = "", silent = ""] = world.serving();
    await order(world, held, "cordon");
    world.agent(silent).quiet = true;
    await pass(world, HOUR_MS);
    const before = await look(world);
    expect(before.total).toMatchObject({ instances: 3, per_hour: 90, unknown_prices: 0 });
    expect(before.total.period).toBeCloseTo(owed(world), 0);
    const quiet = before.idle.find((group) => group.state === "silent");
    expect(quiet).toMatchObject({ count: 1, per_hour: PRICE });
    expect(quiet?.accrued ?? 0).toBeGreaterThan(25);
    await world.crash();
    await world.start();
    await world.turn();
    const after = await look(world);
    expect(after.total.period).toBeCloseTo(before.total.period, 1);
  });

  test("stays in the month when the node and its record are gone", async () => {
    const world = await fleet(2, threshold(1), PRICED);
    await pass(world, HOUR_MS);
    await resize(world, 1);
    await world.until(() => world.serving().length === 1, 600);
    await pass(world, 2 * HOUR_MS);
    const kept = await look(world);
    expect(kept.total.instances).toBe(1);
    expect(kept.total.period).toBeGreaterThan(PRICE * 4);
    world.config.server.retainTerminatedMs = 1;
    await pass(world, MINUTE_MS);
    expect(world.reconciler.fleet().nodes.size).toBe(1);
    const forgotten = await look(world);
    expect(forgotten.total.period).toBeCloseTo(kept.total.period + PRICE / 60, 1);
    const day = new Date(world.clock.wallMs()).toISOString().slice(0, 10);
    expect((await look(world, `/v1/cost?since=${day}`)).days).toHaveLength(1);
  });

  test("is not known where no price is, and not 0", async () => {
    const world = await fleet(1, "", { store: "memory" });
    await pass(world, HOUR_MS);
    const view = await look(world);
    expect(view.total).toMatchObject({ per_hour: 0, unknown_prices: 1, period: 0 });
    expect(view.total.unknown_hours).toBeGreaterThan(0.99);
    const [line] = await metric(openWorldApp(world), "navarch_cost_unknown_prices");
    expect(line).toBe('navarch_cost_unknown_prices{pool="p",provider="fake",state="serving"} 1');
  });

  test("ends when two lists lack it, and goes on where a list was wrong", async () => {
    const world = await fleet(2, threshold(1), PRICED);
    const [lost = ""] = world.serving();
    const end = lie(world, (all) => all.filter((one) => one.tags["navarch-node"] !== lost));
    await pass(world, 20 * MINUTE_MS);
    end();
    await pass(world, 20 * MINUTE_MS);
    const view = await look(world);
    // The agent reports all the time, so nothing was absent.
    expect(view.total.period).toBeCloseTo(owed(world), 0);
  });

  test("is on the page of metrics, which does not fall with the clock", async () => {
    const world = await fleet(2, "", PRICED);
    await pass(world, HOUR_MS);
    const app = openWorldApp(world);
    expect(await metric(app, "navarch_cost_dollars_per_hour")).toEqual([
      'navarch_cost_dollars_per_hour{pool="p",provider="fake",state="serving"} 60',
    ]);
    const read = async () => Number((await metric(app, "navarch_cost_month"))[0]?.split(" ")[1]);
    const first = await read();
    expect(first).toBeGreaterThan(60);
    expect(await read()).toBeGreaterThanOrEqual(first);
  });
});

describe("the route", () => {
  test("refuses what it cannot answer, in the words of the caller", async () => {
    const app = openWorldApp(await fleet(1, "", PRICED));
    const asked = async (query: string) => {
      const { status, body } = await app.call("GET", `/v1/cost?${query}`);
      return [status, String(body["error"]?.["message"])];
    };
    expect(await asked("month=2026-13")).toEqual([400, "month: expected YYYY-MM"]);
    expect(await asked("month=2099-01")).toEqual([400, "month: 2099-01 is in the future"]);
    expect(await asked("since=2026-02-31")).toEqual([400, "since: 2026-02-31 is no day"]);
    expect(await asked("since=2001-01-01")).toEqual([
      400,
      "since: 2001-01-01 is before 2025-01, the oldest month that is kept",
    ]);
    expect((await asked("month=2026-01&since=2026-01-01"))[0]).toBe(400);
    expect((await app.call("GET", "/v1/cost", undefined, null)).status).toBe(401);
  });
});

describe("a ceiling of the month", () => {
  const capped = (dollars: number): string =>
    `    spend: { max_per_month: ${dollars} }\n${threshold(1)}`;

  test("stops growth with its reason and ends nothing", async () => {
    const world = await fleet(2, capped(200), PRICED);
    // 2 × $30 for two hours, and the next hour with a third: $120 + $90.
    await pass(world, 2 * HOUR_MS);
    await resize(world, 3);
    await pass(world, 10 * MINUTE_MS);
    expect(world.serving()).toHaveLength(2);
    const path = "/v1/pools/p/status";
    const status = (await openWorldApp(world).call("GET", path)).body as unknown as PoolStatusView;
    expect(status.conditions.join("\n")).toMatch(
      /^spend: pool:p has cost \$1\d\d\.\d\d this month \(UTC\) and with it the next hour costs \$90\.00, above \$200\.00 a month$/m,
    );
    expect(status.cost).toMatchObject({ per_hour: 60, month_max: 200 });
    await pass(world, 4 * HOUR_MS);
    // Far above the ceiling: what runs goes on.
    expect(world.serving()).toHaveLength(2);
    const view = await look(world);
    expect(view.pools[0]?.period ?? 0).toBeGreaterThan(350);
  });

  test("lets a broken machine be replaced, which costs no more an hour", async () => {
    const world = await fleet(2, capped(100), PRICED);
    await pass(world, 4 * HOUR_MS);
    const [sick = ""] = world.serving();
    world.xid(sick, 79);
    await world.until(() => !world.serving().includes(sick) && world.serving().length === 2, 3_600);
    expect(world.serving()).toHaveLength(2);
  }, 60_000);
});
