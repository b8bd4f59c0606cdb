/**
 * Nodes on their way out, and people who say something about it: work is not cut off, orders are
 * carried out, a person's cordon is respected, and one node's trouble is not its pool's.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { Purpose } from "../../schema/node.ts";
import {
  anotherPool,
  breakImage,
  counts,
  closeWorlds,
  fleet,
  instanceOf,
  lie,
  lives,
  mostPerSlot,
  nodeOf,
  open,
  order,
  phaseOf,
  resize,
  restart,
  surge,
  threshold,
  told,
  waitOf,
  WIDE_BUDGETS,
  wrongs,
} from "../world/story.ts";
import { poolYaml, type World } from "../world/world.ts";

afterEach(closeWorlds);

/**
 * A fleet whose first node works, which only the agents' process lists tell: no scheduler is
 * attached.
 */
async function openBusy(size: number, processes: number) {
  const w = await fleet(size, threshold(1));
  w.scheduler.left = () => null;
  const [busy = ""] = w.serving();
  w.agent(busy).processes = processes;
  await w.live(10);
  return { w, busy, instance: instanceOf(w, busy) };
}

function drainPurpose(w: World, id: string): Purpose | null {
  const { phase } = w.node(id);
  return phase.kind === "draining" ? phase.purpose : null;
}

describe("a busy node that is drained", () => {
  test("keeps its work when the control plane restarts", async () => {
    const { w, busy, instance } = await openBusy(2, 4);
    await order(w, busy, "replace");
    await w.live(300);
    for (let i = 0; i < 3; i++) {
      await restart(w);
      await w.turn();
      expect(phaseOf(w, busy)).toBe("draining");
      await w.live(100);
    }
    expect(lives(w, instance)).toBe(true);
    expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
    w.agent(busy).processes = 0;
    await w.until(() => w.story(busy).includes("node.replaced"), 200);
    expect(counts(w)).toEqual({ live: 2, ended: 1, asks: 3 });
    expect(wrongs(w)).toEqual([]);
  });

  test("keeps its work when its agent falls silent, until the deadline", async () => {
    const { w, busy, instance } = await openBusy(3, 4);
    await order(w, busy, "replace", { timeoutMs: 1_200_000 });
    await w.live(60);
    w.agent(busy).quiet = true;
    await w.live(45);
    expect(phaseOf(w, busy)).toBe("draining");
    await w.live(900);
    expect(phaseOf(w, busy)).toBe("draining");
    expect(lives(w, instance)).toBe(true);
    w.agent(busy).quiet = false;
    await w.live(60);
    expect(phaseOf(w, busy)).toBe("draining");
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    w.agent(busy).processes = 0;
    await w.until(() => w.story(busy).includes("node.replaced"), 200);
    expect(wrongs(w)).toEqual([]);
  });

  test("keeps its work when its agent is gone after a restart of the control plane", async () => {
    const { w, busy, instance } = await openBusy(3, 4);
    await order(w, busy, "replace", { timeoutMs: 1_200_000 });
    await w.live(60);
    w.agent(busy).quiet = true;
    await restart(w);
    await w.live(900);
    expect(phaseOf(w, busy)).toBe("draining");
    expect(lives(w, instance)).toBe(true);
    expect(wrongs(w)).toEqual([]);
  });

  test("keeps work that began after its agent's last report", async () => {
    const { w, busy, instance } = await openBusy(2, 0);
    w.agent(busy).processes = 4;
    await order(w, busy, "replace");
    await w.live(300);
    expect(phaseOf(w, busy)).toBe("draining");
    expect(lives(w, instance)).toBe(true);
    expect(wrongs(w)).toEqual([]);
  });

  test("does not block a pool that shrinks: one node is held and the others go on", async () => {
    const w = await fleet(5, "    drain: { timeout: 1m }\n");
    for (const id of w.serving()) w.agent(id).processes = 3;
    await resize(w, 4);
    let mostHeld = 0;
    for (let i = 0; i < 15; i++) {
      await w.live(60);
      const held = w.nodes().filter((node) => node.phase.kind === "held");
      mostHeld = Math.max(mostHeld, held.length);
    }
    expect(mostHeld).toBe(1);
    expect(w.serving().length).toBe(4);
    expect(told(w, "node.cordoned").length).toBe(1);
    expect(counts(w)).toEqual({ live: 5, ended: 0, asks: 5 });
    expect(wrongs(w)).toEqual([]);
  });
});

