/**
 * Where a mortal control plane dies, and what it tells of it: a folder with the order of the round,
 * the points that its lives pass, and their deaths. Files, because nothing else survives a SIGKILL
 * on both sides at once.
 *
 * Adapter: files.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * `b`: before the n-th effect. `d`: while it is under way. `a`: after it, before its answer is
 * known. `r`: after the n-th look, before what it saw is known; of looks between two effects only
 * the first of each kind counts. With `what` only those of this name are counted.
 */
export type Death = { n: number; side: "b" | "d" | "a" | "r"; what?: string };

/** Each life dies at its own; the first counts from the order on, later ones from their start. */
export type Order = { round: number; deaths: readonly Death[] };

export type Passed = { round: number; life: number; n: number; side: Death["side"]; what: string };

const READS = /^(slurm\.(nodes|jobs)|kube\.(get|list) .*|cloud\.(list|offers|quota|host_keys))$/;

/** A look changes nothing outside. A statement of SQL without a table to write is one, too. */
export const isEffect = (what: string): boolean => !READS.test(what) && !/^sql\.\w+ $/.test(what);

const lines = (path: string): string[] =>
  existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];

export class Orders {
  readonly #folder: string;
  #round = 0;
  #life = 0;
  #deaths: readonly Death[] = [];
  #text = "";
  /** Since the round or the life began: effects, and effects and looks by name. */
  #effects = 0;
  readonly #named = new Map<string, number>();
  /** Both numbers by the injector's count: an answer belongs to its call. */
  readonly #open = new Map<number, { n: number; ofName: number }>();
  #reads = new Set<string>();

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /** For the test: the next round begins. */
  give(order: Order): void {
    const path = join(this.#folder, "order");
    writeFileSync(`${path}.new`, JSON.stringify(order));
    renameSync(`${path}.new`, path);
  }

  points(round: number): Passed[] {
    return this.#read("points", round);
  }

  deaths(round: number): Passed[] {
    return this.#read("deaths", round);
  }

  /** For the process: what becomes of it at this point. */
  at(call: number, side: "b" | "a", what: string): "now" | "under way" | null {
    this.#look();
    const death = this.#deaths[this.#life];
    if (!isEffect(what)) return side === "a" ? this.#atRead(death, what) : null;
    if (side === "b") this.#begin(call, what);
    const { n = 0, ofName = 0 } = this.#open.get(call) ?? {};
    if (side === "a") this.#open.delete(call);
    this.#append("points", { n, side, what });
    const isHere = death?.what === undefined ? death?.n === n : death.n === ofName;
    // A call of before the order has no number.
    if (death === undefined || !isHere || n === 0) return null;
    if (death.what !== undefined && death.what !== what) return null;
    if (death.side === side) return this.#die({ n, side, what }, "now");
    const isUnderWay = death.side === "d" && side === "b";
    return isUnderWay ? this.#die({ n, side: "d", what }, "under way") : null;
  }

  #begin(call: number, what: string): void {
    this.#effects += 1;
    this.#open.set(call, { n: this.#effects, ofName: this.#count(what) });
    this.#reads = new Set();
  }

  #atRead(death: Death | undefined, what: string): "now" | null {
    if (this.#reads.has(what)) return null;
    this.#reads.add(what);
    const ofName = this.#count(what);
    const point = { n: this.#effects, side: "r", what } as const;
    this.#append("points", point);
    const isHere = death?.side === "r" && death.what === what && death.n === ofName;
    return isHere ? this.#die(point, "now") : null;
  }

  #count(what: string): number {
    const count = (this.#named.get(what) ?? 0) + 1;
    this.#named.set(what, count);
    return count;
  }

  #die<T>(point: Omit<Passed, "round" | "life">, how: T): T {
    this.#append("deaths", point);
    return how;
  }

  #look(): void {
    const path = join(this.#folder, "order");
    const text = existsSync(path) ? readFileSync(path, "utf8") : "";
    if (text === this.#text) return;
    this.#text = text;
    const order = JSON.parse(text) as Order;
    this.#round = order.round;
    this.#deaths = order.deaths;
    this.#life = this.deaths(order.round).length;
    this.#effects = 0;
    this.#named.clear();
    this.#open.clear();
  }

  #append(file: "points" | "deaths", point: Omit<Passed, "round" | "life">): void {
    const line = { round: this.#round, life: this.#life, ...point };
    appendFileSync(join(this.#folder, file), `${JSON.stringify(line)}\n`);
  }

  #read(file: "points" | "deaths", round: number): Passed[] {
    const all = lines(join(this.#folder, file)).map((line) => JSON.parse(line) as Passed);
    return all.filter((one) => one.round === round);
  }
}
