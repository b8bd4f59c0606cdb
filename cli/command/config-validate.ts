/**
 * `navarch config validate`: everything wrong with the configuration that some files make together.
 */
import type { Command } from "../command.ts";

export const configValidate: Command = {
  name: ["config", "validate"],
  usage: "<file>…",
  summary: "check configuration files, later laid over earlier",
  more: "Exit 2 if a control plane would not start on them, or with --strict if it would warn.",
  flags: [{ name: "strict", kind: "switch", help: "warnings are errors" }],
  words: { min: 1, max: 64 },
  reach: "offline",
  async run(context) {
    const { openConfig, readDisk, whyUnreadable } = await import("../../reconciler/config/open.ts");
    const { countOf, showProblems } = await import("../problem-view.ts");
    const { config, problems } = await openConfig(context.words, readDisk, { whyUnreadable });
    return showProblems(context, problems, () => {
      const files = context.words.join(", ");
      const pools = countOf(config?.pools.length ?? 0, "pool");
      return `${files}: ok (${pools}, ${countOf(config?.providers.length ?? 0, "provider")})`;
    });
  },
};
