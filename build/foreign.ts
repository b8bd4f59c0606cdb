/**
 * Fetches Bun and the libSQL addon of another architecture, which the install leaves out. They come
 * from npm's configured registry, must have the checksum of the lock, and are cached.
 */
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "./product.ts";
import type { Lock } from "./release/sbom.ts";

/** As Bun's targets name them. */
export type Architecture = "x64" | "arm64";

/** In the names of a release. */
export const RELEASE_NAME = { x64: "amd64", arm64: "arm64" } as const;

const BUN = { x64: "@oven/bun-linux-x64", arm64: "@oven/bun-linux-aarch64" } as const;
const ADDON = { x64: "@libsql/linux-x64-gnu", arm64: "@libsql/linux-arm64-gnu" } as const;

export function runtimePackage(architecture: Architecture): string {
  return `node_modules/${BUN[architecture]}`;
}

/**
 * The Bun executable of another architecture, with the addon put where the bundler looks for it;
 * `null` for the host's architecture, whose Bun is already running. Throws if a package cannot be
 * downloaded or has a different checksum.
 */
export function fetchForeign(architecture: Architecture, lock: Lock): string | null {
  if (architecture === process.arch) return null;
  const addon = ADDON[architecture];
  const installed = join(ROOT, "node_modules", addon);
  if (!existsSync(join(installed, "index.node"))) {
    const kept = fetchPackage(addon, lock);
    mkdirSync(dirname(installed), { recursive: true });
    const copy = mkdtempSync(join(dirname(installed), ".addon-"));
    run(["cp", "-R", `${kept}/.`, copy]);
    rmSync(installed, { recursive: true, force: true });
    // A temporary folder has mode 0700.
    chmodSync(copy, 0o755);
    renameSync(copy, installed);
  }
  return join(fetchPackage(BUN[architecture], lock), "bin", "bun");
}

/** The folder of an unpacked package, fetched if it is not cached. */
function fetchPackage(name: string, lock: Lock): string {
  const locked = lock.packages[`node_modules/${name}`];
  const { version, integrity } = locked ?? {};
  if (version === undefined || integrity === undefined) {
    throw new Error(`package-lock.json: ${name} has no version or no checksum`);
  }
  const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "navarch-build");
  const kept = join(cache, `${name.replace("/", "-").replace("@", "")}-${version}`);
  if (existsSync(kept)) return kept;
  mkdirSync(cache, { recursive: true });
  const scratch = mkdtempSync(join(cache, ".fetch-"));
  try {
    const spec = `${name}@${version}`;
    run(["npm", "pack", spec, "--pack-destination", scratch, "--silent"]);
    const [archive] = [...new Bun.Glob("*.tgz").scanSync({ cwd: scratch, absolute: true })];
    if (archive === undefined) throw new Error(`npm pack ${spec}: no archive`);
    checkIntegrity(readFileSync(archive), integrity, spec);
    run(["tar", "-xzf", archive, "-C", scratch]);
    renameSync(join(scratch, "package"), kept);
    return kept;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** `integrity` is as in the lock: `sha512-` and base64. */
export function checkIntegrity(bytes: Uint8Array, integrity: string, name: string): void {
  const [algorithm = "", expected = ""] = integrity.split(/-(.*)/s);
  const found = createHash(algorithm).update(bytes).digest("base64");
  if (found !== expected) {
    throw new Error(`${name}: the checksum is not that of package-lock.json`);
  }
}

/** Removes addresses from npm's messages: a release log must not show the registry. */
function run(command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command], { cwd: ROOT, stdin: "ignore" });
  if (exitCode === 0) return;
  const said = stderr.toString().replace(/[a-z+]+:\/\/\S+/gi, "(address)");
  throw new Error(`${command.slice(0, 3).join(" ")}: exit ${exitCode}: ${said.slice(-400)}`);
}
