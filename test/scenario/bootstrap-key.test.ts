/**
 * Stories about what only the operator can fix: the private key that every set-up logs in with is
 * gone, unreadable or encrypted. No machine pays for it: nothing is bought, no attempt is spent,
 * nothing that is well is ended, and everything goes on by itself once the key is there again.
 */
import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { BootstrapOperation } from "../../reconciler/runtime/act/execute.ts";
import type { Outcome } from "../../reconciler/core/fold/outcome.ts";
import { poolYaml, type World } from "../world/world.ts";
import {
  counts,
  closeWorlds,
  open,
  order,
  resize,
  restart,
  told,
  watchEnds,
  wrongs,
} from "../world/story.ts";
import { sayPlan } from "../../reconciler/core/plan.ts";

afterEach(closeWorlds);

const KEY = "/nowhere/key";
const COMMANDS = `    setup_commands: ["true"]
    ssh_private_key_path: ${KEY}
`;
const GONE = `ssh_private_key_path ${KEY} cannot be read: ENOENT`;
const done: Outcome = { kind: "done", instance: null, message: null, hostKey: "AAAA" };
const refused = (message: string, more: object = {}): Outcome => ({
  kind: "refused",
  class: "bootstrap",
  message,
  retryAfterMs: null,
  ...more,
});

type Story = { world: World; key: { problem: string | null | undefined }; asked: number[] };

/**
 * Bare machines, and a key that is as `key` says. `sees` false: only the set-up itself finds out,
 * as when the key goes between the look and the login.
 */
async function bare(
  size: number,
  from: {
    problem?: string | null;
    sees?: boolean;
    setUp?: (operation: BootstrapOperation, signal: AbortSignal) => Promise<Outcome>;
    extra?: string;
  } = {},
): Promise<Story> {
  const { problem = null, sees = true, setUp, extra = "" } = from;
  const key: Story["key"] = { problem };
  const asked: number[] = [];
  const ready = new Set<string>();
  const world = await open(poolYaml(size, COMMANDS + extra), { terms: { bringsAgent: false } });
  const say = world.say.bind(world);
  world.say = async (id) => {
    if (ready.has(id)) await say(id);
  };
  world.keyProblem = () => (sees ? key.problem : null);
  world.setUp = async (operation, signal) => {
    asked.push(operation.payload.attempt);
    if (typeof key.problem === "string") return refused(key.problem, { unspent: true });
    const outcome = (await setUp?.(operation, signal)) ?? done;
    if (outcome.kind === "done") ready.add(operation.node);
    return outcome;
  };
  return { world, key, asked };
}

const conditions = (world: World): string[] =>
  sayPlan(world.reconciler.lastPlan())
    .waits.filter((wait) => wait.node === null)
    .map((wait) => wait.message);

