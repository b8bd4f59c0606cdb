/**
 * The commands of the pages. Every command, flag and file that a block names exists, run or not; the
 * blocks of each page are run from the first to the last in a clean folder (the lane
 * `page`, or `NAVARCH_DOCS=1`; about four minutes).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { COMMANDS } from "../../cli/command/catalog.ts";
import { findCommand } from "../../cli/find.ts";
import { readFlags } from "../../cli/flag.ts";
import { withGlobal } from "../../cli/global-flag.ts";
import { formatHelp } from "../../agent/service/option.ts";
import { whyNoCluster } from "../real/kubernetes/binary.ts";
import { copyTree } from "../scratch-copy.ts";
import { blocksOf, callsOf, type Block } from "./block.ts";
import { PAGES } from "./page.ts";
import { runPage } from "./run.ts";

// Of the guide roots alone, not of the folders below them.
const MINE = ["docs/*.md", ":(glob)deploy/guide/*/README.md"];
const listed = Bun.spawnSync(["git", "ls-files", ...MINE], { cwd: ROOT }).stdout.toString();
const pages = listed
  .split("\n")
  .filter((path) => path !== "" && PAGES[path] === undefined)
  .filter((path) => !path.startsWith("docs/decisions/"));
const blocksAt = (path: string): Block[] => blocksOf(readFileSync(join(ROOT, path), "utf8"));
const withBlocks = pages.filter((path) => blocksAt(path).length > 0);

/** What is wrong with one call of `navarch`; `null` = nothing. */
function wrongCall(words: readonly string[]): string | null {
  const named = words.filter((word) => !word.startsWith("-"));
  const found = findCommand(COMMANDS, "navarch", words);
  if (found === null || "ok" in found || found.kind !== "command") return `no command: ${named}`;
  const answer = readFlags(withGlobal(found.command.flags), words, {});
  return answer.ok ? null : `${words.join(" ")}: ${answer.message}`;
}

const PRODUCT = "{agent,bootstrap,build,cli,deploy,reconciler,schema,systemd}/**/*";
/** What the sources of the product name; these tests read the first. */
const VARIABLES = new Set([
  "NAVARCH_DOCS",
  ...[...new Bun.Glob(PRODUCT).scanSync(ROOT)]
    .filter((file) => !file.includes(".test.") && !file.endsWith(".md"))
    .flatMap((file) => readFileSync(join(ROOT, file), "utf8").match(/\bNAVARCH_[A-Z_]+\b/g) ?? []),
]);

/** Files of this repository, by folders that only it has. */
const FILE = /(?:^|[\s"'=])((?:deploy|bootstrap|systemd|simulator|docs|build|test)\/[\w./-]*)/gm;

describe.each(withBlocks)("%s", (path) => {
  const blocks = blocksAt(path);
  const text = blocks.map((block) => block.text).join("\n");

  test("names commands and flags of navarch that exist", () => {
    const wrong = callsOf(text, "navarch").map(wrongCall);
    expect(wrong.filter((one) => one !== null)).toEqual([]);
  });

  test("names flags of navarch-node that exist", () => {
    const known = new Set(formatHelp().match(/--[\w-]+/g));
    const flags = callsOf(text, "navarch-node").flat();
    const given = flags.filter((word) => word.startsWith("--")).map((word) => word.split("=")[0]);
    expect(given.filter((flag) => !known.has(flag ?? ""))).toEqual([]);
  });

  test("names files of the repository that exist", () => {
    const files = [...text.matchAll(FILE)].map(([, file = ""]) => file);
    // Those of a guide root lie below its README.
    const isThere = (file: string): boolean =>
      [ROOT, join(ROOT, dirname(path))].some((folder) => existsSync(join(folder, file)));
    // The munge key is made by a script.
    const named = files.filter((file) => !file.startsWith("build/shared/munge"));
    expect(named.filter((file) => !isThere(file))).toEqual([]);
  });

  test("names environment variables that a program reads", () => {
    const named = new Set(readFileSync(join(ROOT, path), "utf8").match(/\bNAVARCH_[A-Z_]+\b/g));
    expect([...named].filter((name) => !VARIABLES.has(name))).toEqual([]);
  });

  test("names scripts of package.json that exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    const used = [...text.matchAll(/\bnpm run ([\w-]+)/g)].map(([, name = ""]) => name);
    expect(used.filter((name) => scripts[name] === undefined)).toEqual([]);
  });
});

test("a command, a flag and a file that do not exist are noticed", () => {
  const calls = callsOf('navarch lits\nx="$(navarch list --pol p -o name | head)"', "navarch");
  expect(calls.map(wrongCall).map((one) => one !== null)).toEqual([true, true]);
  expect([..."kubectl apply -f deploy/nothing/".matchAll(FILE)].length).toBe(1);
});

const RUN = process.env["NAVARCH_LANE"] === "page" || process.env["NAVARCH_DOCS"] === "1";

/** Followed on throw-away machines and hosts (test/real/machine/first-pool.test.ts, slurm). */
const ON_MACHINES: readonly string[] = ["docs/first-real-pool.md", "docs/slurm-first-drain.md"];

/** Their first blocks start a cluster. */
const KUBERNETES: readonly string[] = [
  "docs/kubernetes.md",
  "docs/provider-kwok.md",
  "docs/rehearsal.md",
];
const missing = RUN ? await whyNoCluster() : null;
const noCluster = missing !== null;
if (missing !== null) console.error(`SKIPPED: the blocks of ${KUBERNETES.join(", ")}: ${missing}`);

describe.skipIf(!RUN)("in a clean folder", () => {
  let repository = "";
  beforeAll(() => {
    repository = copyTree("navarch-docs-");
    const built = Bun.spawnSync(["npm", "run", "build"], { cwd: repository });
    expect(built.exitCode).toBe(0);
  }, 120_000);
  afterAll(() => rmSync(repository, { recursive: true, force: true }));

  const isRun = (path: string) =>
    !ON_MACHINES.includes(path) && blocksAt(path).some(({ notRun }) => notRun === null);
  const toRun = withBlocks.filter(
    (path) => isRun(path) && !(KUBERNETES.includes(path) && noCluster),
  );
  test.each(toRun)(
    "every block of %s runs, from the first to the last",
    async (path) => {
      const { code, output } = await runPage(repository, path);
      if (code !== 0) console.error(output);
      expect(code).toBe(0);
    },
    300_000,
  );
});
