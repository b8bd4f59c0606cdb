/** Why nothing is done now, in kinds: metrics, filters and pages go by them (law 6). */

export const WAIT_REASONS = [
  /** An operation is open; its answer decides. */
  "operation",
  /** Observations are unreliable, so nothing irreversible starts. */
  "blind",
  /** Too many nodes of the scope are out already. */
  "budget",
  /** More faults than hardware explains, or a common cause: slowed, not stopped. */
  "breaker",
  /** A ceiling of instances or dollars is reached, or the price is not known. */
  "spend",
  /** Consecutive unhealthy evaluations are below the pool's threshold. */
  "threshold",
  /** Work is still leaving. */
  "drain",
  /** The instance is starting, or its agent has not reported or finished its first check. */
  "boot",
  /** The cloud still calls the instance booting, longer than its agent would have had to report. */
  "late_boot",
  /** Set-up over SSH is running. */
  "bootstrap",
  /** Healthy, but its cluster places no work on it yet. */
  "cluster",
  /** A refused or failed attempt; tried again at `until`. */
  "backoff",
  /** New nodes of this pool do not come up: one at a time, slowly. */
  "bootstrap_guard",
  /** The agent is silent; a second source must confirm the failure. */
  "second_witness",
  /** A person holds the node, the pool or the fleet, or has cordoned the node. */
  "human",
  /** `auto_replace: false`, or an unmanaged instance. */
  "not_ours",
  /** No provider of the pool can be used. */
  "provider",
  /** Machines of another fleet have the pool's name: a person says whose they are. */
  "other_fleet",
  /** Waits for its replacement to be verified (`surge`). */
  "replacement",
  /** The cloud has not confirmed the end of the instance. */
  "confirmation",
] as const;
export type WaitReason = (typeof WAIT_REASONS)[number];
