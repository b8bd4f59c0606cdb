/**
 * `navarch policy validate`: parses, type-checks and lints a health policy.
 */
import type { Command } from "../command.ts";
import { switchFlag } from "../flag.ts";

export const policyValidate: Command = {
  name: ["policy", "validate"],
  usage: "<file>",
  summary: "check a health policy",
  examples: ["navarch policy validate policy.yaml"],
  flags: [switchFlag("strict", "treat warnings as errors")],
  words: { min: 1, max: 1 },
  reach: "offline",
  async run(context) {
    const { openRules } = await import("../policy-file.ts");
    const { countOf, showProblems } = await import("../problem-view.ts");
    const [file = ""] = context.words;
    const { compiled, problems } = await openRules(file);
    return showProblems(context, problems, () => {
      const rules = countOf(compiled?.rules.length ?? 0, "rule");
      return `${file}: ok (${rules}, ${compiled?.policy.hash.slice(0, 12) ?? ""})`;
    });
  },
};
