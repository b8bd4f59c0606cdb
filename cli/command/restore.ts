/**
 * `navarch restore`: replaces the database of a stopped control plane by a backup. Operations that
 * were running at the backup are not resumed, and nothing is bought before each provider has been
 * listed.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "../command.ts";
import { EXIT, failure, usage } from "../failure.ts";
import { switchFlag, textFlag } from "../flag.ts";
import { NO_TERMINAL } from "../order.ts";

export const restore: Command = {
  name: ["restore"],
  usage: "<file> --state DIR",
  summary: "restore a backup; the control plane must be stopped",
  examples: ["navarch restore navarch.backup --state /var/lib/navarch"],
  more:
    "The old database is kept beside the new one. Tokens that were revoked after the backup are\n" +
    "valid again: check `navarch token list`.",
  flags: [
    textFlag("state", "DIR", "state folder of the control plane"),
    switchFlag("yes", "skip the confirmation"),
  ],
  words: { min: 1, max: 1 },
  reach: "offline",
  async run(context) {
    const { flags, words, world } = context;
    const [file = ""] = words;
    const state = flags.text("state");
    if (state === null) return usage("restore needs --state DIR, the control plane's folder");
    if (!existsSync(file)) return failure(EXIT.notFound, "not_found", `${file}: no such file`);
    mkdirSync(state, { recursive: true, mode: 0o700 });
    if (existsSync(join(state, "navarch.db")) && !flags.on("yes")) {
      const said = world.ask(`Replace the database in ${state} (the old one is kept)? [y/N]`);
      if (said === null) return usage(NO_TERMINAL);
      if (!/^y(es)?$/i.test(said.trim())) {
        return failure(EXIT.refused, "refused", "nothing was changed");
      }
    }
    const { restoreBackup } = await import("../../reconciler/server/backup.ts");
    const answer = await restoreBackup(file, state, world.wallMs());
    if (answer.kind === "refused") return failure(EXIT.refused, "refused", answer.message);
    const { fleetId, nodes, forgotten, kept } = answer;
    const human = (): string =>
      `fleet ${fleetId}: ${nodes} nodes restored; ${forgotten} of them are read again from the ` +
      `provider's list\n` +
      (kept === null ? "" : `the old database is ${kept}\n`);
    const data = { fleet_id: fleetId, nodes, taken_in_anew: forgotten, kept };
    return { data, names: [fleetId], human };
  },
};
