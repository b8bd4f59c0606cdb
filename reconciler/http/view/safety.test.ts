import { afterEach, describe, expect, test } from "bun:test";
import type { ExplainView, PoolStatusView, SafetyView } from "../../../schema/api.ts";
import type { Wait } from "../../core/plan.ts";
import type { Fact } from "../../../schema/safety.ts";
import { closeWorlds, fleet, phaseOf, threshold, told } from "../../../test/world/story.ts";
import { openWorldApp, type WorldApp } from "../../../test/world/app.ts";
import type { World } from "../../../test/world/world.ts";
import { offersOf } from "../../core/decide/offer.ts";
import { sayWaits } from "./held-back.ts";

afterEach(closeWorlds);

async function get<T>(a: WorldApp, path: string): Promise<T> {
  return (await a.call("GET", path)).body as unknown as T;
}

const look = (a: WorldApp): Promise<SafetyView> => get(a, "/v1/safety");

async function metric(a: WorldApp, name: string): Promise<string[]> {
  const { text } = await a.call("GET", "/metrics");
  return text.split("\n").filter((line) => line.startsWith(name) && !line.startsWith("#"));
}

async function put(w: World, fact: Fact): Promise<void> {
  await w.reconciler.change((draft) => draft.putFact(fact));
  await w.turn();
}

const breaker = (w: World, more: Partial<Extract<Fact, { kind: "breaker" }>>): Fact => ({
  kind: "breaker",
  scope: "pool:p",
  state: "restrained",
  since: w.clock.wallMs(),
  trippedAt: w.clock.wallMs(),
  why: "9 repair sessions among 10 nodes",
  cause: null,
  batch: 0,
  batchAt: 0,
  passed: 0,
  looked: 0,
  ...more,
});

