/**
 * `navarch backup`: saves the embedded database and the fleet's identity to one file, from a
 * running control plane or from its folder. The file's owner can authenticate as any node.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "../command.ts";
import { cannotWrite, checkPlace, removeFile } from "../download.ts";
import { EXIT, failure } from "../failure.ts";
import { textFlag } from "../flag.ts";
import { openProgress } from "../progress.ts";
import { plain } from "../table.ts";

/** First bytes of an SQLite file (file format, 1.3.1). */
const DATABASE = { magic: "SQLite format 3\0", name: "database" };

export const backup: Command = {
  name: ["backup"],
  usage: "",
  summary: "save the database and the fleet's identity to a file",
  examples: ["navarch backup --out navarch.backup"],
  more:
    "The file holds the secret from which node credentials are derived: protect it.\n" +
    "A database on a libSQL server is backed up with that server's own tools.",
  flags: [
    textFlag("out", "FILE", "output file (default navarch-<time>.backup)"),
    textFlag("state", "DIR", "read this state folder instead of asking a server"),
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags, world } = context;
    const stamp = new Date(world.wallMs()).toISOString().replace(/[:.]/g, "-");
    const out = flags.text("out") ?? `navarch-${stamp}.backup`;
    const misplaced = checkPlace(out);
    if (misplaced !== null) return misplaced;
    const state = flags.text("state");
    if (state === null) {
      const client = context.connect();
      if ("ok" in client) return client;
      const progress = openProgress(world, "backup", "bytes");
      progress.show(0, null, "the control plane copies its database");
      const answer = await client.download("/admin/backup", out, DATABASE, progress.show);
      progress.end();
      if (!answer.ok) return answer;
    } else {
      const { writeBackup } = await import("../../reconciler/server/backup.ts");
      const { readIdentity } = await import("../../reconciler/security/identity.ts");
      const file = join(state, "navarch.db");
      const identity = readIdentity(state);
      if (!existsSync(file) || identity === null) {
        return failure(EXIT.notFound, "not_found", `${state} has no database of a control plane`);
      }
      try {
        await writeBackup(file, out, identity);
      } catch (error) {
        removeFile(out);
        return cannotWrite(out, error);
      }
    }
    const bytes = Bun.file(out).size;
    const human = (): string => `${plain(out)}  ${bytes} bytes\n`;
    return { data: { file: out, bytes }, names: [out], human };
  },
};
