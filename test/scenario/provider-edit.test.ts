/**
 * Providers that share an account, and configurations that lose, rename or move a provider while its
 * machines run. Judged by the cloud's own record: what was bought, and what was ended.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import type { Reach } from "../../reconciler/core/provider.ts";
import { losesReach } from "../../reconciler/core/removal.ts";
import { REACHES_ANY } from "../../reconciler/core/reach.ts";
import { conditionsOf } from "../../reconciler/http/view/pool.ts";
import { viewSafety } from "../../reconciler/http/view/safety.ts";
import { aliasOf } from "../world/alias.ts";
import { BASE, configOf } from "../world/setting.ts";
import { closeWorlds, fleet, open, order } from "../world/story.ts";
import type { World } from "../world/world.ts";
import { sayPlan } from "../../reconciler/core/plan.ts";

afterEach(closeWorlds);

setDefaultTimeout(60_000);

const HOUR_S = 3_600;

const file = (providers: string, pools: readonly [string, string, number][]) => `${BASE.replace(
  "providers: { fake: { gpu_count: 2 } }",
  `providers: { ${providers} }`,
)}
pools:
${pools
  .map(
    ([name, at, size]) => `  - name: ${name}
    provider: ${at}
    instance_type: h100-8x
    region: east
    scaling: { min_nodes: ${size}, max_nodes: ${size + 3} }
    health: { unhealthy_threshold: 1 }
`,
  )
  .join("")}`;
const FAKE = "{ type: fake, gpu_count: 2 }";

/** Machines that were ever bought, and those that run. */
function machines(w: World): { bought: number; running: number } {
  const all = [...w.cloud.world().instances.values()].map(({ instance }) => instance);
  return { bought: all.length, running: all.filter(({ state }) => state === "running").length };
}

async function restart(w: World, yaml: string): Promise<void> {
  await w.crash();
  w.config = configOf(yaml);
  await w.start();
}

function conditions(w: World): string[] {
  const [pool] = w.config.pools;
  const { reconciler, clock } = w;
  const providers = reconciler.lastSight()?.providers ?? null;
  const from = { facts: reconciler.fleet().facts, plan: reconciler.lastPlan(), providers };
  return pool === undefined ? [] : conditionsOf(pool, { ...from, now: clock.wallMs() });
}

test.each<[string, Partial<Reach>]>([
  ["whose account is not known", {}],
  ["that tell account and region", { account: "fake 1", region: "east" }],
])("two providers %s end nothing of each other", async (_what, reach) => {
  const yaml = file(`fake: ${FAKE}, other: ${FAKE}`, [
    ["p", "fake", 2],
    ["q", "other", 2],
  ]);
  const w = await open(file(`fake: ${FAKE}`, [["p", "fake", 2]]));
  w.cloud.reach = () => ({ ...REACHES_ANY, type: "fake", ...reach });
  w.aliases.set("other", aliasOf(w.cloud, "other", reach));
  await restart(w, yaml);
  await w.until(() => w.serving().length === 4, 120);
  await w.live(HOUR_S);
  expect(machines(w)).toEqual({ bought: 4, running: 4 });
  expect(w.serving().length).toBe(4);
  expect(w.events.filter(({ kind }) => kind === "instance.surplus")).toEqual([]);
});

/** `other` beside `fake`, which tells its account with its first list only. */
async function twoProviders(reach: Partial<Reach>): Promise<World> {
  const w = await open(file(`fake: ${FAKE}`, [["p", "fake", 1]]));
  let isListed = false;
  const list = w.cloud.list.bind(w.cloud);
  w.cloud.list = async () => {
    isListed = true;
    return list();
  };
  const known: Reach = { ...REACHES_ANY, type: "fake", ...reach };
  w.cloud.reach = () => ({ ...known, account: isListed ? known.account : null });
  w.aliases.set("other", aliasOf(w.cloud, "other", reach));
  await restart(
    w,
    file(`fake: ${FAKE}, other: ${FAKE}`, [
      ["p", "fake", 1],
      ["q", "other", 1],
    ]),
  );
  await w.until(() => w.serving().length === 2, 120);
  return w;
}

