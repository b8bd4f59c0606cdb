/**
 * `navarch policy show`: prints the rules of a file, or of the control plane with match counts, in
 * order.
 */
import type { Policy, PolicyRule } from "../../schema/policy.ts";
import type { Command, Context, Outcome } from "../command.ts";
import { EXIT } from "../failure.ts";
import { formatDuration } from "../../schema/duration.ts";
import { formatLabels, formatTable } from "../table.ts";

export const policyShow: Command = {
  name: ["policy", "show"],
  usage: "[<file>]",
  summary: "print a health policy",
  examples: ["navarch policy show", "navarch policy show policy.yaml"],
  more:
    "Without a file: the active policy, with the match count of each rule. -o yaml prints a\n" +
    "policy file that can be edited and used.",
  flags: [],
  words: { min: 0, max: 1 },
  reach: "offline",
  run: (context) => (context.words.length === 0 ? showLive(context) : showFile(context)),
};

type LivePolicy = Pick<Policy, "name" | "version" | "hash"> & {
  /** `null` = built in; an older control plane does not report it. */
  file?: string | null;
  rules: (PolicyRule & { matches: number })[];
};

async function showLive(context: Context): Outcome {
  const client = context.connect();
  if ("ok" in client) return client;
  const answer = await client.get<LivePolicy>("/policy", ["rules"]);
  if (!answer.ok) return answer;
  const { value } = answer;
  const { policyFile } = await import("../../reconciler/config/convert.ts");
  const rows = value.rules.map((rule) => [
    rule.name,
    formatResult(rule),
    String(rule.matches ?? 0),
    rule.condition,
  ]);
  return {
    data: policyFile(value, new Map(value.rules.map((rule) => [rule.name, rule.matches]))),
    names: value.rules.map((rule) => rule.name),
    human: (_wide, style) =>
      formatLabels(
        [
          ["Policy", value.name],
          ...(value.file === undefined ? [] : [["File", value.file ?? "none: built in"] as const]),
          ["Hash", value.hash],
        ],
        style,
      ) + formatTable(["Rule", "Result", "Matches", "Condition"], rows, style),
  };
}

async function showFile(context: Context): Outcome {
  const { policyFile } = await import("../../reconciler/config/convert.ts");
  const { openRules } = await import("../policy-file.ts");
  const { sayProblems } = await import("../problem-view.ts");
  const { compiled, problems } = await openRules(context.words[0] ?? "");
  sayProblems(context, problems);
  if (compiled === null) return EXIT.usage;
  const { policy } = compiled;
  const rows = policy.rules.map((rule) => [
    rule.name,
    formatResult(rule),
    formatHold(rule.hold),
    rule.action ?? "",
    rule.condition,
  ]);
  return {
    data: policyFile(policy),
    names: policy.rules.map((rule) => rule.name),
    human: (_wide, style) =>
      formatLabels(
        [
          ["Policy", policy.name],
          ["Hash", policy.hash],
        ],
        style,
      ) + formatTable(["Rule", "Result", "Hold", "Action", "Condition"], rows, style),
  };
}

/** A rule's result, marked if it is a shadow rule. */
export function formatResult(rule: { result: string; shadow?: boolean | undefined }): string {
  return rule.shadow === true ? `${rule.result} (shadow)` : rule.result;
}

export function formatHold(hold: PolicyRule["hold"]): string {
  if (hold === null) return "";
  return typeof hold === "string" ? hold : formatDuration(hold.forMs);
}
