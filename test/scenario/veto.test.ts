/**
 * A person's word: a freeze of the fleet and a hold of a pool, as they are said over HTTP. Nothing
 * that cannot be taken back happens while they hold, people can see why, and they end by themselves
 * when their time is over.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { nodeToken } from "../../reconciler/security/auth.ts";
import { factsOf } from "../../schema/safety.ts";
import { openWorldApp, type Json, type WorldApp } from "../world/app.ts";
import {
  anotherPool,
  counts,
  closeWorlds,
  fleet,
  open,
  order,
  phaseOf,
  threshold,
  told,
  waitOf,
  watchEnds,
  wrongs,
} from "../world/story.ts";
import { poolYaml, type World } from "../world/world.ts";

afterEach(closeWorlds);

const texts = (value: Json | undefined): string[] => (value ?? []).map(String);
const lines = (page: string, name: string): string[] =>
  page.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));

async function metrics(a: WorldApp, name: string): Promise<string[]> {
  return lines((await a.call("GET", "/metrics")).text, name);
}

/** Jumps over what is dull on the way to `done`. */
async function reach(w: World, done: () => boolean, seconds: number): Promise<void> {
  if (!(await w.advance(done, seconds * 1_000))) throw new Error(`not within ${seconds} s`);
}

/** Long enough for the doubts of a process that has just started to pass. */
async function settle(w: World): Promise<void> {
  await reach(w, () => w.reconciler.lastSight()?.blind.length === 0, 300);
}

test("explain names no repair step where nothing repairs", async () => {
  const w = await fleet(2, threshold(1, ", auto_replace: false"));
  const a = openWorldApp(w);
  const [sick = ""] = w.serving();
  w.xid(sick, 79);
  await reach(w, () => phaseOf(w, sick) === "suspect", 60);
  const { causes } = (await a.call("GET", `/v1/nodes/${sick}/explain`)).body;
  const lines: { text: string }[] = causes ?? [];
  expect(lines.at(-1)?.text).toEndWith("; its rule suggests: reboot");
});

