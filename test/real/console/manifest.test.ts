/**
 * A1, A11, A13: what `navarch manifests console` prints, the charts and the script of the guide, on
 * a real API server with controllers and the real helm.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import { navarch } from "../../cli/spawn.ts";
import { cleanEnv, until } from "../../fixture/plane/plane.ts";
import { binaryPath, whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: the console's manifests: ${missing}`);
const noHelm = missing ?? (await whyNoCluster(["helm", "kubectl"]));
if (noHelm !== null) console.error(`SKIPPED: the console's charts: ${noHelm}`);

test("a Kubernetes API server and helm are here to apply the console's manifests", () => {
  if (process.env["CI"] === "true") expect([missing, noHelm]).toEqual([null, null]);
});

setDefaultTimeout(60_000);
const GUIDE = join(ROOT, "deploy/guide/kai");
const PRODUCTION = join(GUIDE, "helm-charts/kai/values-production.yaml");
let cluster: Cluster;

beforeAll(async () => {
  if (missing !== null) return;
  const parts = { scheduler: false, kwok: false };
  cluster = await openCluster({ parts, productRules: null, tell: () => {} });
}, 180_000);

afterAll(async () => {
  if (missing === null) expect(await cluster.close()).toEqual([]);
}, 60_000);

async function render(...flags: string[]): Promise<string> {
  const { code, out, err } = await navarch(["manifests", "console", ...flags]);
  if (code !== 0) throw new Error(err);
  return out;
}

async function apply(text: string, ...flags: string[]): Promise<void> {
  const how = { user: "admin" as const, stdin: text };
  const { code, err } = await cluster.kubectlWith(how, "apply", "-f", "-", ...flags);
  expect([code, err.replaceAll(/^Warning: .*\n/gm, "")]).toEqual([0, ""]);
}

/** A dry run creates no Namespace, and the server refuses what would lie in it. */
async function rehearse(text: string, ...namespaces: string[]): Promise<void> {
  for (const name of namespaces) await ok("create", "namespace", name);
  await apply(text, "--dry-run=server");
}

async function ok(...words: string[]): Promise<string> {
  const { code, out, err } = await cluster.kubectl(...words);
  if (code !== 0) throw new Error(`kubectl ${words.join(" ")}: ${code}\n${err}`);
  return out;
}

type Class = { metadata: { name: string }; value: number; globalDefault?: boolean };

async function classes(): Promise<string[]> {
  const path = "/apis/scheduling.k8s.io/v1/priorityclasses";
  const { items } = await cluster.json<{ items: Class[] }>(path);
  return items
    .filter(({ metadata }) => !/^system-(node|cluster)/.test(metadata.name))
    .sort((a, b) => b.value - a.value)
    .map((one) => `${one.value} ${one.metadata.name} ${one.globalDefault ?? false}`);
}

test.skipIf(missing !== null)(
  "A1: the rendered set is accepted, and the table is exact",
  async () => {
    const text = await render();
    await rehearse(text, "kai-ml");
    await apply(text);
    expect(await classes()).toEqual([
      "1000000 kai-system-critical false",
      "100000 interactive false",
      "50000 high-priority-batch false",
      "10000 medium-priority-batch true",
      "1000 low-priority-batch false",
      "100 maintenance false",
      "0 preemptible false",
    ]);
    await until("the namespace's account", 30_000, async () => {
      const { code } = await cluster.kubectl("-n", "kai-ml", "get", "serviceaccount", "default");
      return code === 0 ? true : null;
    });
    await ok("-n", "kai-ml", "run", "q1", "--image=x", "--restart=Never");
    const used = ["-n", "kai-ml", "get", "quota", "kai-ml-quota", "-o"];
    await until("the quota counts the pod", 20_000, async () => {
      return (await ok(...used, "jsonpath={.status.used.pods}")) === "1" ? true : null;
    });
    expect(await ok(...used, "jsonpath={.status.used['limits\\.memory']}")).toBe("1Gi");
    await ok("-n", "kai-ml", "delete", "pod", "q1", "--now");
  },
);

test.skipIf(missing !== null)(
  "A11, C34: the console's account may do this and no more",
  async () => {
    await apply(await render());
    const who = "--as=system:serviceaccount:kai-ml:fleet-console";
    const may = async (...words: string[]): Promise<string> => {
      return (await cluster.kubectl("auth", "can-i", ...words, who, "-A")).out.trim();
    };
    const asked = {
      "delete nodes": "no",
      "update nodes": "no",
      "patch nodes": "yes",
      "list pods": "yes",
      "watch events": "yes",
      "get pods --subresource=log": "yes",
      "get secrets": "no",
      "create pods": "no",
      "create pods --subresource=exec": "no",
      "create pods --subresource=eviction": "yes",
      "delete pods": "yes",
      "impersonate users": "no",
      "patch deployments.apps": "no",
    };
    const found = await Promise.all(Object.keys(asked).map((words) => may(...words.split(" "))));
    expect(Object.fromEntries(Object.keys(asked).map((key, at) => [key, found[at]]))).toEqual(
      asked,
    );
  },
);

test.skipIf(missing !== null)("C44: another default class is refused with its name", async () => {
  const class_ = { apiVersion: "scheduling.k8s.io/v1", kind: "PriorityClass", value: 5 };
  const theirs = { ...class_, metadata: { name: "theirs" }, globalDefault: true };
  await ok("delete", "priorityclass", "medium-priority-batch", "interactive", "--ignore-not-found");
  const changed = { ...class_, metadata: { name: "interactive" } };
  await apply(`${JSON.stringify(theirs)}\n---\n${JSON.stringify(changed)}`);
  const list = await ok("get", "priorityclass", "-o", "json");
  const words = ["manifests", "console", "--priority-classes", "-"];
  const refused = await navarch(words, {}, list);
  expect([refused.code, refused.out]).toEqual([6, ""]);
  expect(refused.err).toContain("PriorityClass theirs is the cluster's default already");
  if (noHelm === null) {
    const words = ["upgrade", "kai", "helm-charts/kai", "--install", "--dry-run=server"];
    const env = cleanEnv({ KUBECONFIG: cluster.kubeconfig() });
    const helm = Bun.spawnSync([binaryPath("helm"), ...words], { cwd: GUIDE, env });
    expect(helm.stderr.toString()).toContain("PriorityClass theirs is the cluster's default");
  }
  await ok("delete", "priorityclass", "theirs");
  const told = await navarch(words, {}, await ok("get", "priorityclass", "-o", "json"));
  expect(told.code).toBe(0);
  expect(told.err).toContain("PriorityClass interactive has the value 5 in the cluster and 100000");
  expect(told.err).toContain("kubectl delete priorityclass interactive");
  await ok("delete", "priorityclass", "interactive");
  await apply(told.out);
});

test.skipIf(noHelm !== null)("A13: command and charts are accepted by the server", async () => {
  await rehearse(await render("--values", PRODUCTION), "kai-system", "navarch");
  const helm = Bun.spawnSync(
    [binaryPath("helm"), "template", "kai", "helm-charts/kai", "-f", PRODUCTION],
    { cwd: GUIDE, env: cleanEnv() },
  );
  expect(helm.exitCode).toBe(0);
  await apply(helm.stdout.toString(), "--dry-run=server");
});