describe("a private key that cannot be read", () => {
  test("buys nothing, says so once, and everything goes on when it can be", async () => {
    const { world, key, asked } = await bare(3, { problem: GONE });
    await world.advance(() => false, 6 * 3_600_000);
    expect(counts(world)).toEqual({ live: 0, ended: 0, asks: 0 });
    expect(conditions(world)).toEqual([`no machine can be set up: ${GONE}`]);
    const stored = [...world.reconciler.fleet().pools.values()][0]?.unready;
    expect(stored?.why).toBe(GONE);
    expect(told(world, "pool.condition")).toHaveLength(1);
    key.problem = null;
    await world.until(() => world.serving().length === 3, 120);
    expect(asked).toEqual([1, 1, 1]);
    expect(conditions(world)).toEqual([]);
    expect(told(world, "pool.condition").at(-1)?.message).toStartWith("machines can be set up");
    expect(wrongs(world)).toEqual([]);
  });

  test("is waited for by machines that are there, and by their attempts", async () => {
    let tries = 0;
    const { world, key, asked } = await bare(1, {
      setUp: async () => (++tries === 1 ? refused("apt: no network") : done),
    });
    await world.until(() => world.nodes()[0]?.bootstrap?.attempts === 1, 60);
    const [node] = world.nodes();
    key.problem = GONE;
    const ends = watchEnds(world);
    await world.advance(() => false, 6 * 3_600_000);
    expect([asked, ends]).toEqual([[1], []]);
    const wait = sayPlan(world.reconciler.lastPlan()).waits.find((one) => one.node === node?.id);
    expect(wait).toMatchObject({ reason: "bootstrap", message: `its set-up waits: ${GONE}` });
    await restart(world);
    await world.advance(() => false, 3_600_000);
    expect(told(world, "pool.condition")).toHaveLength(1);
    key.problem = null;
    await world.until(() => world.serving().length === 1, 60);
    expect([asked, world.serving()]).toEqual([[1, 2], [node?.id ?? ""]]);
  });

  test("costs no attempt where only the set-up itself finds out, whoever dies meanwhile", async () => {
    const { world, key, asked } = await bare(1, { problem: GONE, sees: false });
    const ends = watchEnds(world);
    for (let life = 0; life < 4; life++) {
      await world.advance(() => false, 20 * 60_000);
      await restart(world);
    }
    const [node] = world.nodes();
    expect(node?.bootstrap).toMatchObject({ attempts: 0, error: GONE, final: false });
    expect(new Set(asked)).toEqual(new Set([1]));
    // Tried again all the time, and said once.
    expect(asked.length).toBeGreaterThan(20);
    const said = world.events.filter(({ message }) => message.includes(GONE));
    expect(said).toHaveLength(1);
    expect([ends, counts(world).asks]).toEqual([[], 1]);
    key.problem = null;
    await world.until(() => world.serving().length === 1, 120);
    expect(world.nodes()[0]?.bootstrap).toMatchObject({ attempts: 1, error: null });
  });

  test("gives up nothing that could not be replaced", async () => {
    const { world, key } = await bare(2, {
      extra: "    health: { unhealthy_threshold: 1, auto_replace: true }\n",
    });
    await world.until(() => world.serving().length === 2, 120);
    key.problem = GONE;
    await world.live(10);
    const ends = watchEnds(world);
    const [sick] = world.serving();
    world.xid(sick ?? "", 79);
    await world.advance(() => false, 3_600_000);
    expect(ends).toEqual([]);
    expect(world.node(sick ?? "").phase.kind).toBe("suspect");
    expect(world.node(sick ?? "").cordon.product).not.toBeNull();
    const wait = sayPlan(world.reconciler.lastPlan()).waits.find((one) => one.node === sick);
    expect(wait?.message).toBe(`nothing could replace it: ${GONE}`);
    key.problem = null;
    await world.until(() => world.serving().length === 2 && ends.length === 1, 300);
  });

  test("keeps what was asked for in vain from being asked for again", async () => {
    const { world, key } = await bare(2);
    const create = world.cloud.create.bind(world.cloud);
    let sold = 0;
    world.cloud.create = async (...args) => {
      if (key.problem === null && sold === 0) {
        const refusal = { kind: "refused", class: "capacity", retryAfterMs: null } as const;
        return { ...refusal, message: "sold out" };
      }
      sold += 1;
      return create(...args);
    };
    await world.until(
      () => world.nodes().filter((n) => n.phase.kind === "requested").length === 2,
      60,
    );
    await world.live(2);
    key.problem = GONE;
    await world.advance(() => false, 2 * 3_600_000);
    expect(sold).toBe(0);
    const waits = sayPlan(world.reconciler.lastPlan()).waits.filter((wait) => wait.node !== null);
    expect(waits.map(({ message }) => message)).toEqual(
      Array(2).fill(`nothing is bought: ${GONE}`),
    );
    sold = 1;
    key.problem = null;
    await world.until(() => world.serving().length === 2, 120);
  });

  test("does not keep a person from ending a machine, or a pool from becoming smaller", async () => {
    const { world, key } = await bare(3, { setUp: async () => refused("not yet") });
    await world.until(() => world.nodes().filter((n) => n.bootstrap !== null).length === 3, 60);
    key.problem = GONE;
    await world.live(5);
    const [node] = world.nodes();
    await order(world, node?.id ?? "", "terminate");
    await world.until(() => world.nodes().length === 2, 60);
    await resize(world, 1);
    await world.until(() => world.nodes().length === 1, 60);
    expect(counts(world).asks).toBe(3);
  });

  test("is no matter for machines that bring their agent", async () => {
    const world = await open(poolYaml(2, COMMANDS));
    world.keyProblem = () => GONE;
    await world.until(() => world.serving().length === 2, 120);
    expect(conditions(world)).toEqual([]);
  });

  test("is waited for until it is known, without a word", async () => {
    const { world, key } = await bare(1);
    key.problem = undefined;
    await world.live(60);
    expect([counts(world).asks, told(world, "pool.condition").length]).toEqual([0, 0]);
    key.problem = null;
    await world.until(() => world.serving().length === 1, 60);
  });
});

/** What may happen, in any order: the key goes and comes, the process dies, time goes by. */
const act = fc.oneof(
  fc.constantFrom("gone", "back", "restart", "fails", "works").map((what) => ({ what, ms: 0 })),
  fc.constantFrom(1_000, 30_000, 3_600_000).map((ms) => ({ what: "time", ms })),
);

