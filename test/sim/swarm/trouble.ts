/**
 * Carries out one fault of a story. The fault's number selects its target among those that exist
 * now; without one, nothing happens.
 */
import * as v from "valibot";
import type { Faults } from "../../../reconciler/provider/fake/fault.ts";
import { emptyChange } from "../../../reconciler/core/store.ts";
import type { UnitOfWork } from "../../../reconciler/core/unit-of-work.ts";
import type { Reconciler } from "../../../reconciler/runtime/loop.ts";
import { Command } from "../../../schema/command.ts";
import type { Node } from "../../../schema/node.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { logXid } from "../../world/agent.ts";
import * as talk from "./agent.ts";
import type { HumanAct, ProviderEdit, What } from "./fault.ts";
import { FROZEN } from "./life.ts";
import type { Swarm } from "./swarm.ts";

export class Trouble {
  private readonly swarm: Swarm;
  /** Misbehaviours of the cloud that go on, by the number of their fault. */
  private readonly windows = new Map<number, Faults>();
  private serial = 0;

  constructor(swarm: Swarm) {
    this.swarm = swarm;
  }

  async apply(what: What): Promise<void> {
    const { swarm } = this;
    switch (what.kind) {
      case "xid":
        return this.logXid(what);
      case "storm":
        return this.storm(what);
      case "silence": {
        const agent = this.agent(what.who);
        if (agent !== null) this.silence(agent, what.forMs);
        return;
      }
      case "cut":
        return this.cut(what);
      case "cloud":
        return this.misbehave(what.faults, what.forMs);
      case "console-delete": {
        const agent = this.agent(what.who);
        if (agent !== null) swarm.cloud.deleteInstance(agent.instance);
        return;
      }
      case "plant":
        return this.plant(what);
      case "bad-machine":
        swarm.badMachines.push({ code: what.code, afterMs: what.afterMs });
        return;
      case "crash":
        if (what.calls === 0) return swarm.fall(what.downMs);
        if (swarm.life.isUp()) swarm.life.injector.arm(what.calls, what.side);
        swarm.downMs = what.downMs;
        return;
      case "pause":
        return swarm.pause(what.forMs);
      case "freeze":
        return swarm.life.freeze(what);
      case "clock":
        swarm.clock.setWall(what.byMs);
        return;
      case "database-lost":
        swarm.sinks.hasForgotten = true;
        return swarm.loseDatabase(what.downMs);
      case "database-old":
        swarm.sinks.hasForgotten = true;
        return swarm.restore(what);
      case "scheduler":
        for (const kind of what.answers)
          swarm.scheduler.answers.push({ kind, message: "by order of the story" });
        return;
      case "job":
      case "slurmctld":
      case "api-server":
      case "scontrol":
        return this.atScheduler(what);
      case "human":
        return this.human(what);
      case "scale":
        return this.scale(what.pool, what.by);
      case "config":
        swarm.edits++;
        swarm.config = swarm.readConfig();
        return swarm.edits % 2 === 0
          ? swarm.fall(swarm.shape.stepMs)
          : swarm.life.reload(swarm.config);
      case "provider":
        return this.editProviders(what.edit, what.undoMs);
      default:
        return unreachable(what);
    }
  }

  /** Ends every lasting fault. */
  async calm(): Promise<void> {
    const { swarm } = this;
    await swarm.life.calm();
    this.windows.clear();
    swarm.cloud.setFaults({});
    swarm.sinks.calm();
    swarm.scheduler.answers.length = 0;
    swarm.badMachines.length = 0;
    await this.undoProviders();
    const at = swarm.now();
    for (const agent of swarm.agents.values()) agent.quietUntil = Math.min(agent.quietUntil, at);
  }

  private cut({ share, forMs }: Extract<What, { kind: "cut" }>): void {
    const at = this.swarm.now();
    for (const agent of this.swarm.agents.values()) {
      const isMet = (talk.hashOf(`${agent.instance} ${at}`) % 1_000) / 1_000 < share;
      if (isMet) this.silence(agent, forMs);
    }
  }

  private atScheduler(
    what: Extract<What, { kind: "job" | "slurmctld" | "api-server" | "scontrol" }>,
  ): void {
    const { sinks } = this.swarm;
    if (what.kind === "job") return sinks.submit(what);
    if (what.kind === "slurmctld") {
      sinks.setSlurmFault(what.fault);
      return this.later(what.forMs, () => sinks.setSlurmFault({}));
    }
    if (what.kind === "api-server") {
      sinks.setKubeFault(what.fault);
      return this.later(what.forMs, () => sinks.setKubeFault({}));
    }
    const name = sinks.person(what.act, what.who);
    if (name !== null && what.act !== "resume") this.later(what.undoMs, () => sinks.undo(name));
  }

