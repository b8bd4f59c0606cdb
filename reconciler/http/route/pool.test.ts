/**
 * The five operations on a pool's size, over HTTP on the real application: what each answers, what
 * the cloud has afterwards, told twice, at the bounds, and with a death of the process in between.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { NodeId } from "../../../schema/id.ts";
import { CrashInjector } from "../../../test/world/crash-injector.ts";
import { BASE, World } from "../../../test/world/world.ts";
import { openWorldApp, type Json, type WorldApp } from "../../../test/world/app.ts";

let opened: World[] = [];
afterEach(async () => {
  for (const world of opened) await world.close();
  opened = [];
});

const yaml = (pool: string): string => `${BASE}
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    health: { unhealthy_threshold: 1 }
${pool}
  - name: q
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 1, max_nodes: 2 }
`;

const BOUNDS = "    scaling: { min_nodes: 1, max_nodes: 6 }\n";

type Answer = Awaited<ReturnType<WorldApp["call"]>>;

/** Pool p of three serving nodes, one to six allowed, and pool q of one. */
class Story {
  readonly w: World;
  http: WorldApp;

  private constructor(w: World) {
    this.w = w;
    this.http = openWorldApp(w);
  }

  static async open(scaling = BOUNDS, size = 3): Promise<Story> {
    const w = await World.open(yaml(scaling));
    opened.push(w);
    const story = new Story(w);
    await w.until(() => story.of("p").length === 1 && story.of("q").length === 1, 120);
    await story.put({ nodes: size });
    await w.until(() => story.of("p").length === size, 120);
    return story;
  }

  of(pool: string): string[] {
    return this.w
      .nodes()
      .filter((n) => n.pool === pool && n.phase.kind === "serving")
      .map((n) => n.id);
  }

  put(body: object, more: Record<string, string> = {}): Promise<Answer> {
    return this.http.call("PUT", "/v1/pools/p/size", body, "root", more);
  }

  post(verb: string, body: object, key: string | null = null): Promise<Answer> {
    const more: Record<string, string> = key === null ? {} : { "Idempotency-Key": key };
    return this.http.call("POST", `/v1/pools/p/${verb}`, body, "root", more);
  }

  get desired(): number {
    return this.w.reconciler.fleet().pools.get("p" as never)?.desired ?? -1;
  }

  /** Machines of pool p that the cloud bills. */
  live(): string[] {
    const nodes = [...this.w.cloud.world().instances.values()].map((held) => held.instance);
    const running = nodes.filter((one) => one.state !== "terminated");
    return running.flatMap((one) => {
      const node = one.tags["navarch-node"] ?? "";
      return one.tags["navarch-pool"] === "p" ? [node] : [];
    });
  }

  /** Everything that was ever asked for has happened. */
  async settle(seconds = 60): Promise<void> {
    await this.w.live(seconds);
  }

  async restart(): Promise<void> {
    await this.w.crash();
    await this.w.start();
    this.http = openWorldApp(this.w);
  }
}

const codeOf = ({ status, body }: Answer): string =>
  status < 300 ? String(status) : `${status} ${String(body["error"]?.["code"])}`;
const messageOf = ({ body }: Answer): string => String(body["error"]?.["message"] ?? "");
const list = (body: Json, key: string): string[] => body[key] as unknown as string[];

