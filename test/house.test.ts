/**
 * What the repository as a whole must keep: no address of a package registry and no path of one
 * person's machine in anything committed, a lock file that installs anywhere, and the commands that
 * the README promises.
 */
import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { judgeCitations } from "./tidy/cite.ts";

const ROOT = dirname(import.meta.dir);
const read = (path: string) => Bun.file(join(ROOT, path)).text();

const words = v.record(v.string(), v.string());
const Manifest = v.object({
  license: v.string(),
  scripts: words,
  dependencies: words,
  devDependencies: words,
  allowScripts: v.record(v.string(), v.boolean()),
});
const manifest = v.parse(Manifest, JSON.parse(await read("package.json")));

/** Spelled apart, so that this file does not find itself. */
const path = (...parts: string[]) => ["", ...parts, ""].join("/");

const FORBIDDEN: readonly { what: string; pattern: RegExp }[] = [
  // A relative `x/work/y` and the bundle's `$bunfs/root/` are fine: only an absolute path is not.
  { what: "a home folder", pattern: new RegExp(`(?<![\\w$.}~-])${path("root")}\\w`) },
  { what: "a folder of a build machine", pattern: new RegExp(`(?<![\\w$.}~-])${path("work")}\\w`) },
  {
    what: "a package registry",
    // Kubernetes' image registry and an example's documentation host are public names.
    pattern: /\bregistry\.(?!k8s\.io\b|example\b)[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\b(?!\s*\()/,
  },
  { what: "a registry setting", pattern: /(?:^|[\s"'_])registry\s*=\s*["']?[a-z]+:\/\//m },
];

/** Every forbidden thing in a text, as `line: what`. */
function findForbidden(text: string): string[] {
  return text.split("\n").flatMap((line, index) => {
    const found = FORBIDDEN.filter(({ pattern }) => pattern.test(line));
    return found.map(({ what }) => `${index + 1}: ${what}`);
  });
}

/** Files that git knows, or `null` outside a checkout (an archive of the sources). */
function trackedFiles(): string[] | null {
  const { exitCode, stdout } = Bun.spawnSync(["git", "ls-files", "-z"], { cwd: ROOT });
  return exitCode === 0 ? stdout.toString().split("\0").filter(Boolean) : null;
}

describe("package-lock.json", () => {
  test("carries no address", async () => {
    const lock = await read("package-lock.json");
    expect(lock).not.toContain('"resolved"');
    // Links for people (funding pages) name no place to install from.
    const addresses = lock.split("\n").filter((line) => /https?:\/\//.test(line));
    expect(addresses.filter((line) => !/^\s*"(url|funding)": /.test(line))).toEqual([]);
  });

  test("locks what package.json asks for", async () => {
    const Lock = v.object({ packages: v.record(v.string(), v.unknown()) });
    const { packages } = v.parse(Lock, JSON.parse(await read("package-lock.json")));
    const { dependencies, devDependencies } = manifest;
    expect(packages[""]).toMatchObject({ dependencies, devDependencies });
  });
});

describe("installing", () => {
  test("keeps addresses out of the lock file and bun's own lock file out of git", async () => {
    expect((await read(".npmrc")).split("\n")).toContain("omit-lockfile-registry-resolved=true");
    expect((await read(".gitignore")).split("\n")).toContain("bun.lock");
    expect(trackedFiles() ?? []).not.toContain("bun.lock");
  });

  test("approves the one install script that is needed", () => {
    const mayRun = Object.entries(manifest.allowScripts).filter(([, may]) => may);
    expect(mayRun).toEqual([["bun", true]]);
  });

  test("runs no install script with any npm, and needs none to run Bun", async () => {
    expect((await read(".npmrc")).split("\n")).toContain("ignore-scripts=true");
    const direct = Object.values(manifest.scripts).filter((line) => /(?:^|[ &])bunx? /.test(line));
    expect(direct).toEqual([]);
  });

  test("build/bun.sh puts Bun's binary in place once, where npm has left a notice", () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-bun-"));
    try {
      const bin = join(folder, "node_modules/bun/bin");
      mkdirSync(bin, { recursive: true });
      mkdirSync(join(folder, "build"));
      copyFileSync(join(ROOT, "build/bun.sh"), join(folder, "build/bun.sh"));
      const run = () => {
        const cmd = ["sh", join(folder, "build/bun.sh"), "run", "x y"];
        const { stdout, exitCode } = Bun.spawnSync({ cmd, stderr: "ignore" });
        return [stdout.toString(), exitCode];
      };
      expect(run()).toEqual(["", 1]);
      writeFileSync(join(bin, "bun.exe"), 'echo "Error: no postinstall" >&2\nexit 1\n', {
        mode: 0o755,
      });
      const binary = '#!/bin/sh\nprintf "%s|" "$@"\nexit 7\n';
      const put = `require("fs").writeFileSync("bin/bun.exe", ${JSON.stringify(binary)});`;
      const once = `${put}require("fs").unlinkSync("install.js");`;
      writeFileSync(join(folder, "node_modules/bun/install.js"), once);
      expect(run()).toEqual(["run|x y|", 7]);
      expect(run()).toEqual(["run|x y|", 7]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("pins every direct dependency exactly", () => {
    const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
    const exact = /^\d+\.\d+\.\d+(-pre\.\d+)?$/;
    expect(versions.filter(([, version]) => !exact.test(version))).toEqual([]);
  });
});

describe("package.json", () => {
  test.each(["demo", "start", "test", "check", "build", "sim", "bench", "ci"])(
    "has the script %s",
    (name) => {
      expect(manifest.scripts[name]).toBeString();
    },
  );

  test("is licensed as the LICENSE says", async () => {
    expect(manifest.license).toBe("Apache-2.0");
    const license = await read("LICENSE");
    expect(license).toContain(
      "Apache License\n                           Version 2.0, January 2004",
    );
    expect(license).toContain("END OF TERMS AND CONDITIONS");
  });

  test("runs .ci/run, which is executable", () => {
    expect(statSync(join(ROOT, ".ci/run")).mode & 0o111).not.toBe(0);
  });
});

describe("findForbidden()", () => {
  const home = path("root");
  test.each([
    `see ${home}notes.md`,
    `"${path("work")}main/x.ts"`,
    `file:/${home}x`,
    "https://registry" + ".npmjs.org/bun",
    "host registry" + ".corp.internal",
    "npm_config_registry" + "=https://mirror.corp.net",
    "registry" + '="http://mirror"',
  ])("fires on %s", (text) => {
    expect(findForbidden(text)).toHaveLength(1);
  });

  test.each([
    "registry.metrics()",
    "await registry.getSingleMetric(name)",
    "image: registry.k8s.io/pause:3.10",
    "image: registry.example.com/navarch:1",
    `/$bunfs${home}navarch`,
    `a relative x${path("work")}y`,
    "chown root:root /etc/navarch",
    `\${HOME}${path("work")}x`,
  ])("does not fire on %s", (text) => {
    expect(findForbidden(text)).toEqual([]);
  });
});

/** A link to a folder is none. */
const isFile = (file: string): boolean =>
  existsSync(join(ROOT, file)) && statSync(join(ROOT, file)).isFile();

test("no tracked file names a registry or a path of one machine", async () => {
  const found: string[] = [];
  for (const file of trackedFiles() ?? []) {
    if (!isFile(file)) continue;
    const text = await read(file);
    if (text.includes("\0")) continue; // Binary.
    found.push(...findForbidden(text).map((what) => `${file}:${what}`));
  }
  expect(found).toEqual([]);
});

/** Words that docs/glossary.md replaces by the field's own. */
const RETIRED = new RegExp(
  `\\b(?:${["an" + "ew", "men" + "d(?:s|ed|ing)?", "nobody bou" + "ght"].join("|")})\\b`,
  "i",
);

test("no retired word is written", async () => {
  const found: string[] = [];
  for (const file of trackedFiles() ?? []) {
    if (!/\.(?:ts|md|ya?ml|sh|service)$/.test(file) || NOT_OURS.test(file)) continue;
    if (file.startsWith("docs/decisions/") || !isFile(file)) continue;
    for (const [index, line] of (await read(file)).split("\n").entries()) {
      if (RETIRED.test(line)) found.push(`${file}:${index + 1}: ${line.trim()}`);
    }
  }
  expect(found).toEqual([]);
});

/** What was released stays as it was written; fixtures are the words of others. */
const NOT_OURS = /^(?:CHANGELOG\.md|package-lock\.json|test\/fixture\/|test\/tidy\/cite)/;

test("every citation leads to something in this repository", async () => {
  const found: string[] = [];
  for (const file of trackedFiles() ?? []) {
    if (!/\.(?:ts|md|ya?ml|sh|c|sql|json)$/.test(file) || NOT_OURS.test(file)) continue;
    if (existsSync(join(ROOT, file))) found.push(...judgeCitations(file, await read(file)));
  }
  expect(found).toEqual([]);
});
