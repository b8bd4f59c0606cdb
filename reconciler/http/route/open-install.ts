/**
 * Composes what machines download: the releases of the state folder, those beside the binary, the
 * own one, and the key that signs them.
 *
 * Adapter: files.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { NODE_UNIT } from "../../../bootstrap/install/script.ts";
import type { InstallPorts } from "./install.ts";
import { openReleases, type OwnRelease } from "./release-folder.ts";
import { openReleaseKey } from "../../security/release-key.ts";

export type InstallFrom = {
  /** Where the key is kept, and the first place to look for releases (`release/VERSION`). */
  state: string;
  /** The folder of the running binary: the second place, which also holds its agent binary. */
  beside: string;
  /** This program's. */
  version: string;
  /** As `process.arch` has it. */
  architecture: string;
  /** 32 bytes; replicas of one database give the same. */
  seed: () => Uint8Array;
  /** See `InstallPorts`. */
  server: () => string | null;
};

/** The file name of `navarch-node` in a release, by `process.arch`. */
const AGENTS: Readonly<Record<string, string>> = {
  x64: "navarch-node-linux-amd64",
  arm64: "navarch-node-linux-arm64",
};

/** Throws if the key cannot be read or written. */
export function openInstall(from: InstallFrom): InstallPorts & { fresh: boolean } {
  const { state, beside, server } = from;
  const { key, fresh } = openReleaseKey(join(state, "release-key.pem"), from.seed);
  const folders = [join(state, "release"), join(beside, "release")];
  return { releases: openReleases(folders, readOwn(from)), key, server, fresh };
}

/** The agent beside this program is of the same build, because one command makes both. */
function readOwn({ beside, version, architecture }: InstallFrom): OwnRelease {
  const files = new Map<string, { path: string } | { text: string }>([
    ["navarch-node.service", { text: NODE_UNIT }],
  ]);
  const agent = join(beside, "navarch-node");
  const name = AGENTS[architecture];
  if (name !== undefined && existsSync(agent)) files.set(name, { path: agent });
  return { version, files };
}
