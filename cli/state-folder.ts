/**
 * Reads the state folder (`--state`) of a control plane on this machine: administrator's token,
 * listen address, and CA certificate.
 *
 * Adapter: files.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Flags } from "./flag.ts";
import type { World } from "./world.ts";

/** `--state`; where a command has its own `--state`, only a value with a slash is the folder. */
export function stateGiven(flags: Flags): string | null {
  const path = flags.texts("state").find((text) => text.includes("/"));
  const given = flags.text("state") ?? path ?? "";
  return given === "" ? null : given;
}

/** The default state folder. */
export function stateDefault(world: World): string {
  return world.root ? "/var/lib/navarch" : join(world.home, ".local", "state", "navarch");
}

/**
 * The URL in the folder of `--state`. Overrides NAVARCH_SERVER, which may name another fleet, but
 * not `--server`; `null` if an older version wrote none.
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

/** The CA file in the folder of `--state`; `null` if the address is not from there. */
export function stateAuthority(flags: Flags): { authority: string | null } | null {
  if (stateAddress(flags) === null) return null;
  const path = join(stateGiven(flags) ?? "", "ca.pem");
  return { authority: existsSync(path) ? path : null };
}