describe("each operation", () => {
  test.each<[string, string, string, object, string, number, string]>([
    ["sets", "PUT", "size", { nodes: 5 }, "200", 5, ""],
    ["sets to what it is", "PUT", "size", { nodes: 3 }, "200", 3, ""],
    ["sets no less than min", "PUT", "size", { nodes: 0 }, "409 out_of_bounds", 3, "outside 1…6"],
    ["sets no more than max", "PUT", "size", { nodes: 7 }, "409 out_of_bounds", 3, "outside 1…6"],
    ["cuts to max", "PUT", "size", { nodes: 9, clamp: true }, "200", 6, ""],
    ["cuts to min", "PUT", "size", { nodes: 0, clamp: true }, "200", 1, ""],
    ["grows", "POST", "grow", { by: 2 }, "200", 5, ""],
    ["grows up to max", "POST", "grow", { by: 3 }, "200", 6, ""],
    ["grows not beyond", "POST", "grow", { by: 4 }, "409 out_of_bounds", 3, "7 is outside 1…6"],
    ["grows as far as it may", "POST", "grow", { by: 9, clamp: true }, "200", 6, ""],
    ["grows by one at least", "POST", "grow", { by: 0 }, "400 invalid_argument", 3, "by"],
    ["grows by whole nodes", "POST", "grow", { by: 1.5 }, "400 invalid_argument", 3, "by"],
    ["wants a number", "POST", "grow", {}, "400 invalid_argument", 3, "by"],
    [
      "lowers nothing that exists",
      "POST",
      "shrink-target",
      { by: 1 },
      "409 conflict",
      3,
      "by name",
    ],
    ["lowers to what is there", "POST", "shrink-target", { to: 3 }, "200", 3, ""],
    ["lowers not up", "POST", "shrink-target", { to: 4 }, "409 conflict", 3, "not lower"],
    ["lowers not below min", "POST", "shrink-target", { to: 0 }, "409 out_of_bounds", 3, "1…6"],
    [
      "lowers by or to",
      "POST",
      "shrink-target",
      { by: 1, to: 2 },
      "400 invalid_argument",
      3,
      "either",
    ],
    ["lowers by something", "POST", "shrink-target", {}, "400 invalid_argument", 3, "either"],
    [
      "removes somebody",
      "POST",
      "remove",
      { nodes: [] },
      "400 invalid_argument",
      3,
      "at least one",
    ],
    ["removes nobody unknown", "POST", "remove", { nodes: ["x"] }, "404 not_found", 3, "no node x"],
    ["knows its keys", "POST", "remove", { node: "x" }, "400 invalid_argument", 3, "node"],
  ])("%s", async (_, method, verb, body, code, desired, part) => {
    const story = await Story.open();
    const before = story.w.events.length;
    const answer = await story.http.call(method, `/v1/pools/p/${verb}`, body);
    expect(codeOf(answer)).toBe(code);
    expect(messageOf(answer)).toContain(part);
    expect(story.desired).toBe(desired);
    const sizes = story.w.events.slice(before).filter((one) => one.kind === "pool.size");
    if (!code.startsWith("200")) expect(sizes).toEqual([]);
    else expect(sizes).toMatchObject([{ pool: "p", actor: "human:admin" }]);
    await story.settle();
    expect(story.live().length).toBe(desired);
    expect(story.of("p").length).toBe(desired);
  });

  test("is refused without a token, to a viewer, and for a pool that does not exist", async () => {
    const story = await Story.open();
    const made = await story.http.call("POST", "/v1/tokens", { role: "viewer", label: "v" });
    const viewer = String(made.body["token"]);
    const bodies = { grow: { by: 1 }, "shrink-target": { to: 3 }, remove: { nodes: ["n"] } };
    for (const [verb, body] of Object.entries(bodies)) {
      expect((await story.http.call("POST", `/v1/pools/p/${verb}`, body, null)).status).toBe(401);
      expect((await story.http.call("POST", `/v1/pools/p/${verb}`, body, viewer)).status).toBe(403);
      const none = await story.http.call("POST", `/v1/pools/pp/${verb}`, body);
      expect(messageOf(none)).toContain('did you mean "p"');
    }
    expect((await story.http.call("GET", "/v1/pools/p/members", undefined, viewer)).status).toBe(
      200,
    );
    expect((await story.http.call("GET", "/v1/pools/p", undefined, viewer)).body["ready"]).toBe(
      3 as never,
    );
    expect((await story.http.call("GET", "/v1/pools/pp/members")).status).toBe(404);
  });
});

