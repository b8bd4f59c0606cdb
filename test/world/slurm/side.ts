/**
 * The Slurm cluster of a simulated world: a controller in virtual time, and a slurmd on each
 * machine that the cloud runs, under the name of its slot. It lives beside the control plane: a
 * crash of the one is none of the other.
 */
import type { SlurmClient } from "../../../reconciler/core/slurm/client.ts";
import type { FakeControl } from "../../../reconciler/provider/fake/memory.ts";
import type { Clock } from "../../../reconciler/core/clock.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { VirtualSlurm, type VirtualSlurmOptions } from "./controller.ts";
import { type FakeSlurm, openFakeSlurm } from "./fake.ts";

/** How often a machine's state becomes that of its slurmd. */
const BEAT_MS = 500;

export type SideOptions = Partial<VirtualSlurmOptions> & {
  /** The NodeNames; a number = that many, `n0`, `n1`, … */
  nodes: number | readonly string[];
  /** The NodeName that a machine is set up for, by its tags; `n` and its slot by default. */
  nameOf?: (tags: Readonly<Record<string, string>>) => string | null;
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
  readonly #clock: Clock;
  readonly #cloud: FakeControl;
  readonly #lagMs: number;
  readonly #nameOf: NonNullable<SideOptions["nameOf"]>;

  constructor(clock: Clock, cloud: FakeControl, options: SideOptions) {
    this.#clock = clock;
    this.#cloud = cloud;
    this.#lagMs = options.slurmdLagMs ?? 0;
    this.slurm = new VirtualSlurm(clock, options);
    this.fake = openFakeSlurm(this.slurm, clock, options.random ?? (() => 0.999_999));
    this.#nameOf = options.nameOf ?? ((tags) => `n${tags["navarch-slot"]}`);
    const { nodes } = options;
    const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i}`);
    for (const name of typeof nodes === "number" ? numbered(nodes) : nodes) this.slurm.add(name);
    this.beat();
  }

  /** The NodeName that a machine's slurmd has, or had last. */
  nameOn(machine: InstanceId): string | null {
    for (const [name, id] of this.machines) if (id === machine) return name;
    return null;
  }

  get client(): SlurmClient {
    return this.fake;
  }

  private beat(): void {
    const running = new Map<InstanceId, string>();
    for (const { instance } of this.#cloud.world().instances.values()) {
      const { id, state, tags } = instance;
      const name = state === "running" && !this.mute.has(id) ? this.#nameOf(tags) : null;
      if (name !== null) running.set(id, name);
    }
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
