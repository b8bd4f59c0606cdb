/**
 * The fake cloud without files and processes, for simulation and unit tests: the same world, the
 * same answers, on a clock and a random source that the caller owns. Deterministic, and quick
 * enough for millions of calls. A crash of the control plane is not a crash of this cloud: keep the
 * object and give it to the next control plane.
 */
import type { Provider, ProviderClass } from "../provider.ts";
import { Cloud, saltOf, SETTLE_MS } from "./cloud.ts";
import type { CloudClock, FakeControl, Ground } from "./cloud.ts";
import type { Entry } from "./entry.ts";
import type { Faults } from "./fault.ts";
import { realityOf } from "./reality.ts";
import { advance } from "./time.ts";
import { apply, DEFAULT_TERMS, emptyWorld } from "./world.ts";
import type { Terms } from "./world.ts";

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
  /** In place of the defaults of `world.ts`. */
  terms?: Partial<Terms>;
  /** Keep every entry for `reality()`. Switch off in long simulations: it grows for ever. */
  record?: boolean;
  /** Called with each entry after it is applied: where a simulation starts and stops its agents. */
  onEntry?: (entry: Entry) => void;
};

function openGround(options: MemoryCloudOptions, terms: Terms): Ground {
  const world = emptyWorld();
  const kept: Entry[] = [];
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
  record([{ kind: "opened", atMs: options.clock.wallMs(), salt: saltOf(options.random) }]);
  return {
    section(work) {
      const value = work({ world, nowMs: catchUp(), record });
      // What takes no time is over before anybody looks again.
      catchUp();
      return { kind: "ok", value };
    },
    prepare() {},
    newFaults: () => null,
    reality() {
      if (!keeps) throw new Error("this cloud keeps no record");
      return realityOf(kept);
    },
  };
}

/** Opens a cloud in memory. It never fails, and only its faults make its calls fail. */
export function openMemoryCloud(options: MemoryCloudOptions): Provider & FakeControl {
  const name = options.name ?? "fake";
  const cls = options.class ?? "token";
  const terms: Terms = { ...DEFAULT_TERMS, ...options.terms, name, class: cls };
  const { clock, random, fleetId } = options;
  const settleMs = options.settleMs ?? SETTLE_MS[cls];
  const faults = options.faults ?? {};
  return new Cloud({ clock, random, fleetId, terms, settleMs, faults }, openGround(options, terms));
}
