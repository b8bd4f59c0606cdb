/**
 * A fleet, its cloud, its people and its control plane on a virtual clock, driven by a list of
 * faults. One seed gives one trace: everything that happens is put into one order, and every choice
 * is drawn from a stream of its own.
 */
import { createHash } from "node:crypto";
import type { Entry } from "../../../reconciler/provider/fake/entry.ts";
import { openFakeScheduler, type FakeScheduler } from "../../world/fake-scheduler.ts";
import type { Config } from "../../../schema/config.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { checkInvariants, openCheckers } from "../../invariant/check.ts";
import type { Checker, Observation, Violation } from "../../world/observation.ts";
import { Watch } from "../../invariant/watch.ts";
import { configOf } from "../../world/world.ts";
import { logXid, reportOf } from "../../world/agent.ts";
import * as talk from "./agent.ts";
import { type Cloud, openCloud } from "./cloud.ts";
import { FROZEN, Life } from "./life.ts";
import { HOME, providersOf } from "./account.ts";
import { passAwake } from "../../world/drive.ts";
import { Queue } from "../../../simulator/engine/queue.ts";
import { type Providers, type Shape, yamlOf } from "./shape.ts";
import { SINK_LOOK_MS, Sinks } from "./sinks.ts";
import { isLoud, nextWake } from "./wake.ts";
import { placeWork } from "./work.ts";

const FLEET = "fleet";
/** Reports wait this long for company before they are written; then the loop looks. */
const BATCH_MS = 5;
const BACKUP_MS = 10 * 60_000;

export type Found = Violation & { at: number };

/** `full` = every step and every heartbeat; the other skips what can change nothing. */
export type Pace = "analytic" | "full";

export class Swarm {
  readonly clock = new VirtualClock();
  /** What is to happen when; `null` = worth a look. */
  readonly queue = new Queue<(() => void | Promise<void>) | null>();
  readonly agents = new Map<InstanceId, talk.Agent>();
  readonly shape: Shape;
  readonly cloud: Cloud;
  readonly sinks: Sinks;
  readonly scheduler: FakeScheduler = openFakeScheduler();
  readonly watch: Watch;
  readonly life: Life;
  /** Wanted by people: the sizes of the pools, and how often they edited the file. */
  readonly sizes: number[];
  edits = 0;
  /** As the file names them; `isMoved`: the first of them in another account. */
  providers: Providers & { isMoved: boolean } = { names: ["fake"], at: "fake", isMoved: false };
  config: Config;
  /** When a process that is down comes up again; monotonic. */
  upAt: number | null = null;
  /** How long a process that dies of a fuse stays down. */
  downMs = 5_000;
  /** The cloud's lists may lie until then; monotonic. */
  doubtUntil = 0;
  /** Everything is observable since then. */
  private fairSince = 0;
  /** This process missed beats at or before this. */
  private deafUntil = -1;
  readonly found: Found[] = [];
  /** Every event in order, for comparing two paces. */
  readonly story: string[] = [];
  steps = 0;
  events = 0;
  /** XIDs that the next machines will have. */
  readonly badMachines: { code: number; afterMs: number }[] = [];
  private readonly hash = createHash("sha256");
  private readonly checkers: Checker[];
  private readonly pace: Pace;
  private forgotten = false;
  /** Copies of the database, the oldest first; `null`: the story needs none. */
  private readonly backups: { at: number; bytes: Uint8Array }[] = [];
  keepsBackups = false;
  private readonly base: number;

