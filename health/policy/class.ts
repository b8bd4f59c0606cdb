/** Classes of faults: effect on the node, hold and repair. A rule has a class and a condition. */
import type { Hold, PolicyRule, Result, RuleAction } from "../../schema/policy.ts";

/** The evidence that decided (docs/reference/xid.md#order-of-evidence), for people. */
export type Rank = "verdict" | "decode" | "catalogue" | "measurement" | "unknown";

export type FaultClass = {
  result: Result;
  hold: Hold;
  action: RuleAction;
  /** True only for hardware evidence that cannot be a passing state. */
  definitive: boolean;
};

export type BuiltinRule = FaultClass & {
  name: string;
  rank: Rank;
  description: string;
  condition: string;
  repeat: PolicyRule["repeat"];
};

const HOUR_MS = 3_600_000;
const AN_HOUR: Hold = { forMs: HOUR_MS };
/** Twice a day on one GPU (or link) counts as a hardware fault. */
export const TWICE_A_DAY = {
  atLeast: 2,
  withinMs: 24 * HOUR_MS,
  by: "gpu",
  result: "unhealthy",
} as const;

const UNHEALTHY = { result: "unhealthy", definitive: true } as const;
const DEGRADED = { result: "degraded", definitive: false } as const;

export const CLASS = {
  reset: { ...UNHEALTHY, hold: "until_reset", action: "reset" },
  reboot: { ...UNHEALTHY, hold: "until_reboot", action: "reboot" },
  replace: { ...UNHEALTHY, hold: "until_replaced", action: "replace" },
  /** One application is lost; the GPU stays in service. */
  app: { ...DEGRADED, hold: "none", action: "app" },
  /** Works; needs an inspection or a reset when idle. */
  inspect: { ...DEGRADED, hold: "until_reset", action: "inspect" },
  owed: { ...DEGRADED, hold: "until_reset", action: "reset" },
  /** Not proven by one occurrence. */
  watch: { ...DEGRADED, hold: AN_HOUR, action: "inspect" },
  /** Unknown meaning: shown, no action. */
  unknown: { ...DEGRADED, hold: AN_HOUR, action: "none" },
  notice: { ...DEGRADED, hold: "none", action: "none" },
  record: { result: "healthy", definitive: false, hold: "none", action: "none" },
  /** Lasts as long as the agent's checks list it. */
  active: { ...DEGRADED, hold: "while_active", action: "inspect" },
  /** The same, and the node is unusable meanwhile. */
  down: { result: "unhealthy", definitive: false, hold: "while_active", action: "inspect" },
} as const satisfies Record<string, FaultClass>;

/** Makes rules of the built-in policy that rest on this kind of evidence. */
export const ruleOf =
  (rank: Rank) =>
  (
    name: string,
    fault: FaultClass,
    condition: string,
    description: string,
    repeat: PolicyRule["repeat"] = null,
  ): BuiltinRule => ({ ...fault, name, rank, condition, description, repeat });

/** `event.metrics.KEY in [...]`, false when the event lacks the key. */
export function metricIs(key: string, ...values: string[]): string {
  const list = values.map((value) => `"${value}"`).join(", ");
  return `has(event.metrics.${key}) && event.metrics.${key} in [${list}]`;
}

export function isType(type: string): string {
  return `event.event_type == "${type}"`;
}

export function reasonIs(type: string, ...reasons: string[]): string {
  return `${isType(type)} && ${metricIs("reason", ...reasons)}`;
}