function sharedRows(w: World): (string | null)[] {
  const { reconciler, clock, config } = w;
  const sight = reconciler.lastSight();
  const from = { fleet: reconciler.fleet(), config, sight, plan: reconciler.lastPlan() };
  const { providers } = viewSafety({ ...from, broken: null, now: clock.wallMs() });
  return providers.map(({ shared = null }) => shared);
}

test("two providers that show one account and region are a condition, an event and a row", async () => {
  const w = await twoProviders({ account: "fake 1", region: "east" });
  const said =
    "providers fake and other buy with one account fake 1 in east: each lists the other's " +
    "machines and ends none of them, but ceilings, limits of calls and back-offs of one do not count " +
    "for the other; keep one of them, and write what differs (image, disk_gb, prices, …) in the pools";
  expect(conditions(w)).toEqual([said]);
  expect(sharedRows(w)).toEqual([said, said]);
  const told = () =>
    w.events.filter(({ kind }) => kind === "pool.condition").map(({ message }) => message);
  expect(told().toSorted()).toEqual([`provider fake: ${said}`, `provider other: ${said}`]);
  await restart(
    w,
    file(`fake: ${FAKE}, other: ${FAKE}`, [
      ["p", "fake", 1],
      ["q", "other", 1],
    ]),
  );
  await w.live(600);
  expect(told()).toHaveLength(2);
});

test.each<[string, Partial<Reach>]>([
  ["no account", {}],
  ["a constant in place of an account", { account: "fake" }],
])("two providers that tell %s are no pair", async (_what, reach) => {
  const w = await twoProviders(reach);
  await w.live(60);
  expect(conditions(w)).toEqual([]);
  expect(sharedRows(w)).toEqual([null, null]);
});

test.each<[string, string, Partial<Reach>]>([
  ["renamed", file(`other: ${FAKE}`, [["p", "other", 3]]), {}],
  [
    "removed with another in its place",
    file(`other: ${FAKE}`, [["p", "other", 3]]),
    { account: "fake 2" },
  ],
  ["moved to another region", file(`fake: ${FAKE}`, [["p", "fake", 3]]), { region: "west" }],
  ["moved to another account", file(`fake: ${FAKE}`, [["p", "fake", 3]]), { account: "fake 2" }],
  ["changed to another type", file(`fake: ${FAKE}`, [["p", "fake", 3]]), { type: "lambda" }],
])(
  "a provider that was %s in the file ends nothing at the next start",
  async (what, yaml, over) => {
    const home: Reach = { type: "fake", account: "fake 1", region: "east" };
    const w = await open(file(`fake: ${FAKE}`, [["p", "fake", 3]]));
    w.cloud.reach = () => home;
    await w.until(() => w.serving().length === 3, 120);
    const before = w.serving();
    const moved = { ...home, ...over };
    if (what.startsWith("re")) w.aliases.set("other", aliasOf(w.cloud, "other", moved));
    else w.aliases.set("fake", { ...aliasOf(w.cloud, "fake", moved), ...nothing(what) });
    await restart(w, yaml);
    await w.live(HOUR_S);
    expect(machines(w)).toEqual({ bought: 3, running: 3 });
    expect(w.serving()).toEqual(before);
    expect(conditions(w).join("; ")).toContain("3 nodes are held");
    const [row] = doctorRows(w);
    expect(row?.unavailable ?? row?.trouble ?? "").toContain(
      "3 nodes are held, billed and not ended",
    );

    // As it was: everything goes on.
    w.aliases.clear();
    await restart(w, file(`fake: ${FAKE}`, [["p", "fake", 3]]));
    await w.live(60);
    expect(conditions(w)).toEqual([]);
    expect(doctorRows(w)).toEqual([]);
    const [id = ""] = before;
    await order(w, id, "terminate");
    await w.until(() => machines(w).bought === 4 && w.serving().length === 3, 300);
    expect(machines(w)).toEqual({ bought: 4, running: 3 });
  },
);

/** A list of another account or region shows nothing. */
function nothing(what: string) {
  const list = () => Promise.resolve({ kind: "ok" as const, instances: [] });
  return what.startsWith("moved") ? { list } : {};
}

function doctorRows(w: World) {
  const { reconciler, config, clock } = w;
  const view = viewSafety({
    ...{ fleet: reconciler.fleet(), config, sight: reconciler.lastSight() },
    ...{ plan: reconciler.lastPlan(), broken: null, now: clock.wallMs() },
  });
  return view.providers.filter((one) => (one.unavailable ?? one.trouble ?? null) !== null);
}

