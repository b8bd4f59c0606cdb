/**
 * The error catalogue: each file under `error/` is a workflow that ends with the message in its
 * first line. `# error:` is found before the first task runs, `# error at run:` by a real API
 * server. A message may go on. No file creates anything.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HOME, navarch } from "../cli/spawn.ts";
import { whyNoCluster } from "../real/kubernetes/binary.ts";
import { type Cluster, openCluster } from "../real/kubernetes/cluster.ts";

const FOLDER = join(import.meta.dir, "error");
const CASES = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".yml"))
  .sort()
  .map((name) => {
    const path = join(FOLDER, name);
    const [first = ""] = readFileSync(path, "utf8").split("\n");
    const [, when, message = ""] = /^# error( at run)?: (.*)$/.exec(first) ?? [];
    return { name, path, isAtRun: when !== undefined, message };
  });

/** The command line ends with 1, and its last line is the error. */
async function judge(path: string, message: string, kubeconfig: string): Promise<void> {
  const { code, out, err } = await navarch(["sim", "-workflow", path], { KUBECONFIG: kubeconfig });
  expect(err.trimEnd().split("\n").at(-1)).toStartWith(`error: ${path}: ${message}`);
  expect({ code, out }).toEqual({ code: 1, out: "" });
}

describe("A6: before the first task", () => {
  const nowhere = join(HOME, "nowhere");
  beforeAll(() => writeFileSync(nowhere, "apiVersion: v1\nkind: Config\n"));

  test.each(
    CASES.filter(({ isAtRun }) => !isAtRun).map(({ name, path, message }) => [name, path, message]),
  )("%s", async (_, path, message) => judge(path, message, nowhere));
});

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: the error catalogue on an API server: ${missing}`);

test("an API server is here for the error catalogue", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

const KINDS = [
  "/api/v1/configmaps",
  "/api/v1/namespaces",
  "/api/v1/nodes",
  "/api/v1/pods",
  "/apis/scheduling.k8s.io/v1/priorityclasses",
];

describe.skipIf(missing !== null)("A6: on an API server", () => {
  let cluster: Cluster;
  let before: string[];
  type List = { items: { metadata: { name: string; uid: string } }[] };
  const look = async (): Promise<string[]> => {
    const lists = await Promise.all(KINDS.map((path) => cluster.json<List>(path)));
    return lists.flatMap(({ items }) => items.map(({ metadata: m }) => `${m.name} ${m.uid}`));
  };

  beforeAll(async () => {
    cluster = await openCluster({ parts: { controllers: false, scheduler: false, kwok: false } });
    const data = ["--from-literal=a=1", "--from-literal=b=2"];
    await cluster.kubectl("-n", "default", "create", "configmap", "before", ...data);
    before = await look();
  }, 120_000);
  afterAll(() => cluster?.close());

  test.each(
    CASES.filter(({ isAtRun }) => isAtRun).map(({ name, path, message }) => [name, path, message]),
  )("%s", async (_, path, message) => judge(path, message, cluster.kubeconfig()), 30_000);

  test("nothing was created", async () => {
    expect(await look()).toEqual(before);
  });
});
