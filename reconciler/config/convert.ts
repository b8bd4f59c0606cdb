/**
 * The normalised configuration as YAML in either dialect, for `config convert`. Reading what is
 * printed gives the same configuration again; providers that were only implied stay so.
 */
import { stringify } from "yaml";
import type {
  Config,
  KubernetesConfig,
  NotifierConfig,
  ProviderConfig,
  ServerConfig,
} from "../../schema/config.ts";
import { formatDuration } from "../../schema/duration.ts";
import { convertPool, type Plain } from "./convert-pool.ts";
import { formatSafety, formatSpend } from "./convert-safety.ts";
import type { Dialect } from "./layer.ts";

/** YAML text that reads back to `config`. */
export function convertConfig(config: Config, dialect: Dialect): string {
  const file = configFile(config, dialect);
  return stringify(file, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** The same as plain values, in the keys of a file. */
export function configFile(config: Config, dialect: Dialect): unknown {
  const types = new Map(config.providers.map((one) => [one.name, one.type]));
  const pools = config.pools.map((pool) => [pool.name, convertPool(pool, types, dialect)] as const);
  const defined = config.providers.filter((one) => !one.implied);
  return prune({
    server: formatServer(config.server),
    instance_manager: {
      registration_timeout: formatDuration(config.server.registrationTimeoutMs),
      stale_check_interval: formatDuration(config.server.staleCheckIntervalMs),
      retain_terminated: formatDuration(config.server.retainTerminatedMs),
    },
    providers: Object.fromEntries(defined.map((one) => [one.name, formatProvider(one)])),
    safety: formatSafety(config.safety),
    kubernetes: formatKubernetes(config.kubernetes),
    pools:
      dialect === "map"
        ? Object.fromEntries(pools)
        : pools.map(([name, pool]) => ({ name, ...pool })),
  });
}

/** Leaves out what is `null` or `undefined`: a key without a value says nothing. */
function prune(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(prune);
  if (value === null || typeof value !== "object") return value;
  const kept = Object.entries(value).filter(([, one]) => one !== null && one !== undefined);
  return Object.fromEntries(kept.map(([key, one]) => [key, prune(one)]));
}

function formatKubernetes(kubernetes: KubernetesConfig): Plain {
  const { mirror } = kubernetes;
  return {
    enabled: kubernetes.enabled,
    kubeconfig: kubernetes.kubeconfig,
    context: kubernetes.context,
    pod_label: kubernetes.podLabel,
    on_uncordon: kubernetes.onUncordon,
    uncordon_review: formatDuration(kubernetes.uncordonReviewMs),
    agent_account: kubernetes.agentAccount,
    ready: kubernetes.ready,
    ready_timeout: formatDuration(kubernetes.readyTimeoutMs),
    writes_per_second_max: kubernetes.writesPerSecondMax,
    join: kubernetes.join.server === null ? null : { server: kubernetes.join.server },
    mirror: {
      cordon: mirror.cordon,
      drain: mirror.drain,
      condition: mirror.condition,
      labels: mirror.labels,
      delete_node: mirror.deleteNode,
      taint: mirror.taint,
    },
  };
}

function formatServer(server: ServerConfig): Plain {
  const host = server.host.includes(":") ? `[${server.host}]` : server.host;
  const { tls, auth } = server;
  return {
    address: `${host}:${server.port}`,
    external_address: server.externalAddress,
    heartbeat_interval: formatDuration(server.heartbeatIntervalMs),
    heartbeat_timeout: formatDuration(server.heartbeatTimeoutMs),
    health_check_interval: formatDuration(server.healthCheckIntervalMs),
    autoscale_interval: formatDuration(server.autoscaleIntervalMs),
    sample_interval: formatDuration(server.sampleIntervalMs),
    health_policy_path: server.healthPolicyPath,
    state_path: server.statePath,
    metrics_retention: formatDuration(server.metricsRetentionMs),
    tls: tls && {
      cert_file: tls.certFile,
      key_file: tls.keyFile,
      own_ca: tls.ownCa,
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
    notifier: formatNotifier(server.notifier),
  };
}

function formatNotifier(notifier: NotifierConfig): Plain {
  if (notifier.type === "noop") return { type: "noop" };
  const { retry } = notifier;
  return {
    type: "webhook",
    webhook: {
      cordon_url: shownUrl(notifier.cordonUrl),
      uncordon_url: shownUrl(notifier.uncordonUrl),
      drain_url: shownUrl(notifier.drainUrl),
      drain_status_url: shownUrl(notifier.drainStatusUrl),
      timeout: formatDuration(notifier.timeoutMs),
      headers: notifier.headers,
      secret_env: notifier.secretEnv,
      retry: {
        attempts: retry.attempts,
        initial: formatDuration(retry.initialMs),
        max: formatDuration(retry.maxMs),
      },
    },
  };
}

/** A web hook whose whole address is its secret is hidden whole, and must still be an address. */
function shownUrl(text: string | null): string | null {
  const isAddress = text === null || text.startsWith("${") || /^https?:\/\//i.test(text);
  return isAddress ? text : "https://redacted.invalid/";
}

/** Settings are camel case with units last; files have snake case and durations. */
function formatProvider({ type, settings, spend }: ProviderConfig): Plain {
  const { requestsPerSecond, launchIntervalMs, hosts, ...rest } = settings;
  const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const plain = Object.entries(rest).map(([name, value]) =>
    name.endsWith("Ms") && typeof value === "number"
      ? [snake(name.slice(0, -2)), formatDuration(value)]
      : [snake(name), value],
  );
  const launch = typeof launchIntervalMs === "number" ? formatDuration(launchIntervalMs) : null;
  const limited = requestsPerSecond !== undefined || launch !== null;
  return {
    type,
    spend: formatSpend(spend),
    ...Object.fromEntries(plain),
    hosts: typeof hosts === "string" ? hosts.split(",").filter((host) => host !== "") : null,
    rate_limit: limited
      ? { requests_per_second: requestsPerSecond ?? null, launch_interval: launch }
      : null,
  };
}
