/** Workers and claims whose AgentPool is gone, and claims whose worker is. */
import { expect, test } from "bun:test";
import { freshMemory } from "../../reconciler/core/agentpool/memory.ts";
import type { WorkerPod } from "../../reconciler/core/agentpool/model.ts";
import { stepOrphans } from "../../reconciler/core/agentpool/orphan.ts";
import { CREATES_AT_ONCE } from "../../reconciler/core/agentpool/scale.ts";
import { step } from "../../reconciler/core/agentpool/step.ts";
import type { Step } from "../../reconciler/core/agentpool/step-model.ts";
import type { SlotClaim, Worker } from "../../schema/agentpool.ts";
import { anyPool } from "../world/agentpool/cluster.ts";
import { PoolWorld } from "../world/agentpool/world.ts";

const POOL = { pool: "default/t", poolUid: "gone" };
const worker = (name: string, uid: string | null): Worker => ({
  ...{ name, ...POOL, generation: 1, at: 1, uid, found: false, joinedAt: null, node: null },
  ...{ slots: null, lostSince: null, leaving: null },
});
const pod = (name: string, ownerUid: string | null): WorkerPod => ({
  ...{ name, namespace: "default", uid: `${name}-uid`, ownerUid, labels: {}, generation: 1 },
  ...{ phase: "Running", isDeleting: false, createdAt: 1, nodeName: null, trouble: null },
});
const claim = (id: string, on: string | null, state: SlotClaim["state"]): SlotClaim => ({
  ...{ id, ...POOL, label: "", by: "me", ordinal: 1, at: 1, expiresAt: null, state },
  ...{ worker: on, slot: on === null ? null : 0, placedAt: null, endedAt: null },
});

type Left = { workers: Worker[]; claims?: SlotClaim[]; pods: WorkerPod[] | null };

/** What a step does once the pool has been gone for more than a minute. */
function stepLater({ workers, claims = [], pods }: Left): Step {
  const given = {
    ...{ workers, claims, pods: pods && new Map(pods.map((one) => [one.name, one])) },
    ...{ agent: () => null, answers: [], now: 1, dark: pods === null ? "away" : null },
  };
  const first = stepOrphans({ ...given, memory: freshMemory(), mono: 0 });
  expect([first.removed, first.effects, first.claims]).toEqual([[], [], []]);
  const { memory } = stepOrphans({ ...given, memory: first.memory, mono: 59_000 });
  return stepOrphans({ ...given, memory, mono: 61_000 });
}

test("V22: a pod that the garbage collector leaves is deleted, and its row stays until then", () => {
  const step = stepLater({ workers: [worker("a", "a-uid")], pods: [pod("a", "gone")] });
  expect(step.removed).toEqual([]);
  expect(step.effects.map(({ kind }) => kind)).toEqual(["delete"]);
  expect(step.workers[0]?.leaving).toMatchObject({ cause: "deleted", deletingAt: 1 });
});

test("V22: a worker that was never made goes at once, but only by a current list", () => {
  expect(stepLater({ workers: [worker("a", null)], pods: [] }).removed).toEqual(["a"]);
  const dark = stepLater({ workers: [worker("a", null)], pods: null });
  expect([dark.removed, dark.workers[0]?.leaving?.cause]).toEqual([[], "deleted"]);
});

test("V22: a pod that was adopted stays, without a row", () => {
  const step = stepLater({ workers: [worker("a", "a-uid")], pods: [pod("a", null)] });
  expect([step.removed, step.effects]).toEqual([["a"], []]);
});

test("V22, V34: queued claims are cancelled, those without a worker are lost", () => {
  const claims = [claim("q", null, "queued"), claim("r", "nowhere", "running")];
  const step = stepLater({ workers: [], claims, pods: [] });
  expect(step.claims.map(({ id, state }) => [id, state])).toEqual([
    ["q", "cancelled"],
    ["r", "lost"],
  ]);
});

test("V34: a claim whose worker has no row is lost", () => {
  const world = new PoolWorld(anyPool("t", { min: 1 }));
  world.settle();
  world.join();
  const id = world.claim();
  expect(world.state(id)).toBe("running");
  const [name = ""] = world.names();
  world.workers.delete(name);
  world.cluster.end(name);
  world.wait(2_000);
  expect(world.state(id)).toBe("lost");
});

test("V35: a deletion that is refused is tried again, ever less often", () => {
  const world = new PoolWorld(anyPool("t", { min: 1 }));
  world.settle();
  world.join();
  const [name = ""] = world.names();
  let tries = 0;
  world.cluster.deleteNow = () => {
    tries += 1;
    return { kind: "refused", message: "no" };
  };
  world.cluster.setPod(name, { phase: "Failed" });
  world.settle();
  world.wait(600_000);
  expect(tries).toBeGreaterThan(5);
  expect(tries).toBeLessThan(16);
});

test("V24: a creation without any answer holds its place in the bound for a minute only", () => {
  const names = Array.from({ length: CREATES_AT_ONCE }, (_, i) => `t-${i}`);
  const workers = names.map((name) => ({ ...worker(name, null), poolUid: "t-uid" }));
  const sent = new Map(
    names.map((name) => [`create:${name}`, { at: 0, tries: 1, isAnswered: false }]),
  );
  const created = (mono: number): number => {
    const result = step({
      ...{ workers, claims: [], pods: new Map(), agent: () => null, answers: [], dark: null },
      ...{ now: 1, mono, random: () => 0.5, isTaken: () => false, check: { kind: "ok", uid: "" } },
      pool: anyPool("t", { min: CREATES_AT_ONCE + 2, max: 50 }),
      memory: { ...freshMemory(), stepAt: mono - 1_000, isOpen: true, sent },
    });
    return result.effects.filter(({ kind }) => kind === "create").length;
  };
  expect(created(59_000)).toBe(0);
  expect(created(61_000)).toBe(CREATES_AT_ONCE);
});

test("V46: a pool is not shown as draining before it is deleted", () => {
  const world = new PoolWorld(anyPool("t", { min: 1 }));
  world.settle();
  expect(world.cluster.condition("default/t", "Draining")?.status).toBe("False");
  world.cluster.remove("default/t");
  world.settle();
  const draining = world.cluster.condition("default/t", "Draining");
  expect([draining?.status, draining?.reason]).toEqual(["True", "Deleting"]);
});