describe("viewSafety()", () => {
  test("is quiet on a quiet day, and says what each provider guarantees", async () => {
    const w = await fleet(3);
    await w.advance(() => w.reconciler.lastSight()?.blind.length === 0, 300_000);
    const view = await look(openWorldApp(w));
    expect(view).toMatchObject({
      frozen: null,
      blind: [],
      broken: null,
      holds: [],
      breakers: [],
      quarantined: [],
      suspects: [],
      still_billed: { count: 0, per_hour: 0, unknown_prices: 0, oldest: [] },
      lemons: { count: 0, refused: 0, newest: [] },
      waits: {},
      providers: [{ name: "fake", class: "token", guarantee: "exactly-once", unavailable: null }],
    });
    const fleetRooms = { scope: "fleet", rung: "replace", used: 0, max: 1 };
    expect(view.budgets).toContainEqual(fleetRooms);
    expect(view.uncounted).toContainEqual({ kind: "person", what: "persons' cordons", nodes: 0 });
    const scopes = view.bills.map((bill) => [bill.scope, bill.instances]);
    expect(scopes).toEqual([
      ["fleet", 3],
      ["pool:p", 3],
      ["provider:fake", 3],
    ]);
  });

  test("shows a breaker where it slows: pool, explanation, page of metrics", async () => {
    const w = await fleet(4, threshold(1));
    const a = openWorldApp(w);
    await put(w, breaker(w, {}));
    await put(w, breaker(w, { scope: "domain:zone:elsewhere/z" }));
    const view = await look(a);
    // A place that no node is in has nothing to hold back: its breaker is gone by then.
    expect(view.breakers.map((one) => one.scope)).toEqual(["pool:p"]);
    const status = await get<PoolStatusView>(a, "/v1/pools/p/status");
    expect(status.breakers.map((one) => one.scope)).toEqual(["pool:p"]);
    const why = await get<ExplainView>(a, "/v1/pools/p/explain");
    expect(why.blockers.filter((line) => line.startsWith("breaker"))).toEqual([
      expect.stringMatching(/^breaker of pool:p is restrained since \S+: 9 repair sessions/),
    ]);
    const states = await metric(a, "navarch_safety_breaker_state");
    expect(states).toContain('navarch_safety_breaker_state{scope="pool:p",state="restrained"} 1');
    expect(states).toContain('navarch_safety_breaker_state{scope="pool:p",state="closed"} 0');
    expect(states).toContain('navarch_safety_breaker_state{scope="fleet",state="closed"} 1');
  });

  test("names what a full budget holds back, on the node and in the count", async () => {
    const w = await fleet(6, threshold(1));
    const a = openWorldApp(w);
    const [first = "", second = ""] = w.serving();
    for (const id of [first, second]) w.agent(id).processes = 2;
    w.xid(first, 79);
    await w.advance(() => phaseOf(w, first) === "draining", 60_000);
    w.xid(second, 79);
    await w.advance(() => phaseOf(w, second) === "suspect", 60_000);
    await w.advance(() => false, 5_000);
    const view = await look(a);
    const used = view.budgets.filter((one) => one.used > 0);
    expect(used).toContainEqual({ scope: "pool:p", rung: "replace", used: 1, max: 1 });
    expect(view.waits.budget).toBe(1);
    const why = await get<ExplainView>(a, `/v1/nodes/${second}/explain`);
    expect(why.blockers[0]).toMatch(/^no room in a budget: \S+.* 1 of at most 1/);
    expect(await metric(a, "navarch_safety_budget_used")).toContain(
      'navarch_safety_budget_used{scope="pool:p",rung="replace"} 1',
    );
    expect(await metric(a, "navarch_plan_waits")).toContain(
      'navarch_plan_waits{reason="budget"} 1',
    );
    const checks = await metric(a, "navarch_node_health_check_status");
    const labels = `{pool="p",node_id="${second}",check="xid"}`;
    expect(checks).toContain(`navarch_node_health_check_status${labels} 0`);
    expect(checks.filter((line) => line.includes('check="all"'))).toHaveLength(6);
  });

  test("says which evidence a quarantined rule lost, and where", async () => {
    const w = await fleet(6, threshold(3));
    const a = openWorldApp(w);
    const [sick = ""] = w.serving();
    w.agent(sick).processes = 2;
    w.xid(sick, 48);
    await w.advance(() => w.node(sick).health.held.length > 0, 60_000);
    const judged = w.node(sick).health.held[0]?.judgement;
    const key = `${judged?.rule}@${judged?.version}`;
    const cause = { attribute: "rule", value: key, ofSessions: 1, ofNodes: 1 } as const;
    await put(w, breaker(w, { state: "open", cause }));
    await w.advance(() => (w.node(sick).health.aside ?? []).length > 0, 60_000);
    expect(told(w, "safety.quarantine")).toHaveLength(1);
    const why = await get<ExplainView>(a, `/v1/nodes/${sick}/explain`);
    const causes = why.causes.map((one) => one.text);
    expect(causes.some((one) => one.startsWith("suspended, does not count: XID 48"))).toBe(true);
    expect(causes.join("\n")).toContain(`rule ${key} is a shadow or suspended rule`);
    const view = await look(a);
    expect(view.quarantined.map((one) => one.rule)).toEqual([key]);
    expect(await metric(a, "navarch_safety_quarantined_rules")).toEqual([
      "navarch_safety_quarantined_rules 1",
    ]);
  });

  test("counts lemons and their refusals", async () => {
    const w = await fleet(2);
    const a = openWorldApp(w);
    const lemon = (uuid: string, refused: number): Fact => ({
      kind: "lemon",
      uuid,
      serial: null,
      sessions: 1,
      firstAt: w.clock.wallMs(),
      lastAt: w.clock.wallMs() + refused,
      because: "XID 79",
      nodes: ["n"],
      instances: ["i"],
      provider: "fake",
      place: "here",
      refused,
    });
    await put(w, lemon("GPU-a", 0));
    await put(w, lemon("GPU-b", 3));
    const { lemons } = await look(a);
    expect([lemons.count, lemons.refused]).toEqual([2, 3]);
    expect(lemons.newest.map((one) => one.uuid)).toEqual(["GPU-b", "GPU-a"]);
    expect(await metric(a, "navarch_safety_lemon")).toEqual([
      "navarch_safety_lemons 2",
      "navarch_safety_lemon_refusals_total 3",
    ]);
  });

  test("lists what is billed though it was told to end, until the cloud confirms", async () => {
    const w = await fleet(3, threshold(1));
    const a = openWorldApp(w);
    const [sick = ""] = w.serving();
    const terminate = w.cloud.terminate.bind(w.cloud);
    w.cloud.terminate = async () => ({ kind: "accepted" });
    w.xid(sick, 48);
    await w.advance(() => phaseOf(w, sick) === "terminating", 300_000);
    await w.advance(() => false, 600_000);
    const view = await look(a);
    expect(view.still_billed).toMatchObject({
      count: 1,
      unknown_prices: 1,
      oldest: [{ node_id: sick, provider: "fake", pool: "p" }],
    });
    const { body } = await a.call("GET", "/v1/instances?state=INSTANCE_STATE_TERMINATING");
    const since = Date.parse(String(body["instances"]?.[0]?.["ending_since"]));
    expect(w.clock.wallMs() - since).toBeGreaterThanOrEqual(600_000);
    expect(await metric(a, "navarch_instances_still_billing{")).toEqual([
      'navarch_instances_still_billing{provider="fake"} 1',
    ]);
    const [age = ""] = await metric(a, "navarch_instances_still_billing_seconds");
    expect(Number(age.split(" ")[1])).toBeGreaterThanOrEqual(600);
    w.cloud.terminate = terminate;
    await w.advance(() => phaseOf(w, sick) === "gone", 300_000);
    expect(await metric(a, "navarch_instances_still_billing{")).toEqual([
      'navarch_instances_still_billing{provider="fake"} 0',
    ]);
  });
});

