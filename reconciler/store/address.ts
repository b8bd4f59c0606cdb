/** What the address of a database may be. Pure. */
import { isServer } from "./server.ts";

/** The token for a libSQL server; never a flag, which other users of the machine could read. */
export const DATABASE_TOKEN = "NAVARCH_DATABASE_TOKEN";

/** Why no database can have this path or URL, or `null`. The answer never quotes a credential. */
export function whyNoDatabase(address: string): string | null {
  const server = isServer(address);
  if (address.includes("://") && !server && !address.startsWith("file:")) {
    const known = "a path, or the URL of a libSQL server: libsql, http, https, ws or wss";
    return `${JSON.stringify(address)}: expected ${known}`;
  }
  if (!server || !/[?&]authToken=|\/\/[^/]*@/i.test(address)) return null;
  const instead = `give it in the environment, as ${DATABASE_TOKEN}`;
  return `the database's address holds a credential: ${instead}`;
}
