/** From a scenario to what the stack is opened with. Pure. */
import type { Config, ServerConfig } from "../../schema/config.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import type { Scenario, SimNode } from "../scenario/scenario.ts";
import { GPU_TYPE } from "../scenario/table.ts";

/** Intervals unless the file sets them; three missed heartbeats count as silence. */
const HEARTBEAT_MS = 3_000;
const HEARTBEATS_MISSED = 3;
const CHECK_MS = 5_000;

/** The product's defaults, to find what the file leaves open. */
function defaults(): ServerConfig | null {
  const text = "server: { address: '127.0.0.1:1' }";
  return readConfig([{ name: "", text }]).config?.server ?? null;
}

/** The configuration that the control plane of the run is given. */
export function configOf(scenario: Scenario): Config {
  const { server, ...rest } = scenario.config;
  const open = defaults();
  const pick = (key: "heartbeatIntervalMs" | "healthCheckIntervalMs", ms: number): number =>
    open !== null && server[key] === open[key] ? ms : server[key];
  const heartbeatIntervalMs = pick("heartbeatIntervalMs", HEARTBEAT_MS);
  const isOpen = open !== null && server.heartbeatTimeoutMs === open.heartbeatTimeoutMs;
  return {
    ...rest,
    server: {
      ...server,
      heartbeatIntervalMs,
      heartbeatTimeoutMs: isOpen
        ? HEARTBEATS_MISSED * heartbeatIntervalMs
        : server.heartbeatTimeoutMs,
      healthCheckIntervalMs: pick("healthCheckIntervalMs", CHECK_MS),
    },
  };
}

/** What a bought machine looks like where no node was listed. */
export function shapeOf(scenario: Scenario): SimNode {
  const [first] = scenario.fleet;
  return {
    id: "",
    provider: first?.provider ?? "",
    region: first?.region ?? "",
    zone: first?.zone ?? "",
    instanceType: first?.instanceType ?? "generic-gpu",
    gpuCount: first?.gpuCount ?? 8,
    gpuType: first?.gpuType ?? GPU_TYPE,
    labels: {},
    rack: "",
    pool: null,
  };
}

/** The same pools with size 0: existing instances are adopted, and none is created. */
export function withoutFloor(config: Config): Config {
  const pools = config.pools.map((pool) => ({
    ...pool,
    scaling: { ...pool.scaling, minNodes: 0, autoscaler: null },
  }));
  return { ...config, pools };
}

/** The place of each node in its pool, in the order of the file. */
export function slotsOf(nodes: readonly SimNode[]): number[] {
  const next = new Map<string | null, number>();
  return nodes.map(({ pool }) => {
    const slot = next.get(pool) ?? 0;
    next.set(pool, slot + 1);
    return slot;
  });
}
