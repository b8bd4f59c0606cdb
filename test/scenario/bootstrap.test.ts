/**
 * Stories about machines that come bare and are set up over SSH: what the product makes of a set-up
 * that works, fails, hangs, is cut short by its own death, or is not wanted any more.
 */
import { afterEach, expect, test } from "bun:test";
import type { BootstrapOperation } from "../../reconciler/runtime/act/execute.ts";
import type { Outcome } from "../../reconciler/core/fold/outcome.ts";
import { explainNode } from "../../reconciler/http/view/explain.ts";
import { poolYaml, type World } from "../world/world.ts";
import { closeWorlds, open, order, resize, restart, watchEnds } from "../world/story.ts";

afterEach(closeWorlds);

const COMMANDS = `    setup_commands: ["true"]
    ssh_private_key_path: /nowhere/key
`;
const done: Outcome = { kind: "done", instance: null, message: null, hostKey: "AAAA" };
const failed = (message: string, final = false): Outcome => ({
  kind: "refused",
  class: "bootstrap",
  message,
  retryAfterMs: null,
  final,
});

type SetUp = (operation: BootstrapOperation, signal: AbortSignal) => Promise<Outcome>;

/** Bare machines whose agents speak once `setUp` has said that it is done. */
async function bare(size: number, setUp: SetUp, extra = ""): Promise<World> {
  const world = await open(poolYaml(size, COMMANDS + extra), { terms: { bringsAgent: false } });
  const ready = new Set<string>();
  const say = world.say.bind(world);
  world.say = async (id) => {
    if (ready.has(id)) await say(id);
  };
  world.setUp = async (operation, signal) => {
    const outcome = await setUp(operation, signal);
    if (outcome.kind === "done") ready.add(operation.node);
    return outcome;
  };
  return world;
}

const kinds = (world: World): string[] => world.events.map(({ kind }) => kind);

test("a bare machine is set up, speaks and serves; its host key is kept", async () => {
  const asked: BootstrapOperation[] = [];
  const world = await bare(1, async (operation) => {
    asked.push(operation);
    return done;
  });
  await world.until(() => world.serving().length === 1, 120);
  const [node] = world.nodes();
  expect(node?.bootstrap).toMatchObject({ attempts: 1, error: null, hostKey: "AAAA" });
  expect(asked.map(({ payload }) => [payload.attempt, payload.commands])).toEqual([[1, ["true"]]]);
  expect(asked[0]?.payload.values).toMatchObject({ Pool: "p", NodeID: node?.id ?? "" });
  const told = kinds(world);
  expect(told.indexOf("node.bootstrapped")).toBeGreaterThan(told.indexOf("node.bootstrapping"));
  expect(told.indexOf("node.registered")).toBeGreaterThan(told.indexOf("node.bootstrapped"));
});

test("an attempt that fails is followed by the next, with the key that was seen", async () => {
  const keys: string[][] = [];
  let tries = 0;
  const world = await bare(1, async ({ payload }) => {
    keys.push(payload.hostKeys);
    tries += 1;
    return tries < 3 ? { ...failed("apt: no network"), hostKey: "KEY" } : done;
  });
  await world.until(() => tries === 2, 300);
  expect(seeOf(world)).toEqual([`navarch bootstrap ${world.nodes()[0]?.id} --follow`]);
  await world.until(() => world.serving().length === 1, 300);
  expect(keys).toEqual([[], ["KEY"], ["KEY"]]);
  expect(world.nodes()[0]?.bootstrap?.attempts).toBe(3);
  expect(seeOf(world)).toEqual([]);
});

/** Where `navarch explain` of the only node points to. */
function seeOf(world: World): string[] | undefined {
  const [node] = world.nodes();
  if (node === undefined) return undefined;
  const plan = { actions: [], waits: [] };
  return explainNode(node, [], plan, { now: 0, stays: null, unproven: null }).see;
}

