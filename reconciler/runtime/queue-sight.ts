/** A pool's queue in its schedulers: pods of Kubernetes and jobs of its partition in Slurm. */
import type { Config } from "../../schema/config.ts";
import type { PoolName } from "../../schema/id.ts";
import type { Log } from "../core/clock.ts";
import type { QueueSight } from "../core/fleet.ts";
import { addQueues, type SlurmDemand, slurmDemand, slurmQueue } from "../core/slurm/demand.ts";
import type { SlurmJob } from "../core/slurm/object.ts";
import type { Targets } from "./act/execute.ts";

type QueuePorts = {
  config(): Config;
  targets: Pick<Targets, "scheduler" | "slurm">;
  log: Log;
};

/** Reasons that are told; a release that knows hundreds of new ones is told of the first. */
const TOLD_MAX = 50;

export class Queues {
  readonly #ports: QueuePorts;
  #counted: {
    jobs: readonly SlurmJob[];
    config: Config;
    demands: Map<PoolName, SlurmDemand>;
  } | null = null;
  readonly #told = new Set<string>();

  constructor(ports: QueuePorts) {
    this.#ports = ports;
  }

  /** `null` = unknown. A pool with a partition is not known before Slurm's part is. */
  of(pool: PoolName): QueueSight | null {
    const { scheduler, slurm } = this.#ports.targets;
    const config = this.#ports.config();
    const pods = scheduler.cluster?.queue(pool, config.pools) ?? null;
    const isInSlurm = config.pools.some((one) => {
      return one.name === pool && one.slurm.partition !== null;
    });
    if (slurm === null || !isInSlurm) return pods;
    const seen = slurm.dark() === null ? slurm.queue() : null;
    if (seen === null) return null;
    const demand = this.#count(seen.jobs, config).get(pool);
    if (demand === undefined) return null;
    const jobs = slurmQueue(demand, seen.observedAt);
    return pods === null ? jobs : addQueues(pods, jobs);
  }

  #count(jobs: readonly SlurmJob[], config: Config): Map<PoolName, SlurmDemand> {
    const before = this.#counted;
    if (before?.jobs === jobs && before.config === config) return before.demands;
    const pools = config.pools.flatMap(({ name, slurm: { partition } }) => {
      return partition === null ? [] : [{ pool: name, partition }];
    });
    const demands = slurmDemand(jobs, pools);
    this.#counted = { jobs, config, demands };
    for (const [pool, { unknown }] of demands) {
      for (const [reason, count] of unknown) this.#tell(pool, reason, count);
    }
    return demands;
  }

  #tell(pool: PoolName, reason: string, count: number): void {
    if (this.#told.has(reason) || this.#told.size >= TOLD_MAX) return;
    this.#told.add(reason);
    const fields = { pool, reason: reason.slice(0, 100), jobs: count };
    this.#ports.log("warn", "pending jobs have an unknown reason and buy no node", fields);
  }
}
