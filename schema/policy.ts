/**
 * The health policy file, after reading. Order matters: the first rule whose condition is true
 * decides an event; the worst result over all events of a node wins.
 */
import * as v from "valibot";
import { LIMIT } from "./limit.ts";
import { count, integer, positive } from "./number.ts";

/** Mildest first. */
export const RESULTS = ["healthy", "degraded", "unhealthy"] as const;
export type Result = (typeof RESULTS)[number];

/** A node's health: a policy result, or `unknown` before conclusive evidence. */
export const VERDICTS = ["unknown", "healthy", "degraded", "unhealthy"] as const;
export type Verdict = (typeof VERDICTS)[number];

/** How long a judged finding stays part of the verdict. */
export const Hold = v.union([
  /** Gone at the next clean evaluation. */
  v.literal("none"),
  /** Until a clean check after a GPU reset or a new boot. */
  v.literal("until_reset"),
  /** Until a clean check under a new boot id. */
  v.literal("until_reboot"),
  /** Never, on this instance. */
  v.literal("until_replaced"),
  /** While the agent's checks list the condition as active, and then three clean evaluations. */
  v.literal("while_active"),
  v.object({ forMs: positive }),
]);
export type Hold = v.InferOutput<typeof Hold>;

/** Mildest first. */
export const ACTIONS = ["none", "app", "inspect", "reset", "reboot", "replace"] as const;
/** The repair that the device needs; shown to people, and used by repair ladders. */
export type RuleAction = (typeof ACTIONS)[number];

export const PolicyRule = v.object({
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
  description: v.nullable(v.string()),
  condition: v.pipe(v.string(), v.minLength(1), v.maxLength(LIMIT.conditionBytesMax)),
  result: v.picklist(RESULTS),
  hold: v.nullable(Hold),
  action: v.nullable(v.picklist(ACTIONS)),
  repeat: v.nullable(
    v.object({
      atLeast: v.pipe(integer, v.minValue(2)),
      withinMs: positive,
      by: v.picklist(["gpu", "node"]),
      result: v.picklist(RESULTS),
    }),
  ),
  /** `null` = every pool. */
  pools: v.nullable(v.array(v.string())),
  /** Evaluated and recorded, decides nothing. */
  shadow: v.optional(v.boolean()),
  /** Where the rule starts in its file, for messages. */
  line: count,
});
export type PolicyRule = v.InferOutput<typeof PolicyRule>;

export const Policy = v.object({
  version: v.string(),
  name: v.string(),
  description: v.nullable(v.string()),
  rules: v.pipe(v.array(PolicyRule), v.minLength(1), v.maxLength(LIMIT.policyRulesMax)),
  /** SHA-256 of the rules in canonical form, hex: stored with each verdict. */
  hash: v.string(),
});
export type Policy = v.InferOutput<typeof Policy>;

/** The map a condition sees as `event`. */
export type PolicyEvent = {
  event_type: string;
  system: string;
  /** −1 = the whole node. */
  gpu_index: number;
  gpu_uuid: string;
  metrics: Record<string, number | boolean | string>;
  message: string;
  /** RFC 3339. */
  timestamp: string;
};

/** The map a condition sees as `node`. */
export type PolicyNode = {
  id: string;
  pool: string;
  labels: Record<string, string>;
  gpu_count: number;
  driver_version: string;
  fake: boolean;
};

/** The result of a policy for one finding. */
export const Judgement = v.object({
  result: v.picklist(RESULTS),
  /** Rule that decided, or `default` when none matched. */
  rule: v.string(),
  /** `ruleVersion` of that rule; absent in older documents and for `default`. */
  version: v.optional(v.nullable(v.string())),
  policyHash: v.string(),
  hold: Hold,
  action: v.picklist(ACTIONS),
  /** Evidence of a permanent fault, such as off the bus: isolates before the threshold. */
  definitive: v.boolean(),
  /** Which fact decided: driver verdict, decode, catalogue, policy rule, unknown. */
  rank: v.string(),
  /** For people: `XID 79 on GPU 3: GPU has fallen off the bus`. */
  because: v.string(),
});
export type Judgement = v.InferOutput<typeof Judgement>;