  constructor(shape: Shape, pace: Pace) {
    this.shape = shape;
    this.pace = pace;
    this.base = this.clock.wallMs();
    this.sizes = shape.pools.map((pool) => pool.size);
    this.config = this.readConfig();
    // The cloud has a clock of its own, which never jumps.
    const clock = {
      wallMs: () => Math.round(this.base + this.clock.monoMs()),
      monoMs: () => this.clock.monoMs(),
      after: (ms: number, work: () => void) => this.clock.after(ms, work),
    };
    this.watch = new Watch({
      wallMs: () => this.clock.wallMs(),
      cloudMs: () => clock.wallMs(),
      blind: () => this.life.blind(),
      fleetId: FLEET,
      settleMs: shape.settleMs,
      doubtful: () => this.isDoubtful(),
      workOn: (machine) => this.sinks.workOn(machine),
      committed: (commit) => {
        this.events += commit.change.events.length;
        for (const node of commit.change.nodes) {
          if (node.phase.kind !== "serving" || node.instance === null) continue;
          const agent = this.agents.get(node.instance.id);
          if (agent === undefined) continue;
          agent.worked = true;
          if (node.cordon.product === null) agent.emptyAt = null;
        }
        const seen = { ...this.observe(), commits: [commit], calls: [] };
        this.report(checkInvariants(this.checkers, seen, "commit"));
      },
      trace: (line) => this.trace(line),
    });
    const own = { clock, fleetId: FLEET, onEntry: (entry: Entry) => this.enter(entry) };
    this.cloud = openCloud(shape, own);
    this.cloud.reach = () => HOME;
    const world = { clock: this.clock, steady: clock, cloud: this.cloud, fleetId: FLEET };
    this.sinks = new Sinks(shape, world);
    placeWork(this.scheduler, {
      wallMs: () => this.clock.wallMs(),
      monoMs: () => this.now(),
      agentOf: (node) => this.agentOf(node),
      drainMs: shape.drainMs,
      emptyAt: (at) => this.queue.put(this.lookAt(at), null),
    });
    this.life = new Life({
      clock: this.clock,
      providers: () => providersOf(this.cloud, this.providers.isMoved),
      isMoved: () => this.providers.isMoved,
      scheduler: this.scheduler,
      sinks: this.sinks,
      watch: this.watch,
      fleetId: FLEET,
      planes: shape.planes,
      frozen: (forMs, at) => {
        this.trace(`event ${this.clock.wallMs()} frozen ${at} for ${forMs / 1_000} s`);
        this.upAt = this.gridAt(this.now() + shape.stepMs);
        this.queue.put(this.now() + forMs, () => this.life.thaw());
      },
      trouble: (message) => {
        // A list that lies shows no machine whose kubelet still runs, and the product says so.
        if (/^kubelet of a terminated machine/.test(message) && this.isDoubtful()) return;
        this.report([{ id: "bug", message }]);
      },
    });
    this.checkers = openCheckers({ events: () => this.life.events() });
  }

  /** Monotonic: the time of the simulation. */
  now(): number {
    return this.clock.elapsedMs();
  }

  isDoubtful(): boolean {
    return this.now() < this.doubtUntil;
  }

  readConfig(): Config {
    return configOf(yamlOf(this.shape, this.edits, this.providers));
  }

  traceHash(): string {
    return this.hash.copy().digest("hex");
  }

  /** Runs until `until`, in steps; `each` may stop it. */
  async run(until: number, each: () => boolean = () => true): Promise<void> {
    while (this.now() < until) {
      await this.step();
      if (!each()) return;
      // A pause in this step may have ended after `until`.
      await this.pass(Math.max(0, Math.min(this.nextAt(), this.gridAt(until)) - this.now()));
    }
  }

  private gridAt(at: number): number {
    const { stepMs } = this.shape;
    return Math.ceil(at / stepMs) * stepMs;
  }

  private nextAt(): number {
    const { stepMs } = this.shape;
    const grid = Math.floor(this.now() / stepMs) * stepMs;
    const soon = grid + stepMs;
    if (this.pace === "full") return soon;
    const never = Number.POSITIVE_INFINITY;
    let at = Math.min(this.queue.nextAtMs() ?? never, this.upAt ?? never);
    const { running } = this.life;
    if (running !== null) {
      const wakeAt = nextWake({
        mono: grid,
        wall: this.clock.wallMs() - (this.now() - grid),
        stepMs,
        heartbeatMs: this.shape.heartbeatMs,
        config: this.config,
        presence: running.reconciler.presence,
        plan: running.reconciler.lastPlan(),
        rows: this.watch.rows,
        cloud: this.cloudFacts(),
        agents: this.agents,
        doubtful: this.isDoubtful(),
      });
      at = Math.min(at, this.lookAt(wakeAt));
      if (this.sinks.some) at = Math.min(at, grid + SINK_LOOK_MS);
    }
    return Math.max(soon, this.gridAt(at));
  }

  /** The step whose look, which comes a moment after its beginning, sees what is due at `at`. */
  private lookAt(at: number): number {
    return this.gridAt(at - BATCH_MS);
  }

