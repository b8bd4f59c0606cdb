/**
 * Ends that the cloud does not carry out as asked: a machine that it protects, one that it does not
 * know, and machines that stop before an agent was heard. Judged by what a person is told.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import type { TerminateAnswer } from "../../reconciler/core/provider.ts";
import { conditionsOf } from "../../reconciler/http/view/pool.ts";
import { viewSafety } from "../../reconciler/http/view/safety.ts";
import { closeWorlds, fleet, open, order } from "../world/story.ts";
import { poolYaml } from "../world/setting.ts";
import type { World } from "../world/world.ts";
import { sayPlan } from "../../reconciler/core/plan.ts";

afterEach(closeWorlds);

setDefaultTimeout(60_000);

function conditions(w: World): string[] {
  const { reconciler, clock } = w;
  const providers = reconciler.lastSight()?.providers ?? null;
  const from = { facts: reconciler.fleet().facts, plan: reconciler.lastPlan(), providers };
  return w.config.pools.flatMap((pool) => conditionsOf(pool, { ...from, now: clock.wallMs() }));
}

function safety(w: World) {
  const { reconciler, config } = w;
  const from = {
    fleet: reconciler.fleet(),
    config,
    sight: reconciler.lastSight(),
    plan: reconciler.lastPlan(),
  };
  return viewSafety({ ...from, broken: null, now: w.clock.wallMs() });
}
const billed = (w: World) => safety(w).still_billed.oldest;
const suspects = (w: World) => safety(w).suspects;

const running = (w: World) =>
  [...w.cloud.world().instances.values()].filter(({ instance }) => instance.state === "running")
    .length;

test("a machine that the cloud refuses to end is a condition until it is ended, told once", async () => {
  const w = await fleet(1);
  const [id = ""] = w.serving();
  const machine = w.node(id).instance?.id ?? "";
  let isProtected = true;
  const terminate = w.cloud.terminate.bind(w.cloud);
  const message = "OperationNotPermitted: DisableApiTermination is set";
  w.cloud.terminate = (instance, fence): Promise<TerminateAnswer> =>
    isProtected
      ? Promise.resolve({ kind: "refused", class: "bad_request", message, retryAfterMs: null })
      : terminate(instance, fence);
  await order(w, id, "terminate");
  await w.live(900);
  const why =
    `fake refuses to end instance ${machine} of node ${id}, which is billed and keeps its slot: ` +
    `bad_request: ${message}; lift what protects it at the cloud, or end it there`;
  expect(conditions(w)).toEqual([`provider: ${why}`]);
  expect(sayPlan(w.reconciler.lastPlan()).waits).toContainEqual(
    expect.objectContaining({ node: id, message: expect.stringContaining(message) }),
  );
  expect(billed(w)).toMatchObject([{ instance_id: machine, refused: `bad_request: ${message}` }]);
  expect(w.events.filter(({ kind }) => kind === "provider.error")).toHaveLength(1);
  isProtected = false;
  await w.until(() => w.node(id).phase.kind === "gone", 600);
  await w.live(5);
  expect(conditions(w).filter((one) => one.includes("refuses"))).toEqual([]);
  expect(billed(w)).toEqual([]);
});

test("an end of a machine that the cloud does not know is not called accepted", async () => {
  const w = await fleet(1);
  const [id = ""] = w.serving();
  const machine = w.node(id).instance?.id ?? "";
  w.cloud.terminate = () => Promise.resolve({ kind: "not_found" });
  await order(w, id, "terminate");
  await w.live(60);
  const said = w.events.filter(({ kind, node }) => kind === "node.terminating" && node === id);
  const messages = said.map(({ message }) => message);
  expect(messages).toContain(
    `fake knows no instance ${machine}: it counts as ended once the lists lack it too`,
  );
  expect(messages.some((one) => one.includes("accepted"))).toBeFalse();
  // It is listed, so it is billed, and asked for again.
  expect(w.node(id).phase.kind).toBe("terminating");
});

test("machines that stop before an agent was heard are bought as slowly as ones that never report", async () => {
  const w = await open(poolYaml(0), { store: "memory" });
  let bought = 0;
  const create = w.cloud.create.bind(w.cloud);
  w.cloud.create = (request, fence, credential) => {
    bought += 1;
    return create(request, fence, credential);
  };
  const list = w.cloud.list.bind(w.cloud);
  w.cloud.list = async () => {
    const answer = await list();
    if (answer.kind === "failed") return answer;
    const instances = answer.instances.map((one) =>
      one.state === "running" ? { ...one, state: "stopped" as const } : one,
    );
    return { kind: "ok", instances };
  };
  w.report = async () => {};
  await w.crash();
  w.config = {
    ...w.config,
    pools: w.config.pools.map((pool) => ({ ...pool, scaling: { ...pool.scaling, minNodes: 1 } })),
  };
  await w.start();
  await w.live(1_200);
  expect(bought).toBeGreaterThanOrEqual(3);
  expect(bought).toBeLessThanOrEqual(6);
  expect(suspects(w)).toMatchObject([{ pool: "p", failures: bought }]);
  expect(running(w)).toBeLessThanOrEqual(1);
});