describe("a freeze", () => {
  test("stops drain, end and purchase, says so everywhere, and thaws by itself", async () => {
    const w = await fleet(4, threshold(1));
    await settle(w);
    const a = openWorldApp(w);
    const ends = watchEnds(w);
    const answer = await a.call("PUT", "/v1/safety/freeze", { reason: "roll-out", for: "10m" });
    expect(answer.status).toBe(200);
    expect(String(answer.body["frozen"]?.["why"])).toBe("roll-out");
    const [sick = ""] = w.serving();
    w.xid(sick, 79);
    await a.call("PUT", "/v1/pools/p/size", { nodes: 5 });
    await w.advance(() => false, 120_000);
    expect(phaseOf(w, sick)).toBe("suspect");
    // What is certainly broken is taken out of service: one command takes that back.
    expect(w.node(sick).cordon.product).not.toBeNull();
    expect(waitOf(w, sick)).toBe("human");
    expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
    expect(ends).toEqual([]);

    const view = (await a.call("GET", "/v1/safety")).body;
    expect([view["frozen"]?.["by"], view["frozen"]?.["why"]].map(String)).toEqual([
      "admin",
      "roll-out",
    ]);
    expect(Number(view["waits"]?.["human"])).toBe(2);
    const why = (await a.call("GET", `/v1/nodes/${sick}/explain`)).body;
    expect(texts(why["blockers"])).toEqual([
      "the fleet is frozen: roll-out (admin)",
      expect.stringContaining("it still cordons a node with a definitive fault"),
    ]);
    expect(String(why["state"])).toMatch(/repair \S+ is open since \S+, rung isolate/);
    // What the vendor advises is not what this pool does.
    const causes: { text: string }[] = why["causes"] ?? [];
    expect(causes.at(-1)?.text).toEndWith("; repair: replace (its rule suggests reboot)");
    const pool = (await a.call("GET", "/v1/pools/p/explain")).body;
    expect(texts(pool["blockers"])[0]).toMatch(
      /^the fleet is frozen by admin until \S+: roll-out\. Navarch drains, /,
    );
    expect(await metrics(a, "navarch_safety_frozen")).toEqual([
      'navarch_safety_frozen{pool=""} 1',
      'navarch_safety_frozen{pool="p"} 1',
    ]);
    expect(await metrics(a, "navarch_plan_waits")).toContain(
      'navarch_plan_waits{reason="human"} 2',
    );
    expect(told(w, "safety.frozen").map((event) => [event.actor, event.pool])).toEqual([
      ["human:admin", null],
    ]);

    await reach(w, () => w.story(sick).includes("node.replaced"), 1_200);
    expect(told(w, "safety.released").map((event) => event.actor)).toEqual(["navarch"]);
    expect((await a.call("GET", "/v1/safety")).body["frozen"]).toBeNull();
    expect(await metrics(a, "navarch_safety_frozen")).toEqual([
      'navarch_safety_frozen{pool=""} 0',
      'navarch_safety_frozen{pool="p"} 0',
    ]);
    await reach(w, () => w.serving().length === 5, 300);
    expect(counts(w)).toEqual({ live: 5, ended: 1, asks: 6 });
    expect(wrongs(w)).toEqual([]);
  });

  test("holds what is drained, lets people's orders through, and lasts until it is lifted", async () => {
    const w = await fleet(3, threshold(1));
    await settle(w);
    const a = openWorldApp(w);
    const [sick = "", ordered = ""] = w.serving();
    w.agent(sick).processes = 2;
    w.xid(sick, 79);
    await reach(w, () => phaseOf(w, sick) === "draining", 120);
    await a.call("PUT", "/v1/safety/freeze", { reason: "wait" });
    w.agent(sick).processes = 0;
    await w.advance(() => false, 120_000);
    expect(phaseOf(w, sick)).toBe("draining");
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    expect((await order(w, ordered, "drain")).state).toBe("applied");
    await w.advance(() => false, 30_000);
    expect(phaseOf(w, ordered)).toBe("draining");
    const lifted = await a.call("DELETE", "/v1/safety/freeze", { reason: "done" });
    expect([lifted.status, Boolean(lifted.body["was_frozen"])]).toEqual([200, true]);
    await reach(w, () => w.story(sick).includes("node.replaced"), 600);
    expect(told(w, "safety.released").map((event) => event.message)).toEqual([
      "the freeze by admin is lifted: done (it was: wait)",
    ]);
    const again = await a.call("DELETE", "/v1/safety/freeze");
    expect([again.status, Boolean(again.body["was_frozen"])]).toEqual([200, false]);
    expect(told(w, "safety.released")).toHaveLength(1);
    expect(wrongs(w)).toEqual([]);
  });

  test("survives a restart", async () => {
    const w = await fleet(2, threshold(1));
    await openWorldApp(w).call("PUT", "/v1/safety/freeze", { reason: "night" });
    await w.crash();
    await w.start();
    await w.advance(() => false, 60_000);
    expect(w.reconciler.lastSight()?.frozen).toBe("night (admin)");
    const a = openWorldApp(w);
    expect(String((await a.call("GET", "/v1/safety")).body["frozen"]?.["why"])).toBe("night");
  });
});

