/**
 * Helpers for stories about a fleet in trouble: open it, order, resize, lose its database, make
 * its cloud lie. Checks use the cloud's own record, not the product's beliefs. `closeWorlds`
 * closes every world opened here.
 */
import { rmSync } from "node:fs";
import * as v from "valibot";
import type { Instance, ListAnswer } from "../../reconciler/core/provider.ts";
import { emptyChange } from "../../reconciler/core/store.ts";
import { Command, type CommandType } from "../../schema/command.ts";
import type { EventDraft, EventKind } from "../../schema/event.ts";
import type { InstanceId, NodeId } from "../../schema/id.ts";
import type { WaitReason } from "../../schema/plan.ts";
import { poolYaml, World } from "./world.ts";

type Options = Parameters<typeof World.open>[1];

const opened: World[] = [];

export async function closeWorlds(): Promise<void> {
  for (const world of opened.splice(0)) await world.close();
}

/**
 * A world whose agents live as long as their instances really do: an agent does not fall silent
 * because a list forgot its machine.
 */
export async function open(yaml: string, options: Options = {}): Promise<World> {
  const world = await World.open(yaml, options);
  opened.push(world);
  world.report = async () => {
    const running = [...world.cloud.world().instances.values()]
      .map((held) => held.instance)
      .filter((instance) => instance.state === "running");
    for (const instance of running) await world.say(nodeOf(instance));
  };
  return world;
}

/** Pool `p` of `size` nodes, all in service; `extra` are more lines of its configuration. */
export async function fleet(size: number, extra = "", options: Options = {}): Promise<World> {
  const world = await open(poolYaml(size, extra), options);
  await world.until(() => world.serving().length === size, 120);
  return world;
}

export const threshold = (n: number, more = ""): string =>
  `    health: { unhealthy_threshold: ${n}${more} }\n`;

/** Budgets so wide that only what the story is about is in the way. */
export const WIDE_BUDGETS = `
safety:
  budgets:
    isolate: { pool: 100%, domain: 100%, fleet: 100% }
    drain: { pool: 100%, domain: 100%, fleet: 100% }
    replace: { pool: 100%, domain: 100%, fleet: 100% }
`;

export const surge = (n: number): string => `${threshold(n)}    replacement: surge\n`;

/** Another pool for `extra`, after everything that belongs to the first. */
export const anotherPool = (name: string, size: number): string => `
  - name: ${name}
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${size}, max_nodes: ${size + 5} }
${threshold(1)}`;

let serial = 0;

/** A person's order as a route gives it: durable first, then carried out. What became of it. */
export async function order(
  world: World,
  node: string,
  type: CommandType,
  more: Partial<Pick<Command, "force" | "reason" | "timeoutMs">> = {},
): Promise<Command> {
  const command = v.parse(Command, {
    id: `order-${++serial}`,
    node,
    type,
    reason: "a reason",
    force: false,
    timeoutMs: null,
    issuedBy: "ann",
    issuedAt: world.clock.wallMs(),
    state: "accepted",
    message: null,
    ...more,
  });
  await storeOf(world).commit({ ...emptyChange(), commands: [command] });
  const outcome = world.reconciler.takeCommand(command);
  await world.turn();
  return outcome;
}

/** The size that a person gave pool `p`, below the floor of its configuration if need be. */
export async function resize(world: World, desired: number): Promise<void> {
  const config = world.config.pools[0];
  if (config !== undefined) config.scaling.minNodes = Math.min(config.scaling.minNodes, desired);
  await world.reconciler.change((draft) => {
    const pool = [...world.reconciler.fleet().pools.values()].find((one) => one.name === "p");
    if (pool !== undefined) draft.putPool({ ...pool, desired, desiredBy: "human:ann" });
  });
}

/** Agents of new machines stay silent, as with a broken image, until the returned call. */
export function breakImage(world: World): () => void {
  const say = world.say.bind(world);
  const known = new Set(world.nodes().map((node): string => node.id));
  world.say = async (id) => {
    if (known.has(id)) await say(id);
  };
  return () => {
    world.say = say;
  };
}

/** From now on lists show what `edit` makes of the truth. Ends with the returned call. */
export function lie(world: World, edit: (instances: Instance[]) => Instance[]): () => void {
  const list = world.cloud.list.bind(world.cloud);
  world.cloud.list = async (): Promise<ListAnswer> => {
    const answer = await list();
    return answer.kind === "ok" ? { ...answer, instances: edit(answer.instances) } : answer;
  };
  return () => {
    world.cloud.list = list;
  };
}

