/**
 * The ground that the cloud of machines stands on: the fake cloud's journal, in which what exists
 * is only what was written down before anybody was answered, and real machines. Time makes nothing
 * run or end here: an instance runs once its machine is up, and is terminated once nothing of it is
 * left.
 *
 * Adapter: files, by way of the journal.
 */
import type { InstanceId } from "../../../schema/id.ts";
import { saltOf } from "../fake/cloud.ts";
import type { CloudClock, Ground, Scene, Section } from "../fake/cloud.ts";
import type { Entry } from "../fake/entry.ts";
import type { Faults } from "../fake/fault.ts";
import { Journal, reality } from "../fake/journal.ts";
import { advance, nextDueMs } from "../fake/time.ts";
import { apply, emptyWorld } from "../fake/world.ts";
import type { Terms } from "../fake/world.ts";
import { MachineKeeper } from "./keeper.ts";
import type { Machines } from "./port.ts";

/** How soon to try again when another process holds the journal. */
const BUSY_MS = 200;

/** Timers take at most 2^31 − 1 ms; a day is often enough for what is due later. */
const WAIT_MS_MAX = 86_400_000;

/**
 * For what only a machine can bring about: an instant that never comes, small enough for sums of it
 * to stay whole numbers.
 */
const NEVER_MS = 2 ** 51;

export type GroundOptions = {
  stateDir: string;
  terms: Terms;
  clock: CloudClock;
  random: () => number;
  machines: Machines;
  bootDelayMs: number;
  problem: (message: string) => void;
};

/** What the fake's world would let the clock decide, left to the machines. */
function withoutTime(entry: Entry, terms: Terms): Entry {
  switch (entry.kind) {
    case "create.accepted":
      return { ...entry, bootMs: NEVER_MS };
    case "landed":
      return { ...entry, runningAtMs: NEVER_MS };
    case "terminate.accepted": {
      const { atMs } = entry;
      const vanishAtMs = atMs + terms.retentionMs;
      const forgetAtMs = atMs + terms.tokenWindowMs;
      return { ...entry, terminatedAtMs: NEVER_MS, vanishAtMs, forgetAtMs };
    }
    default:
      return entry;
  }
}

export class MachineGround implements Ground {
  readonly #options: GroundOptions;
  readonly #journal: Journal;
  readonly #keeper: MachineKeeper;
  #world = emptyWorld();
  #turn = 0;
  #closed = false;

  constructor(options: GroundOptions) {
    this.#options = options;
    this.#journal = new Journal(options.stateDir);
    this.#keeper = new MachineKeeper(options);
  }

  /** Why a machine that was bought does not come up, or `null`. */
  trouble(): string | null {
    return this.#keeper.trouble();
  }

  /** Makes the cloud if it is new. */
  open(): Section<void> {
    return this.section(({ world, nowMs, record }) => {
      if (world.salt !== "") return;
      record([{ kind: "opened", atMs: nowMs, salt: saltOf(this.#options.random) }]);
    });
  }

  section<T>(work: (scene: Scene) => T): Section<T> {
    if (this.#closed) return { kind: "busy", message: "the cloud is closed" };
    try {
      return this.#locked(work);
    } catch (error) {
      // Errors of files and locks have a code; anything else is a bug and not to be survived.
      if (!(error instanceof Error && "code" in error)) throw error;
      // The journal did not take it, or cannot be read: what is in memory may be ahead of it.
      this.#world = emptyWorld();
      this.#journal.rewind();
      this.#wakeIn(BUSY_MS);
      return { kind: "busy", message: `the cloud's journal: ${error.message}` };
    }
  }

  #locked<T>(work: (scene: Scene) => T): Section<T> {
    let soonMs: number | null = BUSY_MS;
    const done = this.#journal.exclusive((others, append) => {
      const { terms, clock } = this.#options;
      const world = this.#world;
      for (const entry of others) apply(world, entry);
      this.#keeper.see(others);
      const nowMs = clock.wallMs();
      const record = (given: Entry[]) => {
        const entries = given.map((entry) => withoutTime(entry, terms));
        append(entries);
        for (const entry of entries) apply(world, entry);
        this.#keeper.see(entries);
      };
      const scene = { world, nowMs, record };
      const pass = () => {
        const past = advance(world, terms, nowMs);
        append(past);
        this.#keeper.see(past);
        soonMs = this.#keeper.keep(scene);
      };
      // Whoever looks must see machines as they are, and what he did is begun before he leaves.
      pass();
      const value = work(scene);
      pass();
      const dueMs = nextDueMs(world);
      if (dueMs !== null && dueMs < NEVER_MS) {
        soonMs = Math.min(soonMs ?? Infinity, dueMs - nowMs);
      }
      return value;
    });
    this.#wakeIn(soonMs);
    return done;
  }

  /** Comes back once, after `ms`; an earlier appointment is forgotten. */
  #wakeIn(ms: number | null): void {
    this.#turn += 1;
    const turn = this.#turn;
    if (ms === null || this.#closed) return;
    this.#options.clock.after(Math.min(Math.max(0, ms), WAIT_MS_MAX), () => {
      if (turn === this.#turn && !this.#closed) this.section(() => {});
    });
  }

  prepare(id: InstanceId, credential: string | null): void {
    this.#options.machines.prepare(id, credential);
  }

  /** Faults of the cloud's interface are given by a test; those of machines are their own. */
  newFaults(): Faults | null {
    return null;
  }

  reality() {
    return reality(this.#journal.path);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#journal.close();
  }
}
