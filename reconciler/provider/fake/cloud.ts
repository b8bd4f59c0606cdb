/**
 * The provider port over a fake world, and its controls for tests; the cloud in memory and the one
 * on disk differ only in their `Ground`: how time advances and where entries are kept.
 */
import type { InstanceId } from "../../../schema/id.ts";
import type {
  CreateAnswer,
  CreateRequest,
  Fence,
  ListAnswer,
  OffersAnswer,
  Place,
  Provider,
  ProviderClass,
  Reach,
  StrangersAnswer,
  TerminateAnswer,
} from "../../core/provider.ts";
import { REACHES_ANY } from "../../core/reach.ts";
import { strangersIn } from "../../core/stranger.ts";
import { pause } from "../../core/turn/time-limit.ts";
import { readsNothing } from "../call/reads-nothing.ts";
import { decideCreate, decideReboot, decideTerminate, terminateEntry } from "./answer.ts";
import type { Decided } from "./answer.ts";
import type { Entry } from "./entry.ts";
import { FaultBook } from "./fault.ts";
import type { Faults, TerminateFate } from "./fault.ts";
import { decideList } from "./list.ts";
import type { Reality } from "./reality.ts";
import { nextDueMs } from "./time.ts";
import type { Terms, World } from "./world.ts";

/** Controls of a fake cloud for tests. */
export type FakeControl = {
  setFaults(faults: Faults): void;
  /** The cloud's current state, read-only. */
  world(): World;
  /** Applies everything that is due by now. */
  advance(): void;
  /** When the next event is due. Wall milliseconds, or `null`. */
  nextDueMs(): number | null;
  /** What really exists, from the cloud's own record. */
  reality(): Reality;
  /** Someone else deletes an instance. False if there is no such instance. */
  deleteInstance(id: InstanceId): boolean;
};

export type CloudClock = {
  /** Milliseconds since the epoch. */
  wallMs(): number;
  /** Runs `work` once after `ms`. */
  after(ms: number, work: () => void): void;
};

/** Exclusive access to the cloud. */
export type Scene = {
  world: World;
  nowMs: number;
  /** Makes the entries durable, then applies them. */
  record(entries: Entry[]): void;
};

export type Section<T> = { kind: "ok"; value: T } | { kind: "busy"; message: string };

export type Ground = {
  /** Runs `work` on the current world, exclusively. */
  section<T>(work: (scene: Scene) => T): Section<T>;
  /** Called before an accepted request is recorded: keeps the secret that no entry may contain. */
  prepare(id: InstanceId, credential: string | null): void;
  /** Faults injected by other processes since the last call. */
  newFaults(): Faults | null;
  /** Why accepted instances do not start; `null`: no known reason. */
  trouble(): string | null;
  reality(): Reality;
};

export type CloudOptions = {
  clock: CloudClock;
  /** 0 ≤ x < 1, seeded. */
  random: () => number;
  /** `navarch-fleet` of the instances that `list` shows. */
  fleetId: string;
  terms: Terms;
  settleMs: number;
  /** As a cloud would tell it; absent = not known. */
  reach?: Reach;
  faults: Faults;
  /** Remaining counts of faults, of a cloud that continues another's state. */
  faultsLeft?: ReadonlyMap<string, number>;
};

/**
 * How long an accepted request may stay invisible in lists; matters only for tag-only. Real
 * tag-only clouds use ten minutes; the fake cloud is immediate unless configured otherwise.
 */
export const SETTLE_MS: Record<ProviderClass, number> = { token: 0, name: 0, "tag-only": 10_000 };

/** Four letters that distinguish one cloud's ids. */
export function saltOf(random: () => number): string {
  return Math.floor(random() * 36 ** 4)
    .toString(36)
    .padStart(4, "0");
}

export class Cloud implements Provider, FakeControl {
  readonly name: string;
  readonly type = "fake";
  readonly bringsAgent: boolean;
  readonly canReboot = true;
  readonly reach: () => Reach;
  readonly class: ProviderClass;
  readonly settleMs: number;
  readonly #options: CloudOptions;
  readonly #ground: Ground;
  readonly #book: FaultBook;

  constructor(options: CloudOptions, ground: Ground) {
    this.#options = options;
    this.#ground = ground;
    this.name = options.terms.name;
    this.class = options.terms.class;
    this.settleMs = options.settleMs;
    this.reach = () => options.reach ?? { ...REACHES_ANY, type: "fake" };
    this.bringsAgent = options.terms.bringsAgent !== false;
    this.#book = new FaultBook(options.faults, options.random, options.faultsLeft);
  }