  private async editProviders(edit: ProviderEdit, undoMs: number): Promise<void> {
    const { swarm } = this;
    const { names, at, isMoved } = swarm.providers;
    // One edit at a time.
    if (isMoved || at !== "fake") return;
    const both = ["fake", "other"];
    const next = {
      renamed: { names: ["other"], at: "other", isMoved: false },
      added: { names: both, at, isMoved: false },
      reordered: { names: [...names].reverse(), at, isMoved: false },
      moved: { names, at, isMoved: true },
    }[edit];
    // A restart may take an old file, without the provider of machines that it does not know.
    await this.startOn(next);
    if (edit === "renamed" || edit === "moved") this.later(undoMs, () => this.undoProviders());
  }

  /** Machines of both names are left, so the file keeps both. */
  private async undoProviders(): Promise<void> {
    const { names, at, isMoved } = this.swarm.providers;
    if (!isMoved && at === "fake") return;
    const kept = isMoved ? names : ["fake", "other"];
    await this.startOn({ names: kept, at: "fake", isMoved: false });
  }

  private async startOn(next: Swarm["providers"]): Promise<void> {
    const { swarm } = this;
    swarm.providers = next;
    swarm.config = swarm.readConfig();
    await swarm.fall(swarm.shape.stepMs);
  }

  private later(ms: number, work: () => void | Promise<void>): void {
    this.swarm.queue.put(this.swarm.now() + ms, work);
  }

  private logXid({ who, code }: Extract<What, { kind: "xid" }>): void {
    const agent = this.agent(who);
    if (agent !== null) logXid(agent, code, 0, this.swarm.clock.wallMs());
  }

  private agent(who: number): talk.Agent | null {
    const agents = [...this.swarm.agents.values()];
    return agents[who % Math.max(1, agents.length)] ?? null;
  }

  private silence(agent: talk.Agent, forMs: number): void {
    talk.silence(agent, this.swarm.now(), forMs);
    this.swarm.queue.put(agent.quietUntil, null);
  }

  private storm({ who, count, code, overMs }: Extract<What, { kind: "storm" }>): void {
    const { swarm } = this;
    const agents = [...swarm.agents.values()];
    for (let i = 0; i < Math.min(count, agents.length); i++) {
      const agent = agents[(who + i) % agents.length];
      if (agent === undefined) continue;
      const afterMs = talk.hashOf(`${agent.instance} ${who}`) % (overMs + 1);
      swarm.queue.put(swarm.now() + afterMs, () => logXid(agent, code, 0, swarm.clock.wallMs()));
    }
  }

  private misbehave(faults: Faults, forMs: number): void {
    const { swarm } = this;
    const key = this.serial++;
    const agree = (): void => swarm.cloud.setFaults(Object.assign({}, ...this.windows.values()));
    this.windows.set(key, faults);
    agree();
    const lies =
      (faults.partial ?? 0) > 0 || faults.emptyList === true || (faults.listLagMs ?? 0) > 0;
    // Lists that failed back off for up to a minute after the cloud is well again.
    if (lies || faults.listFails !== undefined)
      swarm.doubtUntil = Math.max(swarm.doubtUntil, swarm.now() + forMs + 75_000);
    swarm.queue.put(swarm.now() + forMs, () => {
      if (this.windows.delete(key)) agree();
    });
  }

  private async plant({ mark, who }: Extract<What, { kind: "plant" }>): Promise<void> {
    const { swarm } = this;
    const pools = swarm.shape.pools;
    const pool = pools[who % pools.length];
    if (pool === undefined) return;
    const name = `planted-${this.serial++}`;
    const own = {
      "navarch-fleet": "fleet",
      "navarch-pool": pool.name,
      "navarch-node": name,
      "navarch-slot": String(who % (pool.size + 2)),
      "navarch-gen": String(9_000 + this.serial),
    };
    const tags: Record<string, Record<string, string>> = {
      own,
      copied: { "navarch-fleet": "fleet", team: "research" },
      foreign: { ...own, "navarch-fleet": "another" },
      none: {},
    };
    swarm.watch.foreign.set(name, { decoy: mark === "copied" });
    const request = {
      token: name,
      name,
      nodeId: name,
      region: null,
      zone: null,
      instanceType: "h100-8x",
      tags: tags[mark] ?? {},
      market: "on-demand" as const,
      reservation: null,
      sshKeys: [],
    };
    await swarm.cloud.create(request, { nodeId: name, fence: 0, sessionId: null }, null);
  }

