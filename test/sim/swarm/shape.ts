/**
 * What a seed makes of a fleet before anything happens to it: its pools, how they replace, how fast
 * their cloud is, what kind of promises it keeps.
 */
import type { ProviderClass } from "../../../reconciler/core/provider.ts";
import { openStream } from "./stream.ts";

export type PoolShape = {
  name: string;
  size: number;
  surge: boolean;
  threshold: number;
  maxUnavailablePercent: number;
};

/** The schedulers that its machines join, besides the one in memory that is there without any. */
export const SINKS = ["none", "slurm", "kubernetes", "both"] as const;
export type SinkKind = (typeof SINKS)[number];

export type Shape = {
  seed: number;
  sinks: SinkKind;
  /** Control planes that share the database: of two, one leads by the lease. */
  planes: 1 | 2;
  pools: PoolShape[];
  class: ProviderClass;
  settleMs: number;
  bootMs: number;
  /** From a running instance to the first word of its agent. */
  agentBootMs: number;
  terminateMs: number;
  heartbeatMs: number;
  timeoutMs: number;
  /** How long work takes to leave a node, at most. */
  drainMs: number;
  /** Most instances of the fleet at once, or `null`. */
  instancesMax: number | null;
  /** How often the control plane is looked at: every activation happens on this grid. */
  stepMs: number;
};

/** The step: as long as the idle interval of listings, so that each activation finds one due. */
export const STEP_MS = 5_000;

export function shapeOf(
  seed: number,
  nodes: number,
  sinks: SinkKind = "none",
  planes: Shape["planes"] = 1,
): Shape {
  const r = openStream(seed, "shape");
  const count = Math.min(nodes < 8 ? r.whole(1, 2) : r.whole(1, 4), nodes);
  const pools: PoolShape[] = [];
  let left = nodes;
  for (let i = 0; i < count; i++) {
    const size = i === count - 1 ? left : r.whole(1, Math.max(1, left - (count - 1 - i)));
    left -= size;
    pools.push({
      name: `p${i}`,
      size,
      surge: r.chance(0.4),
      threshold: r.whole(1, 3),
      maxUnavailablePercent: r.pick([5, 10, 20, 50]),
    });
  }
  const cls = r.pick(["token", "name", "tag-only"] as const);
  return {
    seed,
    sinks,
    planes,
    pools: pools.filter((pool) => pool.size > 0),
    class: cls,
    settleMs: cls === "tag-only" ? r.pick([10_000, 30_000, 120_000]) : 0,
    bootMs: r.pick([3_000, 45_000, 180_000, 600_000]),
    agentBootMs: r.pick([0, 5_000, 30_000]),
    terminateMs: r.pick([1_000, 20_000, 90_000]),
    heartbeatMs: r.pick([10_000, 30_000]),
    timeoutMs: r.pick([60_000, 90_000]),
    drainMs: r.pick([0, 60_000, 600_000]),
    instancesMax: r.chance(0.3) ? 2 * nodes + r.whole(1, 3) : null,
    stepMs: STEP_MS,
  };
}

const mostOf = ({ size }: PoolShape): number => 2 * size + 5;

/** The NodeNames of a pool, by slot. */
export const namesOf = (pool: PoolShape): string[] =>
  Array.from({ length: mostOf(pool) }, (_, slot) => `${pool.name}-${slot}`);

/** The configuration file of this fleet; `edit` is how often a person has changed it. */
/** Providers in the file's order, and where pools buy. */
export type Providers = { names: readonly string[]; at: string };

export function yamlOf(shape: Shape, edit: number, { names, at }: Providers): string {
  const seconds = (ms: number): string => `${Math.round(ms / 1_000)}s`;
  const isInSlurm = shape.sinks === "slurm" || shape.sinks === "both";
  const isInCluster = shape.sinks === "kubernetes" || shape.sinks === "both";
  const pools = shape.pools.map((pool) => {
    const threshold = 1 + ((pool.threshold - 1 + edit) % 3);
    return `
  - name: ${pool.name}
    provider: ${at}
    instance_type: h100-8x
    scaling: { min_nodes: 1, max_nodes: ${mostOf(pool)} }
    health:
      unhealthy_threshold: ${threshold}
      max_unavailable: ${pool.maxUnavailablePercent}%
    replacement: ${pool.surge ? "surge" : "drain-first"}
    drain: { timeout: 30m }
    ${isInSlurm ? `slurm: { nodes: "${pool.name}-[0-${mostOf(pool) - 1}]" }` : ""}`;
  });
  const schedulers = [
    ...(isInSlurm ? ["slurm: { enabled: true, poll_interval: 15s }"] : []),
    ...(isInCluster ? ["kubernetes: { enabled: true }"] : []),
  ];
  return `
server:
  address: "127.0.0.1:50051"
  heartbeat_interval: ${seconds(shape.heartbeatMs)}
  heartbeat_timeout: ${seconds(shape.timeoutMs)}
  health_check_interval: ${seconds(shape.heartbeatMs)}
safety: { ${shape.instancesMax === null ? "" : `spend: { max_instances: ${shape.instancesMax} }`} }
instance_manager: { registration_timeout: ${seconds(shape.bootMs + shape.agentBootMs + 600_000)} }
providers: { ${names.map((name) => `${name}: { type: fake, gpu_count: 2 }`).join(", ")} }
${schedulers.join("\n")}
pools:${pools.join("")}
`;
}