test("a silent machine of a lost provider is not replaced, and a person cannot end it by mistake", async () => {
  const w = await fleet(2);
  const [id = ""] = w.serving();
  w.aliases.set("other", aliasOf(w.cloud, "other"));
  await restart(w, file(`other: ${FAKE}`, [["p", "other", 2]]));
  w.report = async () => {
    for (const one of w.serving().filter((name) => name !== id)) await w.say(one);
  };
  await w.live(HOUR_S);
  expect(machines(w)).toEqual({ bought: 2, running: 2 });
  await order(w, id, "terminate", { force: true });
  await w.live(600);
  expect(machines(w)).toEqual({ bought: 2, running: 2 });
  expect(w.node(id).phase.kind).toBe("terminating");
  const waits = sayPlan(w.reconciler.lastPlan()).waits.filter(({ node }) => node === id);
  expect(waits[0]?.message).toContain("provider fake is not in the configuration");
});

test("silent machines of another account are not lost, whatever its list shows", async () => {
  const w = await open(file(`fake: ${FAKE}`, [["p", "fake", 2]]));
  w.cloud.reach = () => ({ type: "fake", account: "fake 1", region: null });
  await w.until(() => w.serving().length === 2, 120);
  const away = aliasOf(w.cloud, "fake", { account: "fake 2" });
  w.aliases.set("fake", { ...away, ...nothing("moved") });
  w.report = () => Promise.resolve();
  await restart(w, file(`fake: ${FAKE}`, [["p", "fake", 2]]));
  await w.live(HOUR_S);
  expect(machines(w)).toEqual({ bought: 2, running: 2 });
  expect(w.nodes().map(({ phase }) => phase.kind)).not.toContain("terminating");
});

test("a purchase that was not answered is not repeated in another region", async () => {
  const w = await open(file(`fake: ${FAKE}`, [["p", "fake", 1]]));
  w.cloud.reach = () => ({ type: "fake", account: "fake 1", region: "east" });
  const create = w.cloud.create.bind(w.cloud);
  let asked = 0;
  let repeated = 0;
  w.cloud.create = async (...call) => {
    asked += 1;
    await create(...call);
    return { kind: "ambiguous", message: "reset" };
  };
  const list = w.cloud.list.bind(w.cloud);
  let isHidden = true;
  w.cloud.list = () => (isHidden ? Promise.resolve({ kind: "ok", instances: [] }) : list());
  await w.until(() => asked > 0, 60);
  w.aliases.set("fake", {
    ...aliasOf(w.cloud, "fake", { account: "fake 2", region: "west" }),
    create: () => {
      repeated += 1;
      return Promise.resolve({ kind: "ambiguous", message: "reset" });
    },
  });
  await restart(w, file(`fake: ${FAKE}`, [["p", "fake", 1]]));
  await w.live(HOUR_S);
  expect(machines(w).bought).toBe(1);
  expect(repeated).toBe(0);
  expect(conditions(w).join("; ")).toContain("1 node is held");
  isHidden = false;
  w.aliases.clear();
  await restart(w, file(`fake: ${FAKE}`, [["p", "fake", 1]]));
  await w.until(() => w.serving().length === 1, 300);
  expect(machines(w).bought).toBe(1);
});

test("a reload that moves a provider away from its machines is refused", async () => {
  const w = await fleet(2);
  const home: Reach = { type: "fake", account: "fake 1", region: "east" };
  w.cloud.reach = () => home;
  await w.live(60);
  const at = (reach: Reach) => new Map([["fake", { reach }]]);
  const lost = (reach: Reach) => losesReach(w.reconciler.fleet(), at(home), at(reach));
  expect(lost(home)).toEqual([]);
  expect(lost({ ...home, account: null })).toEqual([]);
  expect(lost({ ...home, account: "fake 2" })).toEqual([
    "provider fake uses account fake 2 now, and no longer fake 1, and 2 nodes are still there: " +
      "keep it until they are gone",
  ]);
  // What is out of reach already does not make every later reload impossible.
  const away = at({ ...home, account: "fake 2" });
  expect(losesReach(w.reconciler.fleet(), away, away)).toEqual([]);
});
