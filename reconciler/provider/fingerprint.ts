/**
 * What a provider is opened from: type, settings and the content of its credential files. Equal
 * texts mean that it need not be opened again.
 *
 * Adapter: reads files.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { type Key, metaOf, nameOf } from "../../schema/config/field.ts";
import { SETTINGS } from "../../schema/config/provider.ts";
import type { ProviderConfig } from "../../schema/config.ts";

/** Credentials and inventories are far smaller. */
const FILE_BYTES_MAX = 1 << 20;

/** Names of the settings with a file that is read when the provider is opened. */
const FILES = Object.entries<Key>(SETTINGS).flatMap(([key, field]) =>
  "opened" in metaOf(field) ? [nameOf(key, field)] : [],
);

/** The files that the provider reads when it is opened. */
export function filesOf({ settings }: ProviderConfig): string[] {
  return FILES.flatMap((name) => {
    const path = settings[name];
    if (typeof path !== "string") return [];
    return path.startsWith("~/") ? [`${homedir()}${path.slice(1)}`] : [path];
  });
}

/** Holds no secret: the content counts as a digest. */
export function fingerprintOf(config: ProviderConfig): string {
  const digests = filesOf(config).map(digestOf);
  return JSON.stringify([config.type, config.settings, digests]);
}

function digestOf(path: string): string {
  try {
    // A pipe would block.
    if (!statSync(path).isFile()) return "-";
    const file = openSync(path, "r");
    try {
      const bytes = Buffer.alloc(FILE_BYTES_MAX);
      const length = readSync(file, bytes, 0, FILE_BYTES_MAX, 0);
      return createHash("sha256").update(bytes.subarray(0, length)).digest("hex");
    } finally {
      closeSync(file);
    }
  } catch {
    return "-";
  }
}
