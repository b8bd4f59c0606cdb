/**
 * `navarch version`: prints this program's version.
 */
import type { VersionView } from "../../schema/api.ts";
import { BUILD_DATE, COMMIT, VERSION } from "../../schema/version.ts";
import type { Command } from "../command.ts";
import { formatLabels } from "../table.ts";

export const ownVersion: VersionView = {
  version: VERSION,
  commit: COMMIT,
  build_date: BUILD_DATE,
  runtime: `bun ${Bun.version}`,
  platform: `${process.platform}/${process.arch}`,
};

export const version: Command = {
  name: ["version"],
  usage: "",
  summary: "print this program's version",
  examples: ["navarch version", "navarch version -o json"],
  flags: [],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run() {
    const pairs: [string, string][] = [
      ["Version", ownVersion.version],
      ["Commit", ownVersion.commit],
      ["Build Date", ownVersion.build_date],
      ["Runtime", ownVersion.runtime],
      ["Platform", ownVersion.platform],
    ];
    return {
      data: ownVersion,
      names: [ownVersion.version],
      human: (_wide, style) => formatLabels(pairs, style),
    };
  },
};