describe("any order of a key that goes and comes, deaths, and set-ups that fail", () => {
  test("spends no attempt, buys no machine and ends none while the key is away", async () => {
    const story = async (acts: { what: string; ms: number }[], sees: boolean): Promise<void> => {
      let works = true;
      const { world, key } = await bare(2, {
        sees,
        setUp: async () => (works ? done : refused("command 0: exit 1")),
      });
      for (const { what, ms } of acts) {
        const spent = () => world.nodes().map((n) => n.bootstrap?.attempts ?? 0);
        if (what === "gone") key.problem = GONE;
        if (what === "back") key.problem = null;
        if (what === "restart") await restart(world);
        if (what === "fails" || what === "works") works = what === "works";
        await world.advance(() => false, 0);
        if (what !== "time") continue;
        const before = { spent: spent(), counts: counts(world) };
        const isSure = sees && key.problem === GONE && before.spent.every((n) => n < 3);
        await world.advance(() => false, ms);
        if (isSure && before.counts.live === world.nodes().length) {
          expect([spent(), counts(world)]).toEqual([before.spent, before.counts]);
        }
      }
      key.problem = null;
      works = true;
      await world.advance(() => world.serving().length === 2, 4 * 3_600_000);
      expect([world.serving().length, wrongs(world)]).toEqual([2, []]);
      await closeWorlds();
    };
    await fc.assert(fc.asyncProperty(fc.array(act, { maxLength: 8 }), fc.boolean(), story), {
      numRuns: 20,
    });
  }, 60_000);
});

describe("a set-up that is done, and an agent that stays silent", () => {
  test("ends the machine, says what was seen, and the guard counts it", async () => {
    const world = await open(poolYaml(1, COMMANDS), { terms: { bringsAgent: false } });
    world.setUp = async () => done;
    world.say = async () => undefined;
    await world.until(() => told(world, "node.failed").length === 1, 2_000);
    const failed = told(world, "node.failed")[0];
    const why = /^no agent registered within 600 s of its set-up, .* is running at [0-9.]+$/;
    expect(failed?.message).toMatch(why);
    const gone = world.node(failed?.node ?? "");
    expect(gone.bootstrap).toMatchObject({ attempts: 1, error: failed?.message ?? "?" });
    await world.advance(() => false, 12 * 3_600_000);
    // Three in a row, then one at a time and ever more slowly; each try takes its ten minutes.
    const bought = told(world, "node.booting").length;
    expect(bought).toBeGreaterThan(3);
    expect(bought).toBeLessThan(20);
    const guard = Object.values([...world.reconciler.fleet().pools.values()][0]?.guards ?? {});
    expect(guard[0]?.failures).toBe(told(world, "node.failed").length);
  });

  test("is not condemned by a control plane that was away", async () => {
    const world = await open(poolYaml(1, COMMANDS), { terms: { bringsAgent: false } });
    let speaks = false;
    const say = world.say.bind(world);
    world.say = async (id) => {
      if (speaks) await say(id);
    };
    world.setUp = async () => done;
    await world.until(() => world.nodes()[0]?.bootstrap?.doneAt != null, 60);
    const [node] = world.nodes();
    await world.crash();
    await world.clock.pass(3_600_000);
    await world.start();
    await world.live(30);
    speaks = true;
    await world.until(() => world.serving().length === 1, 60);
    expect(world.serving()).toEqual([node?.id ?? ""]);
  });
});

describe("the rest between attempts", () => {
  for (const hours of [-1, 1]) {
    test(`is no longer for a clock that is set by ${hours} h meanwhile`, async () => {
      const { world, asked } = await bare(1, { setUp: async () => refused("exit 1") });
      await world.until(() => asked.length === 1, 60);
      await world.live(2);
      await world.crash();
      world.clock.setWall(hours * 3_600_000);
      await world.start();
      await world.until(() => asked.length === 2, 30);
      expect(asked).toEqual([1, 2]);
    });
  }

  test("does not follow the last one, and holds up no order", async () => {
    let lastAt = 0;
    const { world } = await bare(1, {
      setUp: async ({ payload }) => {
        if (payload.attempt === 3) lastAt = world.clock.wallMs();
        return refused("exit 1");
      },
    });
    await world.until(() => told(world, "node.failed").length === 1, 120);
    expect((told(world, "node.failed")[0]?.at ?? 0) - lastAt).toBeLessThan(2_500);
    const second = await bare(1, { setUp: async () => refused("exit 1") });
    await second.world.until(() => second.world.nodes()[0]?.bootstrap?.attempts === 2, 60);
    const ends = watchEnds(second.world);
    await order(second.world, second.world.nodes()[0]?.id ?? "", "terminate");
    await second.world.live(2);
    expect(ends).toHaveLength(1);
  });
});
