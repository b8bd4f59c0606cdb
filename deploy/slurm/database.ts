/** Renders the SQL that gives slurmdbd its database on a bare MariaDB server. Pure. */
import { createHash } from "node:crypto";

export type DatabaseOptions = {
  name: string;
  user: string;
  /** From where slurmdbd connects: `localhost`, an address or a pattern such as `10.0.%`. */
  host: string;
  /** `null`: on the same machine, MariaDB knows slurmdbd by its user on the socket. */
  password: string | null;
};

/** May be run again: a new password takes the place of the old one. */
export function renderDatabase({ name, user, host, password }: DatabaseOptions): string {
  const account = `'${user}'@'${host}'`;
  const proof = password === null ? "VIA unix_socket" : `BY PASSWORD '${hashPassword(password)}'`;
  // `_` stands for any character in the name of a grant.
  const scope = name.replaceAll("_", "\\_");
  return `CREATE DATABASE IF NOT EXISTS \`${name}\`;
CREATE USER IF NOT EXISTS ${account} IDENTIFIED ${proof};
ALTER USER ${account} IDENTIFIED ${proof};
GRANT ALL PRIVILEGES ON \`${scope}\`.* TO ${account};
`;
}

/** What MariaDB stores (`PASSWORD()`), so that the SQL does not hold the password itself. */
function hashPassword(password: string): string {
  const once = createHash("sha1").update(password).digest();
  return `*${createHash("sha1").update(once).digest("hex").toUpperCase()}`;
}