describe("remove", () => {
  test("exactly the named nodes go, drained first, and nobody takes their place", async () => {
    const story = await Story.open(BOUNDS, 5);
    const all = story.of("p");
    // Not the ones that the pool itself would give up: those that have work stay.
    const [a = "", b = ""] = all.slice(2);
    for (const id of all) story.w.agent(id).processes = id === a || id === b ? 1 : 0;
    const asks = story.w.cloud.reality().asks;
    const answer = await story.post("remove", { nodes: [a, b], reason: "rack 7" });
    expect(codeOf(answer)).toBe("200");
    expect(list(answer.body, "removed").toSorted()).toEqual([a, b].toSorted());
    expect(story.desired).toBe(3);
    await story.settle();
    // Work is let finish.
    expect(story.live().length).toBe(5);
    for (const id of [a, b]) expect(story.w.node(id).phase.kind).toBe("draining");
    for (const id of [a, b]) story.w.agent(id).processes = 0;
    await story.settle();
    expect(story.live().toSorted()).toEqual(all.filter((id) => id !== a && id !== b).toSorted());
    expect(story.w.cloud.reality().asks).toBe(asks);
    for (const id of [a, b]) {
      const told = story.w.story(id);
      expect(told.indexOf("node.cordoned")).toBeLessThan(told.indexOf("node.draining"));
      expect(told.indexOf("node.drained")).toBeLessThan(told.indexOf("node.terminating"));
    }
    const size = story.w.events.findLast((one) => one.kind === "pool.size");
    expect(size).toMatchObject({ actor: "human:admin", pool: "p" });
    expect(size?.message).toContain("5 → 3");
    expect(size?.message).toContain("rack 7");
    expect(size?.message).toContain(a);
    const order = story.w.events.filter((one) => one.kind === "command.issued");
    expect(order.map((one) => [one.node as string, one.actor]).toSorted()).toEqual(
      [a, b].toSorted().map((id) => [id, "human:admin"]),
    );
  });

  test("by the name of the instance too, and once however often it is named", async () => {
    const story = await Story.open();
    const [a = ""] = story.of("p");
    const instance = story.w.node(a).instance?.id ?? "";
    expect(codeOf(await story.post("remove", { nodes: [a, instance, a] }))).toBe("200");
    expect(story.desired).toBe(2);
    await story.settle();
    expect(story.live()).not.toContain(a);
    expect(story.live().length).toBe(2);
  });

  test("nothing of it is done if one of the names cannot be", async () => {
    const story = await Story.open();
    const [a = "", b = "", c = ""] = story.of("p");
    const [other = ""] = story.of("q");
    const cases: [string[], string, string][] = [
      [[a, "nobody"], "404 not_found", "no node nobody"],
      [[a, other], "409 conflict", "is of pool q"],
      [[a, b, c], "409 out_of_bounds", "0 is outside 1…6"],
    ];
    for (const [nodes, code, part] of cases) {
      const answer = await story.post("remove", { nodes });
      expect(codeOf(answer)).toBe(code);
      expect(messageOf(answer)).toContain(part);
    }
    expect(story.desired).toBe(3);
    await story.settle(120);
    expect(story.live().toSorted()).toEqual([a, b, c].toSorted());
    for (const id of [a, b, c]) expect(story.w.node(id).cordon.product).toBeNull();
  });

  test("told twice, at any time, the size is lowered once", async () => {
    const story = await Story.open(BOUNDS, 4);
    const [a = ""] = story.of("p");
    story.w.agent(a).processes = 1;
    const once = await story.post("remove", { nodes: [a] });
    const twice = await story.post("remove", { nodes: [a] });
    expect(list(once.body, "removed")).toEqual([a]);
    expect([list(twice.body, "removed"), list(twice.body, "already_leaving")]).toEqual([[], [a]]);
    await story.settle(20);
    expect(story.w.node(a).phase.kind).toBe("draining");
    expect(codeOf(await story.post("remove", { nodes: [a] }))).toBe("200");
    story.w.agent(a).processes = 0;
    await story.settle();
    expect(codeOf(await story.post("remove", { nodes: [a] }))).toBe("200");
    expect(story.desired).toBe(3);
    expect(story.live().length).toBe(3);
  });

  test("of nodes that come up, and of one that was never bought", async () => {
    const story = await Story.open();
    await story.post("grow", { by: 2 });
    const young = story.w.nodes().filter((n) => n.pool === "p" && n.phase.kind !== "serving");
    await story.w.turn();
    const coming = story.w.nodes().filter((n) => n.pool === "p" && n.phase.kind !== "serving");
    const [a = "", b = ""] = [...young, ...coming].map((n) => n.id as string);
    expect(codeOf(await story.post("remove", { nodes: [a] }))).toBe("200");
    expect(story.desired).toBe(4);
    await story.settle();
    expect(story.live().length).toBe(4);
    expect(story.live()).not.toContain(a);
    expect(b).not.toBe("");
  });

  test("of a node that is out for its health, and of one that is being replaced", async () => {
    const story = await Story.open(BOUNDS, 4);
    const [a = ""] = story.of("p");
    story.w.agent(a).processes = 1;
    story.w.xid(a, 79);
    await story.w.until(() => story.w.node(a).phase.kind === "draining", 60);
    expect(codeOf(await story.post("remove", { nodes: [a] }))).toBe("200");
    story.w.agent(a).processes = 0;
    await story.settle(120);
    expect(story.live()).not.toContain(a);
    expect(story.live().length).toBe(3);
    expect(story.w.story(a)).not.toContain("node.replaced");
  });

  test("of one that a person drained, and of one that a person cordoned", async () => {
    const story = await Story.open(BOUNDS, 4);
    const [a = "", b = ""] = story.of("p");
    await story.http.call("POST", `/v1/nodes/${a}/drain`, {});
    await story.http.call("POST", `/v1/nodes/${b}/cordon`, {});
    await story.settle(20);
    expect(codeOf(await story.post("remove", { nodes: [a, b] }))).toBe("200");
    await story.settle();
    expect(story.desired).toBe(2);
    expect(story.live().length).toBe(2);
    for (const id of [a, b]) expect(story.live()).not.toContain(id);
  });

  test("of one that a person has once kept from being given up", async () => {
    const story = await Story.open(BOUNDS, 4);
    const [a = "", b = ""] = story.of("p");
    for (const id of [a, b]) {
      await story.w.reconciler.change((draft) => {
        const node = draft.node(id as NodeId);
        if (node !== null) draft.putNode({ ...node, sparedAt: story.w.clock.wallMs() });
      });
    }
    await story.settle(5);
    expect(codeOf(await story.post("remove", { nodes: [a] }))).toBe("200");
    await story.settle();
    expect(story.live()).not.toContain(a);
    expect(story.live().length).toBe(3);
  });

  test("of a node that is gone for another reason is refused: its place was filled", async () => {
    const story = await Story.open();
    const [a = ""] = story.of("p");
    await story.http.call("POST", `/v1/nodes/${a}/terminate`, { force: true, reason: "x" });
    await story.w.until(() => !story.live().includes(a) && story.of("p").length === 3, 120);
    expect(codeOf(await story.post("remove", { nodes: [a] }))).toBe("409 gone");
    expect(story.desired).toBe(3);
  });

  test("in a frozen fleet it is written down, and done when the freeze ends", async () => {
    const story = await Story.open();
    const [a = ""] = story.of("p");
    await story.http.call("PUT", "/v1/safety/freeze", { reason: "x" });
    expect(codeOf(await story.post("remove", { nodes: [a] }))).toBe("200");
    await story.settle();
    expect(story.live().length).toBe(3);
    await story.http.call("DELETE", "/v1/safety/freeze", {});
    await story.settle();
    expect(story.live().length).toBe(2);
    expect(story.live()).not.toContain(a);
  });
});

