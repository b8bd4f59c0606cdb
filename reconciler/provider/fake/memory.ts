/**
 * The fake cloud in memory, for simulation and unit tests: the same world and answers, on the
 * caller's clock and random source. Deterministic, and fast enough for millions of calls. To crash
 * only the control plane, keep the object and pass it to the next one.
 */
import type { Provider, ProviderClass } from "../../core/provider.ts";
import { Cloud, saltOf, SETTLE_MS } from "./cloud.ts";
import type { CloudClock, FakeControl, Ground } from "./cloud.ts";
import type { Entry } from "./entry.ts";
import type { Faults } from "./fault.ts";
import { realityOf } from "./reality.ts";
import { advance } from "./time.ts";
import { apply, DEFAULT_TERMS, emptyWorld } from "./world.ts";
import type { Terms, World } from "./world.ts";

export type { FakeControl } from "./cloud.ts";

export type MemoryCloudOptions = {
  clock: CloudClock;
  /** 0 ≤ x < 1, seeded. */
  random: () => number;
  fleetId: string;
  name?: string;
  class?: ProviderClass;
  settleMs?: number;
  faults?: Faults;
  /** Override the defaults of `world.ts`. */
  terms?: Partial<Terms>;
  /** Keeps every entry for `reality()`; grows without bound in long simulations. */
  record?: boolean;
  /** Called with each applied entry: a simulation starts and stops its agents there. */
  onEntry?: (entry: Entry) => void;
  /** Continues from the state of another cloud with the same options. */
  from?: CloudState;
};

/** State of a cloud in memory as plain, immutable data. */
export type CloudState = {
  world: World;
  entries: readonly Entry[];
  faultsLeft: ReadonlyMap<string, number>;
};

/** Only the cloud in memory can be copied and returns its whole record. */
export type Forkable = {
  state(): CloudState;
  /** Every entry so far, oldest first; read-only. */
  entries(): readonly Entry[];
  faultsLeft(): ReadonlyMap<string, number>;
};

/** Copies what `apply` changes in place and shares what it replaces. */
function copyWorld(world: World): World {
  const instances: World["instances"] = new Map();
  for (const [id, held] of world.instances) {
    instances.set(id, { ...held, history: [...held.history] });
  }
  return {
    ...world,
    instances,
    tokens: new Map(world.tokens),
    names: new Map(world.names),
    fences: new Map(world.fences),
    pending: new Map(world.pending),
    due: [...world.due],
  };
}

type MemoryGround = Ground & { world: World; kept: Entry[] };

function openGround(options: MemoryCloudOptions, terms: Terms): MemoryGround {
  const { from } = options;
  const world = from === undefined ? emptyWorld() : copyWorld(from.world);
  const kept: Entry[] = from === undefined ? [] : [...from.entries];
  const keeps = options.record !== false;
  const keep = (entry: Entry) => {
    if (keeps) kept.push(entry);
    options.onEntry?.(entry);
  };
  const record = (entries: Entry[]) => {
    for (const entry of entries) {
      apply(world, entry);
      keep(entry);
    }
  };
  const catchUp = () => {
    const nowMs = options.clock.wallMs();
    for (const entry of advance(world, terms, nowMs)) keep(entry);
    return nowMs;
  };
  if (from === undefined) {
    record([{ kind: "opened", atMs: options.clock.wallMs(), salt: saltOf(options.random) }]);
  }
  return {
    world,
    kept,
    section(work) {
      const value = work({ world, nowMs: catchUp(), record });
      // Applies consequences without a delay.
      catchUp();
      return { kind: "ok", value };
    },
    prepare() {},
    newFaults: () => null,
    trouble: () => null,
    reality() {
      if (!keeps) throw new Error("this cloud keeps no record");
      return realityOf(kept);
    },
  };
}

/** Opens a cloud in memory. It never fails, and only its faults make its calls fail. */
export function openMemoryCloud(options: MemoryCloudOptions): Provider & FakeControl & Forkable {
  const name = options.name ?? "fake";
  const cls = options.class ?? "token";
  const terms: Terms = { ...DEFAULT_TERMS, ...options.terms, name, class: cls };
  const { clock, random, fleetId } = options;
  const settleMs = options.settleMs ?? SETTLE_MS[cls];
  const faults = options.faults ?? {};
  const ground = openGround(options, terms);
  const left = options.from === undefined ? {} : { faultsLeft: options.from.faultsLeft };
  const cloud = new Cloud({ clock, random, fleetId, terms, settleMs, faults, ...left }, ground);
  return Object.assign(cloud, {
    state: (): CloudState => ({
      world: copyWorld(ground.world),
      entries: [...ground.kept],
      faultsLeft: new Map(cloud.faultsLeft()),
    }),
    entries: (): readonly Entry[] => ground.kept,
  });
}
