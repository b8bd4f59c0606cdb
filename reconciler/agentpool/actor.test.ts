/** The leader's actor over the production store in memory and a cluster in memory, virtual time. */
import { expect, test } from "bun:test";
import type { NodeId } from "../../schema/id.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { MemoryClient, MemoryDatabase } from "../../simulator/engine/sql.ts";
import { anyPool, MemoryCluster } from "../../test/world/agentpool/cluster.ts";
import type { PoolScaler } from "../core/agentpool/model.ts";
import type { AdmitAnswer, ClaimAnswer } from "../core/agentpool/service.ts";
import type { Store } from "../core/store.ts";
import type { WorkerTable } from "../core/store-table.ts";
import { openLibsqlStore } from "../store/libsql.ts";
import { AgentPoolActor, type WorkerNode } from "./actor.ts";

type Life = { actor: AgentPoolActor; pushed: string[]; retired: WorkerNode[] };

class World {
  readonly clock = new VirtualClock();
  readonly cluster = new MemoryCluster();
  readonly database = MemoryDatabase.empty();
  commits = 0;
  /** What the next commits throw. */
  fails: Error[] = [];
  leads = true;
  /** Called within each commit. */
  writing: () => void = () => undefined;
  nodes: WorkerNode[] = [];
  readonly silent = new Set<string>();
  readonly unheard = new Set<string>();

  store(): Promise<Store> {
    const { database } = this;
    const clients = { writer: new MemoryClient(database), reader: new MemoryClient(database) };
    return openLibsqlStore({ url: "memory:", now: 1, clients });
  }

  /** A process that takes the lead. */
  async live(): Promise<Life> {
    const table = this.counted((await this.store()).workerTable());
    const life: Life = { actor: null as never, pushed: [], retired: [] };
    life.actor = await AgentPoolActor.open({
      ...{ cluster: this.cluster, table, clock: this.clock, random: () => Math.random() },
      log: () => undefined,
      review: () => Promise.resolve({ kind: "unknown", problem: "" }),
      leads: () => this.leads,
      syncMs: 60_000,
      agent: (node) => ({
        ...{ isHeard: !this.unheard.has(node), isSilent: this.silent.has(node), isFatal: false },
      }),
      workerNodes: () => this.nodes,
      retire: async (nodes) => void life.retired.push(...nodes),
      push: (node) => void life.pushed.push(node),
    });
    life.actor.start();
    await this.clock.pass(1_000);
    return life;
  }

  private counted(table: WorkerTable): WorkerTable {
    return {
      ...table,
      commit: async (change) => {
        const failure = this.fails.shift();
        if (failure !== undefined) throw failure;
        this.commits += 1;
        this.writing();
        await table.commit(change);
      },
    };
  }

  /** Every pod of the pool joins. */
  async join({ actor }: Life): Promise<void> {
    for (const { name, uid, namespace } of this.cluster.live.values()) {
      if (namespace === "evil") continue;
      const answer = actor.desk.admit({ namespace, name, uid }, null);
      await this.clock.pass(100);
      expect(await answer).toMatchObject({ kind: "ok", node: name });
      actor.desk.heard(name as NodeId, { slots: 1, stop: "no", ignored: [] });
    }
    await this.clock.pass(100);
  }

  async claim({ actor }: Life, id: string): Promise<ClaimAnswer> {
    const asked = { id, pool: "default/p", label: "", ttlMs: null, by: "token:ci" };
    const answer = actor.desk.claim(asked);
    await this.clock.pass(50);
    return answer;
  }
}

async function begun(scaler: Partial<PoolScaler> = {}): Promise<[World, Life]> {
  const world = new World();
  const wanted = { min: 2, max: 4, minIdle: 0, ...scaler };
  world.cluster.apply(anyPool("p", wanted));
  const life = await world.live();
  expect(world.cluster.live.size).toBe(Math.max(wanted.min, wanted.minIdle));
  await world.join(life);
  return [world, life];
}

