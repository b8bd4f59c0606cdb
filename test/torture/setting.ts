/**
 * The fleets that are tortured: one pool, with a cloud of its own, for each class of provider, all
 * of one control plane, so that one kill hits every class at once. Times are as short as the
 * configuration allows, because what matters is how many steps lie between two kills.
 */
import type { ProviderClass } from "../../reconciler/core/provider.ts";

export type Setting = {
  /** Of the pool and of its provider. */
  name: string;
  class: ProviderClass;
  /** Replacement before removal: two instances a slot, and invariant I4 applies. */
  surge: boolean;
  settleMs: number;
};

/**
 * Longer than the longest landing plus the longest list lag of a call in time (`cloud-fault.ts`)
 * together, as `settle` must be (docs/reference/providers.md#repeating-a-request).
 */
export const SETTLE_MS = 900;

export const SETTINGS: readonly Setting[] = [
  { name: "token", class: "token", surge: false, settleMs: 0 },
  { name: "name", class: "name", surge: true, settleMs: 0 },
  { name: "tag", class: "tag-only", surge: false, settleMs: SETTLE_MS },
];

export const NODES_MIN = 1;
export const NODES_MAX = 4;
/** What each pool shall have when the churn is over. */
export const NODES_END = 2;
export const INSTANCE_TYPE = "h100-8x";
export const BOOT_MS = 100;
export const TERMINATE_MS = 150;

/** SIGSTOP lasts longer than this. */
export const HEARTBEAT_TIMEOUT_MS = 1_000;

/**
 * A fault a second in six nodes is no real fleet's: budgets and breaker of the fleet would hold it
 * still, which `simulator/` proves. Each pool's `max_unavailable` stays.
 */
const OPEN = "{ pool: 100, domain: 100, fleet: 100 }";

/** How long a terminated instance stays listed: longer than any run of kills without a look. */
const RETENTION = "60s";

/** The faults of a cloud, read again by the product whenever the file changes. */
export const faultFile = (folder: string, name: string): string => `${folder}/fault-${name}.json`;

/** `agent` is what each instance runs; the harness speaks for it. */
export function formatConfig(folder: string, agent: string, settings: readonly Setting[]): string {
  const providers = settings.map(
    ({ name, class: cls, settleMs }) => `  ${name}:
    type: fake
    class: ${cls}
    settle: ${settleMs}ms
    gpu_count: 1
    boot_delay: ${BOOT_MS}ms
    terminate_delay: ${TERMINATE_MS}ms
    retention: ${RETENTION}
    agent_path: ${agent}
    faults: ${faultFile(folder, name)}`,
  );
  const pools = settings.map(
    ({ name, surge }) => `  - name: ${name}
    provider: ${name}
    instance_type: ${INSTANCE_TYPE}
    replacement: ${surge ? "surge" : "drain-first"}
    scaling: { min_nodes: ${NODES_MIN}, max_nodes: ${NODES_MAX} }
    health: { unhealthy_threshold: 1, max_unavailable: 2 }
    drain: { unknown_wait: 300ms, timeout: 3s, on_timeout: terminate, grace_period: 1s }`,
  );
  return `server:
  address: 127.0.0.1:0
  metrics_port: 0
  heartbeat_interval: 200ms
  heartbeat_timeout: ${HEARTBEAT_TIMEOUT_MS}ms
  sample_interval: 100ms
  health_check_interval: 1s
instance_manager: { registration_timeout: 30s }
safety:
  budgets:
    isolate: ${OPEN}
    drain: ${OPEN}
    replace: ${OPEN}
  breaker: { enabled: false }
providers:
${providers.join("\n")}
pools:
${pools.join("\n")}
`;
}