describe("shrink-target", () => {
  test("takes back what was wanted and not bought, newest first, and no machine", async () => {
    const story = await Story.open();
    story.w.cloud.setFaults({ stockOut: true });
    await story.put({ nodes: 6 });
    await story.settle(10);
    expect(story.live().length).toBe(3);
    const answer = await story.post("shrink-target", { by: 2 });
    expect(codeOf(answer)).toBe("200");
    expect(story.desired).toBe(4);
    const open = story.w.nodes().filter((n) => n.pool === "p" && n.phase.kind === "requested");
    expect(open.length).toBe(1);
    expect(codeOf(await story.post("shrink-target", { to: 3 }))).toBe("200");
    expect(codeOf(await story.post("shrink-target", { to: 2 }))).toBe("409 conflict");
    await story.settle();
    expect([story.desired, story.live().length]).toEqual([3, 3]);
  });

  test("an ask that may have been heard is not taken back", async () => {
    const story = await Story.open();
    story.w.cloud.setFaults({ loseAsk: { create: 1 } });
    await story.put({ nodes: 4 });
    await story.settle(5);
    const open = story.w.nodes().find((n) => n.pool === "p" && n.phase.kind === "requested");
    expect(open?.operation).not.toBeNull();
    const answer = await story.post("shrink-target", { by: 1 });
    expect(codeOf(answer)).toBe("409 conflict");
    expect(answer.body["error"]?.["details"]).toEqual({ desired: 4, existing: 4 } as never);
  });
});