test("V43: a claim is durable before it is answered, and outlives the process", async () => {
  const [world, life] = await begun();
  const placed = await world.claim(life, "c-1");
  expect(placed).toMatchObject({ kind: "running", claim: { id: "c-1", slot: 0 } });
  const { claims } = await (await world.store()).workerTable().read();
  expect(claims).toEqual([(placed as { claim: unknown }).claim] as never);
  await life.actor.stop();
  const next = await world.live();
  expect(await next.actor.desk.claimOf("c-1")).toEqual(placed);
  expect(world.cluster.live.size).toBe(2);
});

test("V43: a claim that is asked for twice takes one slot", async () => {
  const [world, life] = await begun();
  const twice = [world.claim(life, "c-1"), world.claim(life, "c-1")];
  const [first, second] = await Promise.all(twice);
  expect(second).toEqual(first as never);
  expect(await world.claim(life, "c-1")).toEqual(first as never);
  expect(await world.claim(life, "c-2")).toMatchObject({ kind: "running" });
  const { claims } = life.actor.desk.pool("default/p") ?? { claims: [] };
  expect(new Set(claims.map(({ worker }) => worker)).size).toBe(2);
  // In the moment in which the first one is being written.
  const asked = { id: "c-3", pool: "default/p", label: "", ttlMs: null, by: "token:ci" };
  world.writing = () => void life.actor.desk.claim(asked).then((one) => repeats.push(one));
  const repeats: ClaimAnswer[] = [];
  const third = await world.claim(life, "c-3");
  await world.clock.pass(500);
  expect(repeats.length).toBeGreaterThan(0);
  for (const one of repeats) expect(one).toEqual(third);
  expect(third).toMatchObject({ kind: "queued", claim: { ordinal: 3 } });
  world.writing = () => undefined;
});

test("a claim that could not be stored is refused and takes no slot", async () => {
  const [world, life] = await begun();
  world.fails = [new Error("disk full")];
  expect(await world.claim(life, "c-1")).toMatchObject({
    ...{ kind: "refused", code: "unavailable" },
    message: "it could not be stored: disk full",
  });
  await world.clock.pass(2_000);
  expect(await life.actor.desk.claimOf("c-1")).toBeNull();
  expect(await world.claim(life, "c-1")).toMatchObject({ kind: "running" });
});

test("what was asked in one moment is one transaction", async () => {
  const [world, life] = await begun({ min: 4, max: 4 });
  const before = world.commits;
  const asked = Array.from({ length: 1_000 }, (_, index) => {
    const id = `c-${index}`;
    return life.actor.desk.claim({ id, pool: "default/p", label: "", ttlMs: null, by: "b" });
  });
  await world.clock.pass(50);
  const answers = await Promise.all(asked);
  expect(answers.filter(({ kind }) => kind === "running")).toHaveLength(4);
  expect(answers.at(-1)).toMatchObject({ kind: "queued", position: 996 });
  expect(world.commits - before).toBeLessThanOrEqual(2);
});

test("a process without the lead answers that it has none, and writes and sends nothing", async () => {
  const [world, life] = await begun();
  world.leads = false;
  const { writes } = world.cluster;
  const [commits, sent] = [world.commits, writes.length];
  world.cluster.edit("default/p", { generation: 2, scaler: { ...scaler(), min: 4 } });
  expect(await world.claim(life, "c-1")).toMatchObject({ code: "unavailable" });
  await world.clock.pass(10_000);
  expect([world.commits, writes.length]).toEqual([commits, sent]);
});

test("pods that wait for room are not created once the lead is lost", async () => {
  const [world] = await begun();
  const { cluster } = world;
  const sent: string[] = [];
  const gate = Promise.withResolvers<void>();
  const create = cluster.create.bind(cluster);
  cluster.create = async (pool, worker) => {
    sent.push(worker.name);
    await gate.promise;
    return create(pool, worker);
  };
  const more = cluster.live.size + 12;
  cluster.edit("default/p", { generation: 2, scaler: { ...scaler(), min: more, max: more } });
  await world.clock.pass(2_000);
  // Eight calls of a pool at once; the others wait.
  expect(sent).toHaveLength(8);
  world.leads = false;
  gate.resolve();
  await world.clock.pass(10_000);
  expect(sent).toHaveLength(8);
});