/** Every instance that the product asked the cloud to end, from now on. */
export function watchEnds(world: World): InstanceId[] {
  const asked: InstanceId[] = [];
  const terminate = world.cloud.terminate.bind(world.cloud);
  world.cloud.terminate = async (id, fence) => {
    asked.push(id);
    return terminate(id, fence);
  };
  return asked;
}

/** From now on every order to end a machine is asked in vain. `asked` counts them. */
export function loseEnds(world: World): { asked: number; fix(): void } {
  const terminate = world.cloud.terminate.bind(world.cloud);
  const state = {
    asked: 0,
    fix: () => {
      world.cloud.terminate = terminate;
    },
  };
  world.cloud.terminate = async () => {
    state.asked++;
    return { kind: "ambiguous", message: "no answer" };
  };
  return state;
}

/** The process dies and starts again on what is durable. */
export async function restart(world: World): Promise<void> {
  await world.crash();
  await world.start();
}

/** The process dies and its database with it; a new one starts on nothing. */
export async function loseDatabase(world: World): Promise<void> {
  await world.crash();
  const url: unknown = Reflect.get(world, "url");
  if (typeof url !== "string") throw new Error("the world keeps its database elsewhere now");
  for (const end of ["", "-wal", "-shm"]) rmSync(url.slice("file:".length) + end, { force: true });
  await world.start();
}

/** A store whose writes and reads fail while `down` is set. `loads` counts how often it is read. */
export function breakStore(world: World): { down: boolean; loads: number } {
  const store = storeOf(world);
  const state = { down: true, loads: 0 };
  const { commit, load } = { commit: store.commit.bind(store), load: store.load.bind(store) };
  store.commit = async (change) => {
    if (state.down) throw new Error("SQLITE_FULL");
    return commit(change);
  };
  store.load = async () => {
    state.loads++;
    if (state.down) throw new Error("SQLITE_IOERR");
    return load();
  };
  return state;
}

export function storeOf(world: World): NonNullable<World["store"]> {
  if (world.store === null) throw new Error("the world has no store");
  return world.store;
}

/** How many instances live, have ended and were ever asked for. */
export function counts(world: World): { live: number; ended: number; asks: number } {
  const { live, terminated, asks } = world.cloud.reality();
  return { live: live.length, ended: terminated.length, asks };
}

/** Everything that must never be: two instances of one node, of one ask, a pool standing still. */
export function wrongs(world: World): string[] {
  const { overlaps, doubles } = world.cloud.reality();
  const failure = world.reconciler.failure();
  return [
    ...overlaps.map((one) => `two instances of ${one.nodeId} at once: ${one.ids.join(", ")}`),
    ...doubles.map((one) => `one ask made ${one.ids.join(", ")}`),
    ...(failure === null ? [] : [failure]),
  ];
}

/** Live instances by slot of pool `p`: the most of any slot. */
export function mostPerSlot(world: World): number {
  const slots = new Map<string, number>();
  for (const instance of world.cloud.reality().live) {
    const slot = instance.tags["navarch-slot"] ?? "?";
    slots.set(slot, (slots.get(slot) ?? 0) + 1);
  }
  return Math.max(0, ...slots.values());
}

export function liveIds(world: World): string[] {
  return world.cloud
    .reality()
    .live.map((instance): string => instance.id)
    .sort();
}

/** Whether the machine that `node` had at the beginning of the story is alive at the cloud. */
export function lives(world: World, instance: InstanceId): boolean {
  return world.cloud.reality().live.some((one) => one.id === instance);
}

export function instanceOf(world: World, node: string): InstanceId {
  const { instance } = world.node(node);
  if (instance === null) throw new Error(`${node} has no instance`);
  return instance.id;
}

export function phaseOf(world: World, node: string): string {
  return world.reconciler.fleet().nodes.get(node as NodeId)?.phase.kind ?? "purged";
}

/** Why the plan does nothing about the node now. */
export function waitOf(world: World, node: string): WaitReason | null {
  return world.reconciler.lastPlan().waits.find((wait) => wait.node === node)?.reason ?? null;
}

export function told(world: World, kind: EventKind): EventDraft[] {
  return world.events.filter((event) => event.kind === kind);
}

export function nodeOf(instance: Instance): string {
  return instance.tags["navarch-node"] ?? "?";
}
