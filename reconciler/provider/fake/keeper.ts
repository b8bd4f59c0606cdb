/**
 * Runs exactly one agent for each running instance of the fake cloud and none for an ending one.
 * It works under the journal's lock, so that two control planes over one cloud never both start an
 * agent, and journals what it starts and stops.
 */
import { countOf } from "../../../schema/article.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { backoffMs } from "../../core/turn/backoff.ts";
import type { Scene } from "./cloud.ts";
import type { Entry } from "./entry.ts";
import { GAVE_WAY, isAlive } from "./process.ts";
import type { AgentRunner } from "./process.ts";
import type { AgentProcess, Held } from "./world.ts";

/** Pause between looks until the control plane listens, soon after its start. */
const NOT_YET_MS = 100;

/** Pause between looks at an agent of another control plane, which sends no exit event here. */
const ADOPTED_POLL_MS = 1_000;

/**
 * An agent that ends sooner than this failed to start. A real one reports within a second, and a
 * test that kills one waits for that report.
 */
const EARLY_MS = 5_000;

/**
 * Pause after an agent failed to start, doubling: a bad path would otherwise cost hundreds of
 * processes a second.
 */
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 60_000;

export type KeeperOptions = {
  runner: AgentRunner;
  /** Delay of an agent's restart; `null`: only when the cloud is opened again. */
  restartMs: number | null;
  /** An agent ended: call `keep` soon. */
  wake: () => void;
  problem: (message: string) => void;
};

export class Keeper {
  readonly #options: KeeperOptions;
  /** Instances to look at. */
  readonly #open = new Set<InstanceId>();
  /** Earliest instant of the agent's next start, by instance. */
  readonly #restartAtMs = new Map<InstanceId, number>();
  /** Agents whose exit this process is notified of. */
  readonly #own = new Set<number>();
  /** Agents that have this process's certificate and CA. */
  readonly #trusted = new Set<number>();
  /** Killed agents that may still exist: the kernel takes a moment to free what they hold. */
  readonly #killed: AgentProcess[] = [];
  /** Machines that reboot, and come up with another boot id. */
  readonly #rebooted = new Set<InstanceId>();
  readonly #ended: { id: InstanceId; pid: number; reason: string }[] = [];
  /** When this process started the running agent, by instance. Wall milliseconds. */
  readonly #startedAtMs = new Map<InstanceId, number>();
  /** Agents that failed to start: consecutive failures, and the last reason. */
  readonly #failed = new Map<InstanceId, { count: number; why: string }>();

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Takes entries of any process. */
  see(entries: readonly Entry[]): void {
    for (const entry of entries) {
      switch (entry.kind) {
        case "terminate.accepted":
          // Its agent need not start any more.
          this.#failed.delete(entry.id);
          this.#open.add(entry.id);
          break;
        case "running":
        case "terminated":
          this.#open.add(entry.id);
          break;
        case "rebooted":
          this.#rebooted.add(entry.id);
          this.#open.add(entry.id);
          break;
        case "vanished":
        case "dropped":
          this.#forget(entry.id);
          this.#options.runner.remove(entry.id);
          break;
        default:
          break;
      }
    }
  }