test("an old leader's late turn writes nothing, and what it sends makes no second pod", async () => {
  const [world, old] = await begun();
  const next = await world.live();
  world.cluster.edit("default/p", { generation: 2, scaler: { ...scaler(), min: 4 } });
  await world.clock.pass(10_000);
  expect(world.cluster.live.size).toBe(4);
  const rows = await (await world.store()).workerTable().read();
  expect(rows.workers.map(({ name }) => name)).toEqual([...world.cluster.live.keys()].sort());
  await Promise.all([old.actor.stop(), next.actor.stop()]);
});

test("a worker that leaves is told at once, and its node goes with it", async () => {
  const [world, life] = await begun({ min: 0, minIdle: 2, maxIdle: 2 });
  world.nodes = [...world.cluster.live.values()].map(({ name, uid }) => {
    return { id: name as NodeId, uid };
  });
  world.cluster.edit("default/p", { generation: 2, scaler: { ...scaler(), min: 1 } });
  await world.clock.pass(500);
  expect(life.pushed).toHaveLength(1);
  const [left = ""] = life.pushed;
  expect(life.actor.desk.wordOf(left as NodeId)).toMatchObject({ stop: true, claims: 0 });
  expect(world.cluster.live.has(left)).toBe(true);
  life.actor.desk.heard(left as NodeId, { slots: 1, stop: "stopped", ignored: [] });
  await world.clock.pass(1_000);
  expect(world.cluster.live.has(left)).toBe(false);
  expect(life.retired.map(({ id }) => String(id))).toEqual([left]);
});

test("V24: between its join and its first report a worker counts as before", async () => {
  const [world, life] = await begun({ min: 2, minIdle: 1, max: 5 });
  await world.claim(life, "c-1");
  await world.claim(life, "c-2");
  await world.clock.pass(1_000);
  expect(world.cluster.live.size).toBe(3);
  for (const name of world.cluster.live.keys()) {
    if (life.actor.desk.workerOf(name as NodeId) === null) world.unheard.add(name);
  }
  await world.join(life);
  await world.clock.pass(30_000);
  expect(world.cluster.live.size).toBe(3);
  expect(life.actor.desk.pool("default/p")?.status.workers).toEqual({ Running: 2, Idle: 1 });
  // It died before it could report: unknown workers are waited for, and then removed.
  await world.clock.pass(35_000);
  expect(life.actor.desk.pool("default/p")?.status.workers).toMatchObject({ Unknown: 1 });
});

test("agents that fall silent all at once are not given up; one of them alone is", async () => {
  const [world, life] = await begun({ min: 4, max: 8, killUnknownMs: 5_000 });
  const names = [...world.cluster.live.keys()];
  world.nodes = [...world.cluster.live.values()].map(({ name, uid }) => {
    return { id: name as NodeId, uid };
  });
  for (const name of names) world.silent.add(name);
  await world.clock.pass(120_000);
  expect([...world.cluster.live.keys()]).toEqual(names);
  const [first = "", ...rest] = names;
  for (const name of rest) world.silent.delete(name);
  await world.clock.pass(60_000);
  expect(world.cluster.live.has(first)).toBe(false);
  expect(world.cluster.live.size).toBe(4);
  await life.actor.stop();
});

test("a claim on a pool that nobody has made names the nearest one", async () => {
  const [world, life] = await begun();
  const asked = { id: "c", pool: "default/q", label: "", ttlMs: null, by: "b" };
  expect(await life.actor.desk.claim(asked)).toMatchObject({
    ...{ kind: "refused", code: "not_found" },
    message: "no agentpool default/q (did you mean default/p?)",
  });
  world.cluster.remove("default/p");
  await world.clock.pass(5_000);
  expect(life.actor.desk.pools()).toEqual([]);
});

