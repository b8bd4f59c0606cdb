/**
 * Live pages: streams of server-sent events, grouped by role and address. A group's page is made
 * once a tick for all its streams, and only what differs is sent. The work of a tick is bounded:
 * with many groups each is made less often.
 */
import type { Clock, Log } from "../../core/clock.ts";
import { inTime } from "../../core/turn/time-limit.ts";
import { nextTurn } from "../../runtime/turn.ts";
import { diff, joinRegion, type Snapshot, snapshotOf } from "../page/diff.ts";
import { formatBlock } from "../page/layout.ts";
import type { Page } from "../page/page.ts";
import { LiveStream } from "./live-stream.ts";

const TICK_MS = 2_000;
/** How long pages are made in one tick, or a little longer: 2 % of the process. */
const WORK_MS = 40;
/** Keeps the connection open, and tells the reader that the page is current. */
const BEAT_MS = 15_000;
const STREAMS_MAX = 2_000;
const PAGES_MAX = 500;
/** Of one person, or of all who share a token. */
const OWN = { streams: 500, pages: 100 };
/** Streams that are served before other work of the process has a turn. */
const BATCH = 100;
/** A comment: keeps a connection open and says nothing. */
const QUIET = new TextEncoder().encode(":\n\n");

/** Who reads a page. */
type Reader = {
  /** Whose place a stream takes: the name of the credential. */
  owner: string;
  /** What the reader has shown. Readers that show the same are asked about once a tick. */
  shown: string;
  /** Whether the reader may still read: asked before anything is sent. */
  isAllowed(): boolean;
};

type Member = Reader & { stream: LiveStream };

type Group = {
  build(): Page | Promise<Page>;
  members: Set<Member>;
  /** Streams that wait for their turn to begin. */
  pending: Set<Member>;
  sent: Snapshot | null;
  /** The page as one event, for streams that begin. */
  whole: Uint8Array | null;
  /** When the page of `sent` began to be made, on the wall clock. */
  madeAt: number;
  /** One at a time, so that versions are sent in their order. */
  turn: Promise<void>;
  /** Its page is being made: a slow one, of another server's answers, must not stop the others. */
  isBusy: boolean;
  /** When the page was made last. */
  madeMono: number;
};

type Tick = {
  /** When no more pages are made. */
  until: number;
  /** Whether readers are told that they are connected. */
  beats: boolean;
  /** Whether those who show the same may still read. */
  allowed: Map<string, boolean>;
};

export class Live {
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly groups = new Map<string, Group>();
  private cancel: (() => void) | null = null;
  private beatMono = 0;
  private ended = false;

  constructor({ clock, log }: { clock: Clock; log: Log }) {
    this.clock = clock;
    this.log = log;
  }

  get streams(): number {
    return this.count().streams;
  }

  /**
   * A stream of the page `key`, whose reader has the version `have` of `at`; `null` = too many,
   * and the reader asks for the page from time to time instead. Throws what `build` throws.
   */
  async open(
    from: Reader & {
      key: string;
      have: string;
      /** On the wall clock of pages; `Infinity` = not known. */
      at: number;
      build(): Page | Promise<Page>;
    },
  ): Promise<ReadableStream | null> {
    const { key, have, at, build, owner, shown, isAllowed } = from;
    const known = this.groups.get(key);
    if (this.ended || this.isFull(owner, known !== undefined)) return null;
    const group: Group = known ?? newGroup(build);
    this.groups.set(key, group);
    const member = { stream: new LiveStream(), owner, shown, isAllowed };
    group.pending.add(member);
    try {
      await this.inTurn(group, async () => {
        if (group.sent?.version !== have) {
          // A page older than the reader's own would turn rows back until the next tick.
          const mayBeNewer = have !== "" && !(at < group.madeAt);
          if (group.whole === null || mayBeNewer) await this.renew(group, true);
          if (group.sent?.version !== have && group.whole !== null) member.stream.send(group.whole);
        }
        member.stream.send(this.event("beat", {}));
        group.members.add(member);
      });
    } finally {
      group.pending.delete(member);
      this.drop(key, group);
    }
    // Another control plane leads meanwhile, so nothing ends it later.
    if (this.ended) member.stream.finish(this.event("bye", {}));
    else this.cancel ??= this.clock.after(TICK_MS, () => void this.tick());
    return member.stream.body();
  }

  /** Another control plane leads: streams end, and their readers ask again. */
  end(): void {
    this.ended = true;
    this.cancel?.();
    for (const { members } of this.groups.values()) {
      for (const { stream } of members) stream.finish(this.event("bye", {}));
    }
    this.groups.clear();
  }

  /** What is open, or what of it is one owner's. */
  private count(owner: string | null = null): { streams: number; pages: number } {
    const found = { streams: 0, pages: 0 };
    for (const { members, pending } of this.groups.values()) {
      let own = members.size + pending.size;
      if (owner !== null) {
        own = 0;
        for (const one of members) if (one.owner === owner) own++;
        for (const one of pending) if (one.owner === owner) own++;
      }
      found.streams += own;
      if (own > 0) found.pages++;
    }
    return found;
  }

