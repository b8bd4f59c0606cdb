/** A pool's queue in its schedulers: pods of Kubernetes and jobs of its partition in Slurm. */
import type { Config } from "../../schema/config.ts";
import type { PoolName } from "../../schema/id.ts";
import type { Log } from "../core/clock.ts";
import type { QueueSight } from "../core/fleet.ts";
import { addQueues, type SlurmDemand, slurmDemand, slurmQueue } from "../core/slurm/demand.ts";
import type { SlurmJob, SlurmNode } from "../core/slurm/object.ts";
import { poolNames } from "../core/slurm/slot-name.ts";
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
    nodes: readonly SlurmNode[];
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
    const demand = this.#count(seen.jobs, slurm.nodes().list, config).get(pool);
    if (demand === undefined) return null;
    const jobs = slurmQueue(demand, seen.observedAt);
    return pods === null ? jobs : addQueues(pods, jobs);
  }

  #count(
    jobs: readonly SlurmJob[],
    nodes: readonly SlurmNode[],
    config: Config,
  ): Map<PoolName, SlurmDemand> {
    const before = this.#counted;
    const isSame = before?.jobs === jobs && before.nodes === nodes && before.config === config;
    if (isSame) return before.demands;
    const rows = new Map(nodes.map((row) => [row.name, row]));
    const pools = config.pools.flatMap((pool) => {
      const { partition } = pool.slurm;
      if (partition === null) return [];
      const names = poolNames(pool);
      const own = names.flatMap((name) => rows.get(name) ?? []);
      // Of a name that Slurm does not list yet, nothing is known.
      return [{ pool: pool.name, partition, nodes: own.length === names.length ? own : [] }];
    });
    const demands = slurmDemand(jobs, pools);
    this.#counted = { jobs, nodes, config, demands };
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
