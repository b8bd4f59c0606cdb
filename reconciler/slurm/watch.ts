/**
 * Lists a Slurm controller's nodes and jobs: each poll interval at rest, each second when a drain
 * or release begins to be awaited, less often the longer that takes and when the controller is
 * slow. A failed list makes it dark at once.
 */
import type { Clock, Log } from "../core/clock.ts";
import type { SlurmAnswer, SlurmClient } from "../core/slurm/client.ts";
import type { SlurmJob, SlurmNode } from "../core/slurm/object.ts";
import { backoffMs } from "../core/turn/backoff.ts";

export type WatchPorts = {
  client: SlurmClient;
  clock: Clock;
  log: Log;
  /** Between lists at rest. */
  pollMs: number;
};

const ATTENDED_MS = 1_000;
/** A wait of five minutes is looked at each 5 s, and one of days costs no more than each 10 s. */
const ATTENDED_SHARE = 60;
const ATTENDED_MS_MAX = 10_000;
/** A list that takes 500 ms is asked for at most each 1.5 s: a third of a controller's one lock. */
const PAUSE_FACTOR = 2;
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 15_000;
/** While a drain or a release is awaited. */
const RETRY_ATTENDED_MS_MAX = 3_000;
/** Beyond the interval: a client's own time limit for both calls, and a late timer. */
const STALE_EXTRA_MS = 25_000;
/** Reads of single nodes for one list. */
const VERIFIED_MAX = 8;
const NO_JOBS: readonly SlurmJob[] = [];

type Seen = { wall: number; mono: number };

export class Watch {
  readonly #ports: WatchPorts;
  #rows = new Map<string, SlurmNode>();
  #list: { version: number; known: boolean; list: readonly SlurmNode[] };
  #jobs: readonly SlurmJob[] = NO_JOBS;
  #jobsOn = new Map<string, SlurmJob[]>();
  /** Begin of the last complete list. */
  #seen: Seen | null = null;
  #problem: string | null = null;
  #failures = 0;
  /** Rows read on their own, by when they were asked for: an older list does not replace them. */
  #newer = new Map<string, number>();
  /** Since when, monotonic. */
  #attended: ReadonlyMap<string, number> = new Map();
  /** Attended since the last list began: its end wakes the loop even if nothing changed. */
  #isAwaited = false;
  #cancel: (() => void) | null = null;
  #lastStart = Number.NEGATIVE_INFINITY;
  #lastTookMs = 0;
  /** Counts starts and stops: an answer of an earlier term is dropped. */
  #term = 0;
  #isRunning = false;
  #isAsking = false;
  #wakeUp: () => void = () => undefined;

  constructor(ports: WatchPorts) {
    this.#ports = ports;
    this.#list = { version: 0, known: false, list: [] };
  }

  start(wakeUp: () => void): void {
    this.stop();
    this.#wakeUp = wakeUp;
    this.#isRunning = true;
    this.#schedule(0);
  }

  /** Forgets what was seen: a later term of leadership begins dark. */
  stop(): void {
    this.#term += 1;
    this.#isRunning = false;
    this.#isAsking = false;
    this.#cancel?.();
    this.#cancel = null;
    this.#seen = null;
    this.#problem = null;
    this.#failures = 0;
    this.#attended = new Map();
    this.#wakeUp = () => undefined;
  }