  /** Whether there is no place for one more stream of an owner; a page that is known costs none. */
  private isFull(owner: string, isKnown: boolean): boolean {
    const [all, own] = [this.count(), this.count(owner)];
    if (all.streams >= STREAMS_MAX || own.streams >= OWN.streams) return true;
    return !isKnown && (all.pages >= PAGES_MAX || own.pages >= OWN.pages);
  }

  /** Forgets a page that has no readers. */
  private drop(key: string, group: Group): void {
    if (group.members.size + group.pending.size > 0) return;
    if (this.groups.get(key) === group) this.groups.delete(key);
  }

  private async inTurn(group: Group, work: () => Promise<void>): Promise<void> {
    const turn = group.turn.then(work);
    group.turn = turn.catch(() => undefined);
    await turn;
  }

  private async tick(): Promise<void> {
    const now = this.clock.monoMs();
    const beats = now - this.beatMono >= BEAT_MS;
    if (beats) this.beatMono = now;
    const tick: Tick = { until: now + WORK_MS, beats, allowed: new Map() };
    try {
      for (const [key, group] of [...this.groups]) await this.serve(key, group, tick);
    } catch (error) {
      this.log("error", "live pages failed", { error: String(error) });
    }
    this.cancel = null;
    if (this.groups.size > 0 && !this.ended) {
      this.cancel = this.clock.after(TICK_MS, () => void this.tick());
    }
  }

  private async serve(key: string, group: Group, { until, beats, allowed }: Tick): Promise<void> {
    await this.prune(group, allowed, beats);
    this.drop(key, group);
    if (this.ended || group.members.size === 0) return;
    if (beats) {
      // A page that was not made for long is not current, and its readers must see that.
      const isCurrent = this.clock.monoMs() - group.madeMono < BEAT_MS;
      await this.send(group, isCurrent ? this.event("beat", {}) : QUIET);
    }
    if (group.isBusy || this.clock.monoMs() > until || this.groups.get(key) !== group) return;
    // Those that were made go to the end of the line.
    this.groups.delete(key);
    this.groups.set(key, group);
    group.isBusy = true;
    const made = this.inTurn(group, () => this.renew(group))
      .catch((error: unknown) => {
        this.log("error", "a live page failed", { page: key, error: String(error) });
        // Its readers ask for the page, and see why.
        for (const { stream } of group.members) stream.end();
      })
      .finally(() => (group.isBusy = false));
    await nextTurn();
    const leftMs = Math.max(0, until - this.clock.monoMs());
    if (group.isBusy)
      await inTime(
        this.clock,
        leftMs,
        () => made,
        () => undefined,
      );
  }

  /**
   * Ends streams whose reader may not read any more, is gone or, at a beat, has taken nothing since
   * the beat before.
   */
  private async prune(
    { members }: Group,
    allowed: Map<string, boolean>,
    beats: boolean,
  ): Promise<void> {
    let count = 0;
    for (const member of members) {
      const { stream, shown } = member;
      const may = allowed.get(shown) ?? member.isAllowed();
      allowed.set(shown, may);
      if (!may) stream.finish(this.event("bye", { reload: true }));
      else if (beats && stream.isStuck()) stream.end();
      if (!stream.isOpen) members.delete(member);
      if (++count % BATCH === 0) await nextTurn();
    }
  }

  /** Makes the page and sends what differs. */
  private async renew(group: Group, isWanted = false): Promise<void> {
    const madeAt = this.clock.wallMs();
    group.madeMono = this.clock.monoMs();
    const { title, blocks } = await group.build();
    const regions = blocks.map(formatBlock);
    const now = snapshotOf(title, regions);
    const { sent } = group;
    const isNew = sent?.version !== now.version;
    group.whole = null;
    const whole = (): Uint8Array => {
      const html = regions.map(joinRegion).join("");
      return this.event("page", { version: now.version, title, html }, now.version);
    };
    if (isWanted) group.whole = whole();
    group.sent = now;
    group.madeAt = madeAt;
    if (!isNew || sent === null) return;
    const patch = diff(sent, now, regions);
    const chunk =
      patch === null ? (group.whole ??= whole()) : this.event("patch", patch, now.version);
    await this.send(group, chunk);
  }

  private async send({ members }: Group, chunk: Uint8Array): Promise<void> {
    let count = 0;
    for (const member of members) {
      if (!member.stream.send(chunk)) members.delete(member);
      if (++count % BATCH === 0) await nextTurn();
    }
  }

  private event(name: string, data: object, id: string | null = null): Uint8Array {
    const text = JSON.stringify({ ...data, now: this.clock.wallMs() });
    const mark = id === null ? "" : `id: ${id}\n`;
    return new TextEncoder().encode(`${mark}event: ${name}\ndata: ${text}\n\n`);
  }
}

const newGroup = (build: Group["build"]): Group => ({
  build,
  members: new Set(),
  pending: new Set(),
  sent: null,
  whole: null,
  madeAt: 0,
  turn: Promise.resolve(),
  isBusy: false,
  madeMono: -Infinity,
});