describe("a hold of a pool", () => {
  test("stops replacing and buying there and nowhere else, and expires by itself", async () => {
    const w = await open(poolYaml(3, threshold(1) + anotherPool("q", 2)));
    await reach(w, () => w.serving().length === 5, 300);
    await settle(w);
    const a = openWorldApp(w);
    const answer = await a.call("PUT", "/v1/pools/p/hold", { reason: "firmware" });
    expect(answer.status).toBe(200);
    const until = Date.parse(String(answer.body["hold"]?.["until"]));
    expect(until - w.clock.wallMs()).toBeLessThanOrEqual(24 * 3_600_000);
    expect(until - w.clock.wallMs()).toBeGreaterThan(24 * 3_600_000 - 60_000);
    const shorter = { reason: "firmware", for: "10m" };
    expect((await a.call("PUT", "/v1/pools/p/hold", shorter)).status).toBe(200);

    const inPool = (pool: string): string =>
      w.serving().find((id) => w.node(id).pool === pool) ?? "";
    const [held, free] = [inPool("p"), inPool("q")];
    await a.call("PUT", "/v1/pools/p/size", { nodes: 4 });
    w.xid(held, 79);
    await w.advance(() => false, 60_000);
    // Isolating is cheap and reversible, so a hold leaves it alone.
    expect(w.node(held).cordon.product).not.toBeNull();
    expect(waitOf(w, held)).toBe("human");
    expect(counts(w)).toEqual({ live: 5, ended: 0, asks: 5 });
    w.xid(free, 79);
    await reach(w, () => w.story(free).includes("node.replaced"), 400);
    expect(phaseOf(w, held)).toBe("suspect");
    expect(w.nodes().filter((node) => node.pool === "p")).toHaveLength(3);

    const why = (await a.call("GET", `/v1/nodes/${held}/explain`)).body;
    expect(String(why["next"])).toStartWith("wait (human): pool p is held by admin: firmware");
    expect(String(why["earliest"])).not.toBe("null");
    expect(String(why["state"])).toMatch(/rung isolate, proven by its hardware/);
    const pool = (await a.call("GET", "/v1/pools/p/explain")).body;
    expect(texts(pool["blockers"])[0]).toMatch(/^held by admin until \S+: firmware$/);
    expect(texts(pool["limits"])).toContain("replace in pool:p: 0 of at most 1");
    const status = (await a.call("GET", "/v1/pools/p/status")).body;
    expect(String(status["hold"]?.["why"])).toBe("firmware");
    expect((await a.call("GET", "/v1/pools/q/status")).body["hold"]).toBeNull();
    expect(await metrics(a, "navarch_safety_frozen")).toEqual([
      'navarch_safety_frozen{pool=""} 0',
      'navarch_safety_frozen{pool="p"} 1',
      'navarch_safety_frozen{pool="q"} 0',
    ]);

    await reach(w, () => w.story(held).includes("node.replaced"), 3_600);
    expect((await a.call("GET", "/v1/pools/p/status")).body["hold"]).toBeNull();
    await reach(w, () => w.serving().length === 6, 300);
    expect(wrongs(w)).toEqual([]);
  });

  test("ends with resume, which changes nothing where there is no hold", async () => {
    const w = await fleet(2, threshold(1));
    await settle(w);
    const a = openWorldApp(w);
    await a.call("PUT", "/v1/pools/p/hold", { reason: "look" });
    const [sick = ""] = w.serving();
    w.xid(sick, 79);
    await w.advance(() => false, 300_000);
    expect(phaseOf(w, sick)).toBe("suspect");
    const resumed = await a.call("DELETE", "/v1/pools/p/hold", {});
    expect([resumed.status, Boolean(resumed.body["was_held"])]).toEqual([200, true]);
    await reach(w, () => w.story(sick).includes("node.replaced"), 600);
    const again = await a.call("DELETE", "/v1/pools/p/hold", {});
    expect([again.status, Boolean(again.body["was_held"])]).toEqual([200, false]);
    expect(told(w, "safety.frozen").map((event) => event.pool as string)).toEqual(["p"]);
    expect(told(w, "safety.released").map((event) => event.pool as string)).toEqual(["p"]);
  });
});

