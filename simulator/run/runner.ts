/**
 * One run of a scenario, from an empty world to its last assertion. Every decision follows from
 * file, seed and build; time comes from outside, so the same code runs in virtual and in real time.
 */
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import { openChaos } from "../scenario/chaos.ts";
import { allNodes } from "../scenario/generate.ts";
import { recoverableBy } from "../scenario/recoverable.ts";
import type { FailureSpec, Scenario, SimNode, Threshold } from "../scenario/scenario.ts";
import { drawReplacementColdStart, planStartup, type Start } from "../scenario/startup.ts";
import { openStreams } from "../engine/random.ts";
import { Stack } from "../stack/stack.ts";
import type { Member } from "../stack/population.ts";
import type { Time } from "../engine/clock.ts";
import { Api } from "./api.ts";
import { ChaosDriver } from "./chaos.ts";
import { check, type Checked, type Semantics } from "./check.ts";
import { carryOut, injectInto, type Story } from "./step.ts";
import { configOf, shapeOf, slotsOf, withoutFloor } from "./prepare.ts";
import { RunRecord } from "./record.ts";
import { closeRun, type RunResult } from "./result.ts";

export type RunOptions = {
  scenario: Scenario;
  policy: CompiledPolicy;
  time: Time;
  seed: number;
  semantics: Semantics;
  /** In addition to the file's. */
  thresholds: readonly Threshold[];
  analytic: boolean;
  isAborted: () => boolean;
  sink: RunSink;
  /** Called once everything is composed and before time passes. */
  opened?: (stack: Stack) => void;
  /** Resident memory of this process in MiB. */
  rssMb: () => number;
  /** Continues after its events until it is aborted. */
  stays?: boolean;
};

export type RunSink = {
  /** One line of `events.jsonl`. */
  line(line: Record<string, unknown>): void;
  /** `null`: the control plane. */
  log(name: string | null, line: string): void;
  say(message: string): void;
  progress(progress: Progress): void;
};

export type Progress = {
  elapsedMs: number;
  /** `null` while the end is not known. */
  totalMs: number | null;
  healthy: number;
  failures: number;
  cascades: number;
  recoveries: number;
};

/** How often an interruption is checked. */
const STEP_MS = 1_000;
/**
 * The control plane must know its instances before the story begins: two listings of an idle cloud.
 */
const ADOPT_MAX_MS = 20_000;
const ADOPT_LOOK_MS = 500;
const INTERVAL_MS = 5_000;

export async function runScenario(options: RunOptions): Promise<RunResult> {
  const run = new Run(options);
  try {
    return await run.go();
  } finally {
    await run.close();
  }
}

class Run {
  readonly #options: RunOptions;
  readonly #nodes: SimNode[];
  readonly #stack: Stack;
  readonly #record: RunRecord;
  readonly #api: Api;
  readonly #chaos: ChaosDriver | null;
  readonly #heartbeatTimeoutMs: number;
  readonly #checks: Checked[] = [];
  readonly #errors: string[] = [];
  #originMono: number;
  #serial = 0;
  #healthy = 0;
  #isFloorDue = false;
  readonly #foretold = new Map<string, FailureSpec[]>();
  #endMs: number | null = null;
  #placed: Member[] = [];
  #begunAtMs = 0;
  #startedMs = 0;
  #cancelSample: (() => void) | null = null;

