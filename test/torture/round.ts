/**
 * A round: one fleet, so many kills in the middle of churn, then peace. In peace the fleet must
 * come to rest as wanted, and stay at rest over one more kill. Adapter: processes, clock.
 */
import { judgeEffects, judgeEnd, operationIdOf, unrestOf, type End } from "./audit.ts";
import type { Random } from "./random.ts";
import { Fleet } from "./fleet.ts";
import type { Rule, Violation } from "./judge.ts";
import { readBooks, readMark, readOperations } from "./ledger.ts";
import { HEARTBEAT_TIMEOUT_MS, NODES_END, type Setting } from "./setting.ts";

/** How a life ends; each is drawn as often as its weight says. */
const WAYS = {
  /** At any instant of a life. */
  anyTime: 33,
  /** Right after the cloud wrote down a call: before the answer is durable. */
  afterCall: 42,
  /** Before it listens. */
  starting: 8,
  /** Stopped for longer than a heartbeat timeout, woken, and killed soon after. */
  stopped: 3,
  /** After long enough to believe in silence and to settle. */
  longLife: 5,
  /** With a fresh verdict, and the next life is watched until it acts: M6. */
  measured: 9,
};
type Way = keyof typeof WAYS;

const START_MS = 15_000;
/** How long a call is waited for before the kill comes anyway. */
const CALL_WAIT_MS = 900;
/** How long the next process may take to act before it is told that it had nothing to do. */
const ACT_MS = 5_000;
const REST_MS = 150_000;
/** Ten seconds as asked; a run of a few kills, which only shows that the loop works, takes less. */
const QUIET_MS = 10_000;
const QUIET_SHORT_MS = 2_000;
const KILLS_FEW = 20;

export type Figures = {
  kills: number;
  ways: Map<string, number>;
  acts: Map<string, number>;
  /** SIGKILL → first audited effect of the next process, ms. */
  firstEffectMs: number[];
  /** Watched lives that had nothing to do. */
  idle: number;
  /** Orphan listable → adopted or taken as surplus, ms, over kills. */
  orphanMs: number[];
  orphans: number;
  surplus: number;
  effects: number;
  events: number;
  restMs: number[];
};

export function newFigures(): Figures {
  return {
    kills: 0,
    ways: new Map(),
    acts: new Map(),
    firstEffectMs: [],
    idle: 0,
    orphanMs: [],
    orphans: 0,
    surplus: 0,
    effects: 0,
    events: 0,
    restMs: [],
  };
}

export class Round {
  readonly fleet: Fleet;
  readonly #random: Random;
  readonly #figures: Figures;
  /** Operations closed when the measured kill came. */
  #closedAtKill: number | null = null;

  private constructor(fleet: Fleet, random: Random, figures: Figures) {
    this.fleet = fleet;
    this.#random = random;
    this.#figures = figures;
  }

  static async open(
    binary: string,
    settings: readonly Setting[],
    random: Random,
    figures: Figures,
  ): Promise<Round> {
    return new Round(await Fleet.open(binary, settings, random), random, figures);
  }

  get violations(): Violation[] {
    return this.fleet.violations;
  }

  /** Kills so often, or until something is violated; `told` is called after each. */
  async run(kills: number, told: () => void): Promise<void> {
    await this.#alive("the first start", 30_000, () => this.fleet.agents.serving().length > 0);
    await this.fleet.plantStrangers();
    let watched: number | null = null;
    for (let i = 0; i < kills && this.violations.length === 0; i++) {
      const drawn = this.#random.weighted(WAYS);
      // A life that is watched must live to act.
      const way: Way = watched === null ? drawn : "anyTime";
      const killedMs: number = await this.#live(way, watched);
      watched = way === "measured" ? killedMs : null;
      this.#figures.kills++;
      this.#figures.ways.set(way, (this.#figures.ways.get(way) ?? 0) + 1);
      // Not after every kill: the product must also be the first to open what was left behind.
      if (i % 2 === 0) this.#checkIntents();
      this.fleet.target.spawn();
      told();
    }
    if (this.violations.length > 0) return;
    await this.#peace(kills < KILLS_FEW ? QUIET_SHORT_MS : QUIET_MS);
  }