const scaler = () => {
  const { scaler: found } = anyPool("p", { max: 4 });
  if (found === null) throw new Error("no scaler");
  return found;
};

test("V9: a namespace that cannot be read stands still, and the others go on", async () => {
  const [world, life] = await begun();
  const why = "namespace default: the cluster's AgentPools are not known yet: forbidden";
  expect(await world.claim(life, "c-1")).toMatchObject({ kind: "running" });
  const before = await (await world.store()).workerTable().read();
  await life.actor.stop();
  // The next process may not read the namespace of the pool, and never has.
  const pool = world.cluster.objects.get("default/p");
  world.cluster.objects.delete("default/p");
  world.cluster.poolsDarkIn = new Map([["default", why]]);
  world.cluster.podsDarkIn = new Map([["default", why]]);
  const other = anyPool("q", { min: 1, max: 1, minIdle: 0 });
  world.cluster.apply({ ...other, key: "team/q", namespace: "team" });
  const next = await world.live();
  await world.clock.pass(600_000);
  // Nothing is forgotten, ended or deleted there; the pool of the other namespace has its worker.
  expect(await next.actor.desk.claimOf("c-1")).toMatchObject({ kind: "running" });
  const live = [...world.cluster.live.values()].map(({ ownerUid }) => ownerUid);
  expect(live).toEqual([pool?.uid ?? "", pool?.uid ?? "", other.uid]);
  expect(await world.claim(next, "c-2")).toMatchObject({
    ...{ kind: "refused", code: "unavailable", message: expect.stringContaining(why) },
  });
  const pod = { namespace: "default", name: "p-zzzzz", uid: "u" };
  expect(await next.actor.desk.admit(pod, null)).toMatchObject({
    ...{ kind: "unavailable", message: expect.stringContaining(why) },
  });
  // Once it can be read, its claim ends as any other.
  if (pool !== undefined) world.cluster.apply(pool);
  world.cluster.poolsDarkIn = new Map();
  world.cluster.podsDarkIn = new Map();
  await world.clock.pass(10_000);
  const released = next.actor.desk.release("c-1");
  await world.clock.pass(1_000);
  expect(await released).toMatchObject({ kind: "ended", claim: { state: "released" } });
  const after = await (await world.store()).workerTable().read();
  expect(after.workers).toEqual(expect.arrayContaining(before.workers));
});

/** What a tenant of `evil` may create there: pods of any name, labels and owner reference. */
type Tenant = { uid: string; ownerUid: string | null };

async function attacked(isJoined = true): Promise<[World, Life, string, (by: Tenant) => string]> {
  const world = new World();
  world.cluster.apply(anyPool("p", { min: 1, max: 1, minIdle: 0 }));
  const evil = { key: "evil/p", namespace: "evil", uid: "evil-uid", adopts: true };
  const template = { metadata: { labels: { app: "p" } } };
  world.cluster.apply({ ...anyPool("p", { max: 4 }), ...evil, template });
  const life = await world.live();
  if (isJoined) await world.join(life);
  const [name = ""] = world.cluster.live.keys();
  const create = ({ uid, ownerUid }: Tenant): string => {
    const labels = { app: "p", "navarch.dev/agentpool": "p" };
    world.cluster.addPod(name, { namespace: "evil", uid, ownerUid, labels, phase: "Running" });
    return name;
  };
  return [world, life, name, create];
}

const TENANTS: readonly Tenant[] = [
  { uid: "loose", ownerUid: null },
  { uid: "forged", ownerUid: "p-uid" },
  { uid: "own", ownerUid: "evil-uid" },
];

