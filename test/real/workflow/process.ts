/**
 * `navarch sim` as a process against a real API server, and what the cluster holds before and
 * after. A test interrupts it where its log says that it is in the middle of a task.
 *
 * Adapter: processes.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanEnv, until } from "../../fixture/plane/plane.ts";
import type { User } from "../kubernetes/access.ts";
import type { Cluster } from "../kubernetes/cluster.ts";

const ROOT = join(import.meta.dir, "../../..");
const folder = mkdtempSync(join(tmpdir(), "navarch-workflow-"));

/** Writes a workflow of these tasks, and returns its path. */
export function writeWorkflow(name: string, tasks: readonly string[]): string {
  const path = join(folder, `${name}.yml`);
  writeFileSync(path, `name: ${name}\ntasks:\n${tasks.map((task) => `- ${task}\n`).join("")}`);
  return path;
}

export type Sim = {
  kill(signal: NodeJS.Signals): void;
  /** Waits for text in the log; the standard input stays open. */
  until(text: string): Promise<void>;
  /** Exit status, and standard error. */
  ended(): Promise<{ code: number; err: string; last: string }>;
};

const LOG_MS_MAX = 60_000;

export function startSim(
  cluster: Cluster,
  args: readonly string[],
  { user = "admin", env = {} }: { user?: User; env?: Record<string, string> } = {},
): Sim {
  const child = Bun.spawn([process.execPath, "cli/main.ts", "sim", ...args], {
    cwd: ROOT,
    env: cleanEnv({ HOME: folder, KUBECONFIG: cluster.kubeconfig(user), ...env }),
    stdin: "pipe",
    stdout: "inherit",
    stderr: "pipe",
  });
  let err = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const bytes of child.stderr) err += decoder.decode(bytes, { stream: true });
  })();
  return {
    kill: (signal) => child.kill(signal),
    async until(text) {
      const what = `${args.join(" ")} says ${text}`;
      await until(what, LOG_MS_MAX, async () => {
        if (child.exitCode !== null && !err.includes(text)) throw new Error(`${what}: ${err}`);
        return err.includes(text) ? true : null;
      });
    },
    async ended() {
      const code = await child.exited;
      await reading;
      return { code, err, last: err.trimEnd().split("\n").at(-1) ?? "" };
    },
  };
}

/** Kinds that workflows write, and those that controllers make of them. */
const KINDS = [
  "/api/v1/configmaps",
  "/api/v1/namespaces",
  "/api/v1/nodes",
  "/api/v1/pods",
  "/api/v1/secrets",
  "/api/v1/services",
  "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
  "/apis/apps/v1/deployments",
  "/apis/batch/v1/jobs",
  "/apis/scheduling.k8s.io/v1/priorityclasses",
];

type Item = {
  kind?: string;
  metadata: { name: string; namespace?: string; uid: string };
  data?: unknown;
  value?: unknown;
};

/** Every object with its UID, and the content of those whose content workflows set. */
export async function takeStock(cluster: Cluster): Promise<string[]> {
  const lists = await Promise.all(
    KINDS.map(async (path) => {
      const { items } = await cluster.json<{ items: Item[] }>(path);
      return items.map(({ metadata: { name, namespace = "", uid }, data, value }) => {
        return `${path} ${namespace}/${name} ${uid} ${JSON.stringify({ data, value })}`;
      });
    }),
  );
  return lists.flat().sort();
}

/** Dependents go in the background: jobs' pods within seconds. */
const STOCK_MS_MAX = 30_000;

/** What is there and was not, and what was and is not; both are awaited to be nothing. */
export async function difference(cluster: Cluster, before: readonly string[]): Promise<string[]> {
  const endMs = performance.now() + STOCK_MS_MAX;
  for (;;) {
    const now = await takeStock(cluster);
    const [was, is] = [new Set(before), new Set(now)];
    const found = [
      ...now.filter((one) => !was.has(one)).map((one) => `left behind: ${one}`),
      ...before.filter((one) => !is.has(one)).map((one) => `gone: ${one}`),
    ];
    if (found.length === 0 || performance.now() > endMs) return found;
    await Bun.sleep(250);
  }
}
