/**
 * The fake cloud without files and processes, for simulation and unit tests: the same world, the same
 * answers, on a clock and a random source that the caller owns. Deterministic, and quick enough for
 * millions of calls. A crash of the control plane is not a crash of this cloud: keep the object and
 * give it to the next control plane.
 */
import type { InstanceId } from "../../../schema/id.ts";
import type {
  CreateAnswer,
  CreateRequest,
  Fence,
  ListAnswer,
  Provider,
  ProviderClass,
  TerminateAnswer,
} from "../provider.ts";
import { decideCreate, decideList, decideTerminate, terminateEntry } from "./answer.ts";
import type { Entry } from "./entry.ts";
import { FaultBook } from "./fault.ts";
import type { Faults } from "./fault.ts";
import { realityOf } from "./reality.ts";
import type { Reality } from "./reality.ts";
import { advance, nextDueMs } from "./time.ts";
import { apply, DEFAULT_TERMS, emptyWorld } from "./world.ts";
import type { Terms, World } from "./world.ts";

/** What a test may do to a fake cloud besides using it. */
export type FakeControl = {
  setFaults(faults: Faults): void;
  /** The cloud's state, brought up to now. Look, do not touch. */
  world(): World;
  /** Lets everything happen that is due by now. */
  advance(): void;
  /** When something is due next. Wall milliseconds, or `null`. */
  nextDueMs(): number | null;
  /** What really exists, from the cloud's own record. */
  reality(): Reality;
  /** Somebody deletes an instance outside of the product. False if there is no such instance. */
  deleteInstance(id: InstanceId): boolean;
};

export type CloudClock = {
  /** Milliseconds since the epoch. */
  wallMs(): number;
  /** Runs `work` once after `ms`. */
  after(ms: number, work: () => void): void;
};

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

/** By how much a list may lie behind what is asked of a tag-only provider (crash-safety.md §4.1). */
export const SETTLE_MS: Record<ProviderClass, number> = {
  token: 0,
  name: 0,
  // The table's neoclouds use ten minutes; the fake lands at once unless told otherwise.
  "tag-only": 10_000,
};

/** Four letters that tell one cloud's ids from another's. */
export function saltOf(random: () => number): string {
  return Math.floor(random() * 36 ** 4).toString(36).padStart(4, "0");
}

class MemoryCloud implements Provider, FakeControl {
  readonly name: string;
  readonly type = "fake";
  readonly class: ProviderClass;
  readonly settleMs: number;
  readonly #options: MemoryCloudOptions;
  readonly #terms: Terms;
  readonly #book: FaultBook;
  readonly #world = emptyWorld();
  readonly #entries: Entry[] = [];

  constructor(options: MemoryCloudOptions) {
    this.#options = options;
    this.name = options.name ?? "fake";
    this.class = options.class ?? "token";
    this.settleMs = options.settleMs ?? SETTLE_MS[this.class];
    this.#terms = { ...DEFAULT_TERMS, name: this.name, ...options.terms, class: this.class };
    this.#book = new FaultBook(options.faults ?? {}, options.random);
    const atMs = options.clock.wallMs();
    this.#record([{ kind: "opened", atMs, salt: saltOf(options.random) }], false);
  }

  #record(entries: Entry[], applied: boolean): void {
    for (const entry of entries) {
      if (!applied) apply(this.#world, entry);
      if (this.#options.record !== false) this.#entries.push(entry);
      this.#options.onEntry?.(entry);
    }
  }

  #now(): number {
    const nowMs = this.#options.clock.wallMs();
    this.#record(advance(this.#world, this.#terms, nowMs), true);
    return nowMs;
  }

  async #delay(ms: number): Promise<void> {
    if (ms > 0) await new Promise<void>((done) => this.#options.clock.after(ms, done));
  }

  async create(
    request: CreateRequest,
    fence: Fence,
    _credential: string | null,
  ): Promise<CreateAnswer> {
    const nowMs = this.#now();
    const fate = this.#book.create(request, nowMs);
    const { entries, answer } = decideCreate(
      this.#world, this.#terms, structuredClone(request), fence, fate, nowMs,
    );
    this.#record(entries, false);
    this.#now();
    await this.#delay(fate.answerDelayMs);
    return answer;
  }

  async terminate(instanceId: InstanceId, fence: Fence): Promise<TerminateAnswer> {
    const nowMs = this.#now();
    const fate = this.#book.terminate();
    const { entries, answer } = decideTerminate(
      this.#world, this.#terms, instanceId, fence, fate, nowMs,
    );
    this.#record(entries, false);
    this.#now();
    await this.#delay(fate.answerDelayMs);
    return answer;
  }

  async list(): Promise<ListAnswer> {
    const nowMs = this.#now();
    const fate = this.#book.list();
    const answer = decideList(this.#world, this.#terms, this.#options.fleetId, fate, nowMs);
    await this.#delay(fate.answerDelayMs);
    return answer;
  }

  /** Leaves the cloud as it is, as a real one would. */
  async close(): Promise<void> {}

  setFaults(faults: Faults): void {
    this.#book.set(faults);
  }

  world(): World {
    this.#now();
    return this.#world;
  }

  advance(): void {
    this.#now();
  }

  nextDueMs(): number | null {
    return nextDueMs(this.#world);
  }

  reality(): Reality {
    if (this.#options.record === false) throw new Error("this cloud keeps no record");
    this.#now();
    return realityOf(this.#entries);
  }

  deleteInstance(id: InstanceId): boolean {
    const nowMs = this.#now();
    if (!this.#world.instances.has(id)) return false;
    const fate = { terminateMs: null, replyLost: false };
    this.#record([terminateEntry(this.#terms, id, null, fate, nowMs)], false);
    this.#now();
    return true;
  }
}

/** Opens a cloud in memory. It never fails, and only its faults make its calls fail. */
export function openMemoryCloud(options: MemoryCloudOptions): Provider & FakeControl {
  return new MemoryCloud(options);
}
