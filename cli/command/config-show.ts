/**
 * `navarch config show`: prints the normal form of configuration files or of the control plane's
 * configuration, without secrets.
 */
import * as v from "valibot";
import { Config } from "../../schema/config.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, type Failure } from "../failure.ts";
import { show } from "../show.ts";

export const configShow: Command = {
  name: ["config", "show"],
  usage: "[<file>…]",
  summary: "print the configuration in its normal form",
  examples: ["navarch config show", "navarch config show navarch.yaml"],
  more:
    "Without a file: the configuration that the control plane uses. Prints it in the list\n" +
    "format, with every default; secrets are replaced by [redacted].",
  flags: [],
  words: { min: 0, max: 64 },
  reach: "offline",
  run: (context) => (context.words.length === 0 ? showLive(context) : showFiles(context)),
};

async function showLive(context: Context): Promise<number | Failure> {
  const client = context.connect();
  if ("ok" in client) return client;
  const answer = await client.get<unknown>("/config", []);
  if (!answer.ok) return answer;
  return showConfig(context, answer.value);
}

async function showFiles(context: Context): Promise<number | Failure> {
  const { openConfig } = await import("../../reconciler/config/open.ts");
  const { formatConfig } = await import("../../reconciler/config/secret.ts");
  const { sayProblems } = await import("../problem-view.ts");
  const { config, problems } = await openConfig(context.words);
  sayProblems(context, problems);
  if (config === null) return EXIT.usage;
  return showConfig(context, JSON.parse(formatConfig(config)));
}

const OTHER_VERSION = "note: the control plane has another version; its form is shown as it is\n";

/** Prints `given` (the internal form, secrets hidden) as a configuration file: YAML by default. */
async function showConfig(context: Context, given: unknown): Promise<number> {
  const { configFile } = await import("../../reconciler/config/convert.ts");
  const read = v.safeParse(Config, given);
  // The control plane may have another version.
  if (!read.success) context.world.err(OTHER_VERSION);
  const data = read.success ? configFile(read.output, "list") : given;
  const people = context.format === "table" || context.format === "wide";
  const format = people ? "yaml" : context.format;
  await show({ ...context, format }, { data, names: [], human: () => "" });
  return EXIT.done;
}