  constructor(options: RunOptions) {
    const { scenario, policy, time, seed, sink } = options;
    this.#options = options;
    const streams = openStreams(seed);
    this.#nodes = allNodes(scenario, streams.fleet);
    const wanted = configOf(scenario);
    // Listed machines are adopted first, then pools buy the rest.
    const config = this.#isAdopting() ? withoutFloor(wanted) : wanted;
    this.#heartbeatTimeoutMs = config.server.heartbeatTimeoutMs;
    const recovery = scenario.stress?.chaos?.recovery ?? null;
    const startup = scenario.stress?.fleetGen?.startup ?? null;
    const replaceMs = recovery?.replaceColdStartMs ?? 0;
    this.#originMono = time.monoMs();
    this.#stack = new Stack({
      time,
      config,
      cluster: scenario.cluster,
      policy,
      seed,
      nodes: this.#nodes,
      shape: shapeOf(scenario),
      coldStartMs: (random) =>
        scenario.stress === null && replaceMs === 0
          ? 0
          : drawReplacementColdStart(replaceMs, startup, random),
      analytic: options.analytic,
      events: {
        committed: (change) => this.#record.committed(change),
        cloudEntry: (provider, entry) => this.#record.cloud(provider, entry),
        kubeWrite: (write) => this.#record.kube(write),
        delivered: (ms) => this.#record.latencies.push(ms),
        started: (member) => this.#started(member),
        ended: (member) => this.#chaos?.leave(member),
        rebooted: (member, cured) => {
          for (const failure of cured) this.#record.recovered(member, failure);
        },
        log: (name, line) => sink.log(name, `${this.#elapsed()} ${line}`),
      },
    });
    this.#record = new RunRecord(this.#stack.population, () => this.#elapsed(), sink.line);
    this.#api = new Api(this.#stack.plane);
    const chaos = scenario.stress?.chaos ?? null;
    const engine =
      chaos === null
        ? null
        : openChaos({ chaos, streams, recoverable: recoverableBy(policy), originMs: 0 });
    this.#chaos =
      engine === null
        ? null
        : new ChaosDriver(engine, this.#stack, this.#record, () => this.#elapsed());
  }

  close(): Promise<void> {
    this.#cancelSample?.();
    return this.#stack.close();
  }

  /** Milliseconds since the scenario began; negative while the world is set up. */
  #elapsed(): number {
    return Math.round(this.#options.time.monoMs() - this.#originMono);
  }

  async go(): Promise<RunResult> {
    const { scenario, time } = this.#options;
    this.#options.opened?.(this.#stack);
    const isStaggered = scenario.stress?.fleetGen != null;
    // Instances of a listed fleet exist before the story; generated ones appear in it.
    this.#originMono = time.monoMs() + (isStaggered ? 0 : ADOPT_MAX_MS);
    await this.#stack.await(this.#stack.start());
    if (!isStaggered && this.#nodes.length > 0) await this.#adopt();
    this.#originMono = time.monoMs();
    this.#begunAtMs = time.wallMs();
    this.#sample();
    this.#startedMs = isStaggered ? await this.#startStaggered() : this.#startWhole();
    await this.#tellStory(this.#startedMs);
    const isWhole = !this.#options.isAborted();
    this.#chaos?.stop();
    await this.#takeSample();
    const { crashes } = this.#stack.plane;
    if (crashes.count > 0) {
      this.#errors.push(`${crashes.count} activations of the loop failed: ${crashes.first}`);
    }
    if (isWhole) await this.#assertAll();
    return closeRun({
      ...this.#options,
      stack: this.#stack,
      record: this.#record,
      api: this.#api,
      nodes: this.#nodes,
      checks: this.#checks,
      errors: this.#errors,
      begunAtMs: this.#begunAtMs,
      startedMs: this.#startedMs,
      durationMs: this.#elapsed(),
      aborted: !isWhole,
    });
  }

  /** The file's machines are adopted by its pools before those buy. */
  #isAdopting(): boolean {
    return this.#nodes.length > 0 && !this.#options.scenario.implicitPool;
  }

  async #adopt(): Promise<void> {
    const { time } = this.#options;
    // Machines that are older than the fleet's record are never ended for being silent.
    await time.pass(1);
    const slots = slotsOf(this.#nodes);
    for (const [index, node] of this.#nodes.entries()) {
      this.#placed.push(await this.#stack.place(node, slots[index] ?? index, 0));
    }
    const until = time.monoMs() + ADOPT_MAX_MS;
    while (!this.#isKnown() && time.monoMs() < until) await time.pass(100);
    if (!this.#isAdopting()) return;
    await this.#stack.await(this.#stack.plane.kill());
    this.#isFloorDue = true;
  }

  #isKnown(): boolean {
    const known = this.#stack.plane.life()?.process.reconciler.fleet().nodes;
    return this.#nodes.every(({ id, pool }) => pool === null || known?.has(id as never) === true);
  }

  /** A previous life adopted what exists and wanted nothing; now the file's begins. */
  async #beginFloor(): Promise<void> {
    if (!this.#isFloorDue) return;
    this.#isFloorDue = false;
    this.#stack.plane.configure(configOf(this.#options.scenario));
    await this.#stack.await(this.#stack.plane.start());
  }

  async #openFloor(): Promise<void> {
    const { plane } = this.#stack;
    const isDead = plane.life() === null;
    await plane.kill();
    plane.configure(configOf(this.#options.scenario));
    if (!isDead) await plane.start();
  }

  /** After the last machine of a generated fleet was bought, pools get the file's sizes. */
  #openFloorSoon(waitedMs = 0): void {
    const { time } = this.#options;
    if (this.#isKnown() || waitedMs >= ADOPT_MAX_MS) void this.#openFloor();
    else time.after(ADOPT_LOOK_MS, () => this.#openFloorSoon(waitedMs + ADOPT_LOOK_MS));
  }

  #startFleet(): void {
    for (const member of this.#placed) {
      if (!member.machine.isRunning()) this.#stack.power(member);
    }
  }

  /** Without an event that starts it, a fleet under stress starts by itself. */
  #startWhole(): number {
    const { stress, events } = this.#options.scenario;
    const isTold = events.some(({ action }) => action === "start_fleet");
    if (stress !== null && !isTold) this.#startFleet();
    this.#chaos?.start();
    return 0;
  }

  /** Each machine at its time; answers when the last has started, in milliseconds of the run. */
  async #startStaggered(): Promise<number> {
    const { scenario, time } = this.#options;
    const gen = scenario.stress?.fleetGen;
    if (gen == null) return 0;
    const listed = scenario.fleet.length;
    const count = this.#nodes.length - listed;
    const starts = planStartup(gen.startup, count, this.#stack.streams.startup);
    const at = (index: number): Start => starts[index - listed] ?? { launchMs: 0, coldStartMs: 0 };
    let last = 0;
    let lastLaunch = 0;
    const slots = slotsOf(this.#nodes);
    for (const [index, node] of this.#nodes.entries()) {
      const slot = slots[index] ?? index;
      const { launchMs, coldStartMs } = at(index);
      last = Math.max(last, launchMs + coldStartMs);
      lastLaunch = Math.max(lastLaunch, launchMs);
      time.after(launchMs, () => {
        void this.#stack.place(node, slot, coldStartMs).then((member) => this.#stack.power(member));
      });
    }
    time.after(last, () => this.#chaos?.start());
    if (this.#isAdopting()) time.after(lastLaunch, () => this.#openFloorSoon());
    return last;
  }

  #started(member: Member): void {
    this.#record.started++;
    const foretold = this.#foretold.get(member.name) ?? [];
    this.#foretold.delete(member.name);
    for (const failure of foretold) injectInto(member, failure, this.#story());
    const { time } = this.#options;
    time.after(member.coldStartMs, () => {
      if (member.live) this.#chaos?.join(member);
    });
  }

  /** Lets time pass to this instant of the run; false if interrupted. */
  async #until(atMs: number): Promise<boolean> {
    const { time, isAborted, sink } = this.#options;
    while (this.#elapsed() < atMs) {
      if (isAborted()) return false;
      await time.pass(Math.min(STEP_MS, atMs - this.#elapsed()));
      const { injections, recoveries } = this.#record;
      sink.progress({
        elapsedMs: this.#elapsed(),
        totalMs: this.#endMs,
        healthy: this.#healthy,
        failures: injections.length,
        cascades: this.#record.cascades,
        recoveries,
      });
    }
    return !isAborted();
  }

  async #tellStory(startedMs: number): Promise<void> {
    const { scenario, sink } = this.#options;
    const { events, stress } = scenario;
    const last = events.at(-1)?.atMs ?? 0;
    this.#endMs = stress === null ? last : startedMs + stress.durationMs;
    const story = this.#story();
    if ((events[0]?.atMs ?? 1) > 0) await this.#beginFloor();
    for (const event of events) {
      if (!(await this.#until(event.atMs))) return;
      // Providers that fail from the start do so before anything is bought.
      if (event.atMs > 0 || event.action !== "provider_fault") await this.#beginFloor();
      const target = "target" in event ? String(event.target) : null;
      this.#record.line("scenario", event.action, target, { line: event.line });
      const answer = await carryOut(event, story);
      if (answer.ok) continue;
      if (this.#options.isAborted()) return;
      const message = `line ${event.line}: ${event.action}: ${answer.message}`;
      this.#errors.push(message);
      sink.say(`failed: ${message}`);
      break;
    }
    await this.#beginFloor();
    await this.#until(this.#endMs);
    while (this.#options.stays === true && !this.#options.isAborted()) {
      await this.#until(this.#elapsed() + STEP_MS);
    }
  }

  #story(): Story {
    const { semantics, isAborted, sink } = this.#options;
    return {
      stack: this.#stack,
      record: this.#record,
      api: this.#api,
      semantics,
      heartbeatTimeoutMs: this.#heartbeatTimeoutMs,
      isAborted,
      say: (message) => sink.say(message),
      startFleet: () => this.#startFleet(),
      checked: (checked) => void this.#checks.push(checked),
      // Chaos counts upwards from 1.
      nextId: () => -++this.#serial,
      provoke: (name, failure) => this.#chaos?.provoke(name, failure),
      foretell: (name, failure) => {
        this.#foretold.set(name, [...(this.#foretold.get(name) ?? []), failure]);
      },
    };
  }

  async #assertAll(): Promise<void> {
    for (const assertion of this.#options.scenario.assertions) {
      this.#checks.push(await check(assertion, this.#story()));
    }
  }

  #sample(): void {
    const { time, scenario } = this.#options;
    const intervalMs = scenario.stress?.metricsIntervalMs ?? INTERVAL_MS;
    this.#cancelSample = time.after(intervalMs, () => {
      void this.#takeSample();
      this.#sample();
    });
  }

  async #takeSample(): Promise<void> {
    const atMs = this.#elapsed();
    const count = await this.#api.count();
    if (count === null) return;
    this.#healthy = count.healthy;
    const { injections, recoveries, activeOutages: outages, timeline } = this.#record;
    if (timeline.at(-1)?.atMs === atMs) timeline.pop();
    timeline.push({ atMs, ...count, failures: injections.length, recoveries, outages });
  }
}
