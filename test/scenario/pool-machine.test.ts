/**
 * Pools that set image and prices over those of one provider: what is bought, what it is counted
 * with, and that an edit ends nothing. Judged by the cloud's own record.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import type { CreateRequest } from "../../reconciler/core/provider.ts";
import type { CostView } from "../../schema/cost-view.ts";
import type { MachineSettings } from "../../schema/purchase.ts";
import { openWorldApp } from "../world/app.ts";
import { BASE, configOf } from "../world/setting.ts";
import { closeWorlds, open } from "../world/story.ts";
import type { World } from "../world/world.ts";

afterEach(closeWorlds);

setDefaultTimeout(60_000);

const PRICED = { store: "memory", terms: { pricePerHour: 50 } } as const;

type Wanted = { name: string; size: number; more?: string };
const file = (...pools: Wanted[]) => `${BASE}
pools:
${pools
  .map(
    ({ name, size, more = "" }) => `  - name: ${name}
    provider: fake
    instance_type: h100-8x
    region: east
    scaling: { min_nodes: ${size}, max_nodes: ${size + 3} }
${more === "" ? "" : `    ${more}\n`}`,
  )
  .join("")}`;

/** What a file cannot say of the simulated cloud: an image. */
function withImages(w: World, images: Record<string, string>): void {
  for (const pool of w.config.pools) {
    const image = images[pool.name];
    for (const ref of pool.providers) {
      const settings: MachineSettings = {
        ...ref.settings,
        ...(image === undefined ? {} : { image }),
      };
      if (Object.keys(settings).length > 0) ref.settings = settings;
    }
  }
}

/** Every purchase that the cloud was asked for; refused while `refuses` says so. */
function recorded(
  w: World,
  refuses: (request: CreateRequest) => boolean = () => false,
): CreateRequest[] {
  const asked: CreateRequest[] = [];
  const create = w.cloud.create.bind(w.cloud);
  w.cloud.create = (request, fence, credential) => {
    asked.push(request);
    if (!refuses(request)) return create(request, fence, credential);
    const message = `no such image: ${String(request.settings?.["image"])}`;
    return Promise.resolve({ kind: "refused", class: "bad_request", message, retryAfterMs: null });
  };
  return asked;
}

async function edited(w: World, yaml: string, images: Record<string, string>): Promise<void> {
  await w.crash();
  w.config = configOf(yaml);
  withImages(w, images);
  await w.start();
}

const pricesOf = (w: World) =>
  [...w.reconciler.fleet().nodes.values()]
    .flatMap(({ pool, phase, instance }) => {
      return phase.kind === "gone" || pool === null ? [] : [`${pool} ${instance?.pricePerHour}`];
    })
    .toSorted();
const running = (w: World) =>
  [...w.cloud.world().instances.values()].filter(({ instance }) => instance.state === "running")
    .length;
const cost = async (w: World) =>
  (await openWorldApp(w).call("GET", "/v1/cost")).body as unknown as CostView;

test("two pools of one provider buy two images, and an edit changes later purchases only", async () => {
  const yaml = file({ name: "a", size: 2 }, { name: "b", size: 1 }, { name: "c", size: 1 });
  const w = await open(yaml, { store: "memory" });
  const asked = recorded(w);
  await edited(w, yaml, { a: "ami-1", b: "ami-2" });
  await w.until(() => w.serving().length === 4, 240);
  const bought = () =>
    asked.map(({ tags, settings }) => [tags["navarch-pool"], settings?.["image"]]);
  expect(bought().toSorted()).toEqual([
    ["a", "ami-1"],
    ["a", "ami-1"],
    ["b", "ami-2"],
    ["c", undefined],
  ]);
  await edited(w, yaml, { a: "ami-3", c: "ami-4" });
  await w.live(600);
  expect(bought()).toHaveLength(4);
  expect([running(w), w.serving().length]).toEqual([4, 4]);
  const larger = file({ name: "a", size: 3 }, { name: "b", size: 1 }, { name: "c", size: 1 });
  await edited(w, larger, { a: "ami-3", c: "ami-4" });
  await w.until(() => w.serving().length === 5, 240);
  expect(bought().slice(4)).toEqual([["a", "ami-3"]]);
  expect(running(w)).toBe(5);
});

test("an open purchase keeps its image, whatever the file says meanwhile", async () => {
  const yaml = file({ name: "a", size: 1 });
  const w = await open(file({ name: "a", size: 0 }), { store: "memory" });
  let isLost = true;
  const asked = recorded(w);
  const create = w.cloud.create.bind(w.cloud);
  w.cloud.create = async (request, fence, credential) => {
    const answer = await create(request, fence, credential);
    return isLost ? { kind: "ambiguous", message: "no answer" } : answer;
  };
  w.cloud.list = () => Promise.resolve({ kind: "ok", instances: [] });
  await edited(w, yaml, { a: "ami-1" });
  await w.until(() => asked.length > 0, 60);
  await edited(w, yaml, { a: "ami-2" });
  isLost = false;
  await w.until(() => asked.length > 1, 240);
  expect(new Set(asked.map(({ token }) => token)).size).toBe(1);
  expect(new Set(asked.map(({ settings }) => settings?.["image"]))).toEqual(new Set(["ami-1"]));
});