for (const tenant of TENANTS) {
  test(`a pod of another namespace takes over no worker: ${tenant.uid}`, async () => {
    const [world, life, name, create] = await attacked();
    const before = life.actor.desk.workerOf(name as NodeId);
    expect(await world.claim(life, "c-1")).toMatchObject({ kind: "running" });
    create(tenant);
    await world.clock.pass(1_000);
    const pod = { namespace: "evil", name, uid: tenant.uid };
    const answer = life.actor.desk.admit(pod, null);
    await world.clock.pass(120_000);
    expect(await answer).not.toMatchObject({ kind: "ok" });
    expect(await life.actor.desk.claimOf("c-1")).toMatchObject({ kind: "running" });
    expect(life.actor.desk.workerOf(name as NodeId)).toEqual(before);
    expect(world.cluster.live.has(`evil/${name}`)).toBe(true);
    expect(world.cluster.writes.filter(({ verb }) => verb === "delete")).toEqual([]);
  });

  test(`a pod of another namespace joins in no worker's place: ${tenant.uid}`, async () => {
    const [world, life, name, create] = await attacked(false);
    create(tenant);
    await world.clock.pass(1_000);
    const pod = { namespace: "evil", name, uid: tenant.uid };
    const answer = life.actor.desk.admit(pod, null);
    await world.clock.pass(1_000);
    expect(await answer).not.toMatchObject({ kind: "ok" });
    const own = world.cluster.live.get(name);
    const { workers = [] } = life.actor.desk.pool("default/p") ?? {};
    expect(workers.map(({ worker }) => worker.uid)).toEqual([own?.uid ?? ""]);
    await world.join(life);
  });
}

test("what a pool that is gone has left in its namespace ends, and nothing in another", async () => {
  const [world, life, name, create] = await attacked();
  create({ uid: "forged", ownerUid: "p-uid" });
  const pool = world.cluster.objects.get("default/p");
  world.cluster.objects.delete("default/p");
  world.cluster.setPod(name, {});
  await world.clock.pass(180_000);
  expect(pool?.uid).toBe("p-uid");
  expect([...world.cluster.live.keys()]).toEqual([`evil/${name}`]);
  expect(life.actor.desk.workerOf(name as NodeId)).toBeNull();
});

test("a pool is told of a pod whose name another worker has", async () => {
  const [world, , name, create] = await attacked();
  create({ uid: "loose", ownerUid: null });
  await world.clock.pass(60_000);
  const said = world.cluster.events.filter(({ reason }) => reason === "NameTaken");
  expect(said.map(({ message }) => message)).toEqual([
    `Pod ${name} is no worker: a worker of another pool has this name; give the pod another name`,
  ]);
});

test("a join changes no UID that is stored, and takes back no leaving", async () => {
  const [world, life] = await begun({ min: 1, max: 1 });
  const [name = ""] = world.cluster.live.keys();
  const { uid = "" } = world.cluster.live.get(name) ?? {};
  const joins = life.actor.desk.admit({ namespace: "default", name, uid: "another" }, null);
  await world.clock.pass(1_000);
  expect(await joins).not.toMatchObject({ kind: "ok" });
  expect(life.actor.desk.workerOf(name as NodeId)?.uid).toBe(uid);
  const [fresh, other] = await begunUnjoined();
  const [next = ""] = fresh.cluster.live.keys();
  const pod = fresh.cluster.live.get(next);
  if (pod === undefined) throw new Error("no pod");
  // It joins in the moment in which its leaving is being written.
  const late: Promise<AdmitAnswer>[] = [];
  fresh.writing = () => {
    fresh.writing = () => undefined;
    late.push(other.actor.desk.admit({ namespace: "default", name: next, uid: pod.uid }, null));
  };
  fresh.cluster.edit("default/p", { generation: 2, scaler: { ...scaler(), min: 0, max: 0 } });
  await fresh.clock.pass(1_000);
  expect((await Promise.all(late)).map(({ kind }) => kind)).toEqual(["refused"]);
  const { workers } = await (await fresh.store()).workerTable().read();
  expect(workers.map(({ leaving }) => leaving?.cause)).toEqual(["surplus"]);
});

async function begunUnjoined(): Promise<[World, Life]> {
  const world = new World();
  world.cluster.apply(anyPool("p", { min: 1, max: 1, minIdle: 0 }));
  world.cluster.hasGrace = true;
  return [world, await world.live()];
}
