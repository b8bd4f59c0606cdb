/**
 * `--state`: the folder of a control plane on this machine. It holds the administrator's token, the
 * address at which the control plane listens while it runs, and its certificate authority.
 *
 * Adapter: files.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Flags } from "./flag.ts";
import type { World } from "./world.ts";

/** `--state`; where a command has a flag of that name for itself, only a path is the folder. */
export function stateGiven(flags: Flags): string | null {
  const path = flags.texts("state").find((text) => text.includes("/"));
  const given = flags.text("state") ?? path ?? "";
  return given === "" ? null : given;
}

/** The folder of a control plane when nothing else is said. */
export function stateDefault(world: World): string {
  return world.root ? "/var/lib/navarch" : join(world.home, ".local", "state", "navarch");
}

/**
 * The URL in the folder that `--state` names. It goes before NAVARCH_SERVER, which may name another
 * fleet, and after `--server`; `null` where the folder is of a version that wrote none.
 */
export function stateAddress(flags: Flags): string | null {
  const folder = stateGiven(flags);
  if (folder === null || flags.from("server") === "flag") return null;
  try {
    return readFileSync(join(folder, "address"), "utf8").trim() || null;
  } catch {
    return null;
  }
}

/** The authority of the control plane whose address came from its folder. */
export function stateAuthority(flags: Flags): string | null {
  const path = join(stateGiven(flags) ?? "", "ca.pem");
  return existsSync(path) ? path : null;
}