test("an image that the cloud refuses keeps no other pool away, and its correction is tried at once", async () => {
  const yaml = file({ name: "a", size: 1 }, { name: "b", size: 1 });
  const w = await open(yaml.replaceAll("min_nodes: 1", "min_nodes: 0"), { store: "memory" });
  recorded(w, ({ settings }) => settings?.["image"] === "bad");
  await edited(w, yaml, { a: "bad", b: "good" });
  await w.until(() => w.serving().length === 1, 120);
  const [one] = w.reconciler
    .fleet()
    .facts.values()
    .filter(({ kind }) => kind === "rest");
  expect(one).toMatchObject({
    class: "bad_request",
    scope: expect.stringMatching(/^fake\/east\/\/h100-8x#/),
  });
  await edited(w, yaml, { a: "good", b: "good" });
  await w.until(() => w.serving().length === 2, 120);
});

test("each pool's price counts in nodes and cost, over its provider's, and after an edit from then on", async () => {
  const yaml = (price: number) =>
    file(
      { name: "a", size: 2, more: `prices: [h100-8x=${price}]` },
      { name: "b", size: 1, more: "prices: [h100-8x=20]" },
      { name: "c", size: 1 },
    );
  const w = await open(yaml(30), PRICED);
  await w.until(() => w.serving().length === 4, 240);
  expect(pricesOf(w)).toEqual(["a 30", "a 30", "b 20", "c 50"]);
  expect((await cost(w)).total).toMatchObject({ instances: 4, per_hour: 130, unknown_prices: 0 });
  await w.live(60);
  expect(pricesOf(w)).toEqual(["a 30", "a 30", "b 20", "c 50"]);
  await edited(w, yaml(40), {});
  await w.until(() => w.serving().length === 4, 240);
  await w.live(60);
  expect(pricesOf(w)).toEqual(["a 40", "a 40", "b 20", "c 50"]);
  expect(running(w)).toBe(4);
});

test("a ceiling counts the pool's price", async () => {
  const spend = "spend: { max_per_hour: 90 }";
  const w = await open(
    file({ name: "a", size: 4, more: `prices: [h100-8x=30]\n    ${spend}` }),
    PRICED,
  );
  await w.live(600);
  expect(running(w)).toBe(3);
});

test("max_price and strategy: cost compare the pool's prices", async () => {
  const yaml = `${BASE}
pools:
  - name: p
    strategy: cost
    max_price: 45
    instance_type: h100-8x
    region: east
    prices: [dear=40, cheap=10, above=46]
    providers: [{ name: fake, instance_types: [above, dear, cheap, h100-8x] }]
    scaling: { min_nodes: 2, max_nodes: 2 }
`;
  const w = await open(yaml, PRICED);
  await w.until(() => w.serving().length === 2, 240);
  const bought = [...w.cloud.world().instances.values()].map(
    ({ instance }) => instance.instanceType,
  );
  expect(bought).toEqual(["cheap", "cheap"]);
});

test("a smaller pool with strategy: cost gives up its dearest idle machine", async () => {
  const yaml = (size: number) => `${BASE}
pools:
  - name: p
    strategy: cost
    instance_type: h100-8x
    region: east
    prices: [dear=40, cheap=10]
    providers: [{ name: fake, instance_types: [dear, cheap] }]
    scaling: { min_nodes: ${size}, max_nodes: ${Math.max(1, size)} }
`;
  const w = await open(yaml(0), PRICED);
  let isCheapOut = false;
  const create = w.cloud.create.bind(w.cloud);
  w.cloud.create = (request, fence, credential) => {
    if (!isCheapOut || request.instanceType !== "cheap") return create(request, fence, credential);
    return Promise.resolve({
      kind: "refused",
      class: "capacity",
      message: "none",
      retryAfterMs: null,
    });
  };
  await edited(w, yaml(1), {});
  await w.until(() => w.serving().length === 1, 120);
  isCheapOut = true;
  await edited(w, yaml(2), {});
  await w.until(() => w.serving().length === 2, 240);
  await edited(w, yaml(1), {});
  await w.until(() => running(w) === 1, 240);
  const left = [...w.cloud.world().instances.values()].filter(
    ({ instance }) => instance.state === "running",
  );
  expect(left.map(({ instance }) => instance.instanceType)).toEqual(["cheap"]);
});