test("a template that never works ends its machine, and the guard slows the buying", async () => {
  const world = await bare(1, async () => failed("command 0: exit 1"));
  await world.until(() => kinds(world).includes("node.failed"), 300);
  const why = world.events.find(({ kind }) => kind === "node.failed")?.message;
  expect(why).toBe("its set-up failed 3 times: command 0: exit 1");
  await world.advance(() => false, 6 * 3_600_000);
  // Six hours of three attempts a minute would have bought hundreds.
  const bought = kinds(world).filter((kind) => kind === "node.booting").length;
  expect(bought).toBeGreaterThan(1);
  expect(bought).toBeLessThan(40);
});

test("another machine behind the address is not tried again", async () => {
  let tries = 0;
  const world = await bare(1, async () => {
    tries += 1;
    return tries === 1 ? failed("the host key changed", true) : done;
  });
  await world.until(() => world.serving().length === 1, 300);
  expect(tries).toBe(2);
  const nodes = [...world.reconciler.fleet().nodes.values()];
  expect(nodes.map(({ phase }) => phase.kind).toSorted()).toEqual(["gone", "serving"]);
});

test("a process that dies in the middle goes on with the same attempt", async () => {
  const attempts: number[] = [];
  const world = await bare(1, ({ payload }, signal) => {
    attempts.push(payload.attempt);
    if (attempts.length > 1) return Promise.resolve(done);
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    signal.addEventListener("abort", () => resolve({ kind: "ambiguous", message: "cut" }));
    return promise;
  });
  await world.until(() => attempts.length === 1, 60);
  const [node] = world.nodes();
  await restart(world);
  await world.until(() => world.serving().length === 1, 120);
  expect(attempts).toEqual([1, 1]);
  expect(world.serving()).toEqual([node?.id ?? ""]);
});

/** A set-up that takes for ever, and whether it was told to stop. */
function endless(): { setUp: SetUp; stopped: () => string[] } {
  const stopped: string[] = [];
  const setUp: SetUp = ({ node }, signal) => {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    signal.addEventListener("abort", () => {
      stopped.push(`${node}: ${String(signal.reason)}`);
      resolve({ kind: "ambiguous", message: "cancelled" });
    });
    return promise;
  };
  return { setUp, stopped: () => stopped };
}

test("an order to end it does not wait for the set-up, and stops it", async () => {
  const { setUp, stopped } = endless();
  const world = await bare(1, setUp);
  const ends = watchEnds(world);
  await world.until(() => world.nodes()[0]?.operation?.endsWith("bootstrap") === true, 60);
  const [node] = world.nodes();
  await order(world, node?.id ?? "", "terminate");
  await world.until(() => ends.length === 1, 30);
  expect(ends).toEqual([node?.instance?.id ?? "?"] as typeof ends);
  expect(stopped()).toEqual([`${node?.id}: cancelled`]);
  const rows = await world.store?.operations(node?.id ?? ("" as never), 10);
  const row = rows?.find(({ payload }) => payload.kind === "bootstrap");
  expect(row?.state).toBe("abandoned");
});

test("a pool that became smaller calls off the set-ups it does not want", async () => {
  const { setUp, stopped } = endless();
  const world = await bare(3, setUp);
  await world.until(() => kinds(world).filter((k) => k === "node.bootstrapping").length === 3, 60);
  await resize(world, 1);
  await world.until(() => world.nodes().length === 1, 60);
  expect(stopped().length).toBe(2);
});

test("an agent that speaks before its set-up is done does not serve yet", async () => {
  const { setUp } = endless();
  const world = await open(poolYaml(1, COMMANDS), { terms: { bringsAgent: false } });
  world.setUp = setUp;
  await world.live(300);
  const [node] = world.nodes();
  expect([node?.phase.kind, node?.agent === null]).toEqual(["bootstrapping", false]);
});

test("a set-up that is done and an agent that never speaks end the machine", async () => {
  const world = await open(poolYaml(1, COMMANDS), { terms: { bringsAgent: false } });
  world.setUp = async () => done;
  world.say = async () => undefined;
  await world.until(() => kinds(world).includes("node.failed"), 2_000);
  const why = world.events.find(({ kind }) => kind === "node.failed")?.message;
  expect(why).toContain("no agent registered within");
});