  #forget(id: InstanceId): void {
    this.#open.delete(id);
    this.#restartAtMs.delete(id);
    this.#startedAtMs.delete(id);
    this.#failed.delete(id);
  }

  /**
   * Why agents do not run, in one sentence; `null` while all started ones run. An agent that has
   * run for `EARLY_MS` counts as started.
   */
  trouble(nowMs: number): string | null {
    for (const id of this.#failed.keys()) {
      const startedAtMs = this.#startedAtMs.get(id);
      if (startedAtMs !== undefined && nowMs - startedAtMs >= EARLY_MS) this.#failed.delete(id);
    }
    const [first] = this.#failed;
    if (first === undefined) return null;
    const [id, { why }] = first;
    const more = this.#failed.size - 1;
    const others = more === 0 ? "" : `, and those of ${countOf(more, "more instance")}`;
    return `the agent of ${id}${others} cannot start: ${why}`;
  }

  /** Looks at every instance next time: the cloud was just opened. */
  seeAll(scene: Scene): void {
    for (const id of scene.world.instances.keys()) this.#open.add(id);
  }

  /** Starts and stops processes as the world requires; returns milliseconds until the next call. */
  keep(scene: Scene): number | null {
    for (const { id, pid, reason } of this.#ended.splice(0)) this.#note(scene, id, pid, reason);
    let soonMs: number | null = null;
    const again = (ms: number) => {
      soonMs = soonMs === null ? ms : Math.min(soonMs, ms);
    };
    for (const id of this.#open) {
      const held = scene.world.instances.get(id);
      if (held === undefined) {
        this.#open.delete(id);
        continue;
      }
      const waitMs = this.#keepOne(scene, held);
      if (waitMs === null) this.#open.delete(id);
      else again(waitMs);
    }
    return soonMs;
  }

  /** Milliseconds until the next look, or `null` when nothing is left to do. */
  #keepOne(scene: Scene, held: Held): number | null {
    const { state, id } = held.instance;
    const agent = this.#options.runner.find(id, held.process);
    switch (state) {
      case "provisioning":
      case "stopped":
        return null;
      case "running":
        if (this.#rebooted.has(id) && agent !== null) {
          this.#kill(agent);
          return NOT_YET_MS;
        }
        if (this.#rebooted.delete(id)) this.#options.runner.forgetBoot(id);
        return agent === null ? this.#start(scene, held) : this.#adopt(scene, held, agent);
      case "terminating":
        // A shutdown lets the agent exit cleanly.
        if (agent !== null) this.#options.runner.stop(agent);
        return null;
      case "terminated":
        if (agent !== null) this.#kill(agent);
        if (held.process !== null) this.#note(scene, id, held.process.pid, "instance terminated");
        return null;
      default:
        return unreachable(state);
    }
  }

  /** Takes over an agent of a control plane that died before it recorded the start. */
  #adopt(scene: Scene, held: Held, agent: AgentProcess): number | null {
    if (held.process?.pid !== agent.pid) {
      const { id } = held.instance;
      scene.record([{ kind: "process.started", atMs: scene.nowMs, id, ...agent }]);
    }
    const { restartMs, runner } = this.#options;
    // Started by an earlier control plane, with that one's certificates.
    if (!this.#own.has(agent.pid) && !this.#trusted.has(agent.pid)) runner.trust(held.instance.id);
    this.#trusted.add(agent.pid);
    return restartMs === null || this.#own.has(agent.pid) ? null : ADOPTED_POLL_MS;
  }

  #start(scene: Scene, held: Held): number | null {
    const { id } = held.instance;
    const { runner, problem } = this.#options;
    const waitMs = (this.#restartAtMs.get(id) ?? 0) - scene.nowMs;
    if (waitMs > 0) return waitMs;
    if (held.process !== null) this.#note(scene, id, held.process.pid, "found dead");
    const answer = runner.start(held, (pid, reason) => this.#onExit(id, pid, reason));
    switch (answer.kind) {
      case "started":
        this.#own.add(answer.process.pid);
        this.#startedAtMs.set(id, scene.nowMs);
        scene.record([{ kind: "process.started", atMs: scene.nowMs, id, ...answer.process }]);
        return null;
      case "not_yet":
        return NOT_YET_MS;
      case "failed":
        // The instance stays: a machine whose agent never started.
        this.#failed.set(id, { count: 1, why: answer.message });
        problem(`${id}: agent: ${answer.message}`);
        return null;
      default:
        return unreachable(answer);
    }
  }

  #onExit(id: InstanceId, pid: number, reason: string): void {
    this.#own.delete(pid);
    this.#ended.push({ id, pid, reason });
    this.#options.wake();
  }

  #note(scene: Scene, id: InstanceId, pid: number, reason: string): void {
    const held = scene.world.instances.get(id);
    if (held === undefined) return;
    if (held.process?.pid === pid) {
      scene.record([{ kind: "process.ended", atMs: scene.nowMs, id, pid, reason }]);
    }
    const startedAtMs = this.#startedAtMs.get(id);
    this.#startedAtMs.delete(id);
    if (held.instance.state !== "running" || this.#rebooted.has(id)) return;
    const isEarly = startedAtMs !== undefined && scene.nowMs - startedAtMs < EARLY_MS;
    const count = isEarly ? this.#noteEarly(id, reason) : 0;
    const { restartMs } = this.#options;
    const gaveWay = reason === `exit ${GAVE_WAY}`;
    if (!gaveWay && (restartMs === null || reason === "found dead")) return;
    const firstMs = Math.max(gaveWay ? 0 : (restartMs ?? 0), count === 0 ? 0 : RETRY_FIRST_MS);
    const waitMs = backoffMs(count, firstMs, RETRY_MAX_MS);
    this.#restartAtMs.set(id, scene.nowMs + Math.max(waitMs, firstMs));
    this.#open.add(id);
  }

  /** Counts an agent that failed to start; the 1st, 2nd, 4th, 8th … in a row is reported. */
  #noteEarly(id: InstanceId, reason: string): number {
    const count = (this.#failed.get(id)?.count ?? 0) + 1;
    const said = this.#options.runner.lastWords(id);
    const why = `${reason} within ${EARLY_MS / 1_000} s${said === "" ? "" : ` (${said})`}`;
    this.#failed.set(id, { count, why });
    if (Number.isInteger(Math.log2(count))) {
      const times = count === 1 ? "" : `, ${count} times in a row`;
      this.#options.problem(`${id}: its agent ended with ${why}${times}`);
    }
    return count;
  }

  #kill(agent: AgentProcess): void {
    this.#options.runner.kill(agent);
    this.#killed.splice(0, Infinity, ...this.#killed.filter(isAlive), agent);
  }

  /** Ends every agent of the cloud now; `true` once none is left. */
  endAll(scene: Scene): boolean {
    for (const held of scene.world.instances.values()) {
      const agent = this.#options.runner.find(held.instance.id, held.process);
      if (agent !== null) this.#kill(agent);
    }
    // `find` does not see an ending process: it has no environment any more.
    const left = this.#killed.filter(isAlive);
    this.#killed.splice(0, Infinity, ...left);
    return left.length === 0;
  }
}
