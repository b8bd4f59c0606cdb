/**
 * Where a key is at home, so that a key written in the wrong place is answered with the right one.
 * Only keys that are at home in exactly one place are listed.
 */

const HOME: Record<string, readonly string[]> = {
  "the top level": [
    "server",
    "pools",
    "defaults",
    "global",
    "instance_manager",
    "kubernetes",
    "safety",
  ],
  server: [
    "address",
    "external_address",
    "heartbeat_interval",
    "heartbeat_timeout",
    "health_check_interval",
    "autoscale_interval",
    "sample_interval",
    "health_policy_path",
    "health_policy",
    "notifier",
    "state_path",
    "tls",
    "auth",
    "metrics_retention",
  ],
  "server.auth": ["token_env", "token_file", "admin_token_file", "node_token_file"],
  "server.tls": ["cert_file", "key_file", "own_ca", "client_ca_file"],
  "server.notifier": ["webhook"],
  "server.notifier.webhook": [
    "cordon_url",
    "uncordon_url",
    "drain_url",
    "drain_status_url",
    "headers",
    "secret_env",
  ],
  instance_manager: ["registration_timeout", "stale_check_interval", "retain_terminated"],
  "a pool": [
    "instance_type",
    "gpus",
    "adopt",
    "zones",
    "strategy",
    "scaling",
    "health",
    "labels",
    "replacement",
    "setup_commands",
    "setup_templates",
    "ssh_keys",
    "ssh_key_names",
    "ssh_user",
    "ssh_private_key_path",
    "ssh_host_key",
    "bootstrap_attempts",
    "become",
    "push_agent",
    "ssh_port",
    "ssh_jump",
    "ip_wait_timeout",
    "ssh_timeout",
    "ssh_connect_timeout",
    "command_timeout",
  ],
  "a pool's scaling": ["min_nodes", "max_nodes", "cooldown_period", "autoscaler", "autoscaling"],
  "a pool's health": ["unhealthy_threshold", "unhealthy_after", "auto_replace", "max_unavailable"],
  "a pool's scaling.autoscaler": [
    "scale_up_threshold",
    "scale_up_at",
    "scale_down_threshold",
    "scale_down_at",
    "step",
    "jobs_per_node",
    "schedule",
    "timezone",
    "fallback",
    "lookback_window",
    "growth_factor",
    "autoscalers",
  ],
  drain: [
    "grace_period",
    "ignore_daemonsets",
    "delete_emptydir_data",
    "on_timeout",
    "fatal_timeout",
    "unknown_wait",
  ],
  kubernetes: [
    "pod_label",
    "mirror",
    "context",
    "on_uncordon",
    "uncordon_review",
    "agent_account",
    "join",
    "ready",
    "ready_timeout",
    "writes_per_second_max",
  ],
  "a provider": [
    "api_key_env",
    "api_key_file",
    "project",
    "credentials_file",
    "gpu_count",
    "rate_limit",
    "endpoint",
    "disk_gb",
    "service_account",
  ],
};

const HOME_OF = new Map(
  Object.entries(HOME).flatMap(([home, keys]) => keys.map((key) => [key, home] as const)),
);

export function homeOf(key: string): string | null {
  return HOME_OF.get(key) ?? null;
}

/** Keys that upstream's documents name and no program reads, with the key to write instead. */
export const RETIRED: Readonly<Record<string, string | undefined>> = Object.assign(
  Object.create(null),
  {
    minReplicas: "min_nodes",
    maxReplicas: "max_nodes",
    grpc_port: "server.address",
    api_key: "api_key_env, which names an environment variable",
    api_key_secret: "api_key_env",
    credentials_secret: "credentials_file",
  },
);
