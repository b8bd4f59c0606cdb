/**
 * Keeps a state folder its owner's alone. A folder that is there already may be open to every user
 * of the machine, who could read the database, or hold a lock on it for ever.
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
/** Everything that this program keeps in the folder. */
const OTHER = /^(?:cloud|release|.*\.(?:key|pem|new))$/;
const isOurs = (name: string): boolean => FILE.test(name) || OTHER.test(name);

/**
 * Takes rights from everybody else: of our files, and of the folder if nothing else lies in it.
 * Another user's folder cannot be changed, such as a volume that a cluster mounts, and a shared one
 * (`/tmp`, a home) is left as it is; with mode 0600 on the files nobody else opens or locks them.
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
    log("warn", "other users of this machine could use it: now they cannot", { path, was });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    log("warn", "other users of this machine may use it", { path, mode: was, why });
  }
}
