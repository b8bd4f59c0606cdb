/**
 * The normalised configuration as YAML in either dialect, for `config convert`. Reading what is
 * printed gives the same configuration again; providers that were only implied stay so.
 */
import { stringify } from "yaml";
import type {
  Autoscaler,
  Config,
  Drain,
  NotifierConfig,
  PoolConfig,
  ProviderConfig,
  ProviderRef,
  ServerConfig,
  Share,
} from "../../schema/config.ts";
import { printDuration } from "../../schema/duration.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { concreteType } from "./instance-type.ts";
import { POOL_LABELS } from "./label.ts";
import type { Dialect } from "./layer.ts";

type Plain = Record<string, unknown>;

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** YAML text that reads back to `config`. */
export function convertConfig(config: Config, dialect: Dialect): string {
  const types = new Map(config.providers.map((one) => [one.name, one.type]));
  const pools = config.pools.map((pool) => [pool.name, printPool(pool, types, dialect)] as const);
  const defined = config.providers.filter((one) => !one.implied);
  return stringify(
    prune({
      server: printServer(config.server),
      instance_manager: {
        registration_timeout: printDuration(config.server.registrationTimeoutMs),
        stale_check_interval: printDuration(config.server.staleCheckIntervalMs),
        retain_terminated: printDuration(config.server.retainTerminatedMs),
      },
      providers: Object.fromEntries(defined.map((one) => [one.name, printProvider(one)])),
      kubernetes: config.kubernetes,
      pools:
        dialect === "map"
          ? Object.fromEntries(pools)
          : pools.map(([name, pool]) => ({ name, ...pool })),
    }),
    { lineWidth: 0, aliasDuplicateObjects: false },
  );
}

/** Leaves out what is `null` or `undefined`: a key without a value says nothing. */
function prune(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(prune);
  if (value === null || typeof value !== "object") return value;
  const kept = Object.entries(value).filter(([, one]) => one !== null && one !== undefined);
  return Object.fromEntries(kept.map(([key, one]) => [key, prune(one)]));
}

function printServer(server: ServerConfig): Plain {
  const host = server.host.includes(":") ? `[${server.host}]` : server.host;
  const { tls, auth } = server;
  return {
    address: `${host}:${server.port}`,
    external_address: server.externalAddress,
    heartbeat_interval: printDuration(server.heartbeatIntervalMs),
    heartbeat_timeout: printDuration(server.heartbeatTimeoutMs),
    health_check_interval: printDuration(server.healthCheckIntervalMs),
    autoscale_interval: printDuration(server.autoscaleIntervalMs),
    sample_interval: printDuration(server.sampleIntervalMs),
    health_policy_path: server.healthPolicyPath,
    state_path: server.statePath,
    metrics_retention: printDuration(server.metricsRetentionMs),
    tls: tls && {
      cert_file: tls.certFile,
      key_file: tls.keyFile,
      client_ca_file: tls.clientCaFile,
    },
    auth: {
      token_env: auth.tokenEnv,
      token_file: auth.tokenFile,
      admin_token_file: auth.adminTokenFile,
      node_token_file: auth.nodeTokenFile,
      allow_anonymous: auth.allowAnonymous,
      metrics_auth: auth.metricsAuth,
    },
    notifier: printNotifier(server.notifier),
  };
}

function printNotifier(notifier: NotifierConfig): Plain {
  if (notifier.type === "noop") return { type: "noop" };
  const { retry } = notifier;
  return {
    type: "webhook",
    webhook: {
      cordon_url: notifier.cordonUrl,
      uncordon_url: notifier.uncordonUrl,
      drain_url: notifier.drainUrl,
      drain_status_url: notifier.drainStatusUrl,
      timeout: printDuration(notifier.timeoutMs),
      headers: notifier.headers,
      secret_env: notifier.secretEnv,
      retry: {
        attempts: retry.attempts,
        initial: printDuration(retry.initialMs),
        max: printDuration(retry.maxMs),
      },
    },
  };
}