describe("a forced order to end a node is carried out", () => {
  test("when the node is held", async () => {
    const w = await fleet(2, "    drain: { timeout: 1m, on_timeout: hold }\n");
    const [old = ""] = w.serving();
    const instance = instanceOf(w, old);
    w.agent(old).processes = 3;
    await order(w, old, "replace");
    await w.until(() => phaseOf(w, old) === "held", 200);
    expect(lives(w, instance)).toBe(true);
    expect((await order(w, old, "terminate", { force: true })).state).toBe("applied");
    await w.until(() => phaseOf(w, old) === "gone" && w.serving().length === 2, 120);
    expect(counts(w)).toEqual({ live: 2, ended: 1, asks: 3 });
    expect(wrongs(w)).toEqual([]);
  });

  test("when the node drains without a deadline and is busy", async () => {
    const w = await fleet(2, "    drain: { timeout: 0s }\n");
    const [old = ""] = w.serving();
    const instance = instanceOf(w, old);
    w.agent(old).processes = 3;
    await order(w, old, "drain");
    await w.live(900);
    expect(phaseOf(w, old)).toBe("draining");
    expect(lives(w, instance)).toBe(true);
    expect((await order(w, old, "terminate", { force: true })).state).toBe("applied");
    await w.until(() => phaseOf(w, old) === "gone" && w.serving().length === 2, 120);
    expect(counts(w)).toEqual({ live: 2, ended: 1, asks: 3 });
    expect(wrongs(w)).toEqual([]);
  });

  test("when the node waits for a replacement that cannot be bought", async () => {
    const w = await fleet(3, surge(1));
    w.cloud.setFaults({ stockOut: true });
    const [sick = ""] = w.serving();
    const instance = instanceOf(w, sick);
    w.xid(sick, 79);
    await w.until(() => phaseOf(w, sick) === "replacing", 60);
    expect((await order(w, sick, "terminate", { force: true })).state).toBe("applied");
    await w.until(() => phaseOf(w, sick) === "gone", 60);
    expect(lives(w, instance)).toBe(false);
    w.cloud.setFaults({});
    await w.until(() => w.serving().length === 3, 1_200);
    expect(counts(w)).toMatchObject({ live: 3, ended: 1 });
    expect(wrongs(w)).toEqual([]);
  });
});

describe("what a person cordons", () => {
  for (const health of [threshold(1), threshold(1, ", auto_replace: false")]) {
    const how = health.includes("false") ? "without" : "with";
    test(`is not ended when its machine is stopped (${how} auto_replace)`, async () => {
      const w = await fleet(4, health);
      const [mine = ""] = w.serving();
      await order(w, mine, "cordon");
      w.agent(mine).quiet = true;
      lie(w, (all) =>
        all.map((one) => (nodeOf(one) === mine ? { ...one, state: "stopped" as const } : one)),
      );
      await w.live(600);
      expect(["serving", "suspect"]).toContain(phaseOf(w, mine));
      expect(w.node(mine).cordon.human).not.toBeNull();
      expect(counts(w)).toEqual({ live: 4, ended: 0, asks: 4 });
      expect(wrongs(w)).toEqual([]);
    });
  }

  test("is not ended by a repair that was draining it, and is once it is given back", async () => {
    const w = await fleet(3, threshold(1));
    const [sick = ""] = w.serving();
    w.agent(sick).processes = 2;
    w.xid(sick, 79);
    await w.until(() => phaseOf(w, sick) === "draining", 60);
    await order(w, sick, "cordon", { reason: "evidence, do not touch" });
    w.agent(sick).processes = 0;
    await w.live(600);
    expect(phaseOf(w, sick)).toBe("draining");
    expect(waitOf(w, sick)).toBe("human");
    expect(w.node(sick).cordon.human?.why).toBe("evidence, do not touch");
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    await order(w, sick, "replace");
    await w.until(() => w.story(sick).includes("node.replaced"), 120);
    expect(counts(w)).toEqual({ live: 3, ended: 1, asks: 4 });
    expect(wrongs(w)).toEqual([]);
  });

  test("waits while its replacement serves, and the other pools go on", async () => {
    const w = await open(poolYaml(3, `${surge(1)}${anotherPool("q", 2)}`));
    await w.until(() => w.serving().length === 5, 120);
    const sick = w.serving().find((id) => id.startsWith("fleet-p-")) ?? "";
    const other = w.serving().find((id) => id.startsWith("fleet-q-")) ?? "";
    w.xid(sick, 79);
    await w.until(() => phaseOf(w, sick) === "replacing", 60);
    await order(w, sick, "cordon");
    await w.live(60);
    expect(phaseOf(w, sick)).toBe("replacing");
    expect(waitOf(w, sick)).toBe("human");
    expect(w.reconciler.failure()).toBeNull();
    w.xid(other, 79);
    await w.until(() => w.story(other).includes("node.replaced"), 300);
    await restart(w);
    await w.live(60);
    expect(waitOf(w, sick)).toBe("human");
    expect(mostPerSlot(w)).toBeLessThanOrEqual(3);
    expect(wrongs(w)).toEqual([]);
  });
});