  private async human(what: Extract<What, { kind: "human" }>): Promise<void> {
    const { swarm } = this;
    const nodes = [...swarm.watch.rows.nodes.values()].filter(
      (node) => node.phase.kind !== "gone" && node.pool !== null,
    );
    const node = nodes[what.who % Math.max(1, nodes.length)];
    if (node === undefined) return;
    await this.order(node, what.act, what.force);
    if (what.act !== "cordon" && what.act !== "drain") return;
    swarm.queue.put(swarm.now() + what.undoMs, async () => {
      const now = swarm.watch.rows.nodes.get(node.id);
      // Whoever put the fleet in order at the end has been there already.
      const isLeft = now?.phase.kind !== "gone" && now?.cordon.human !== null;
      if (now !== undefined && isLeft) await this.order(now, "uncordon", true);
    });
  }

  /** A person's order as a route gives it: durable first, then carried out. */
  async order(node: Node, type: HumanAct, force: boolean): Promise<void> {
    const { swarm } = this;
    const process = swarm.life.running;
    if (process === null) return;
    const command = v.parse(Command, {
      id: `order-${this.serial++}`,
      node: node.id,
      type,
      reason: "a reason",
      force,
      timeoutMs: null,
      issuedBy: "ann",
      issuedAt: swarm.clock.wallMs(),
      state: "accepted",
      message: null,
    });
    try {
      const stored = process.store.commit({ ...emptyChange(), commands: [command] });
      if ((await swarm.life.orFrozen(stored)) === FROZEN) return;
    } catch (error) {
      if (swarm.life.isUp()) throw error;
      return;
    }
    void process.reconciler.takeCommand(command);
  }

  private async scale(index: number, by: number): Promise<void> {
    const { swarm } = this;
    const place = index % swarm.sizes.length;
    const pool = swarm.shape.pools[place];
    const size = swarm.sizes[place];
    if (pool === undefined || size === undefined) return;
    swarm.sizes[place] = Math.max(1, Math.min(2 * pool.size, size + by));
    await this.resize();
  }

  /** People order the sizes they want, again after a lost database. */
  resize(): Promise<void> {
    const { swarm } = this;
    return this.change((draft, reconciler) => {
      for (const [place, { name }] of swarm.shape.pools.entries()) {
        const state = [...reconciler.fleet().pools.values()].find((one) => one.name === name);
        const desired = swarm.sizes[place];
        if (state === undefined || desired === undefined || state.desired === desired) continue;
        draft.putPool({ ...state, desired, desiredBy: "human:ann" });
      }
    });
  }

  /** A person looks at the machines of another fleet in a pool of this name, and leaves them. */
  private ignoreOthers(): Promise<void> {
    const at = this.swarm.clock.wallMs();
    return this.change((draft) => {
      draft.putFact({ kind: "ignored_fleet", fleet: "another", by: "human:ann", at });
    });
  }

  /** A person removes what an ended machine left, if this fleet's books do not know that machine. */
  private async forget(node: Node): Promise<void> {
    await this.change((draft, reconciler) => {
      draft.change.removedNodes.push(node.id);
      reconciler.presence.forget(node.id);
    });
  }

  /** A change by a person, if a process runs; it may die or be frozen meanwhile. */
  private async change(edit: (draft: UnitOfWork, reconciler: Reconciler) => void): Promise<void> {
    const { swarm } = this;
    const process = swarm.life.running;
    if (process === null) return;
    const { reconciler } = process;
    try {
      await swarm.life.orFrozen(reconciler.change((draft) => edit(draft, reconciler)));
    } catch (error) {
      if (swarm.life.isUp()) throw error;
    }
  }

  /** No cloud is asked about it, and its machine is gone. */
  private isLeft({ id, instance, health, operation }: Node): boolean {
    const runs = [...this.swarm.agents.values()].some((agent) => agent.node === id);
    return instance === null && health.silentSince !== null && operation === null && !runs;
  }

  /** A person handles what waits for people: held nodes and unfinished drains. */
  async tidy(all = false): Promise<void> {
    await this.resize();
    if (all) this.swarm.sinks.undo();
    if (all) await this.ignoreOthers();
    for (const node of [...this.swarm.watch.rows.nodes.values()]) {
      const { phase } = node;
      const drained = phase.kind === "draining" && phase.drainedAt !== null;
      const sick = node.session !== null && node.cordon.human !== null;
      if (phase.kind === "held" || (drained && phase.purpose === "operator"))
        await this.order(node, node.instance === null ? "uncordon" : "replace", true);
      else if (drained && node.cordon.human !== null) await this.order(node, "replace", true);
      else if (all && this.isLeft(node)) await this.forget(node);
      else if (sick || (all && isWaived(node))) await this.order(node, "replace", true);
      else if (all && node.cordon.human !== null) await this.order(node, "uncordon", true);
    }
  }
}

/** Broken, and in service because a person said so. */
export const isWaived = ({ waiver, phase, health }: Node): boolean =>
  waiver !== null && phase.kind === "serving" && health.verdict === "unhealthy";
