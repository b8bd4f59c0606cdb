/**
 * Sees to it that each running instance of the fake cloud has exactly one agent, and each ending
 * one has none. It works inside the journal's lock, so that two control planes over one cloud never
 * both start an agent, and what it starts and stops is written down like everything else.
 */
import type { InstanceId } from "../../../schema/id.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { Scene } from "./cloud.ts";
import type { Entry } from "./entry.ts";
import { GAVE_WAY, isAlive } from "./process.ts";
import type { AgentRunner } from "./process.ts";
import type { AgentProcess, Held } from "./world.ts";

/**
 * How soon to look again while the control plane does not listen yet: it is a matter of its start.
 */
const NOT_YET_MS = 100;

/**
 * How often to look at an agent that another control plane started: its end is not told to this
 * one.
 */
const ADOPTED_POLL_MS = 1_000;

export type KeeperOptions = {
  runner: AgentRunner;
  /**
   * How long after its end an agent is started again; `null`: only when the cloud is next opened.
   */
  restartMs: number | null;
  /** An agent ended: call `keep` soon. */
  wake: () => void;
  problem: (message: string) => void;
};

export class Keeper {
  readonly #options: KeeperOptions;
  /** Instances to look at; everything, when the cloud is opened. */
  readonly #open = new Set<InstanceId>();
  /** Not before this instant, by instance. */
  readonly #restartAtMs = new Map<InstanceId, number>();
  /** Agents whose end this process is told. */
  readonly #own = new Set<number>();
  /** Agents that were given what this process shows and trusts. */
  readonly #told = new Set<number>();
  /** Agents that were killed: the kernel takes a moment, and what they held is not free before. */
  readonly #killed: AgentProcess[] = [];
  /** Machines that go down now and come up under another boot id. */
  readonly #rebooted = new Set<InstanceId>();
  readonly #ended: { id: InstanceId; pid: number; reason: string }[] = [];

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Takes note of what happened, whoever wrote it. */
  see(entries: readonly Entry[]): void {
    for (const entry of entries) {
      switch (entry.kind) {
        case "running":
        case "terminate.accepted":
        case "terminated":
          this.#open.add(entry.id);
          break;
        case "rebooted":
          this.#rebooted.add(entry.id);
          this.#open.add(entry.id);
          break;
        case "vanished":
        case "dropped":
          this.#open.delete(entry.id);
          this.#restartAtMs.delete(entry.id);
          this.#options.runner.remove(entry.id);
          break;
        default:
          break;
      }
    }
  }

  /** Looks at every instance the next time: the cloud was just opened. */
  seeAll(scene: Scene): void {
    for (const id of scene.world.instances.keys()) this.#open.add(id);
  }

  /**
   * Brings processes in line with the world; the answer is when to call again, in ms, or `null`.
   */
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

  /** How long until it must be looked at again, or `null` when all is as it should be. */
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
        // A machine that shuts down lets its agent say good-bye.
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

  /** An agent that a control plane started and died before it could say so. */
  #adopt(scene: Scene, held: Held, agent: AgentProcess): number | null {
    if (held.process?.pid !== agent.pid) {
      const { id } = held.instance;
      scene.record([{ kind: "process.started", atMs: scene.nowMs, id, ...agent }]);
    }
    const { restartMs, runner } = this.#options;
    // Started by an earlier control plane, whose certificates it was given.
    if (!this.#own.has(agent.pid) && !this.#told.has(agent.pid)) runner.trust(held.instance.id);
    this.#told.add(agent.pid);
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
        scene.record([{ kind: "process.started", atMs: scene.nowMs, id, ...answer.process }]);
        return null;
      case "not_yet":
        return NOT_YET_MS;
      case "failed":
        // The instance stays as it is, a machine whose agent never came up: the product must cope.
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
    if (held.instance.state !== "running") return;
    const { restartMs } = this.#options;
    if (reason === `exit ${GAVE_WAY}`) this.#open.add(id);
    else if (restartMs !== null && reason !== "found dead") {
      this.#restartAtMs.set(id, scene.nowMs + restartMs);
      this.#open.add(id);
    }
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
    // One that is ending has no environment to be found by any more, and is not gone yet.
    const left = this.#killed.filter(isAlive);
    this.#killed.splice(0, Infinity, ...left);
    return left.length === 0;
  }
}