describe("an uncordon with force", () => {
  test("wins over the answer to a drain that was already asked for", async () => {
    const w = await fleet(3, threshold(1));
    const [node = ""] = w.serving();
    const gate = Promise.withResolvers<void>();
    const drain = w.scheduler.drain.bind(w.scheduler);
    w.scheduler.drain = async (...args) => {
      await gate.promise;
      return drain(...args);
    };
    w.xid(node, 79);
    await w.until(() => w.node(node).operation?.endsWith(".drain") === true, 60);
    const said = await order(w, node, "uncordon", { force: true, reason: "false alarm" });
    expect(said.state).toBe("applied");
    expect(phaseOf(w, node)).toBe("serving");
    gate.resolve();
    await w.live(300);
    expect(phaseOf(w, node)).toBe("serving");
    expect(w.node(node).cordon).toEqual({ product: null, human: null });
    expect(counts(w)).toEqual({ live: 3, ended: 0, asks: 3 });
    expect(wrongs(w)).toEqual([]);
  });

  test("lifts the product's cordon at the scheduler too", async () => {
    const w = await fleet(3, threshold(3));
    const [node = ""] = w.serving();
    w.xid(node, 79);
    await w.until(() => w.scheduler.cordoned.has(node), 60);
    await order(w, node, "uncordon", { force: true, reason: "false alarm" });
    await w.live(120);
    expect(phaseOf(w, node)).toBe("serving");
    expect([...w.scheduler.cordoned]).toEqual([]);
    expect(wrongs(w)).toEqual([]);
  });

  test("of a node that is not bought yet does not make it serve without a machine", async () => {
    const w = await open(poolYaml(1));
    w.cloud.setFaults({ stockOut: true });
    await w.live(5);
    const node: string = w.nodes()[0]?.id ?? "";
    await order(w, node, "cordon");
    await order(w, node, "uncordon", { force: true });
    expect(phaseOf(w, node)).toBe("requested");
    w.cloud.setFaults({});
    await w.until(() => w.serving().length === 1, 1_200);
    expect(counts(w)).toMatchObject({ live: 1, ended: 0 });
    expect(w.node(w.serving()[0] ?? "").instance).not.toBeNull();
    expect(wrongs(w)).toEqual([]);
  });

  test("of a node that is being replaced leaves no slot with two in service", async () => {
    const w = await fleet(3, surge(1));
    const [sick = ""] = w.serving();
    w.xid(sick, 79);
    await w.until(() => phaseOf(w, sick) === "replacing" && counts(w).live === 4, 60);
    const said = await order(w, sick, "uncordon", { force: true });
    expect(said.state).toBe("refused");
    expect(said.message).toContain("is being replaced by");
    await w.until(() => phaseOf(w, sick) === "gone", 300);
    await w.live(60);
    const slots = w.nodes().map((node) => node.slot);
    expect(new Set(slots).size).toBe(slots.length);
    expect(w.serving().length).toBe(3);
    expect(counts(w)).toEqual({ live: 3, ended: 1, asks: 4 });
    expect(wrongs(w)).toEqual([]);
  });
});

describe("surge", () => {
  test("a replacement that never comes up costs nothing else, and is tried again", async () => {
    const w = await fleet(3, surge(1));
    w.config.server.registrationTimeoutMs = 120_000;
    const [sick = "", ...others] = w.serving();
    const instance = instanceOf(w, sick);
    const fix = breakImage(w);
    w.xid(sick, 79);
    let most = 0;
    for (let i = 0; i < 60; i++) {
      await w.live(20);
      most = Math.max(most, mostPerSlot(w));
      expect(["suspect", "replacing"]).toContain(phaseOf(w, sick));
      expect(wrongs(w)).toEqual([]);
    }
    expect(most).toBe(2);
    expect(lives(w, instance)).toBe(true);
    expect(w.serving()).toEqual(others);
    expect(told(w, "node.failed").length).toBeGreaterThan(1);
    fix();
    await w.until(() => phaseOf(w, sick) === "gone" && w.serving().length === 3, 3_600);
    expect(counts(w).live).toBe(3);
    expect(wrongs(w)).toEqual([]);
  });
});

