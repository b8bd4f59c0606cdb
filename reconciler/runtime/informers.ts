/** The loop's views of both schedulers, told of the same changes. */
import type { Config } from "../../schema/config.ts";
import type { Node } from "../../schema/node.ts";
import type { Permit } from "./act/run.ts";
import type { Log } from "../core/clock.ts";
import type { DesiredState } from "../core/kubernetes/desired-state.ts";
import type { Fleet } from "../core/fleet.ts";
import type { FoldInput, FoldResult } from "../core/fold/everything.ts";
import type { Change } from "../core/store.ts";
import type { Targets } from "./act/execute.ts";
import { ClusterInformer } from "./cluster-informer.ts";
import { SlurmInformer } from "./slurm-informer.ts";

export class Informers {
  readonly cluster: ClusterInformer;
  readonly slurm: SlurmInformer;
  readonly #targets: Pick<Targets, "scheduler" | "slurm" | "pods">;

  constructor(targets: Pick<Targets, "scheduler" | "slurm" | "pods">, log: Log) {
    this.#targets = targets;
    this.cluster = new ClusterInformer(targets.scheduler.cluster, log);
    this.slurm = new SlurmInformer(targets.slurm, log);
  }

  told(change: Change): void {
    this.cluster.told(change);
    this.slurm.told(change);
  }

  doubt(): void {
    this.cluster.doubt();
    this.slurm.doubt();
  }

  /** A pause of this process, which ends `attentiveMs`, is a break too. */
  news(
    config: Config,
    fleet: string,
    mono: number,
    attentiveMs: number,
  ): Pick<FoldInput, "cluster" | "slurm" | "watchedMs"> {
    const watchedMs = Math.min(this.cluster.watchedMs(mono), attentiveMs);
    const cluster = this.cluster.news(config.kubernetes, fleet);
    return { cluster, slurm: this.slurm.news(config), watchedMs };
  }

  note({ known, knownSlurm }: Pick<FoldResult, "known" | "knownSlurm">): void {
    this.cluster.note(known);
    this.slurm.note(knownSlurm);
  }

  tend(desired: () => DesiredState, fleet: Fleet, now: number, permit: Permit): void {
    this.cluster.tend(desired, permit);
    this.slurm.tend(fleet, now);
  }

  /** The cluster, with its ambiguous and unproven matches. */
  clusterView() {
    const { cluster } = this.#targets.scheduler;
    return { cluster, alarms: this.cluster.alarms(), unproven: this.cluster.unproven() };
  }

  /** Slurm, with its doubtful names; `null` = there is none. */
  slurmView() {
    const { slurm: sink } = this.#targets;
    if (sink === null) return null;
    const of = ({ id, slurm }: Node) => {
      const name = slurm?.name ?? "";
      const ambiguous = this.slurm.ambiguous().get(id) ?? null;
      return { dark: sink.dark(), ambiguous, row: this.slurm.row(name), jobs: sink.jobsOn(name) };
    };
    const pods = this.#targets.pods?.status() ?? null;
    return { sink, pods, alarms: this.slurm.alarms(), of };
  }

  start(wakeUp: () => void): void {
    this.#targets.scheduler.cluster?.start(wakeUp);
    this.#targets.slurm?.start(wakeUp);
  }

  stop(): void {
    this.#targets.scheduler.cluster?.stop();
    this.#targets.slurm?.stop();
  }
}
