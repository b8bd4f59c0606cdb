/**
 * Live pages: streams of server-sent events, grouped by role and address. A group's page is made
 * once a tick for all its streams, and only what differs is sent. The work of a tick is bounded:
 * with many groups each is made less often.
 */
import type { Clock, Log } from "../../core/clock.ts";
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
const GROUPS_MAX = 500;
/** Streams that are served before other work of the process has a turn. */
const BATCH = 100;

type Member = {
  stream: LiveStream;
  /** Whether the reader may still read: asked before anything is sent. */
  isAllowed(): boolean;
};

type Group = {
  build(): Page | Promise<Page>;
  members: Set<Member>;
  sent: Snapshot | null;
  /** The page as one event, for streams that begin. */
  whole: Uint8Array | null;
  /** When the page of `sent` began to be made, on the wall clock. */
  madeAt: number;
  /** One at a time, so that versions are sent in their order. */
  turn: Promise<void>;
  /** Streams that wait for their turn to begin. */
  pending: number;
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
    return [...this.groups.values()].reduce((sum, { members }) => sum + members.size, 0);
  }

  /**
   * A stream of the page `key`, whose reader has the version `have` of `at`; `null` = too many,
   * and the reader asks for the page from time to time instead. Throws what `build` throws.
   */
  async open(from: {
    key: string;
    have: string;
    /** On the wall clock of pages; `Infinity` = not known. */
    at: number;
    build(): Page | Promise<Page>;
    isAllowed(): boolean;
  }): Promise<ReadableStream | null> {
    const { key, have, at, build, isAllowed } = from;
    if (this.ended || this.streams >= STREAMS_MAX) return null;
    const known = this.groups.get(key);
    if (known === undefined && this.groups.size >= GROUPS_MAX) return null;
    const none = { build, sent: null, whole: null, madeAt: 0, pending: 0 };
    const group: Group = known ?? { ...none, members: new Set(), turn: Promise.resolve() };
    this.groups.set(key, group);
    group.pending++;
    const member = { stream: new LiveStream(), isAllowed };
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
      group.pending--;
      if (group.members.size + group.pending === 0) this.groups.delete(key);
    }
    if (this.ended) this.end();
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

  private async inTurn(group: Group, work: () => Promise<void>): Promise<void> {
    const turn = group.turn.then(work);
    group.turn = turn.catch(() => undefined);
    await turn;
  }

  private async tick(): Promise<void> {
    const now = this.clock.monoMs();
    const beats = now - this.beatMono >= BEAT_MS;
    if (beats) this.beatMono = now;
    const until = now + WORK_MS;
    for (const [key, group] of [...this.groups]) {
      if (this.ended) return;
      this.prune(group);
      if (group.members.size === 0) {
        if (group.pending === 0) this.groups.delete(key);
        continue;
      }
      if (beats) await this.send(group, this.event("beat", {}));
      if (this.clock.monoMs() > until) continue;
      // Those that were made go to the end of the line.
      this.groups.delete(key);
      this.groups.set(key, group);
      await this.inTurn(group, () => this.renew(group)).catch((error: unknown) => {
        this.log("error", "a live page failed", { page: key, error: String(error) });
        // Its readers ask for the page, and see why.
        for (const { stream } of group.members) stream.end();
      });
      await nextTurn();
    }
    this.cancel = null;
    if (this.groups.size > 0 && !this.ended) {
      this.cancel = this.clock.after(TICK_MS, () => void this.tick());
    }
  }

  /** Ends streams whose reader is gone or may not read any more. */
  private prune({ members }: Group): void {
    for (const member of members) {
      if (member.stream.isOpen && !member.isAllowed()) {
        member.stream.finish(this.event("bye", { reload: true }));
        members.delete(member);
      } else if (!member.stream.isOpen) {
        members.delete(member);
      }
    }
  }

  /** Makes the page and sends what differs. */
  private async renew(group: Group, isWanted = false): Promise<void> {
    const madeAt = this.clock.wallMs();
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
