/**
 * Makes the bill of materials of a release (CycloneDX 1.6, JSON) from `package-lock.json`: the
 * packages in the binaries with version, licence, checksum and dependencies. Packages for building
 * and testing and addons of other platforms are left out. Equal locks give equal bytes. Pure.
 */
import { createHash } from "node:crypto";

/** A package in `package-lock.json` (version 3). */
export type LockedPackage = {
  version?: string | undefined;
  integrity?: string | undefined;
  license?: string | undefined;
  dependencies?: Record<string, string> | undefined;
  optionalDependencies?: Record<string, string> | undefined;
  os?: string[] | undefined;
  cpu?: string[] | undefined;
};
export type Lock = { packages: Readonly<Record<string, LockedPackage>> };

export type SbomFrom = {
  lock: Lock;
  version: string;
  /** RFC 3339. */
  date: string;
  /** Package of the run time that the binaries contain, by its key in the lock. */
  runtime: string;
};

type Component = Record<string, unknown> & { "bom-ref": string };

/** Addons that the binaries contain: glibc, both architectures. */
const ADDON = /^linux-(x64|arm64)-gnu$/;

/** Throws if the lock lacks a package that it names. */
export function formatSbom({ lock, version, date, runtime }: SbomFrom): string {
  const root = lock.packages[""];
  if (root === undefined) throw new Error("package-lock.json: no root package");
  const ref = `navarch@${version}`;
  const needs = new Map<string, string[]>();
  const direct = needsOf(lock, "", root);
  const open = [...direct, runtime];
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    if (needs.has(key)) continue;
    const own = key === runtime ? [] : needsOf(lock, key, packageAt(lock, key));
    needs.set(key, own);
    open.push(...own);
  }
  const keys = [...needs.keys()].sort();
  const refs = (of: readonly string[]): string[] => of.map((key) => refOf(lock, key)).sort();
  const document = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: serialOf(JSON.stringify([ref, date, keys.map((key) => refOf(lock, key))])),
    version: 1,
    metadata: {
      ...(Number.isNaN(Date.parse(date)) ? {} : { timestamp: date }),
      component: {
        "bom-ref": ref,
        type: "application",
        name: "navarch",
        version,
        licenses: [{ license: { id: root.license ?? "Apache-2.0" } }],
      },
    },
    components: keys.map((key) => componentOf(lock, key, key === runtime)),
    dependencies: [
      { ref, dependsOn: refs([...direct, runtime]) },
      ...keys.map((key) => ({ ref: refOf(lock, key), dependsOn: refs(needs.get(key) ?? []) })),
    ],
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function packageAt(lock: Lock, key: string): LockedPackage {
  const found = lock.packages[key];
  if (found === undefined) throw new Error(`package-lock.json: no ${key}`);
  return found;
}

/** `node_modules/a/node_modules/@b/c` → `@b/c`. */
function nameOf(key: string): string {
  return key.slice(key.lastIndexOf("node_modules/") + "node_modules/".length);
}

function refOf(lock: Lock, key: string): string {
  return `pkg:npm/${nameOf(key).replace("@", "%40")}@${packageAt(lock, key).version}`;
}

/** Keys of what a package needs, found as Node finds them: from its own folder upwards. */
function needsOf(lock: Lock, key: string, from: LockedPackage): string[] {
  const found = Object.keys(from.dependencies ?? {}).map((name) => {
    const at = resolveFrom(lock, key, name);
    if (at === null) throw new Error(`package-lock.json: ${key || "the root"} needs ${name}`);
    return at;
  });
  const addons = Object.keys(from.optionalDependencies ?? {}).flatMap((name) => {
    const at = resolveFrom(lock, key, name);
    if (at === null) return [];
    const { os, cpu } = packageAt(lock, at);
    const foreign = os !== undefined || cpu !== undefined;
    return foreign && !ADDON.test(name.slice(name.indexOf("/") + 1)) ? [] : [at];
  });
  return [...found, ...addons];
}

function resolveFrom(lock: Lock, key: string, name: string): string | null {
  let folder = key;
  while (true) {
    const at = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (lock.packages[at] !== undefined) return at;
    if (folder === "") return null;
    folder = folder.slice(0, Math.max(0, folder.lastIndexOf("node_modules/") - 1));
  }
}

function componentOf(lock: Lock, key: string, isRuntime: boolean): Component {
  const { version, integrity, license } = packageAt(lock, key);
  const ref = refOf(lock, key);
  const full = nameOf(key);
  const slash = full.indexOf("/");
  const named =
    slash < 0 ? { name: full } : { group: full.slice(0, slash), name: full.slice(slash + 1) };
  const sha512 = /^sha512-(.+)$/.exec(integrity ?? "")?.[1];
  return {
    "bom-ref": ref,
    type: isRuntime ? "platform" : "library",
    ...named,
    version,
    ...(sha512 === undefined
      ? {}
      : { hashes: [{ alg: "SHA-512", content: Buffer.from(sha512, "base64").toString("hex") }] }),
    ...(license === undefined ? {} : { licenses: [licenceOf(license)] }),
    purl: ref,
  };
}

/** One licence has an id; anything composed is an expression. */
function licenceOf(text: string): Record<string, unknown> {
  return /\s/.test(text) ? { expression: text } : { license: { id: text } };
}

/** A UUID derived from the contents (RFC 9562 §5.8: version 8). */
function serialOf(contents: string): string {
  const hex = createHash("sha256").update(contents).digest("hex");
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return `urn:uuid:${parts.join("-")}`;
}