  #violate(rule: Rule, what: string): void {
    this.violations.push({ rule, cloud: null, atMs: Date.now(), node: null, what });
  }

  /** False, and a violation, if it does not come to pass. */
  async #alive(what: string, limitMs: number, look: () => boolean): Promise<boolean> {
    const until = performance.now() + limitMs;
    while (!look()) {
      const fallen = this.fleet.target.fallen();
      const late = performance.now() > until;
      if (fallen !== null || late) {
        this.#violate("alive", fallen === null ? `${what}: too late` : `ended with ${fallen}`);
        return false;
      }
      await Bun.sleep(2);
    }
    return true;
  }

  /** A whole life of the process that was spawned; when it was killed, by the monotonic clock. */
  async #live(way: Way, watched: number | null): Promise<number> {
    const random = this.#random;
    if (way === "starting") {
      await Bun.sleep(random.between(0, 110));
      return this.#kill();
    }
    if (!(await this.#listen())) return this.#kill();
    if (watched !== null) await this.#watch(watched);
    const acts = this.#act(random.whole(0, 3), way === "longLife" ? 1_500 : 300);
    switch (way) {
      case "anyTime":
        await Bun.sleep(random.between(0, 650));
        break;
      case "afterCall":
        await this.#untilCall();
        break;
      case "stopped":
        await Bun.sleep(random.between(0, 300));
        this.fleet.target.signal("SIGSTOP");
        await Bun.sleep(HEARTBEAT_TIMEOUT_MS * 1.3);
        this.fleet.target.signal("SIGCONT");
        await Bun.sleep(random.between(0, 800));
        break;
      case "longLife":
        await Bun.sleep(random.between(2_000, 3_500));
        break;
      case "measured":
        await this.#strike();
        break;
    }
    const killedMs = await this.#kill();
    if (way === "measured") this.#closedAtKill = readMark(this.fleet.database)?.closed ?? null;
    await acts;
    return killedMs;
  }

  async #listen(): Promise<boolean> {
    const { fleet } = this;
    try {
      fleet.agents.url = await fleet.target.listening(START_MS);
      return true;
    } catch (error) {
      this.#violate("alive", `after a kill: ${String(error)}`);
      return false;
    }
  }

  async #kill(): Promise<number> {
    const fallen = this.fleet.target.fallen();
    if (fallen !== null) this.#violate("alive", `it ended by itself with ${fallen}`);
    const killedMs = performance.now();
    await this.fleet.target.kill();
    this.fleet.agents.url = null;
    this.fleet.look();
    return killedMs;
  }

  /** So many acts within the first `withinMs`; an act of a dead control plane's is no error. */
  async #act(count: number, withinMs: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await Bun.sleep(this.#random.between(0, withinMs / count));
      await this.fleet.churn.act();
    }
  }

  /** Until the next call is in a journal, and up to 3 ms more. */
  async #untilCall(): Promise<void> {
    const { fleet } = this;
    const before = fleet.seen;
    const until = performance.now() + CALL_WAIT_MS;
    while (fleet.seen === before && performance.now() < until) {
      await Bun.sleep(1);
      fleet.look();
    }
    await Bun.sleep(this.#random.between(0, 3));
  }

  async #strike(): Promise<void> {
    const struck = this.fleet.churn.strike();
    const until = performance.now() + 600;
    while (struck?.told() === false && performance.now() < until) await Bun.sleep(2);
    await Bun.sleep(this.#random.between(0, 40));
  }

  /** M6: the first operation that this life closes, which is one transaction with its audit. */
  async #watch(killedMs: number): Promise<void> {
    const before = this.#closedAtKill;
    const until = performance.now() + ACT_MS;
    while (performance.now() < until) {
      const mark = readMark(this.fleet.database);
      if (mark !== null && before !== null && mark.closed > before) {
        this.#figures.firstEffectMs.push(performance.now() - killedMs);
        return;
      }
      await Bun.sleep(3);
    }
    this.#figures.idle++;
  }

  /** I1, for every call since the last check, right after a kill: the row must be there already. */
  #checkIntents(): void {
    const effects = this.fleet.effects;
    this.fleet.effects = [];
    this.#figures.effects += effects.length;
    if (effects.length === 0) return;
    const rows = readOperations(this.fleet.database, effects.map(operationIdOf)) ?? [];
    this.violations.push(...judgeEffects(effects, rows));
  }

  #end(): End | null {
    const books = readBooks(this.fleet.database);
    if (books === null) return null;
    const { judges, foreign } = this.fleet;
    return { judges, books, size: NODES_END, foreign, atMs: Date.now() };
  }

  async #peace(quietMs: number): Promise<void> {
    const begun = performance.now();
    if (!(await this.#listen()) || !(await this.#rest(begun))) return;
    this.#figures.restMs.push(performance.now() - begun);
    await this.#kill();
    this.#checkIntents();
    this.fleet.target.spawn();
    if (!(await this.#listen())) return;
    await this.#quiet(quietMs);
    this.#conclude();
  }

  /** Ends the churn, and waits for everything to be as wanted. */
  async #rest(begun: number): Promise<boolean> {
    const { churn, target } = this.fleet;
    churn.calm();
    const sized = new Set<string>();
    let unrest = ["it was never looked at"];
    while (performance.now() - begun < REST_MS) {
      for (const { setting } of this.fleet.judges) {
        if (!sized.has(setting.name) && (await churn.size(setting.name, NODES_END)))
          sized.add(setting.name);
      }
      await churn.relent();
      const end = this.#end();
      unrest = end === null ? ["no database"] : unrestOf(end);
      if (unrest.length === 0) return true;
      if (target.fallen() !== null) break;
      await Bun.sleep(250);
    }
    for (const what of unrest) this.#violate("liveness", what);
    return false;
  }

  /** No call and no row for so long, after one more start. */
  async #quiet(quietMs: number): Promise<void> {
    const { fleet } = this;
    // The first look at the clouds, and agents that are heard again, may be written down.
    await Bun.sleep(2 * HEARTBEAT_TIMEOUT_MS);
    const before = { seen: fleet.seen, mark: readMark(fleet.database) };
    await Bun.sleep(quietMs);
    const after = { seen: fleet.seen, mark: readMark(fleet.database) };
    if (Bun.deepEquals(before, after)) return;
    this.#violate("quiet", `${JSON.stringify(before)} became ${JSON.stringify(after)}`);
  }

  #conclude(): void {
    const { fleet } = this;
    this.#checkIntents();
    const end = this.#end();
    if (end === null) return this.#violate("alive", "no database at the end");
    this.violations.push(...judgeEnd(end));
    for (const line of fleet.target.errors()) this.#violate("alive", line.slice(0, 400));
    const figures = this.#figures;
    figures.events += end.books.events.length;
    for (const [name, count] of fleet.churn.done)
      figures.acts.set(name, (figures.acts.get(name) ?? 0) + count);
    for (const judge of fleet.judges) figures.surplus += judge.surplus;
    this.#measureOrphans(end);
  }

  /** M12: from landing in the cloud to the event that says what became of it. */
  #measureOrphans({ books }: End): void {
    const told = books.events.filter(({ kind }) => /^instance\.(adopted|surplus)$/.test(kind));
    for (const { entries } of this.fleet.judges) {
      for (const entry of entries) {
        if (entry.kind !== "landed") continue;
        const { id } = entry.instance;
        const event = told.find((one) => new RegExp(`instance ${id}[ ,]`).test(one.message));
        if (event === undefined) continue;
        this.#figures.orphans++;
        this.#figures.orphanMs.push(Math.max(0, event.at - entry.atMs));
      }
    }
  }
}