test("a veto needs a reason, an end that makes sense, and a person who may", async () => {
  const w = await fleet(2);
  const a = openWorldApp(w);
  const cases: [unknown, number, string][] = [
    [{}, 400, "reason"],
    [{ reason: "  " }, 400, "reason: expected a text: the reason"],
    [{ reason: 7 }, 400, "reason"],
    [{ reason: "x", for: "1d" }, 400, "write 24h"],
    [{ reason: "x", for: 60 }, 400, "for"],
    [{ reason: "x", for: "0s" }, 400, "ends before it begins"],
    [{ reason: "x", for: "9999h" }, 400, "longer than 2160h"],
    [{ reason: "x", until: "2001-01-01T00:00:00Z" }, 400, "ends before it begins"],
    [{ reason: "x", until: "tomorrow" }, 400, "RFC 3339"],
    [{ reason: "x", for: "1h", until: "2100-01-01T00:00:00Z" }, 400, "not both"],
    [{ reason: "x", who: "me" }, 400, "who"],
  ];
  for (const path of ["/v1/safety/freeze", "/v1/pools/p/hold"]) {
    for (const [body, status, part] of cases) {
      const answer = await a.call("PUT", path, body);
      const error = String(answer.body["error"]?.["message"]);
      expect([path, JSON.stringify(body), answer.status]).toEqual([
        path,
        JSON.stringify(body),
        status,
      ]);
      expect(error).toContain(part);
    }
  }
  expect((await a.call("PUT", "/v1/pools/nope/hold", { reason: "x" })).status).toBe(404);
  expect((await a.call("DELETE", "/v1/pools/nope/hold")).status).toBe(404);
  const [id = ""] = w.serving();
  const token = async (role: string): Promise<string> =>
    String((await a.call("POST", "/v1/tokens", { role, label: "t" })).body["token"]);
  const who = {
    node: nodeToken("s", id),
    viewer: await token("viewer"),
    operator: await token("operator"),
    nobody: null,
  };
  const veto = { reason: "x", for: "1h" };
  const rights: [string, string, unknown, string[]][] = [
    ["GET", "/v1/safety", undefined, ["viewer", "operator"]],
    ["PUT", "/v1/safety/freeze", veto, ["operator"]],
    ["DELETE", "/v1/safety/freeze", undefined, ["operator"]],
    ["PUT", "/v1/pools/p/hold", veto, ["operator"]],
    ["DELETE", "/v1/pools/p/hold", undefined, ["operator"]],
  ];
  for (const [method, path, body, may] of rights) {
    for (const [role, secret] of Object.entries(who)) {
      const { status } = await a.call(method, path, body, secret);
      const expected = may.includes(role) ? 200 : role === "nobody" ? 401 : 403;
      expect(`${role} ${method} ${path} ${status}`).toBe(`${role} ${method} ${path} ${expected}`);
    }
  }
  expect(w.reconciler.lastSight()?.frozen ?? null).toBeNull();
  expect(told(w, "safety.frozen").every((one) => one.actor.startsWith("human:token:"))).toBe(true);
});

test("a person's word lets a rule count again, and a repaired GPU serve again", async () => {
  const w = await fleet(3, threshold(2));
  const a = openWorldApp(w);
  const now = w.clock.wallMs();
  const rule = "too-eager@abc";
  await w.reconciler.change((draft) => {
    draft.putFact({
      kind: "lemon",
      uuid: "GPU-x",
      serial: null,
      sessions: 1,
      firstAt: now,
      lastAt: now,
      because: "XID 79",
      nodes: [],
      instances: [],
      provider: "fake",
      place: "",
      refused: 0,
    });
  });
  const word = { reason: "the vendor replaced the board" };
  expect((await a.call("DELETE", "/v1/safety/lemons/GPU-y", word)).status).toBe(404);
  expect((await a.call("DELETE", "/v1/safety/lemons/GPU-x", {})).status).toBe(400);
  expect((await a.call("DELETE", "/v1/safety/lemons/GPU-x", word)).status).toBe(200);
  expect(factsOf(w.reconciler.fleet().facts, "lemon")).toEqual([]);
  const path = `/v1/safety/trusted/${encodeURIComponent(rule)}`;
  expect((await a.call("PUT", path, word)).status).toBe(404);
  expect((await a.call("PUT", path, word, "nobody")).status).toBe(401);
});
