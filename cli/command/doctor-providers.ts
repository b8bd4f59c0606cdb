/**
 * `navarch doctor providers`: examines every provider of a configuration without changing anything
 * there: credentials, permissions, names, limits and offers.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Inspection, Reach } from "../../reconciler/core/provider.ts";
import type { Command } from "../command.ts";
import { EXIT, usage } from "../failure.ts";
import { textsFlag } from "../flag.ts";
import { type Configured, openConfigured } from "../open-configured.ts";
import { show } from "../show.ts";
import { formatTable } from "../table.ts";

type Row = { provider: string } & Inspection;

export const doctorProviders: Command = {
  name: ["doctor", "providers"],
  alias: ["doctor provider"],
  usage: "",
  summary: "check credentials, permissions and quota of providers",
  examples: ["navarch doctor providers --config navarch.yaml"],
  more:
    "Reads only, with the credentials of this shell: run it where the control plane\n" +
    "runs, as its user. Exit 1 if anything failed; warnings do not count.",
  flags: [textsFlag("config", "F", "configuration; later ones override")],
  words: { min: 0, max: 0 },
  lasts: () => true,
  reach: "offline",
  async run(context) {
    const files = context.flags.texts("config");
    if (files.length === 0) return usage("name the configuration: --config FILE");
    const folder = mkdtempSync(join(tmpdir(), "navarch-doctor-"));
    try {
      const opened = await openConfigured(context, files, null, folder);
      if ("exit" in opened) return opened;
      const rows = await examineAll(opened);
      await show(context, {
        data: rows,
        names: rows.map(({ provider, check, outcome }) => `${provider} ${check}: ${outcome}`),
        human: (_wide, style) => {
          if (rows.length === 0) return "The configuration has no provider.";
          const cells = rows.map((row) => [row.outcome, row.provider, row.check, row.message]);
          return formatTable(["Outcome", "Provider", "Check", "Finding"], cells, style);
        },
      });
      return rows.some(({ outcome }) => outcome === "fail") ? EXIT.failed : EXIT.done;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function examineAll({ config, providers, unavailable }: Configured): Promise<Row[]> {
  const { examineProvider, placesOf } = await import("../../reconciler/provider/examine.ts");
  const { sharedIn } = await import("../../reconciler/core/reach.ts");
  const rows: Row[] = [];
  const reaches = new Map<string, { reach: Reach }>();
  for (const { name } of config.providers) {
    const provider = providers.get(name);
    if (provider === undefined) {
      const message = unavailable.get(name) ?? "it cannot be opened";
      rows.push({ provider: name, check: "open", outcome: "fail", message });
      continue;
    }
    try {
      for await (const found of examineProvider(provider, placesOf(config, name))) {
        rows.push({ provider: name, ...found });
      }
      // Some tell their account with the first list only.
      reaches.set(name, { reach: provider.reach() });
    } finally {
      await provider.close();
    }
  }
  for (const [provider, message] of sharedIn(reaches)) {
    rows.push({ provider, check: "account", outcome: "warn", message });
  }
  return rows;
}