describe("members", () => {
  test("target, and each member in its state under every name", async () => {
    const story = await Story.open();
    const [a = "", b = ""] = story.of("p");
    story.w.agent(a).processes = 1;
    await story.post("remove", { nodes: [a] });
    await story.settle(10);
    story.w.cloud.setFaults({ stockOut: true });
    await story.post("grow", { by: 1 });
    await story.settle(10);
    const { body } = await story.http.call("GET", "/v1/pools/p/members");
    expect(body).toMatchObject({ name: "p", target: 3, min_nodes: 1, max_nodes: 6 });
    const members = body["members"] as unknown as Record<string, unknown>[];
    const states = Object.fromEntries(members.map((one) => [one["node_id"], one["state"]]));
    expect(members.length).toBe(4);
    expect([states[a], states[b]]).toEqual(["deleting", "running"]);
    const coming = members.find((one) => one["state"] === "creating");
    expect(coming).toMatchObject({ instance_id: null, error: { class: "capacity" } });
    const member = members.find((one) => one["node_id"] === b);
    const { instance } = story.w.node(b);
    expect(member).toMatchObject({ provider: "fake", instance_id: instance?.id, error: null });
  });
});

describe("a pool with an autoscaler", () => {
  test("takes a person's size, and says that it may not stay", async () => {
    const story = await Story.open(
      "    scaling: { min_nodes: 1, max_nodes: 6, autoscaler: { type: queue, count: gpus } }\n",
    );
    const answer = await story.post("grow", { by: 1 });
    expect(codeOf(answer)).toBe("200");
    expect(list(answer.body, "warnings").join()).toContain(
      "queue autoscaler (by its queue, in gpus)",
    );
    const [a = ""] = story.of("p");
    const gone = await story.post("remove", { nodes: [a] });
    expect(list(gone.body, "warnings").length).toBe(1);
    await story.settle();
    expect(story.live().length).toBe(3);
  });

  test("without one there is nothing to warn of", async () => {
    const story = await Story.open();
    expect(list((await story.post("grow", { by: 1 })).body, "warnings")).toEqual([]);
  });
});