  nodes(): { version: number; known: boolean; list: readonly SlurmNode[] } {
    return { ...this.#list, known: this.#seen !== null };
  }

  node(name: string): SlurmNode | undefined {
    return this.#rows.get(name);
  }

  jobsOn(name: string): readonly SlurmJob[] {
    return this.#jobsOn.get(name) ?? NO_JOBS;
  }

  queue(): { jobs: readonly SlurmJob[]; observedAt: number } | null {
    if (this.#seen === null) return null;
    return { jobs: this.#jobs, observedAt: this.#seen.wall };
  }

  /** Wall milliseconds of the begin of the last complete list. */
  seenAt(): number | null {
    return this.#seen?.wall ?? null;
  }

  ageMs(): number | null {
    return this.#seen === null ? null : this.#ports.clock.monoMs() - this.#seen.mono;
  }

  /** Why the last list failed; `null` = it did not. */
  problem(): string | null {
    return this.#problem;
  }

  dark(): string | null {
    if (this.#problem !== null) return this.#problem;
    const ageMs = this.ageMs();
    if (ageMs === null) return "Slurm has not been listed yet";
    if (ageMs <= this.#ports.pollMs + STALE_EXTRA_MS) return null;
    return `Slurm's last answer is ${Math.round(ageMs / 1_000)} s old`;
  }

  attend(names: ReadonlySet<string>): void {
    const isMore = [...names].some((name) => !this.#attended.has(name));
    const now = this.#ports.clock.monoMs();
    this.#attended = new Map([...names].map((name) => [name, this.#attended.get(name) ?? now]));
    if (!isMore) return;
    this.#isAwaited = true;
    this.hurry();
  }

  /** Lists as soon as the rate permits. */
  hurry(): void {
    if (this.#isRunning && !this.#isAsking) this.#schedule(this.#pauseMs());
  }

  /** Takes rows that were read on their own; `askedAt` is monotonic. */
  note(rows: readonly SlurmNode[], askedAt: number): void {
    for (const row of rows) this.#newer.set(row.name, askedAt);
    const named = rows.map((row) => {
      const reservation = this.#rows.get(row.name)?.reservation ?? null;
      return isUnnamed(row) ? { ...row, reservation } : row;
    });
    const changed = named.filter((row) => !isSame(row, this.#rows.get(row.name)));
    for (const row of changed) this.#rows.set(row.name, row);
    if (changed.length === 0 || this.#seen === null) return;
    this.#publish();
    this.#wakeUp();
  }

  #schedule(ms: number): void {
    this.#cancel?.();
    const sinceStart = this.#ports.clock.monoMs() - this.#lastStart;
    this.#cancel = this.#ports.clock.after(Math.max(0, ms - sinceStart), () => {
      this.#cancel = null;
      void this.#ask();
    });
  }

  /** From the begin of one list to the begin of the next. */
  #pauseMs(): number {
    const isAttended = this.#attended.size > 0;
    const wanted = isAttended ? this.#attendedMs() : this.#ports.pollMs;
    if (this.#failures > 0) {
      const most = isAttended ? RETRY_ATTENDED_MS_MAX : Math.max(RETRY_MS_MAX, wanted);
      return this.#lastTookMs + backoffMs(this.#failures, RETRY_MS, most);
    }
    return Math.max(wanted, this.#lastTookMs * (1 + PAUSE_FACTOR));
  }

  /** By the shortest wait, so that its end is seen soon. */
  #attendedMs(): number {
    const since = [...this.#attended.values()].reduce((a, b) => Math.max(a, b));
    const ms = (this.#ports.clock.monoMs() - since) / ATTENDED_SHARE;
    return Math.min(this.#ports.pollMs, ATTENDED_MS_MAX, Math.max(ATTENDED_MS, ms));
  }

  async #ask(): Promise<void> {
    const { client, clock } = this.#ports;
    const term = this.#term;
    const began: Seen = { wall: clock.wallMs(), mono: clock.monoMs() };
    const isAwaited = this.#isAwaited;
    this.#isAwaited = false;
    this.#isAsking = true;
    this.#lastStart = began.mono;
    const [listed, jobs] = await Promise.all([client.nodes(), client.jobs()]);
    const nodes = await this.#named(await this.#verified(listed, jobs));
    if (term !== this.#term) return;
    this.#isAsking = false;
    this.#lastTookMs = clock.monoMs() - began.mono;
    const cause = causeOf([nodes, jobs]);
    if (cause !== null) this.#failed(cause);
    else if (nodes.kind === "ok" && jobs.kind === "ok") {
      this.#fold(nodes.value, jobs.value, began, isAwaited);
    }
    this.#schedule(this.#pauseMs());
  }

  /**
   * The list of all nodes may show MIXED long after the last job (docs/reference/slurm.md): an
   * attended node that is busy without a job is read on its own, which is always fresh.
   */
  async #verified(
    listed: SlurmAnswer<readonly SlurmNode[]>,
    jobs: SlurmAnswer<readonly SlurmJob[]>,
  ): Promise<SlurmAnswer<readonly SlurmNode[]>> {
    if (listed.kind !== "ok" || jobs.kind !== "ok") return listed;
    const worked = new Set(jobs.value.flatMap(({ nodes }) => nodes));
    const odd = listed.value.filter(({ name, base }) => {
      return this.#attended.has(name) && /^(MIXED|ALLOCATED)$/.test(base) && !worked.has(name);
    });
    if (odd.length === 0) return listed;
    const names = odd.slice(0, VERIFIED_MAX).map(({ name }) => name);
    const read = await this.#ports.client.nodes(names);
    if (read.kind !== "ok") return listed;
    const fresh = new Map(read.value.map((row) => [row.name, row]));
    return { kind: "ok", value: listed.value.map((row) => fresh.get(row.name) ?? row) };
  }

  /**
   * With the names of their reservations, of which releases before 23.02 show a node only the flag.
   * They are asked for while a node shows it; without an answer its flag says enough.
   */
  async #named(
    listed: SlurmAnswer<readonly SlurmNode[]>,
  ): Promise<SlurmAnswer<readonly SlurmNode[]>> {
    if (listed.kind !== "ok" || !listed.value.some(isUnnamed)) return listed;
    const answer = await this.#ports.client.reservations();
    const all = answer.kind === "ok" ? answer.value.filter(({ isMaint }) => isMaint) : [];
    const first = [...all].sort((a, b) => (b.startsAt ?? 0) - (a.startsAt ?? 0));
    const names = new Map(first.flatMap(({ name, nodes }) => nodes.map((node) => [node, name])));
    const value = listed.value.map((row) => {
      if (!isUnnamed(row)) return row;
      const known = answer.kind === "ok" ? null : (this.#rows.get(row.name)?.reservation ?? null);
      return { ...row, reservation: names.get(row.name) ?? known };
    });
    return { kind: "ok", value };
  }

  #failed(message: string): void {
    const isNews = this.#problem === null;
    this.#problem = message;
    this.#failures += 1;
    if (!isNews) return;
    this.#ports.log("warn", "Slurm does not answer", { cause: message });
    this.#wakeUp();
  }

  #fold(
    rows: readonly SlurmNode[],
    jobs: readonly SlurmJob[],
    began: Seen,
    isAwaited: boolean,
  ): void {
    const wasDark = this.#problem !== null || this.#seen === null;
    if (this.#problem !== null) this.#ports.log("info", "Slurm answers again", {});
    this.#problem = null;
    this.#failures = 0;
    this.#seen = began;
    const isNodeNews = this.#takeNodes(rows, began.mono);
    const isWorkNews = this.#takeJobs(jobs);
    if (wasDark || isNodeNews || isWorkNews || isAwaited) this.#wakeUp();
  }

  #takeNodes(rows: readonly SlurmNode[], beganMono: number): boolean {
    const next = new Map<string, SlurmNode>();
    for (const row of rows) {
      const isOld = (this.#newer.get(row.name) ?? Number.NEGATIVE_INFINITY) >= beganMono;
      next.set(row.name, (isOld ? this.#rows.get(row.name) : undefined) ?? row);
    }
    for (const [name, mono] of this.#newer) if (mono < beganMono) this.#newer.delete(name);
    const isNews =
      this.#list.version === 0 ||
      next.size !== this.#rows.size ||
      [...next].some(([name, row]) => !isSame(row, this.#rows.get(name)));
    this.#rows = next;
    if (isNews) this.#publish();
    return isNews;
  }

  /** Whether the jobs on an attended node changed. */
  #takeJobs(jobs: readonly SlurmJob[]): boolean {
    const next = new Map<string, SlurmJob[]>();
    for (const job of jobs) {
      for (const name of job.nodes) {
        const there = next.get(name);
        if (there === undefined) next.set(name, [job]);
        else there.push(job);
      }
    }
    const before = this.#jobsOn;
    this.#jobs = jobs;
    this.#jobsOn = next;
    const names = [...this.#attended.keys()];
    return names.some((name) => keyOf(before.get(name)) !== keyOf(next.get(name)));
  }

  #publish(): void {
    const version = this.#list.version + 1;
    this.#list = { version, known: true, list: [...this.#rows.values()] };
  }
}

const isUnnamed = ({ flags, reservation }: SlurmNode): boolean =>
  flags.includes("MAINTENANCE") && reservation === null;

/** Of two failures the one that says more: 22.05 has only "Unspecified error" for the nodes. */
function causeOf(answers: readonly SlurmAnswer<unknown>[]): string | null {
  const causes = answers.flatMap((one) => (one.kind === "ok" ? [] : [one.message]));
  return causes.find((cause) => !cause.endsWith("Unspecified error")) ?? causes[0] ?? null;
}

function keyOf(jobs: readonly SlurmJob[] = NO_JOBS): string {
  return jobs.map(({ id, state }) => `${id} ${state}`).join();
}

function isSame(one: SlurmNode, other: SlurmNode | undefined): boolean {
  return other !== undefined && JSON.stringify(one) === JSON.stringify(other);
}
