/**
 * Removes other users' rights from a state folder. A folder that exists already may be open to all
 * users of the machine, who could read the database, or lock it forever.
 *
 * Adapter: files.
 */
import { chmodSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../core/clock.ts";

const OTHERS = 0o077;
const STICKY = 0o1000;

/** Files that hold secrets or the database. */
const FILE = /^(?:navarch\.db.*|lock\.(?:db.*|holder)|identity\.json|admin\.token|backup-.*\.db)$/;
/** Other files of this program. */
const OTHER = /^(?:cloud|release|.*\.(?:key|pem|new))$/;
const isOurs = (name: string): boolean => FILE.test(name) || OTHER.test(name);

/**
 * Tightens our files, and the folder if it holds nothing else. A folder of another user, such as a
 * mounted volume, cannot be changed, and a shared one (`/tmp`, a home) is left as it is; mode 0600
 * on the files still keeps others from opening or locking them.
 */
export function keepPrivate(folder: string, log: Log): void {
  const names = readdirSync(folder);
  const shared = (statSync(folder).mode & STICKY) !== 0 || !names.every(isOurs);
  if (!shared) tighten(folder, 0o700, log);
  for (const name of names) {
    const path = join(folder, name);
    if (FILE.test(name) && statSync(path).isFile()) tighten(path, 0o600, log);
  }
}

function tighten(path: string, to: number, log: Log): void {
  const mode = statSync(path).mode & 0o7777;
  if ((mode & OTHERS) === 0) return;
  const was = mode.toString(8).padStart(4, "0");
  try {
    chmodSync(path, mode & (to | 0o7000));
    log("warn", "removed the access of other users of this machine", { path, was });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    log("warn", "other users of this machine have access", { path, mode: was, why });
  }
}
