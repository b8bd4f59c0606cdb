/**
 * The `fake` provider: a cloud on this machine. Its journal records what exists, and its instances
 * are real agents with simulated GPUs, in processes that outlive the control plane. A control plane
 * may be killed at any instant and started again, and two may share one folder, as with a real
 * cloud.
 *
 * Adapter: files and processes, through `journal.ts` and `process.ts`.
 */
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import type { ProviderConfig } from "../../../schema/config.ts";
import type { PeerTls } from "../../security/tls/open.ts";
import type { Provider, ProviderClass } from "../../core/provider.ts";
import { pause } from "../../core/turn/time-limit.ts";
import { terminateEntry } from "./answer.ts";
import { Cloud, saltOf, SETTLE_MS } from "./cloud.ts";
import type { CloudClock, FakeControl, Ground, Scene, Section } from "./cloud.ts";
import type { Entry } from "./entry.ts";
import type { Faults } from "./fault.ts";
import { FaultFile } from "./fault-file.ts";
import { Journal, reality } from "./journal.ts";
import { Keeper } from "./keeper.ts";
import { AgentRunner, defaultAgentCommand } from "./process.ts";
import { readFakeSettings } from "./setting.ts";
import { advance, nextDueMs } from "./time.ts";
import { apply, emptyWorld, isLive } from "./world.ts";
import type { Terms } from "./world.ts";

export type FakeProviderOptions = {
  /** The provider's name in the configuration. */
  name: string;
  /** The simulated cloud's folder, which holds its whole state. */
  stateDir: string;
  settings: ProviderConfig["settings"];
  clock: CloudClock;
  /** 0 ≤ x < 1. */
  random: () => number;
  /** URL for the agents' reports; empty until it is known. */
  serverUrl: () => string;
  /** See `AgentRunnerOptions`. */
  agentTls?: () => PeerTls | null;
  /** Fingerprint of the key that signs orders; without it agents trust on first use. */
  agentKey?: string | null;
  fleetId: string;
  /** Program and first arguments of the agent; the setting `agentPath` takes precedence. */
  agentCommand?: readonly string[];
  /** `none`: instances without processes, for tests. */
  agents?: "process" | "none";
  class?: ProviderClass;
  settleMs?: number;
  /** Initial faults; the file of the setting `faults` replaces them. */
  faults?: Faults;
  /** Called for an invalid fault file or an agent that does not start. */
  problem?: (message: string) => void;
};

export type FakeCloud = Provider &
  FakeControl & {
    /** Terminates every instance and ends every agent, after a demonstration. */
    destroyAll(): Promise<void>;
    /** Leaves instances and agents running, unless `destroy`. */
    close(how?: { destroy: boolean }): Promise<void>;
  };

/** How soon to try again when another process holds the journal. */
const BUSY_MS = 200;

/** Between two checks whether killed agents are gone; the kernel takes a few milliseconds. */
const GONE_POLL_MS = 10;

/** Five seconds; then the remaining processes are reported. */
const GONE_TRIES_MAX = 500;

class FakeGround implements Ground {
  readonly #options: FakeProviderOptions;
  readonly #terms: Terms;
  readonly #journal: Journal;
  readonly #faultFile: FaultFile | null;
  readonly #runner: AgentRunner;
  readonly #keeper: Keeper | null;
  #world = emptyWorld();
  #turn = 0;
  #closed = false;
  #reported: string | null = null;

