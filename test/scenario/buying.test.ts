/** Where machines are bought when clouds refuse, give up a purchase, or announce its end. */
import { afterEach, expect, test } from "bun:test";
import type {
  CreateAnswer,
  Instance,
  OffersAnswer,
  Provider,
  RefusalClass,
} from "../../reconciler/core/provider.ts";
import { conditionsOf } from "../../reconciler/http/view/pool.ts";
import { BASE } from "../world/setting.ts";
import {
  closeWorlds,
  counts,
  fleet,
  lie,
  nodeOf,
  open,
  phaseOf,
  told,
  wrongs,
} from "../world/story.ts";
import { World } from "../world/world.ts";

afterEach(closeWorlds);

const MINUTE_MS = 60_000;

type Ask = { at: number; place: string };

/** Refuses while `refuses` says so; every purchase that was asked for is in `asks`. */
function guard(w: World, cloud: Provider, refuses: (place: string) => RefusalClass | null): Ask[] {
  const asks: Ask[] = [];
  const create = cloud.create.bind(cloud);
  cloud.create = (request, fence, credential): Promise<CreateAnswer> => {
    const place = `${cloud.name}/${request.region ?? ""}`;
    asks.push({ at: w.clock.wallMs(), place });
    const cls = refuses(place);
    if (cls === null) return create(request, fence, credential);
    return Promise.resolve({ kind: "refused", class: cls, message: "no", retryAfterMs: null });
  };
  return asks;
}

/** The conditions of the pool about places that rest. */
function says(w: World): string[] {
  const { facts } = w.reconciler.fleet();
  const providers = w.reconciler.lastSight()?.providers ?? null;
  const from = { facts, plan: { actions: [], waits: [] }, now: w.clock.wallMs(), providers };
  return w.config.pools.flatMap((one) => conditionsOf(one, from));
}

const pool = (size: number, refs: string, more = "") => `${BASE}
pools:
  - name: p
    providers: [${refs}]
    instance_type: h100-8x
    scaling: { min_nodes: ${size}, max_nodes: ${size + 5} }
${more}`;

test("three providers that have each failed once are bought from again, without a restart", async () => {
  const refs = "{ name: fake }, { name: b }, { name: c }";
  const yaml = pool(3, refs).replace(
    "providers: {",
    "providers: { b: { type: fake }, c: { type: fake },",
  );
  const w = await World.open(yaml, { others: ["b", "c"] });
  const classes: Record<string, RefusalClass> = { fake: "capacity", b: "auth", c: "quota" };
  let isOver = false;
  const asks = [w.cloud, ...w.others.values()].flatMap((cloud) => {
    const own = guard(w, cloud, () => (isOver ? null : (classes[cloud.name] ?? null)));
    return [own];
  });
  await w.until(() => asks.every((own) => own.length > 0), 60);
  isOver = true;
  expect(w.serving()).toEqual([]);
  await w.until(() => w.serving().length === 3, 120);
  // One purchase showed that the first place sells again, and the others followed it there.
  expect(w.nodes().map(({ instance }) => instance?.provider as string)).toContain("fake");
  expect(wrongs(w)).toEqual([]);
  await w.close();
});

test("after a rest one purchase is tried for all pools, and a refusal doubles the rest", async () => {
  const yaml = `${pool(3, "{ name: fake }")}  - name: q
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 3, max_nodes: 5 }
`;
  const w = await open(yaml);
  let isOver = false;
  const asks = guard(w, w.cloud, () => (isOver ? null : "capacity"));
  await w.live(10 * 60);
  const [first] = asks;
  const since = asks.map(({ at }) => Math.round((at - (first?.at ?? 0)) / 1_000));
  // The first burst counts once: all six were asked for before the first answer.
  const probes = since.filter((second) => second > 5);
  const gaps = probes.map((second, i) => second - (probes[i - 1] ?? 0));
  expect(since.length - probes.length).toBe(6);
  expect(gaps.length).toBe(4);
  for (const [i, gap] of gaps.entries()) expect(gap).toBeWithin(30 * 2 ** i - 2, 30 * 2 ** i + 12);
  isOver = true;
  await w.until(() => w.serving().length === 6, 1_200);
  expect(wrongs(w)).toEqual([]);
});

test("while a place rests its cloud is asked every 15 s, and what it shows then is bought at once", async () => {
  const w = await open(pool(1, "{ name: fake }"));
  Object.assign(w.cloud, { type: "command" });
  const read: number[] = [];
  let available = false;
  w.cloud.offers = (places): Promise<OffersAnswer> => {
    read.push(w.clock.wallMs());
    return Promise.resolve({
      kind: "ok",
      offers: places.map((one) => ({ ...one, pricePerHour: 1, available })),
    });
  };
  const asks = guard(w, w.cloud, () => (available ? null : "capacity"));
  await w.until(() => asks.length === 5, 600);
  const begin = w.clock.wallMs();
  await w.live(2 * 60);
  const gaps = read.slice(1).map((at, i) => at - (read[i] ?? 0));
  expect(read.filter((at) => at > begin).length).toBeWithin(7, 9);
  expect(Math.max(...gaps)).toBeLessThan(18_000);
  const rested = says(w);
  expect(rested.join()).toMatch(
    /nothing is bought at fake\/h100-8x until \S+:\d\dZ \(capacity: no\)/,
  );
  available = true;
  const shown = read.length;
  await w.until(() => read.length > shown, 20);
  await w.live(1);
  expect(asks.length).toBe(6);
  expect(says(w)).toEqual([]);
  await w.until(() => w.serving().length === 1, 60);
});

