/**
 * Embeds the native libSQL addon in a compiled binary. The package chooses its addon with a
 * computed
 * `require`, which a bundler cannot follow; this plugin replaces the choice by a literal path for
 * `memory-addon.ts`. A new layout of the package fails the build.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { BunPlugin } from "bun";

/** The function of libsql 0.5 that chooses the addon; both of its entries carry the same text. */
const CHOICE = /function requireNative\(\) \{[\s\S]*?\n\}/;

/** Specifiers of this plugin: no path of this machine is in the binary. */
const LOADER = "navarch:memory-addon";
const EMBEDDED = "embedded:";

/** `bun-linux-x64` → `linux-x64-gnu`: Bun's executables need glibc. */
export function addonOf(target: string): string {
  const match = /^bun-(linux)-(x64|arm64)$/.exec(target);
  if (match === null) {
    throw new Error(`target ${target}: expected bun-linux-x64 or bun-linux-arm64`);
  }
  return `${match[1]}-${match[2]}-gnu`;
}

/** The source with the choice replaced; `path` is for the error. */
export function fixChoice(source: string, addon: string, path: string): string {
  const file = `require("${EMBEDDED}@libsql/${addon}/index.node")`;
  const body = `function requireNative() { return require("${LOADER}").loadAddon(${file}); }`;
  const fixed = source.replace(CHOICE, () => body);
  if (fixed === source) {
    throw new Error(`${path}: libsql no longer has the function that this plugin replaces`);
  }
  return fixed;
}

/** Throws while building if the target's addon is not installed. */
export function staticLibsql(target: string): BunPlugin {
  const addon = addonOf(target);
  return {
    name: "static-libsql",
    setup(build) {
      build.onResolve({ filter: /^navarch:memory-addon$/ }, () => ({
        path: join(import.meta.dir, "memory-addon.ts"),
      }));
      build.onResolve({ filter: /^embedded:/ }, ({ path, importer }) => ({
        path: createRequire(importer).resolve(path.slice(EMBEDDED.length)),
        namespace: "embedded",
      }));
      // As a file: a native module would be unpacked by the runtime.
      build.onLoad({ filter: /.*/, namespace: "embedded" }, async ({ path }) => ({
        contents: await Bun.file(path).bytes(),
        loader: "file",
      }));
      build.onLoad({ filter: /node_modules\/libsql\/(index|promise)\.js$/ }, async ({ path }) => {
        requireAddon(addon, path);
        return { contents: fixChoice(await Bun.file(path).text(), addon, path), loader: "js" };
      });
    },
  };
}

/** npm omits an optional package of a foreign platform silently. */
function requireAddon(addon: string, from: string): void {
  const folders = createRequire(from).resolve.paths(`@libsql/${addon}`) ?? [];
  if (!folders.some((folder) => existsSync(`${folder}/@libsql/${addon}/index.node`))) {
    throw new Error(`@libsql/${addon} is not installed: npm install it before building for it`);
  }
}