describe("Idempotency-Key", () => {
  test("told twice, a request is carried out once, even after something else", async () => {
    const story = await Story.open();
    expect(codeOf(await story.post("grow", { by: 1 }, "k1"))).toBe("200");
    const again = await story.post("grow", { by: 1 }, "k1");
    expect([codeOf(again), Number(again.body["desired"])]).toEqual(["200", 4]);
    expect(codeOf(await story.put({ nodes: 2 }))).toBe("200");
    expect(codeOf(await story.post("grow", { by: 1 }, "k1"))).toBe("200");
    expect(story.desired).toBe(2);
    expect(codeOf(await story.post("grow", { by: 1 }, "k2"))).toBe("200");
    expect(story.desired).toBe(3);
  });

  test("used for something else, or not a key at all, is refused", async () => {
    const story = await Story.open();
    await story.post("grow", { by: 1 }, "k1");
    const other = await story.post("grow", { by: 2 }, "k1");
    expect(codeOf(other)).toBe("409 conflict");
    expect(messageOf(other)).toContain("was used for: grow 1");
    expect(codeOf(await story.post("grow", { by: 1 }, "a key"))).toBe("400 invalid_argument");
    expect(story.desired).toBe(4);
  });

  test("a request that was refused may be said again", async () => {
    const story = await Story.open(BOUNDS, 6);
    expect(codeOf(await story.post("grow", { by: 1 }, "k1"))).toBe("409 out_of_bounds");
    await story.put({ nodes: 3 });
    expect(codeOf(await story.post("grow", { by: 1 }, "k1"))).toBe("200");
    expect(story.desired).toBe(4);
  });
});

describe("the process dies in between", () => {
  /** Every point of the write at which it may die: before, and after without an answer. */
  const asks: [string, object, (before: number) => number][] = [
    ["grow", { by: 2 }, (n) => n + 2],
    ["remove", { nodes: ["first"] }, (n) => n - 1],
  ];

  test.each(asks)(
    "%s is done as a whole or not at all, and its second telling completes it",
    async (verb, body, want) => {
      for (const side of ["b", "a"] as const) {
        const story = await Story.open();
        const [first = ""] = story.of("p");
        const said = verb === "remove" ? { nodes: [first] } : body;
        const injector = new CrashInjector();
        story.w.injector = injector;
        story.w.tolerant = true;
        await story.restart();
        await story.w.until(() => story.of("p").length === 3, 120);
        // The write of the request itself is the next one.
        let done = false;
        injector.watch = (point) => {
          if (done || !point.what.startsWith("sql.batch") || point.side !== side) return;
          done = true;
          injector.dead = true;
          throw new Error("dies");
        };
        const lost = await story.post(verb, said, "k1").catch(() => null);
        expect(lost === null || lost.status >= 500).toBe(true);
        injector.watch = null;
        injector.revive();
        await story.restart();
        await story.w.until(() => story.of("p").length > 0, 120);
        const written = side === "a";
        expect(story.desired).toBe(written ? want(3) : 3);
        if (verb === "remove") {
          const again = await story.post(verb, said, "k1");
          expect(codeOf(again)).toBe("200");
          expect(story.desired).toBe(want(3));
          await story.settle(120);
          expect(story.live()).not.toContain(first);
          expect(story.live().length).toBe(want(3));
        }
        await story.w.close();
      }
    },
  );

  test("a request that was written is not executed again by the next process", async () => {
    const story = await Story.open();
    expect(codeOf(await story.post("grow", { by: 1 }, "k1"))).toBe("200");
    await story.restart();
    await story.settle(5);
    expect(codeOf(await story.post("grow", { by: 1 }, "k1"))).toBe("200");
    expect(story.desired).toBe(4);
    expect(codeOf(await story.post("grow", { by: 2 }, "k1"))).toBe("409 conflict");
  });

  test("every size survives, with who asked for it", async () => {
    const story = await Story.open();
    await story.post("grow", { by: 2 });
    await story.restart();
    await story.settle();
    expect(story.desired).toBe(5);
    expect(story.w.reconciler.fleet().pools.get("p" as never)?.desiredBy).toBe("human:admin");
    expect(story.live().length).toBe(5);
  });
});
