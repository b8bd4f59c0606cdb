/**
 * One pool in the words of a configuration file, in either dialect. The list dialect uses the
 * canonical keys, the map dialect upstream's.
 */
import type {
  Autoscaler,
  Drain,
  PoolConfig,
  ProviderConfig,
  ProviderRef,
} from "../../schema/config.ts";
import { formatDuration } from "../../schema/duration.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { concreteType } from "../core/instance-type.ts";
import { POOL_LABELS } from "./label.ts";
import type { Dialect } from "./layer.ts";
import { formatSpend } from "./convert-safety.ts";
import { formatShare } from "./share.ts";

export type Plain = Record<string, unknown>;

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** Everything but the name; keys that do not apply are `null`. */
export function convertPool(
  pool: PoolConfig,
  types: ReadonlyMap<string, ProviderConfig["type"]>,
  dialect: Dialect,
): Plain {
  const { bootstrap, scaling, health } = pool;
  const own = Object.entries(pool.labels).filter(([key]) => !POOL_LABELS.some((l) => l === key));
  const autoscaler = scaling.autoscaler && formatAutoscaler(scaling.autoscaler, dialect);
  const bounds = { min_nodes: scaling.minNodes, max_nodes: scaling.maxNodes };
  const cooldown = formatDuration(scaling.cooldownMs);
  return {
    ...formatRefs(pool, types),
    adopt: pool.adopt ? true : null,
    instance_type: pool.instanceType === "" ? null : pool.instanceType,
    gpus: pool.gpus ?? null,
    region: pool.region,
    zones: pool.zones,
    ssh_keys: pool.sshKeys,
    ...(dialect === "map"
      ? { ...bounds, cooldown, autoscaling: autoscaler }
      : { scaling: { ...bounds, cooldown_period: cooldown, autoscaler } }),
    health: {
      [dialect === "map" ? "unhealthy_after" : "unhealthy_threshold"]: health.unhealthyThreshold,
      auto_replace: health.autoReplace,
      max_unavailable: formatShare(health.maxUnavailable),
    },
    replacement: pool.replacement,
    // Written out it would be a person's wish.
    ...(pool.repair.implied === true ? {} : { repair: { ladder: pool.repair.ladder } }),
    labels: Object.fromEntries(own),
    spend: formatSpend(pool.spend),
    drain: formatDrain(pool.drain),
    setup_commands: bootstrap.setupCommands.length > 0 ? bootstrap.setupCommands : null,
    ssh_user: bootstrap.sshUser,
    ssh_private_key_path: bootstrap.sshPrivateKeyPath,
    ssh_host_key: bootstrap.sshHostKey,
    become: bootstrap.become,
    push_agent: bootstrap.pushAgent,
    ssh_port: bootstrap.sshPort,
    ssh_jump: bootstrap.sshJump,
    bootstrap_attempts: bootstrap.attempts,
    ip_wait_timeout: formatDuration(bootstrap.ipWaitTimeoutMs),
    ssh_timeout: formatDuration(bootstrap.sshTimeoutMs),
    ssh_connect_timeout: formatDuration(bootstrap.sshConnectTimeoutMs),
    command_timeout: formatDuration(bootstrap.commandTimeoutMs),
  };
}

/** The short form where it says the same. */
function formatRefs(pool: PoolConfig, types: ReadonlyMap<string, ProviderConfig["type"]>): Plain {
  const [only, second] = pool.providers;
  if (only !== undefined && second === undefined && isShort(pool, only, types)) {
    return {
      provider: only.name,
      strategy: pool.strategy === "priority" ? null : pool.strategy,
    };
  }
  const providers = pool.providers.map((ref) => ({
    name: ref.name,
    priority: ref.priority,
    weight: ref.weight,
    regions: ref.regions,
    zones: ref.zones,
    instance_type: ref.instanceType,
  }));
  return { providers, strategy: pool.strategy };
}

function isShort(
  pool: PoolConfig,
  ref: ProviderRef,
  types: ReadonlyMap<string, ProviderConfig["type"]>,
): boolean {
  const type = types.get(ref.name);
  const regions = pool.region === null ? [] : [pool.region];
  return (
    type !== undefined &&
    ref.priority === 1 &&
    ref.weight === 1 &&
    ref.instanceType === concreteType(pool.instanceType, type) &&
    JSON.stringify([ref.regions, ref.zones]) === JSON.stringify([regions, pool.zones])
  );
}

function formatDrain(drain: Drain): Plain {
  return {
    mode: drain.mode,
    grace_period: drain.gracePeriodMs < 0 ? -1 : formatDuration(drain.gracePeriodMs),
    ignore_daemonsets: drain.ignoreDaemonsets,
    delete_emptydir_data: drain.deleteEmptydirData,
    force: drain.force,
    timeout: formatDuration(drain.timeoutMs),
    fatal_timeout: formatDuration(drain.fatalTimeoutMs),
    on_timeout: drain.onTimeout,
    unknown_wait: formatDuration(drain.unknownWaitMs),
  };
}

function formatMinute(minute: number): string {
  const two = (n: number) => String(n).padStart(2, "0");
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}

function formatAutoscaler(autoscaler: Autoscaler, dialect: Dialect): Plain {
  const { type } = autoscaler;
  const map = dialect === "map";
  const inner = (one: Autoscaler | null) => one && formatAutoscaler(one, dialect);
  switch (autoscaler.type) {
    case "reactive":
      return {
        type,
        [map ? "scale_up_at" : "scale_up_threshold"]: autoscaler.scaleUpThreshold,
        [map ? "scale_down_at" : "scale_down_threshold"]: autoscaler.scaleDownThreshold,
        step: autoscaler.step,
      };
    case "queue":
      return { type, jobs_per_node: autoscaler.jobsPerNode, count: autoscaler.count };
    case "scheduled":
      return {
        type,
        schedule: autoscaler.schedule.map((window) => ({
          days: window.days.map((day) => DAYS[day] ?? ""),
          [map ? "start" : "start_hour"]: formatMinute(window.startMinute),
          [map ? "end" : "end_hour"]: formatMinute(window.endMinute),
          min_nodes: window.minNodes,
          max_nodes: window.maxNodes,
        })),
        timezone: autoscaler.timezone,
        fallback: inner(autoscaler.fallback),
      };
    case "predictive":
      return {
        type,
        lookback_window: autoscaler.lookbackWindow,
        growth_factor: autoscaler.growthFactor,
        fallback: inner(autoscaler.fallback),
      };
    case "composite": {
      const { mode, autoscalers } = autoscaler;
      return { type, mode, autoscalers: autoscalers.map(inner) };
    }
    default:
      return unreachable(autoscaler);
  }
}
