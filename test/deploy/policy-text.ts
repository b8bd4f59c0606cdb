/**
 * The built-in policy as the file that the manifests and the chart ship, so that a new rule is
 * never missing there.
 */
import { stringify } from "yaml";
import type { Policy, PolicyRule } from "../../schema/policy.ts";
import { printDuration } from "../../schema/duration.ts";

/** YAML with lines that an editor shows whole. */
export function formatPolicy({ version, name, description, rules }: Policy): string {
  const document = { version, metadata: { name, description }, rules: rules.map(plainRule) };
  return stringify(document, { lineWidth: 110 });
}

function plainRule({ name, description, condition, result, hold, action, repeat }: PolicyRule) {
  return {
    name,
    ...(description === null ? {} : { description }),
    condition,
    result,
    hold: typeof hold === "object" && hold !== null ? printDuration(hold.forMs) : hold,
    action,
    ...(repeat === null
      ? {}
      : {
          repeat: {
            at_least: repeat.atLeast,
            within: printDuration(repeat.withinMs),
            by: repeat.by,
            result: repeat.result,
          },
        }),
  };
}