test("a refusal after an accepted purchase rests its place for the first time again", async () => {
  const w = await open(pool(2, "{ name: fake }"), { terms: { bootMs: 20 * MINUTE_MS } });
  let sells = 0;
  const asks = guard(w, w.cloud, () => (asks.length > 4 && sells-- > 0 ? null : "capacity"));
  await w.until(() => asks.length === 4, 600);
  sells = 1;
  await w.until(() => asks.length >= 6, 600);
  const refused = w.clock.wallMs();
  await w.live(5);
  expect(w.reconciler.fleet().facts.get("rest:fake///h100-8x")).toMatchObject({ failures: 1 });
  const before = asks.length;
  await w.until(() => asks.length > before, 60);
  expect((asks.at(-1)?.at ?? 0) - refused).toBeWithin(25_000, 40_000);
  expect(wrongs(w)).toEqual([]);
});

test("a crash while a place rests forgets nothing", async () => {
  const w = await open(pool(1, "{ name: fake, regions: [r, s] }"));
  let isOver = false;
  const asks = guard(w, w.cloud, () => (isOver ? null : "capacity"));
  await w.until(() => asks.length >= 2, 30);
  await w.crash();
  await w.start();
  const before = asks.length;
  await w.live(20);
  expect(asks.length).toBe(before);
  isOver = true;
  await w.until(() => w.serving().length === 1, 120);
});

test("a purchase that the cloud accepts and gives up is made elsewhere at once", async () => {
  const w = await open(pool(1, "{ name: fake, regions: [r, s] }"), { terms: { bootMs: 20_000 } });
  const ended = "no H100 in r";
  lie(w, (instances) =>
    instances.map((one): Instance => {
      if (one.region !== "r") return one;
      return { ...one, state: "terminated", failure: { class: "capacity", message: ended } };
    }),
  );
  const asks = guard(w, w.cloud, () => null);
  await w.until(() => w.serving().length === 1, 120);
  expect(asks.map(({ place }) => place)).toEqual(["fake/r", "fake/s"]);
  const [one, two] = asks;
  expect((two?.at ?? 0) - (one?.at ?? 0)).toBeLessThan(30_000);
  expect(w.nodes().map(({ instance }) => instance?.region)).toEqual(["s"]);
  expect(
    told(w, "provider.error")
      .map(({ message }) => message)
      .join(),
  ).toContain(ended);
  const rest = w.reconciler.fleet().facts.get("rest:fake/r//h100-8x");
  expect(rest).toMatchObject({ class: "capacity", failures: 1, isOpen: false });
});

test("a node whose end is announced is drained by then, and another is bought at once", async () => {
  const w = await fleet(2, "    market: spot\n");
  const [lost = ""] = w.serving();
  w.agent(lost).processes = 1;
  const atMs = w.clock.wallMs() + 2 * MINUTE_MS;
  lie(w, (instances) =>
    instances.map((one): Instance => {
      const notice = { kind: "preemption", atMs, message: "spot capacity is reclaimed" } as const;
      return nodeOf(one) === lost ? { ...one, notice } : one;
    }),
  );
  await w.until(() => phaseOf(w, lost) === "draining", 20);
  await w.until(() => w.serving().length === 2, 60);
  // The new node serves while the old one still drains.
  expect([phaseOf(w, lost), w.clock.wallMs() < atMs]).toEqual(["draining", true]);
  await w.until(() => phaseOf(w, lost) === "gone", 180);
  expect(w.clock.wallMs()).toBeLessThan(atMs + 30_000);
  expect(told(w, "instance.notice")).toHaveLength(1);
  expect(
    told(w, "node.draining")
      .map(({ message }) => message)
      .join(),
  ).toContain("is cut off");
  await w.live(120);
  expect([w.serving().length, counts(w).asks]).toEqual([2, 3]);
  expect(wrongs(w)).toEqual([]);
});

test("a maintenance that is announced is told, and nothing is done", async () => {
  const w = await fleet(2);
  const [one = ""] = w.serving();
  lie(w, (instances) =>
    instances.map((seen): Instance => {
      const notice = { kind: "maintenance", atMs: null, message: "host update" } as const;
      return nodeOf(seen) === one ? { ...seen, notice } : seen;
    }),
  );
  await w.live(60);
  expect(told(w, "instance.notice").map(({ message }) => message)).toEqual([
    "fake announces maintenance: host update",
  ]);
  expect([w.serving().length, counts(w).asks]).toEqual([2, 2]);
});