  constructor(
    options: FakeProviderOptions,
    read: ReturnType<typeof readFakeSettings>,
    terms: Terms,
  ) {
    this.#options = options;
    this.#terms = terms;
    this.#journal = new Journal(options.stateDir);
    this.#faultFile = read.faultsPath === null ? null : new FaultFile(read.faultsPath);
    const command =
      read.agentPath !== null ? [read.agentPath] : (options.agentCommand ?? defaultAgentCommand());
    const { stateDir, serverUrl, name } = options;
    const { gpuCount, gpuType } = read;
    const after = (ms: number, work: () => void) => options.clock.after(ms, work);
    this.#runner = new AgentRunner({
      stateDir,
      command,
      serverUrl,
      tls: options.agentTls ?? (() => null),
      key: options.agentKey ?? null,
      providerName: name,
      gpuCount,
      gpuType,
      after,
    });
    this.#keeper =
      options.agents === "none"
        ? null
        : new Keeper({
            runner: this.#runner,
            restartMs: read.agentRestartMs,
            wake: () => this.#wakeIn(0),
            problem: (message) => options.problem?.(message),
          });
  }

  /** Creates the cloud if it is new, and starts its agents. */
  open(): Section<void> {
    return this.section((scene) => {
      if (scene.world.salt === "") {
        const salt = saltOf(this.#options.random);
        scene.record([{ kind: "opened", atMs: scene.nowMs, salt }]);
      }
      this.#keeper?.seeAll(scene);
    });
  }

  section<T>(work: (scene: Scene) => T): Section<T> {
    if (this.#closed) return { kind: "busy", message: "the cloud is closed" };
    try {
      return this.#locked(work);
    } catch (error) {
      // Errors of files and locks have a code; anything else is a bug.
      if (!(error instanceof Error && "code" in error)) throw error;
      // Memory may be ahead of the journal.
      this.#world = emptyWorld();
      this.#journal.rewind();
      this.#wakeIn(BUSY_MS);
      return { kind: "busy", message: `the cloud's journal: ${error.message}` };
    }
  }

  #locked<T>(work: (scene: Scene) => T): Section<T> {
    let soonMs: number | null = BUSY_MS;
    const done = this.#journal.exclusive((others, append) => {
      const world = this.#world;
      for (const entry of others) apply(world, entry);
      this.#keeper?.see(others);
      const nowMs = this.#options.clock.wallMs();
      const record = (entries: Entry[]) => {
        append(entries);
        for (const entry of entries) apply(world, entry);
        this.#keeper?.see(entries);
      };
      const scene = { world, nowMs, record };
      const pass = () => {
        const past = advance(world, this.#terms, nowMs);
        append(past);
        this.#keeper?.see(past);
      };
      pass();
      const value = work(scene);
      pass();
      soonMs = this.#keeper?.keep(scene) ?? null;
      const dueMs = nextDueMs(world);
      if (dueMs !== null) soonMs = Math.min(soonMs ?? Infinity, dueMs - nowMs);
      return value;
    });
    this.#wakeIn(soonMs);
    return done;
  }

  /** Runs a section once, after `ms`; replaces an earlier timer. */
  #wakeIn(ms: number | null): void {
    this.#turn += 1;
    const turn = this.#turn;
    if (ms === null || this.#closed) return;
    // Timers take at most 2^31 − 1 ms; a day is often enough for what is due later.
    const waitMs = Math.min(Math.max(0, ms), 86_400_000);
    this.#options.clock.after(waitMs, () => {
      if (turn === this.#turn && !this.#closed) this.section(() => {});
    });
  }

  prepare(id: Parameters<Ground["prepare"]>[0], credential: string | null): void {
    if (this.#keeper !== null) this.#runner.prepare(id, credential);
  }

  newFaults(): Faults | null {
    const file = this.#faultFile;
    const faults = file?.read() ?? null;
    const problem = file?.problem ?? null;
    if (problem !== null && problem !== this.#reported) this.#options.problem?.(problem);
    this.#reported = problem;
    return faults;
  }

  reality() {
    return reality(this.#journal.path);
  }

  trouble(): string | null {
    return this.#keeper?.trouble(this.#options.clock.wallMs()) ?? null;
  }

  async destroyAll(): Promise<void> {
    const fate = { terminateMs: 0, replyLost: false };
    this.section(({ world, nowMs, record }) => {
      const live = [...world.instances.values()].filter((held) => isLive(held.instance));
      record(
        live.map(({ instance }) => terminateEntry(this.#terms, instance.id, null, fate, nowMs)),
      );
    });
    const gone = () => {
      const done = this.section((scene) => this.#keeper?.endAll(scene) ?? true);
      return this.#closed || (done.kind === "ok" && done.value);
    };
    for (let tries = 0; !gone(); tries += 1) {
      if (tries === GONE_TRIES_MAX) {
        this.#options.problem?.(`agents under ${this.#options.stateDir} do not end`);
        return;
      }
      await pause(this.#options.clock, GONE_POLL_MS);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#journal.close();
  }
}

class FakeProvider extends Cloud implements FakeCloud {
  readonly #ground: FakeGround;

  constructor(options: ConstructorParameters<typeof Cloud>[0], ground: FakeGround) {
    super(options, ground);
    this.#ground = ground;
  }

  async destroyAll(): Promise<void> {
    await this.#ground.destroyAll();
  }

  override async close(how?: { destroy: boolean }): Promise<void> {
    if (how?.destroy === true) await this.#ground.destroyAll();
    this.#ground.close();
  }
}

/**
 * Opens or creates the cloud in `stateDir`. Rejects if the settings are wrong, the folder cannot be
 * written or its journal is damaged.
 */
export async function openFakeProvider(given: FakeProviderOptions): Promise<FakeCloud> {
  // Agents, and perhaps the next control plane, run in other folders.
  const options = { ...given, stateDir: resolve(given.stateDir) };
  const read = readFakeSettings(options.name, options.settings);
  const terms: Terms = { ...read.terms, class: options.class ?? read.terms.class };
  const settleMs = read.settleMs ?? options.settleMs ?? SETTLE_MS[terms.class];
  mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
  const ground = new FakeGround(options, read, terms);
  try {
    const opened = ground.open();
    if (opened.kind === "busy") throw new Error(opened.message);
  } catch (cause) {
    ground.close();
    throw new Error(`provider ${options.name}: cannot open ${options.stateDir}`, { cause });
  }
  const { clock, random, fleetId } = options;
  const faults = options.faults ?? {};
  return new FakeProvider({ clock, random, fleetId, terms, settleMs, faults }, ground);
}