  readonly hostKeys = readsNothing.hostKeys;
  readonly quota = readsNothing.quota;
  readonly inspect = readsNothing.inspect;

  /** List prices; a price changed by a fault shows on the instance. */
  offers(places: readonly Place[]): Promise<OffersAnswer> {
    const { prices, pricePerHour } = this.#options.terms;
    const offers = places.map((place) => {
      const price = prices[place.instanceType] ?? pricePerHour;
      return { ...place, pricePerHour: price, available: null };
    });
    return Promise.resolve({ kind: "ok", offers });
  }

  trouble(): string | null {
    return this.#ground.trouble();
  }

  faultsLeft(): ReadonlyMap<string, number> {
    return this.#book.left();
  }

  #faults(): FaultBook {
    const faults = this.#ground.newFaults();
    if (faults !== null) this.#book.set(faults);
    return this.#book;
  }

  async #delay(ms: number): Promise<void> {
    if (ms > 0) await pause(this.#options.clock, ms);
  }

  async create(
    request: CreateRequest,
    fence: Fence,
    credential: string | null,
  ): Promise<CreateAnswer> {
    const fate = this.#faults().create(request, this.#options.clock.wallMs());
    const asked = structuredClone(request);
    const { terms } = this.#options;
    const done = this.#ground.section((scene) => {
      const decided = decideCreate(scene.world, terms, asked, fence, fate, scene.nowMs);
      if (decided.id !== null) this.#ground.prepare(decided.id, credential);
      scene.record(decided.entries);
      return decided.answer;
    });
    await this.#delay(Math.max(fate.answerDelayMs, terms.createMs));
    return done.kind === "ok" ? done.value : { kind: "ambiguous", message: done.message };
  }

  async terminate(instanceId: InstanceId, fence: Fence): Promise<TerminateAnswer> {
    const { terms } = this.#options;
    return this.#change((world, fate, nowMs) =>
      decideTerminate(world, terms, instanceId, fence, fate, nowMs),
    );
  }

  async reboot(instanceId: InstanceId, fence: Fence): Promise<TerminateAnswer> {
    return this.#change((world, fate, nowMs) =>
      decideReboot(world, instanceId, fence, fate, nowMs),
    );
  }

  async #change(
    decide: (world: World, fate: TerminateFate, nowMs: number) => Decided,
  ): Promise<TerminateAnswer> {
    const fate = this.#faults().terminate();
    const done = this.#ground.section(({ world, nowMs, record }) => {
      const decided = decide(world, fate, nowMs);
      record(decided.entries);
      return decided.answer;
    });
    await this.#delay(fate.answerDelayMs);
    return done.kind === "ok" ? done.value : { kind: "ambiguous", message: done.message };
  }

  async list(): Promise<ListAnswer> {
    const fate = this.#faults().list();
    const { terms, fleetId } = this.#options;
    const done = this.#ground.section(({ world, nowMs }) =>
      decideList(world, terms, fleetId, fate, nowMs),
    );
    await this.#delay(fate.answerDelayMs);
    if (done.kind === "ok") return done.value;
    return { kind: "failed", class: "unavailable", message: done.message };
  }

  /** Without the faults of lists, which are drawn one for each list. */
  async strangers(pools: readonly string[]): Promise<StrangersAnswer> {
    const { fleetId } = this.#options;
    const done = this.#ground.section(({ world }) => {
      const all = [...world.instances.values()].map(({ instance }) => instance);
      return strangersIn(all, fleetId, pools);
    });
    if (done.kind === "ok") return { kind: "ok", instances: done.value };
    return { kind: "failed", class: "unavailable", message: done.message };
  }

  /** Leaves the cloud as it is, as a real one would. */
  async close(): Promise<void> {}

  setFaults(faults: Faults): void {
    this.#book.set(faults);
  }

  world(): World {
    const done = this.#ground.section((scene) => scene.world);
    if (done.kind === "ok") return done.value;
    throw new Error(done.message);
  }

  advance(): void {
    this.world();
  }

  nextDueMs(): number | null {
    return nextDueMs(this.world());
  }

  reality(): Reality {
    this.world();
    return this.#ground.reality();
  }

  deleteInstance(id: InstanceId): boolean {
    const done = this.#ground.section(({ world, nowMs, record }) => {
      if (!world.instances.has(id)) return false;
      const fate = { terminateMs: null, replyLost: false };
      record([terminateEntry(this.#options.terms, id, null, fate, nowMs)]);
      return true;
    });
    return done.kind === "ok" && done.value;
  }
}