/** Settings are camel case with units last; files have snake case and durations. */
function printProvider({ type, settings }: ProviderConfig): Plain {
  const { requestsPerSecond, launchIntervalMs, hosts, ...rest } = settings;
  const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const plain = Object.entries(rest).map(([name, value]) =>
    name.endsWith("Ms") && typeof value === "number"
      ? [snake(name.slice(0, -2)), printDuration(value)]
      : [snake(name), value],
  );
  const launch = typeof launchIntervalMs === "number" ? printDuration(launchIntervalMs) : null;
  const limited = requestsPerSecond !== undefined || launch !== null;
  return {
    type,
    ...Object.fromEntries(plain),
    hosts: typeof hosts === "string" ? hosts.split(",").filter((host) => host !== "") : null,
    rate_limit: limited
      ? { requests_per_second: requestsPerSecond ?? null, launch_interval: launch }
      : null,
  };
}

function printPool(
  pool: PoolConfig,
  types: ReadonlyMap<string, ProviderConfig["type"]>,
  dialect: Dialect,
): Plain {
  const { bootstrap, scaling, health } = pool;
  const own = Object.entries(pool.labels).filter(([key]) => !POOL_LABELS.some((l) => l === key));
  const autoscaler = scaling.autoscaler && printAutoscaler(scaling.autoscaler, dialect);
  const bounds = { min_nodes: scaling.minNodes, max_nodes: scaling.maxNodes };
  const cooldown = printDuration(scaling.cooldownMs);
  return {
    ...printRefs(pool, types),
    instance_type: pool.instanceType,
    region: pool.region,
    zones: pool.zones,
    ssh_keys: pool.sshKeys,
    ...(dialect === "map"
      ? { ...bounds, cooldown, autoscaling: autoscaler }
      : { scaling: { ...bounds, cooldown_period: cooldown, autoscaler } }),
    health: {
      [dialect === "map" ? "unhealthy_after" : "unhealthy_threshold"]: health.unhealthyThreshold,
      auto_replace: health.autoReplace,
      max_unavailable: printShare(health.maxUnavailable),
    },
    replacement: pool.replacement,
    labels: Object.fromEntries(own),
    drain: printDrain(pool.drain),
    setup_commands: bootstrap.setupCommands.length > 0 ? bootstrap.setupCommands : null,
    ssh_user: bootstrap.sshUser,
    ssh_private_key_path: bootstrap.sshPrivateKeyPath,
    ssh_host_key: bootstrap.sshHostKey,
    become: bootstrap.become,
    push_agent: bootstrap.pushAgent,
    bootstrap_attempts: bootstrap.attempts,
    ip_wait_timeout: printDuration(bootstrap.ipWaitTimeoutMs),
    ssh_timeout: printDuration(bootstrap.sshTimeoutMs),
    ssh_connect_timeout: printDuration(bootstrap.sshConnectTimeoutMs),
    command_timeout: printDuration(bootstrap.commandTimeoutMs),
  };
}

/** The short form where it says the same. */
function printRefs(pool: PoolConfig, types: ReadonlyMap<string, ProviderConfig["type"]>): Plain {
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

function printShare(share: Share): number | string {
  return share.kind === "nodes" ? share.nodes : `${share.percent}%`;
}

function printDrain(drain: Drain): Plain {
  return {
    mode: drain.mode,
    grace_period: drain.gracePeriodMs < 0 ? -1 : printDuration(drain.gracePeriodMs),
    ignore_daemonsets: drain.ignoreDaemonsets,
    delete_emptydir_data: drain.deleteEmptydirData,
    force: drain.force,
    timeout: printDuration(drain.timeoutMs),
    on_timeout: drain.onTimeout,
    unknown_wait: printDuration(drain.unknownWaitMs),
  };
}

function printMinute(minute: number): string {
  const two = (n: number) => String(n).padStart(2, "0");
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}

function printAutoscaler(autoscaler: Autoscaler, dialect: Dialect): Plain {
  const { type } = autoscaler;
  const map = dialect === "map";
  const inner = (one: Autoscaler | null) => one && printAutoscaler(one, dialect);
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
          [map ? "start" : "start_hour"]: printMinute(window.startMinute),
          [map ? "end" : "end_hour"]: printMinute(window.endMinute),
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
