/**
 * A policy in the words of its file, for `policy show`. Reading what is printed gives the same
 * rules: `hash` and `matches` are observations, which the reader takes and does not use.
 */
import { formatDuration } from "../../schema/duration.ts";
import type { Policy, PolicyRule } from "../../schema/policy.ts";

/** `matches` counts by rule name, where known. */
export function policyFile(
  policy: Pick<Policy, "version" | "name" | "hash" | "rules"> & { description?: string | null },
  matches: ReadonlyMap<string, number> = new Map(),
): Record<string, unknown> {
  const { description } = policy;
  return {
    version: policy.version,
    metadata: { name: policy.name, ...(description ? { description } : {}) },
    hash: policy.hash,
    rules: policy.rules.map((rule) => {
      const count = matches.get(rule.name);
      return { ...ruleOf(rule), ...(count === undefined ? {} : { matches: count }) };
    }),
  };
}

/** A control plane of another version may leave out what it does not know. */
function ruleOf(rule: PolicyRule): Record<string, unknown> {
  const { description = null, hold = null, action = null, repeat = null, pools = null } = rule;
  return {
    name: rule.name,
    ...(description === null ? {} : { description }),
    condition: rule.condition,
    result: rule.result,
    ...(hold === null
      ? {}
      : { hold: typeof hold === "string" ? hold : formatDuration(hold.forMs) }),
    ...(action === null ? {} : { action }),
    ...(repeat === null
      ? {}
      : {
          repeat: {
            at_least: repeat.atLeast,
            within: formatDuration(repeat.withinMs),
            by: repeat.by,
            result: repeat.result,
          },
        }),
    ...(pools === null ? {} : { pools }),
    ...(rule.shadow === true ? { shadow: true } : {}),
  };
}