  private async pass(ms: number): Promise<void> {
    const { running } = this.life;
    if (running === null) return this.clock.pass(ms);
    if (!this.sinks.some) return passAwake(this.clock, ms, running.reconciler);
    // What a scheduler tells wakes the loop.
    const end = this.now() + ms;
    while (this.now() < end && this.life.isUp() && !running.reconciler.isWoken) {
      await passAwake(this.clock, this.gridAt(this.now() + 1) - this.now(), running.reconciler);
    }
  }

  private async step(): Promise<void> {
    this.steps++;
    this.cloud.advance();
    for (let one = this.queue.take(this.now()); one !== null; one = this.queue.take(this.now()))
      await one.item?.();
    if (this.life.hasLost()) await this.fall(this.shape.stepMs);
    if (this.upAt !== null && this.upAt <= this.now()) await this.bringUp();
    await this.speak();
    const rested = await this.life.turn();
    if (!rested && this.upAt === null) await this.fall(this.downMs);
    this.judge(rested);
    if (this.keepsBackups) this.backUp();
  }

  private backUp(): void {
    const last = this.backups.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
    if (this.now() - last < BACKUP_MS) return;
    this.backups.push({ at: this.now(), bytes: this.life.snapshot() });
  }

  private judge(rested: boolean): void {
    const plan = rested ? (this.life.running?.reconciler.lastPlan() ?? null) : null;
    const seen = { ...this.observe(), ...this.watch.take(), ...this.sinks.take(), plan };
    for (const one of seen.slurm) this.trace(`slurm ${JSON.stringify(one)}`);
    this.report(checkInvariants(this.checkers, seen, "step"));
    this.forgotten = false;
  }

  private trace(line: string): void {
    this.hash.update(`${line}\n`);
    if (line.startsWith("event") || line.startsWith("slurm")) this.story.push(line);
  }

  private report(violations: Violation[]): void {
    for (const one of violations) this.found.push({ ...one, at: this.now() });
  }

  private cloudFacts(): Observation["cloud"] {
    return {
      class: this.shape.class,
      fleetId: FLEET,
      settleMs: this.shape.settleMs,
      sweepMs: 2 * this.shape.stepMs,
      live: this.watch.live,
      version: this.watch.version,
    };
  }

  private observe(): Observation {
    const presence = this.life.running?.reconciler.presence ?? null;
    const isSure = presence !== null && presence.doubtful() === null && !this.isDoubtful();
    const sees = isSure && !this.providers.isMoved;
    if (!sees) this.fairSince = this.now() + this.shape.stepMs;
    return {
      now: this.base + this.now(),
      wall: this.clock.wallMs(),
      config: this.config,
      rows: this.watch.rows,
      calls: [],
      commits: [],
      forgotten: this.forgotten,
      cloud: this.cloudFacts(),
      kube: [],
      slurm: [],
      cordoned: this.sinks.some ? null : this.scheduler.cordoned,
      plan: null,
      fair: sees && this.now() >= this.fairSince,
    };
  }

  /** Agents with news report; the others are only noted as present. */
  private async speak(): Promise<void> {
    const { running } = this.life;
    if (running === null) return;
    const { heartbeatMs } = this.shape;
    const at = this.now();
    const { nodes } = this.watch.rows;
    const wall = this.clock.wallMs();
    const answers: Promise<void>[] = [];
    for (const agent of this.agents.values()) {
      const due = talk.isBeat(agent, at, heartbeatMs) && !talk.isQuiet(agent, at);
      const loud = due && (this.pace === "full" || isLoud(agent, nodes.get(agent.node), wall));
      const news = agent.spool.length > 0 && !talk.isQuiet(agent, at) && at >= agent.startedAt;
      if (loud || news) {
        answers.push(this.say(agent, running.ingest));
        continue;
      }
      if (this.pace === "full" || !agent.registered) continue;
      this.note(agent, talk.lastBeat(agent, at, heartbeatMs), at);
    }
    await this.clock.pass(BATCH_MS);
    await Promise.all(answers);
  }

