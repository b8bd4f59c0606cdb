/**
 * `navarch config validate`: reports every problem of a configuration, with the checks of the
 * control plane's own start.
 */
import type { Command } from "../command.ts";
import { switchFlag } from "../flag.ts";

export const configValidate: Command = {
  name: ["config", "validate"],
  usage: "<file>…",
  summary: "check configuration files; later ones override",
  examples: ["navarch config validate navarch.yaml"],
  more:
    "Also checks what a control plane needs at its start on this machine: files, variables,\n" +
    "kubeconfig, health policy. Exit 2 if it would not start, or with --strict if it would warn.",
  flags: [
    switchFlag("strict", "treat warnings as errors"),
    switchFlag("text-only", "check only the text, not the files and environment of this machine"),
  ],
  words: { min: 1, max: 64 },
  reach: "offline",
  async run(context) {
    const { examine } = await import("../../reconciler/server/load.ts");
    const { countOf, showProblems } = await import("../problem-view.ts");
    const { env } = context.world;
    const { config, problems } = await examine(context.words, {
      portZero: false,
      externalAddress: env["NAVARCH_EXTERNAL_ADDRESS"] !== undefined,
      around: context.flags.on("text-only") ? null : { env },
    });
    return showProblems(context, problems, () => {
      const files = context.words.join(", ");
      const pools = countOf(config?.pools.length ?? 0, "pool");
      return `${files}: ok (${pools}, ${countOf(config?.providers.length ?? 0, "provider")})`;
    });
  },
};
