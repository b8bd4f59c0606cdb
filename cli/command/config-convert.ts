/**
 * `navarch config convert`: prints a configuration in one of the two formats, with every alias and
 * default resolved. Reading the output gives the same configuration.
 */
import type { Command } from "../command.ts";
import { EXIT, unknownName } from "../failure.ts";
import { textFlag } from "../flag.ts";

const DIALECTS = ["list", "map"] as const;

export const configConvert: Command = {
  name: ["config", "convert"],
  usage: "<file>…",
  summary: "convert a configuration to the list or map format",
  examples: ["navarch config convert navarch.yaml --dialect map"],
  more: "Two configuration formats are accepted: list and map.",
  flags: [textFlag("dialect", "D", "list or map (default list)")],
  words: { min: 1, max: 64 },
  reach: "offline",
  async run(context) {
    const { openConfig } = await import("../../reconciler/config/open.ts");
    const { convertConfig } = await import("../../reconciler/config/convert.ts");
    const { SCHEMA_LINE } = await import("../../reconciler/config/json-schema.ts");
    const { sayProblems } = await import("../problem-view.ts");
    const given = context.flags.text("dialect") ?? "list";
    const dialect = DIALECTS.find((one) => one === given);
    if (dialect === undefined) return unknownName("dialect", given, DIALECTS);
    const { config, problems } = await openConfig(context.words);
    sayProblems(context, problems);
    if (config === null) return EXIT.usage;
    context.world.out(`${SCHEMA_LINE}${convertConfig(config, dialect)}`);
    return EXIT.done;
  },
};