  private async say(
    agent: talk.Agent,
    ingest: { accept: NonNullable<Life["running"]>["ingest"]["accept"] },
  ): Promise<void> {
    agent.noted = this.now();
    const report = reportOf(agent.node, agent, this.clock.wallMs(), false);
    const answer = await this.life.orFrozen(ingest.accept(report, agent.node));
    if (answer === FROZEN || answer.kind !== "reply") return;
    agent.registered = !answer.reply.want_inventory;
    agent.spool = agent.spool.filter((one) => one.seq > answer.reply.ack_seq);
  }

  /** The process dies, and comes up again after `downMs`. */
  async fall(downMs: number): Promise<void> {
    await this.life.kill();
    this.upAt = this.gridAt(this.now() + downMs);
  }

  async loseDatabase(downMs: number): Promise<void> {
    await this.fall(downMs);
    this.life.loseDatabase();
    this.forgotten = true;
  }

  /** Nothing happens before the first backup, or beside a replica, whose server restores. */
  async restore({ agoMs, downMs, raw }: { agoMs: number; downMs: number; raw: boolean }) {
    const at = this.now() - agoMs;
    const backup = this.backups.findLast((one) => one.at <= at) ?? this.backups[0];
    if (backup === undefined || this.shape.planes === 2) return;
    await this.fall(downMs);
    await this.life.restore(backup.bytes, raw);
    this.forgotten = true;
  }

  async bringUp(): Promise<void> {
    this.upAt = null;
    try {
      if (await this.life.mayStart()) await this.life.start(this.config);
      else this.upAt = this.gridAt(this.now() + this.shape.stepMs);
    } catch (error) {
      // Starting may itself be what dies.
      if (this.life.isUp()) throw error;
      this.upAt = this.gridAt(this.now() + this.shape.stepMs);
    }
    if (this.upAt !== null) return;
    this.deafUntil = this.now() - 1;
    for (const agent of this.agents.values()) agent.noted = -1;
  }

  /** SIGSTOP: time passes without the process. */
  async pause(ms: number): Promise<void> {
    if (!this.life.isUp()) return;
    this.clock.sleepThrough(this.gridAt(this.now() + ms) - this.now());
    this.deafUntil = this.now() - 1;
    this.fairSince = this.now() + this.shape.stepMs;
  }

  private enter(entry: Entry): void {
    this.watch.entry(entry);
    const when = (wall: number): void => this.queue.put(this.lookAt(wall - this.base), null);
    if (entry.kind === "create.accepted") when(entry.landAtMs);
    if (entry.kind === "landed") when(entry.runningAtMs);
    if (entry.kind === "terminate.accepted") when(entry.terminatedAtMs);
    if (entry.kind === "terminated") this.fallSilent(entry.id, entry.atMs - this.base);
    if (entry.kind !== "running") return;
    const live = this.watch.live.get(entry.id);
    if (live?.fleet !== FLEET || live.decoy) return;
    const { agentBootMs, heartbeatMs } = this.shape;
    const at = this.gridAt(entry.atMs - this.base + agentBootMs);
    const agent = talk.newAgent(entry.id, live.node, at, heartbeatMs);
    this.agents.set(entry.id, agent);
    this.queue.put(at, null);
    const bad = this.badMachines.shift();
    if (bad === undefined) return;
    this.queue.put(at + bad.afterMs, () => {
      if (this.agents.has(entry.id)) logXid(agent, bad.code, 0, this.clock.wallMs());
    });
  }

  /** Its machine is off: earlier beats have arrived. */
  private fallSilent(id: InstanceId, at: number): void {
    const agent = this.agents.get(id);
    this.agents.delete(id);
    if (agent === undefined || this.pace === "full" || !agent.registered) return;
    const beat = talk.lastBeat(agent, Math.ceil(at) - 1, this.shape.heartbeatMs);
    this.note(agent, beat, this.now());
  }

  /** Notes a beat that arrived without a report. */
  private note(agent: talk.Agent, beat: number | null, at: number): void {
    const { running } = this.life;
    if (running === null || beat === null || beat <= agent.noted || beat <= this.deafUntil) return;
    agent.noted = beat;
    const wall = this.clock.wallMs() - (at - beat);
    running.reconciler.presence.note(agent.node, beat, wall, null);
  }

  private agentOf(node: string): talk.Agent | undefined {
    const row = this.watch.rows.nodes.get(node as talk.Agent["node"]);
    return row?.instance == null ? undefined : this.agents.get(row.instance.id);
  }
}