test("a place that refused has a back-off on the page, by provider, region and type", async () => {
  const w = await fleet(2);
  const a = openWorldApp(w);
  const [at] = w.reconciler.activeConfig().pools.flatMap(offersOf);
  if (at === undefined) throw new Error("no place");
  await w.reconciler.change((draft) => {
    for (const [scope, ms] of [
      [at.key, 60_000],
      [`provider:${at.provider}`, 90_000],
    ] as const) {
      const rest = {
        scope,
        failures: 1,
        notBefore: w.clock.wallMs() + ms,
        class: "capacity",
      } as const;
      draft.putFact({
        kind: "rest",
        ...rest,
        message: "none left",
        at: w.clock.wallMs(),
        isOpen: false,
      });
    }
  });
  await w.turn();
  const [line = "", ...more] = await metric(a, "navarch_provider_offer_backoff_seconds");
  expect(more).toEqual([]);
  const type = `type="${at.instanceType}"`;
  const head = `navarch_provider_offer_backoff_seconds{provider="fake",region="",${type}}`;
  expect(line).toStartWith(head);
  expect(Number(line.split(" ")[1])).toBeWithin(80, 91);
});

test("navarch_config_warnings has a value once warnings were counted", async () => {
  const a = openWorldApp(await fleet(1));
  expect(await metric(a, "navarch_config_warnings")).toEqual([]);
  a.metrics.configWarnings = 2;
  expect(await metric(a, "navarch_config_warnings")).toEqual(["navarch_config_warnings 2"]);
});

test("sayWaits() says once what many wait for, and stops somewhere", () => {
  const wait = (node: string | null, reason: Wait["reason"], message: string): Wait => {
    const about = { node: node as Wait["node"], pool: "p" as Wait["pool"], reason };
    return { ...about, why: { code: "work", work: message }, until: null };
  };
  const many = ["a", "b", "c", "d"].map((node) => wait(node, "budget", "fleet: 1 of 1"));
  expect(sayWaits([...many, wait(null, "human", "held")], true)).toEqual([
    "a, b, c and 1 more: no room in a budget: fleet: 1 of 1",
    "held",
  ]);
  const long = Array.from({ length: 60 }, (_, i) => wait(`n${i}`, "boot", `waits ${i}`));
  const lines = sayWaits(long, true);
  expect([lines.length, lines.at(-1)]).toEqual([51, "and 10 more (navarch plan)"]);
});
