/**
 * The process dies before or after each write and each call of a set-up that fails once, waits for
 * a key that is away for minutes, and ends well. Whatever dies where: one machine is bought and it
 * serves, no attempt is counted that was not tried, and the key's absence is told once.
 */
import { afterEach, expect, test } from "bun:test";
import type { Outcome } from "../../reconciler/core/fold/outcome.ts";
import { Crash, CrashInjector } from "../world/crash-injector.ts";
import { poolYaml, type World } from "../world/world.ts";
import { counts, closeWorlds, open, storeOf, watchEnds, wrongs } from "../world/story.ts";

afterEach(closeWorlds);

const YAML = poolYaml(
  1,
  `    setup_commands: ["true"]
    ssh_private_key_path: /nowhere/key
`,
);
const AWAY_MS = 3 * 60_000;
const GONE = "ssh_private_key_path /nowhere/key cannot be read: ENOENT";

const ALL = { node: null, pool: null, since: null, after: null, limit: 1_000 };

type Told = { points: number; tried: number; wrong: string[] };

/** A whole story; `sees` = the loop knows of the key, else only the set-up finds out. */
async function tell(crashes: string[], sees: boolean): Promise<Told> {
  const injector = new CrashInjector(crashes);
  const terms = { bringsAgent: false };
  const world = await open(YAML, { terms, prepare: injector, store: "memory" });
  const ready = new Set<string>();
  const say = world.say.bind(world);
  world.say = async (id) => {
    if (ready.has(id)) await say(id);
  };
  // What the machine knows outlives the process: how often somebody was at it.
  let tried = 0;
  let awayAt: number | null = null;
  const isAway = (): boolean => awayAt !== null && world.clock.wallMs() < awayAt + AWAY_MS;
  world.keyProblem = () => (sees && isAway() ? GONE : null);
  world.setUp = async ({ node }): Promise<Outcome> => {
    const refused = { kind: "refused", class: "bootstrap", retryAfterMs: null } as const;
    if (isAway()) return { ...refused, message: GONE, unspent: true };
    tried += 1;
    if (tried === 1) {
      awayAt = world.clock.wallMs();
      return { ...refused, message: "apt: no network", hostKey: "KEY" };
    }
    ready.add(node);
    return { kind: "done", instance: null, message: null, hostKey: "KEY" };
  };
  const ends = watchEnds(world);
  await lives(world, injector);
  const [node] = world.nodes();
  const events = await storeOf(world).events(ALL);
  const told = events.filter(({ kind }) => kind === "pool.condition").length;
  const wrong = wrongs(world);
  const check = (what: string, holds: boolean): void => void (holds || wrong.push(what));
  const { live, ended } = counts(world);
  check("one machine is bought", live === 1 && ended === 0);
  check("none is ended", ends.length === 0);
  check("it serves", world.serving().length === 1);
  check(`${node?.bootstrap?.attempts} attempts`, (node?.bootstrap?.attempts ?? 9) <= tried);
  check("its key is kept", node?.bootstrap?.hostKey === "KEY");
  check(`the key's absence told ${told} times`, told === (sees ? 2 : 0));
  return { points: injector.count, tried, wrong };
}

/** Until it serves, over any number of deaths. */
async function lives(world: World, injector: CrashInjector): Promise<void> {
  for (let life = 0; life < 5; life++) {
    try {
      await world.start();
      await world.advance(() => world.serving().length === 1, 30 * 60_000);
      return;
    } catch (error) {
      if (!(error instanceof Crash) && !injector.dead) throw error;
      await world.crash();
      injector.revive();
      await world.clock.pass(1_000);
    }
  }
  throw new Error("it dies for ever");
}

for (const sees of [true, false]) {
  const who = sees ? "the loop sees" : "only the set-up sees";
  test(`a death at any point of a set-up costs nothing, where ${who} the key go`, async () => {
    const whole = await tell([], sees);
    expect([whole.wrong, whole.tried]).toEqual([[], 2]);
    // Dead before the next one is dead after this one, but for the first.
    const points = ["1b", ...Array.from({ length: whole.points }, (_, i) => `${i + 1}a`)];
    for (const point of points) {
      const { wrong } = await tell([point], sees);
      expect([`killed at ${point}`, wrong]).toEqual([`killed at ${point}`, []]);
      await closeWorlds();
    }
    expect(whole.points).toBeGreaterThan(40);
  }, 60_000);
}