describe("surge: a replacement that fails before the old node could be drained", () => {
  test("and the old node do not wait for each other", async () => {
    const w = await fleet(3, `${surge(1)}${WIDE_BUDGETS}`);
    const [sick = ""] = w.serving();
    w.xid(sick, 79);
    await w.until(() => phaseOf(w, sick) === "replacing", 60);
    await order(w, sick, "cordon");
    const isFirst = (id: string): boolean => w.node(id).replaces === sick;
    await w.until(() => w.serving().some(isFirst), 300);
    const first = w.serving().find(isFirst) ?? "";
    w.xid(first, 79);
    await w.until(() => phaseOf(w, first) === "suspect", 60);
    expect(phaseOf(w, sick)).toBe("replacing");
    expect(await order(w, sick, "replace")).toMatchObject({ state: "applied" });
    await w.until(() => phaseOf(w, sick) === "gone", 600);
    await w.until(() => phaseOf(w, first) === "gone" && w.serving().length === 3, 7_200);
    expect(counts(w)).toEqual({ live: 3, ended: 2, asks: 5 });
    expect(wrongs(w)).toEqual([]);
  });
});

describe("surge: a replacement that is lost while the old node drains", () => {
  test("is bought again before the old machine is ended", async () => {
    const w = await fleet(3, surge(1));
    w.scheduler.left = () => null;
    const [sick = ""] = w.serving();
    const instance = instanceOf(w, sick);
    w.agent(sick).processes = 2;
    await w.live(10);
    w.xid(sick, 79);
    await w.until(() => phaseOf(w, sick) === "draining", 300);
    const [first] = w.nodes().filter(({ replaces }) => replaces === sick);
    const id = first?.instance?.id;
    if (first === undefined || id === undefined) throw new Error("no replacement");
    w.cloud.deleteInstance(id);
    await w.until(() => phaseOf(w, first.id) === "gone", 300);
    w.agent(sick).processes = 0;
    await w.until(() => !lives(w, instance), 600);
    const [second] = w.nodes().filter(({ replaces, id }) => replaces === sick && id !== first.id);
    expect(second?.phase.kind).toBe("serving");
    await w.until(() => phaseOf(w, sick) === "gone" && w.serving().length === 3, 300);
    expect(counts(w)).toEqual({ live: 3, ended: 2, asks: 5 });
    expect(wrongs(w)).toEqual([]);
  });
});

describe("a pool that shrinks gives up the sick node first", () => {
  test("when its repair waits for a person", async () => {
    const w = await fleet(3, threshold(1, ", auto_replace: false"));
    const sick = w.serving()[2] ?? "";
    const instance = instanceOf(w, sick);
    w.xid(sick, 79);
    await w.live(30);
    await resize(w, 2);
    await w.until(() => phaseOf(w, sick) === "gone", 120);
    expect(lives(w, instance)).toBe(false);
    expect(w.serving().length).toBe(2);
    expect(counts(w)).toEqual({ live: 2, ended: 1, asks: 3 });
    expect(wrongs(w)).toEqual([]);
  });

  test("also when it is the only one", async () => {
    const w = await fleet(1, threshold(1, ", auto_replace: false"));
    const [sick = ""] = w.serving();
    w.xid(sick, 79);
    await w.live(20);
    await resize(w, 0);
    await w.until(() => phaseOf(w, sick) === "gone", 120);
    expect(counts(w)).toEqual({ live: 0, ended: 1, asks: 1 });
    expect(wrongs(w)).toEqual([]);
  });

  test("when it waits for a replacement that cannot be bought", async () => {
    const w = await fleet(3, surge(1));
    w.cloud.setFaults({ stockOut: true });
    const [sick = "", ...well] = w.serving();
    w.xid(sick, 79);
    await w.until(() => phaseOf(w, sick) === "replacing", 60);
    await resize(w, 2);
    await w.live(300);
    expect(w.serving()).toEqual(well);
    expect(wrongs(w)).toEqual([]);
  });
});

test("a node that a person had drained serves again once it is uncordoned", async () => {
  const w = await fleet(2, threshold(1));
  const [node = ""] = w.serving();
  await order(w, node, "drain");
  await w.until(() => w.story(node).includes("node.drained"), 60);
  expect(drainPurpose(w, node)).toBe("operator");
  expect((await order(w, node, "uncordon")).state).toBe("applied");
  await w.live(120);
  expect(w.node(node).order).toBeNull();
  expect(w.serving().length).toBe(2);
  expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
  expect(wrongs(w)).toEqual([]);
});
