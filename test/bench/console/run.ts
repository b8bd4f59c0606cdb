/**
 * A fleet that reports, a person who cordons and uncordons a node every two seconds, and windows
 * with and without open streams in turn. What the streams cost is the difference of two windows
 * beside each other. Adapter: processes, network, timers.
 */
import { beside, openHonest, World } from "../../attack/world.ts";
import { spreadOf } from "../bench.ts";
import type { Load, LoadResult } from "../load.ts";
import type { Received } from "./order.ts";
import { Readers } from "./readers.ts";
import { Rounds } from "./rounds.ts";

export type Options = {
  agents: number;
  streams: number;
  seconds: number;
  rounds: number;
  everyMs: number;
};

/** People whose tokens the sessions are made of. */
const PEOPLE = 20;
/** As often as a live page is made. */
const MOVE_MS = 2_000;
/** Nodes that are cordoned in turn. */
const MOVED = 10;
/** What opening and closing the streams left behind is not the window's. */
const SETTLE_MS = 3_000;
const WATCHED = "/fleet";

export type Window = {
  result: LoadResult;
  /** Between two activations. */
  periodsMs: number[];
  /** From an order to its answer, which the reconciler gives. */
  ordersMs: number[];
  cpuPercent: number;
  rssMiB: number;
};

export type Pair = { quiet: Window; watched: Window; received: Received; firstEventMs: number[] };

export type PageRead = { path: string; firstByteMs: number[]; bytes: number; status: number };

type Parts = { options: Options; rounds: Rounds; world: World; load: Load; readers: Readers };

export class Bed {
  private readonly options: Options;
  private readonly rounds: Rounds;
  private readonly world: World;
  private readonly load: Load;
  private readonly readers: Readers;
  private moves = 0;

  private constructor(from: Parts) {
    this.options = from.options;
    this.rounds = from.rounds;
    this.world = from.world;
    this.load = from.load;
    this.readers = from.readers;
  }

  static async open(options: Options, say: (line: string) => void): Promise<Bed> {
    const rounds = new Rounds();
    const closing: (() => unknown)[] = [() => rounds.close()];
    try {
      const world = await World.start("leader", rounds.env);
      closing.unshift(() => world.close());
      const load = await openHonest(world, options.agents, options.everyMs);
      closing.unshift(() => load.close());
      say(`${options.agents} agents have registered`);
      const people = Array.from({ length: PEOPLE }, (_, at) => person(world, at));
      const tokens = await Promise.all(people);
      const order = { url: world.url, path: WATCHED, streams: options.streams, tokens };
      const readers = await Readers.start(order, world.folder, beside());
      say(`${options.streams} readers have logged in`);
      // The compiler has seen the code, and the collector the fleet.
      await load.window({ forMs: options.seconds * 1_000, findingEvery: null });
      return new Bed({ options, rounds, world, load, readers });
    } catch (error) {
      for (const close of closing) await close();
      throw error;
    }
  }

  /** Who goes first changes, so that neither always finds the warmer machine. */
  async pair(round: number): Promise<Pair> {
    if (round % 2 === 0) {
      const quiet = await this.window();
      return { quiet, ...(await this.watched()) };
    }
    const watched = await this.watched();
    return { quiet: await this.window(), ...watched };
  }

  /** Reads pages while agents report and streams are open. */
  async readPages(paths: readonly string[], times: number): Promise<PageRead[]> {
    await this.readers.open();
    let ended = false;
    const forMs = paths.length * times * PAUSE_MS;
    const window = this.load.window({ forMs, findingEvery: null }).finally(() => (ended = true));
    const pages = paths.map((path): PageRead => ({ path, firstByteMs: [], bytes: 0, status: 0 }));
    for (let at = 0; at < times && !ended; at++) {
      for (const page of pages) {
        await this.readPage(page);
        await Bun.sleep(PAUSE_MS / 2);
      }
    }
    await window;
    await this.readers.leave();
    return pages;
  }

  async close(): Promise<void> {
    await this.readers.close();
    await this.load.close();
    await this.world.close();
    this.rounds.close();
  }

  private async readPage(page: PageRead): Promise<void> {
    const startMs = performance.now();
    const answer = await this.world.fetch(page.path);
    page.firstByteMs.push(performance.now() - startMs);
    page.status = answer.status;
    page.bytes = Math.max(page.bytes, (await answer.arrayBuffer()).byteLength);
  }

  private async watched(): Promise<Omit<Pair, "quiet">> {
    const firstEventMs = await this.readers.open();
    const watched = await this.window(() => this.readers.begin());
    const received = await this.readers.end();
    await this.readers.leave();
    return { watched, received, firstEventMs };
  }

  private async window(begin = async (): Promise<void> => undefined): Promise<Window> {
    const { load, world, rounds, options } = this;
    await Bun.sleep(SETTLE_MS);
    await begin();
    const mover = this.move();
    rounds.take();
    const [startMs, cpuMs] = [performance.now(), world.cpuMs()];
    let rssMiB = world.memory().rss;
    const timer = setInterval(() => (rssMiB = Math.max(rssMiB, world.memory().rss)), 1_000);
    try {
      const result = await load.window({ forMs: options.seconds * 1_000, findingEvery: null });
      const cpuPercent = ((world.cpuMs() - cpuMs) / (performance.now() - startMs)) * 100;
      return { result, periodsMs: rounds.take(), ordersMs: await mover.stop(), cpuPercent, rssMiB };
    } finally {
      clearInterval(timer);
      await mover.stop();
    }
  }

  /** Cordons and uncordons nodes in turn, so that the page changes with each tick. */
  private move(): { stop(): Promise<number[]> } {
    const ordersMs: number[] = [];
    let isOver = false;
    const over = Promise.withResolvers<void>();
    const work = async (): Promise<number[]> => {
      for (let due = performance.now() + MOVE_MS / 2; !isOver; due += MOVE_MS) {
        await Promise.race([Bun.sleep(Math.max(0, due - performance.now())), over.promise]);
        if (isOver) break;
        const type = Math.floor(this.moves / MOVED) % 2 === 0 ? "cordon" : "uncordon";
        const node = `load-${this.moves % Math.min(MOVED, this.options.agents)}`;
        this.moves++;
        const startMs = performance.now();
        const init = { method: "POST", body: JSON.stringify({ reason: "a measurement" }) };
        const answer = await this.world.fetch(`/v1/nodes/${node}/${type}`, init);
        if (!answer.ok) throw new Error(`${type} ${node}: ${answer.status} ${await answer.text()}`);
        ordersMs.push(performance.now() - startMs);
      }
      return ordersMs;
    };
    const running = work();
    return {
      stop: () => {
        isOver = true;
        over.resolve();
        return running;
      },
    };
  }
}

/** Between two reads of a page. */
const PAUSE_MS = 100;

/** The token of one more viewer. */
async function person(world: World, at: number): Promise<string> {
  const body = JSON.stringify({ role: "viewer", label: `reader ${at}` });
  const answer = await world.fetch("/v1/tokens", { method: "POST", body });
  const { token } = (await answer.json()) as { token?: unknown };
  if (typeof token === "string") return token;
  throw new Error(`no token was made: ${answer.status}`);
}

export const p99Of = ({ undisturbed }: LoadResult): number => spreadOf(undisturbed).p99;
