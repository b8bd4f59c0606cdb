/**
 * `navarch slurm db-init`: the SQL that gives slurmdbd its database on a bare MariaDB server.
 */
import { renderDatabase } from "../../deploy/slurm/database.ts";
import type { Command } from "../command.ts";
import { usage } from "../failure.ts";
import { textFlag } from "../flag.ts";
import { readPassword } from "../slurm-files.ts";

const NAME = /^[A-Za-z0-9_]{1,64}$/;
const HOST = /^[A-Za-z0-9.:%_-]{1,255}$/;

export const slurmDbInit: Command = {
  name: ["slurm", "db-init"],
  usage: "",
  summary: "print the SQL that creates the database of slurmdbd",
  examples: [
    "navarch slurm db-init | mysql",
    "navarch slurm db-init --host '10.0.%' --db-password-file password | mysql",
  ],
  more:
    "For a MariaDB server on the same machine no password is needed: slurmdbd connects over\n" +
    "the socket as the user slurm. For another machine give --host and --db-password-file;\n" +
    "the SQL holds a hash of the password. It may be run again.",
  flags: [
    textFlag("host", "HOST", "where slurmdbd connects from, as 10.0.% (default localhost)"),
    textFlag("database", "NAME", "name of the database (default slurm_acct_db)"),
    textFlag("user", "NAME", "user of the database (default slurm)"),
    textFlag("db-password-file", "FILE", "file with the user's password in its first line"),
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run({ flags }) {
    const host = flags.text("host") ?? "localhost";
    const name = flags.text("database") ?? "slurm_acct_db";
    const user = flags.text("user") ?? "slurm";
    if (!HOST.test(host)) return usage(`--host ${host}: is not a host or a pattern as 10.0.%`);
    for (const [flag, value] of Object.entries({ database: name, user })) {
      if (!NAME.test(value)) return usage(`--${flag} ${value}: expected letters, digits and _`);
    }
    const path = flags.text("db-password-file");
    if (path === null && host !== "localhost") {
      return usage("--host needs --db-password-file: a socket is known on the same machine only");
    }
    const password = path === null ? null : readPassword("--db-password-file", path);
    if (password?.ok === false) return password;
    const sql = renderDatabase({ name, user, host, password: password?.value ?? null });
    return { data: { sql }, names: [name], human: () => sql };
  },
};
