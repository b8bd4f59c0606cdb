/**
 * The Slurm cluster of a simulated world: a controller in virtual time, and a slurmd on each
 * machine that the cloud runs, under the name of its slot. It lives beside the control plane: a
 * crash of the one is none of the other.
 */
import type { SlurmClient } from "../../../reconciler/core/slurm/client.ts";
import type { FakeControl } from "../../../reconciler/provider/fake/memory.ts";
import type { VirtualClock } from "../../../simulator/engine/clock.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { VirtualSlurm, type VirtualSlurmOptions } from "./controller.ts";
import { type FakeSlurm, openFakeSlurm } from "./fake.ts";

/** How often a machine's state becomes that of its slurmd. */
const BEAT_MS = 500;

export type SideOptions = Partial<VirtualSlurmOptions> & {
  /** Names by slot: `n0`, `n1`, … */
  nodes: number;
  /** From the start of a machine to the registration of its slurmd. */
  slurmdLagMs?: number;
  /** 0 ≤ x < 1, for the faults of calls. */
  random?: () => number;
};

export class SlurmSide {
  readonly slurm: VirtualSlurm;
  readonly fake: FakeSlurm;
  /** The machine that runs under each NodeName. */
  readonly machines = new Map<string, InstanceId>();
  /** Machines whose slurmd does not come up: told by tests. */
  readonly mute = new Set<InstanceId>();
  readonly #clock: VirtualClock;
  readonly #cloud: FakeControl;
  readonly #lagMs: number;

  constructor(clock: VirtualClock, cloud: FakeControl, options: SideOptions) {
    this.#clock = clock;
    this.#cloud = cloud;
    this.#lagMs = options.slurmdLagMs ?? 0;
    this.slurm = new VirtualSlurm(clock, options);
    this.fake = openFakeSlurm(this.slurm, clock, options.random ?? (() => 0.999_999));
    for (let slot = 0; slot < options.nodes; slot++) this.slurm.add(`n${slot}`);
    this.beat();
  }

  get client(): SlurmClient {
    return this.fake;
  }

  private beat(): void {
    const live = this.#cloud.reality().live;
    const running = new Map(
      live
        .filter(({ id, state }) => state === "running" && !this.mute.has(id))
        .map(({ id, tags }) => [id, `n${tags["navarch-slot"]}`] as const),
    );
    for (const [name, id] of this.machines) {
      if (running.has(id)) continue;
      this.slurm.cut(name);
      this.machines.delete(name);
    }
    for (const [id, name] of running) {
      if (this.machines.has(name) || this.slurm.node(name) === null) continue;
      this.machines.set(name, id);
      const isStill = (): boolean => this.machines.get(name) === id;
      this.#clock.after(this.#lagMs, () => void (isStill() && this.slurm.boot(name)));
    }
    this.#clock.after(BEAT_MS, () => this.beat());
  }
}
