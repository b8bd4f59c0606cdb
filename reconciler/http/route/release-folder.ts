/**
 * The releases that this control plane serves: folders named after a version, as `npm run release`
 * writes them, and its own release, assembled from the `navarch-node` binary beside `navarch`, so
 * that a plain build can install agents of its architecture. A folder is a release once it has a
 * `SHA256SUMS`; only files listed there are served.
 *
 * Adapter: files.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { compareVersions } from "../../../schema/release.ts";
import type { ReleaseKey } from "../../security/release-key.ts";

export type ReleaseFile = {
  /** Hex, as listed; the downloader verifies the file against it. */
  sha256: string;
  source: { path: string } | { text: string };
};

export type Release = {
  version: string;
  /** The text of `SHA256SUMS`, byte for byte. */
  sums: string;
  files: ReadonlyMap<string, ReleaseFile>;
};

export type Releases = {
  /** `null` = there is no release of that version here. */
  find(version: string): Promise<Release | null>;
  /** The version of this control plane itself if it is here, else the newest; `null` = none. */
  latest(): Promise<Release | null>;
};

/** What machines download. */
export type InstallPorts = {
  releases: Releases;
  key: ReleaseKey;
  /** The URL that nodes dial; `null` = the one that the request was sent to. */
  server(): string | null;
};

export type Served = {
  /** `null` = nothing is served. */
  install: InstallPorts | null;
};

/** The release that the running program belongs to. */
export type OwnRelease = {
  version: string;
  /** Name in the release → an existing file, or its text. */
  files: ReadonlyMap<string, { path: string } | { text: string }>;
};

const SUMS = "SHA256SUMS";
/** No path that leaves the folder, and no hidden file. */
const VERSION = /^[0-9][0-9A-Za-z.+~-]*$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._+~-]*$/;

export function isVersion(text: string): boolean {
  return VERSION.test(text);
}

/** `folders` are read in order for each request, so a release added later is seen. */
export function openReleases(folders: readonly string[], own: OwnRelease): Releases {
  const digests = openDigests();
  const find = async (version: string): Promise<Release | null> => {
    if (!isVersion(version)) return null;
    for (const folder of folders) {
      const release = readRelease(join(folder, version), version);
      if (release !== null) return release;
    }
    return version === own.version ? ownRelease(own, digests) : null;
  };
  const latest = async (): Promise<Release | null> => {
    const same = await find(own.version);
    if (same !== null) return same;
    const newest = newestOf(folders.flatMap(versionsIn));
    return newest === null ? null : find(newest);
  };
  return { find, latest };
}

/** A name that is no version can be downloaded by name, and is never the newest. */
function newestOf(versions: readonly string[]): string | null {
  let newest: string | null = null;
  for (const version of versions) {
    const order = compareVersions(version, newest ?? version);
    if (order !== null && (newest === null || order > 0)) newest = version;
  }
  return newest;
}

/** Versions with a complete release in the folder; none if there is no folder. */
function versionsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => {
    return isVersion(name) && existsSync(join(folder, name, SUMS));
  });
}

function readRelease(folder: string, version: string): Release | null {
  const path = join(folder, SUMS);
  if (!existsSync(path)) return null;
  const sums = readFileSync(path, "utf8");
  const files = new Map<string, ReleaseFile>();
  for (const [name, sha256] of parseSums(sums)) {
    const file = join(folder, name);
    if (existsSync(file)) files.set(name, { sha256, source: { path: file } });
  }
  return { version, sums, files };
}

/** `HEX  NAME` lines, as sha256sum prints them; other lines are ignored. */
export function parseSums(text: string): Map<string, string> {
  const sums = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, sha256, name] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line) ?? [];
    if (sha256 !== undefined && name !== undefined && NAME.test(name)) sums.set(name, sha256);
  }
  return sums;
}

/** `null` without an agent binary. */
async function ownRelease(own: OwnRelease, digests: Digests): Promise<Release | null> {
  const files = new Map<string, ReleaseFile>();
  const all = new Map([...own.files, ["VERSION", { text: `${own.version}\n` }] as const]);
  for (const [name, source] of [...all].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const sha256 = "text" in source ? digestOf(source.text) : await digests(source.path);
    if (sha256 !== null) files.set(name, { sha256, source });
  }
  if (![...files.keys()].some((name) => name.startsWith("navarch-node-linux-"))) return null;
  const lines = [...files].map(([name, { sha256 }]) => `${sha256}  ${name}\n`);
  return { version: own.version, sums: lines.join(""), files };
}

type Digests = (path: string) => Promise<string | null>;

export function digestOf(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

/** SHA-256 of files, computed once until size, time or inode changes; some have 100 MB. */
function openDigests(): Digests {
  const known = new Map<string, { stamp: string; digest: Promise<string> }>();
  return async (path) => {
    if (!existsSync(path)) return null;
    const { size, mtimeMs, ino } = statSync(path);
    const stamp = `${size}/${mtimeMs}/${ino}`;
    const kept = known.get(path);
    if (kept?.stamp === stamp) return kept.digest;
    const digest = readDigest(path);
    known.set(path, { stamp, digest });
    digest.catch(() => known.delete(path));
    return digest;
  };
}

/** One buffer for the whole file: a stream's would all be garbage at once. */
async function readDigest(path: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  const buffer = new Uint8Array(DIGEST_BYTES);
  const file = await open(path);
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return hash.digest("hex");
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

const DIGEST_BYTES = 256 * 1_024;
