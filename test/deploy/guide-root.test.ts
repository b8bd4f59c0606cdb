/**
 * The guide roots: every file but their README, Makefile, resources and what belongs to Slurm or to
 * the platform (`console.test.ts`) is a link to the one place where it is kept. What the linked files say is pinned by `guide.test.ts` and `reconciler/config`; the command
 * lines are run by `test/docs/page.test.ts`.
 */
import { expect, test } from "bun:test";
import { lstatSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative } from "node:path";
import { ROOT } from "../../build/product.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import { readScenario } from "../../simulator/scenario/read.ts";
import { listTree } from "../scratch-copy.ts";
import { parseDocuments } from "./object.ts";

const GUIDES = "deploy/guide/";
const files = listTree().filter((path) => path.startsWith(GUIDES));
const WRITTEN = ["README.md", "Makefile"];
/**
 * Workflows and templates are kept where they are run. An image is built from its folder alone, and
 * Slurm's manifests and those of AgentPool are rendered: `slurm.test.ts` and `agentpool.test.ts`
 * compare them.
 */
const RENDERED = ["k8s/", "velda-rbac"].map((path) => `${GUIDES}agentpool/${path}`);
const KEPT = ["knavigator/resources/", "slurm/", "kai/"]
  .map((path) => `${GUIDES}${path}`)
  .concat(RENDERED);
const linked = files.filter((path) => {
  return !WRITTEN.includes(basename(path)) && !KEPT.some((folder) => path.startsWith(folder));
});

test("nothing is written twice: each file is a link inside the repository", () => {
  expect(files.length).toBeGreaterThan(20);
  for (const path of linked) {
    expect([path, lstatSync(join(ROOT, path)).isSymbolicLink()]).toEqual([path, true]);
    const target = readlinkSync(join(ROOT, path));
    expect([path, isAbsolute(target)]).toEqual([path, false]);
    const real = relative(realpathSync(ROOT), realpathSync(join(ROOT, path)));
    expect([path, real.startsWith(".."), real.startsWith(GUIDES)]).toEqual([path, false, false]);
  }
});

test("the README of each root names every folder and file at its top", () => {
  for (const readme of files.filter((path) => basename(path) === "README.md")) {
    const root = dirname(readme);
    const text = readFileSync(join(ROOT, readme), "utf8");
    const below = files.filter((path) => path.startsWith(`${root}/`));
    const tops = new Set(below.map((path) => path.slice(root.length + 1).replace(/\/.*/, "/")));
    for (const top of tops) if (top !== "README.md") expect(text).toContain(`\`${top}\``);
  }
});

const NAVARCH = `${GUIDES}navarch/`;
const textOf = (path: string) => readFileSync(join(ROOT, path), "utf8");
const below = (folder: string) => files.filter((path) => path.startsWith(NAVARCH + folder));

test("every scenario is read under the guide's name of it", () => {
  expect(below("scenarios/").length).toBe(10);
  for (const path of below("scenarios/")) {
    const { scenario } = readScenario({ name: path, text: textOf(path) });
    expect([path, scenario === null]).toEqual([path, false]);
  }
});

test("every configuration of the guide is read, and every manifest is one", () => {
  const read = (...paths: string[]) =>
    readConfig(paths.map((path) => ({ name: path, text: textOf(NAVARCH + path) }))).config;
  const names = read("navarch-config.yaml")?.pools.map(({ name }) => String(name));
  expect(names).toEqual(["training", "inference"]);
  for (const name of ["pattern-1", "pattern-2", "queue"]) {
    expect(read(`examples/${name}.yaml`)?.pools).toHaveLength(1);
  }
  const set = read("examples/pattern-1.yaml", "examples/ssh-bootstrap.yaml")?.pools[0];
  expect(set?.bootstrap?.setupCommands.length).toBe(3);
  const kinds = below("kubernetes/").flatMap((path) =>
    parseDocuments(textOf(path)).flatMap((one) => (one as { kind?: string }).kind ?? []),
  );
  expect(kinds.sort()).toEqual(
    "ConfigMap DaemonSet Deployment Namespace PodMonitor Secret Service ServiceMonitor".split(" "),
  );
});
