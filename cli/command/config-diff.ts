/**
 * `navarch config diff`: what another configuration changes, and what its reload does. Compares
 * with the running control plane, or with other files.
 */
import type { ConfigDiffView } from "../../schema/api-config.ts";
import type { Config } from "../../schema/config.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, type Failure, usage } from "../failure.ts";
import { formatDiff } from "../config-diff-view.ts";
import { switchFlag, textsFlag } from "../flag.ts";
import { show } from "../show.ts";

export const configDiff: Command = {
  name: ["config", "diff"],
  usage: "[<file>…]",
  summary: "show what a configuration changes, before it is loaded",
  examples: [
    "navarch config diff navarch.yaml",
    "navarch config diff",
    "navarch config diff --from old.yaml navarch.yaml",
  ],
  more:
    "Compares the files with what the control plane runs: changed keys, what a reload does at\n" +
    "once, what takes a restart, why it would be refused. Without a file: the control plane's\n" +
    "own files. With --from: the files with other files, without a control plane. Secrets are\n" +
    "not shown. Exit 2 if a file is wrong.",
  flags: [
    textsFlag("from", "F", "compare with this file instead; later files override"),
    switchFlag("exit-code", "exit 1 if there is a difference, 6 if a reload would be refused"),
  ],
  words: { min: 0, max: 64 },
  reach: "offline",
  async run(context) {
    const { flags } = context;
    const view = await compare(context);
    if (typeof view === "number" || "ok" in view) return view;
    await show(context, {
      data: view,
      names: namesOf(view),
      human: (_wide, style) => formatDiff(view, style),
    });
    if (!flags.on("exit-code")) return EXIT.done;
    if (view.refused.length > 0) return EXIT.refused;
    return view.changes.length > 0 || view.policy !== null ? EXIT.failed : EXIT.done;
  },
};

/** The file of a health policy may say something else while its key is the same. */
function namesOf({ changes, policy }: ConfigDiffView): string[] {
  const keys = changes.map(({ key }) => key);
  return [...new Set(policy === null ? keys : [...keys, "server.health_policy_path"])];
}

async function compare(context: Context): Promise<ConfigDiffView | number | Failure> {
  const { words, flags } = context;
  const from = flags.texts("from");
  if (from.length > 0 && words.length === 0) {
    return usage("config diff --from needs <file>…, what is new (see navarch help config diff)");
  }
  const config = words.length === 0 ? undefined : await read(context, words);
  if (config === null) return EXIT.usage;
  if (from.length > 0 && config !== undefined) {
    const running = await read(context, from);
    if (running === null) return EXIT.usage;
    const { viewConfigDiff } = await import("../../reconciler/http/view/config-diff.ts");
    return viewConfigDiff({ running, next: config, fleet: null });
  }
  const client = context.connect();
  if ("ok" in client) return client;
  const keys = ["changes", "effects", "restart", "refused"];
  const body = config === undefined ? {} : { config };
  const answer = await client.send<ConfigDiffView>("POST", "/config/diff", keys, body);
  return answer.ok ? answer.value : answer;
}

/** `null` after printing what is wrong. */
async function read(context: Context, paths: readonly string[]): Promise<Config | null> {
  const { openConfig } = await import("../../reconciler/config/open.ts");
  const { sayProblems } = await import("../problem-view.ts");
  const { config, problems } = await openConfig(paths);
  sayProblems(
    context,
    problems.filter(({ severity }) => severity === "error"),
  );
  return config;
}
