/**
 * Compiles the two binaries. Two builds of one commit are identical byte for byte: the only date
 * inside is the commit's, and Bun embeds the final name.
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { staticLibsql } from "./static-libsql.ts";
import { withoutNative } from "./without-native.ts";

export const ROOT = dirname(import.meta.dir);

/** A change in `rooms`, except of tests, makes the binary stale. */
export type Product = { name: string; entry: string; rooms: readonly string[] };

export const PRODUCTS: readonly Product[] = [
  {
    name: "navarch",
    entry: "cli/main.ts",
    rooms: ["schema", "health", "bootstrap", "reconciler", "simulator", "cli", "systemd", "deploy"],
  },
  {
    name: "navarch-node",
    entry: "agent/main.ts",
    rooms: ["schema", "health", "agent", "systemd"],
  },
];

/** See `schema/version.ts`. */
export type Stamp = { version: string; commit: string; date: string };

export type BuildOptions = {
  outdir: string;
  /** `bun-linux-x64` or `bun-linux-arm64`. */
  target: string;
  /** A Bun executable of the target, for a build without network; `null` lets Bun find one. */
  executable: string | null;
  stamp: Stamp;
};

export type Built = { path: string; bytes: number; ms: number };

/**
 * Version from package.json; commit and date from git, or `unknown` outside a checkout.
 * `SOURCE_DATE_EPOCH` (seconds) wins over the commit's date.
 */
export async function readStamp(): Promise<Stamp> {
  const manifest: unknown = await Bun.file(join(ROOT, "package.json")).json();
  const commit = git("rev-parse", "--short=12", "HEAD");
  const changed = git("status", "--porcelain", "--untracked-files=no") ?? "";
  const seconds = process.env["SOURCE_DATE_EPOCH"] ?? git("log", "-1", "--format=%ct");
  return {
    version: versionOf(manifest),
    commit: commit === null ? "unknown" : changed === "" ? commit : `${commit}+changed`,
    date: dateOf(seconds),
  };
}

/** 0 for an unknown date. */
export function secondsOf(date: string): number {
  const atMs = Date.parse(date);
  return Number.isNaN(atMs) ? 0 : Math.floor(atMs / 1_000);
}

/** Compiles one product and renames it into place: a running copy stays whole. */
export async function buildProduct(product: Product, options: BuildOptions): Promise<Built> {
  const startedMs = performance.now();
  if (!existsSync(join(ROOT, product.entry))) {
    throw new Error(`entry point ${product.entry} does not exist`);
  }
  mkdirSync(options.outdir, { recursive: true });
  const scratch = mkdtempSync(join(options.outdir, ".build-"));
  try {
    const outfile = join(scratch, product.name);
    await compile(product, outfile, options);
    const path = join(options.outdir, product.name);
    renameSync(outfile, path);
    return { path, bytes: statSync(path).size, ms: performance.now() - startedMs };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function compile(product: Product, outfile: string, options: BuildOptions): Promise<void> {
  const { stamp, target, executable } = options;
  const result = await Bun.build({
    entrypoints: [product.entry, ...workersOf(product)].map((file) => join(ROOT, file)),
    root: ROOT,
    target: "bun",
    format: "esm",
    minify: true,
    // Dynamic imports load on demand: saves 2 to 8 ms of each start, 2 MiB of an agent.
    splitting: true,
    bytecode: true,
    sourcemap: "linked",
    throw: false,
    plugins: [staticLibsql(target), withoutNative()],
    define: {
      "process.env.NODE_ENV": JSON.stringify("production"),
      BUILD_VERSION: JSON.stringify(stamp.version),
      BUILD_COMMIT: JSON.stringify(stamp.commit),
      BUILD_DATE: JSON.stringify(stamp.date),
    },
    compile: {
      target: target as Bun.Build.CompileTarget,
      outfile,
      // Files of the working directory must not change what a binary does.
      autoloadDotenv: false,
      autoloadBunfig: false,
      ...(executable === null ? {} : { executablePath: executable }),
    },
  });
  if (!result.success) {
    throw new Error(result.logs.map(String).join("\n"));
  }
}

/** Entry points of Workers: `worker.ts` or `x-worker.ts`. */
function workersOf(product: Product): string[] {
  const room = dirname(product.entry);
  const glob = new Bun.Glob("**/{worker,*-worker}.ts");
  return [...glob.scanSync({ cwd: join(ROOT, room) })].sort().map((file) => join(room, file));
}

/** True if the binary is missing or older than anything it is made of. */
export function isStale(product: Product, outdir: string): boolean {
  const path = join(outdir, product.name);
  if (!existsSync(path)) return true;
  const builtMs = statSync(path).mtimeMs;
  const fixed = ["package.json", "package-lock.json"].map((file) => join(ROOT, file));
  return [...fixed, ...filesOf(["build", ...product.rooms])].some((file) => {
    return existsSync(file) && statSync(file).mtimeMs > builtMs;
  });
}

function filesOf(rooms: readonly string[]): string[] {
  return rooms
    .filter((room) => existsSync(join(ROOT, room)))
    .flatMap((room) => {
      const cwd = join(ROOT, room);
      const files = [...new Bun.Glob("**/*").scanSync({ cwd, onlyFiles: true })];
      return files.filter((file) => !file.endsWith(".test.ts")).map((file) => join(cwd, file));
    });
}

function git(...args: string[]): string | null {
  try {
    const { exitCode, stdout } = Bun.spawnSync(["git", ...args], { cwd: ROOT, stderr: "ignore" });
    return exitCode === 0 ? stdout.toString().trim() : null;
  } catch {
    return null; // Without git the build works, but cannot name its commit.
  }
}

function versionOf(manifest: unknown): string {
  if (typeof manifest === "object" && manifest !== null && "version" in manifest) {
    if (typeof manifest.version === "string") return manifest.version;
  }
  throw new Error("package.json: expected a version");
}

function dateOf(seconds: string | null): string {
  if (seconds === null) return "unknown";
  const atMs = Number(seconds) * 1_000;
  if (seconds.trim() === "" || !Number.isSafeInteger(atMs)) {
    throw new Error(`SOURCE_DATE_EPOCH: expected whole seconds, found ${JSON.stringify(seconds)}`);
  }
  return new Date(atMs).toISOString();
}

/** Runs a build tool and exits: with 2 and `usage` if `parse` throws, 1 if `run` does. */
export async function runTool<T>(
  usage: string,
  parse: (args: readonly string[]) => Promise<T>,
  run: (wanted: T) => Promise<number>,
): Promise<never> {
  const fail = (status: number, more: string) => (error: unknown) => {
    console.error(`${error instanceof Error ? error.message : error}${more}`);
    return process.exit(status);
  };
  const wanted = await parse(process.argv.slice(2)).catch(fail(2, `\n${usage}`));
  // Traces carry source paths relative to the working directory: always the same one.
  process.chdir(ROOT);
  return process.exit(await run(wanted).catch(fail(1, "")));
}
