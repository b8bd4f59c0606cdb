/**
 * `navarch manifests workflows` through its command line, and the guide's files that it makes. That
 * a real server takes them is shown in `test/real/workflow/in-cluster.test.ts`.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { formatStages } from "../../deploy/stage.ts";
import { VERSION } from "../../schema/version.ts";
import { navarch } from "../cli/spawn.ts";
import { type KubeObject, one, parseObjects } from "./object.ts";

const print = async (...args: string[]) => navarch(["manifests", "workflows", ...args]);

async function objects(...args: string[]): Promise<KubeObject[]> {
  const { code, out, err } = await print(...args);
  expect({ args, code, err }).toEqual({ args, code: 0, err: "" });
  return parseObjects(out);
}

type Pod = {
  restartPolicy?: string;
  serviceAccountName: string;
  affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: unknown } };
  containers: { image: string; command: string[]; args: string[] }[];
};
type Spec = { backoffLimit?: number; template: { metadata: { labels: object }; spec: Pod } };
const specOf = (all: readonly KubeObject[], kind: string): Spec =>
  (one(all, kind) as unknown as { spec: Spec }).spec;

test("W45: stages, role and Job are printed from the binary alone", async () => {
  const { out } = await print();
  expect(out.startsWith(formatStages())).toBe(true);
  const kinds = parseObjects(out).map(({ kind }) => kind);
  expect([...new Set(kinds)]).toEqual([
    ...["Stage", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role"],
    ...["RoleBinding", "ConfigMap", "Job"],
  ]);
});

test("W50, X17: the Job is tried once, by knavigator in default, off virtual nodes", async () => {
  const all = await objects("--part", "job");
  const job = one(all, "Job");
  const { backoffLimit, template } = specOf(all, "Job");
  expect([job.metadata.namespace, backoffLimit]).toEqual(["default", 0]);
  expect([template.spec.restartPolicy, template.spec.serviceAccountName]).toEqual([
    ...["Never", "knavigator"],
  ]);
  const [container] = template.spec.containers;
  expect(container?.image).toBe(`navarch/control-plane:${VERSION}`);
  // The ConfigMap holds the files of the guide under the paths that the Job mounts.
  const files = one(all, "ConfigMap").data ?? {};
  const resources = join(ROOT, "deploy/guide/knavigator/resources");
  const textOf = (path: string): string => readFileSync(join(resources, path), "utf8");
  expect(files).toEqual({
    "test-job.yml": textOf("workflows/k8s/test-job.yml"),
    "job.yml": textOf("templates/k8s/job.yml"),
  });
});

test("W58: no workload of it runs on a virtual node", async () => {
  const all = await objects("--part", "job", "--part", "server", "--part", "exporter");
  const workloads = all.filter(({ kind }) => kind === "Job" || kind === "Deployment");
  expect(workloads.length).toBe(3);
  for (const workload of workloads) {
    const { affinity } = (workload as unknown as { spec: Spec }).spec.template.spec;
    expect(affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution).toEqual({
      nodeSelectorTerms: [
        { matchExpressions: [{ key: "type", operator: "NotIn", values: ["kwok"] }] },
      ],
    });
  }
});

const rulesOf = (all: readonly KubeObject[]): string[] =>
  (one(all, "ClusterRole").rules ?? []).flatMap(({ apiGroups, resources, verbs }) =>
    (resources ?? []).map((resource) => `${apiGroups[0]}/${resource} ${verbs.join(",")}`),
  );

test("W51: the role is what the tasks need, and kinds that are allowed come on top", async () => {
  const change = "get,list,watch,create,patch,delete";
  const least = [
    `/nodes ${change}`,
    "/namespaces get,create,delete",
    "/nodes/status patch",
    "/pods get,list,watch",
    "scheduling.k8s.io/priorityclasses get,create,delete",
    "apps/deployments get,list,patch",
  ];
  expect(rulesOf(await objects("--part", "rbac"))).toEqual(least);
  const more = await objects("--part", "rbac", "--allow", "batch/jobs,core/services,batch/jobs");
  expect(rulesOf(more)).toEqual([
    ...least,
    `batch/jobs ${change}`,
    "batch/jobs/status patch",
    `/services ${change}`,
    "/services/status patch",
  ]);
  // Configmaps of other namespaces configure the cluster.
  const own = one(await objects("--part", "rbac"), "Role");
  expect([own.metadata.namespace, own.rules]).toEqual([
    "default",
    [{ apiGroups: [""], resources: ["configmaps"], verbs: change.split(",") }],
  ]);
  // The Job that is printed submits one.
  expect(rulesOf(await objects())).toContain(`batch/jobs ${change}`);
});

test("W51: --cluster-admin prints the binding that the seed describes, and no role", async () => {
  const all = await objects("--part", "rbac", "--cluster-admin");
  expect(all.map(({ kind }) => kind)).toEqual(["ServiceAccount", "ClusterRoleBinding"]);
  expect(one(all, "ClusterRoleBinding").roleRef?.name).toBe("cluster-admin");
});

test("--namespace and --image change every place", async () => {
  const args = ["--part", "rbac", "--part", "job", "--part", "server", "--part", "exporter"];
  const { out } = await print(
    ...args,
    "--namespace",
    "team-a",
    "--image",
    "registry:5000/n@sha256:0",
  );
  const all = parseObjects(out);
  const places = all.map(({ metadata }) => metadata.namespace ?? metadata.name.split(".")[1]);
  expect(new Set(places)).toEqual(new Set(["team-a"]));
  expect(out).not.toMatch(/namespace: default|[.]default$|navarch\/control-plane/m);
  for (const { subjects = [] } of all) {
    for (const { namespace } of subjects) expect(namespace).toBe("team-a");
  }
});

test.each([
  [["--allow", "jobs"], "--allow jobs: expected GROUP/RESOURCE, as batch/jobs or core/services"],
  [["--allow", "batch/*"], "--allow batch/*: expected GROUP/RESOURCE"],
  [["--allow", "batch/jobs/status"], "--allow batch/jobs/status: expected GROUP/RESOURCE"],
  [["--allow", 'a"/b'], '--allow a"/b: expected GROUP/RESOURCE'],
  [["--allow", "batch/jobs", "--cluster-admin"], "--cluster-admin already allows every kind"],
  [["--namespace", "A"], "--namespace A: expected lower-case letters, digits and dashes"],
  [["--image", "a b"], "--image a b: expected NAME:TAG or NAME@DIGEST"],
  [["--part", "jobs"], "jobs"],
])("%p is a usage error", async (args, message) => {
  const { code, out, err } = await print(...args);
  expect([code, out, err]).toEqual([2, "", expect.stringContaining(message)]);
});

test("a kind by which more rights can be gained is noted", async () => {
  const { code, err } = await print("--part", "rbac", "--allow", "core/secrets,batch/jobs");
  expect([code, err]).toEqual([
    0,
    "note: whoever runs a workflow may gain further rights by core/secrets\n",
  ]);
});

test("W49: the ServiceMonitor selects the exporter's Service, each 10 s", async () => {
  const all = await objects("--part", "exporter", "--part", "service-monitor");
  type Monitor = {
    spec: {
      selector: { matchLabels: Record<string, string> };
      endpoints: { port: string; interval: string; path: string }[];
    };
  };
  type Service = { spec: { selector: object; ports: { name: string }[] } };
  const { spec: monitor } = one(all, "ServiceMonitor") as unknown as Monitor;
  const { spec: service } = one(all, "Service") as unknown as Service;
  expect(one(all, "Service").metadata.labels).toMatchObject(monitor.selector.matchLabels);
  expect(monitor.endpoints).toEqual([{ port: "metrics", path: "/metrics", interval: "10s" }]);
  expect(service.ports.map(({ name }) => name)).toEqual(["metrics"]);
  expect(specOf(all, "Deployment").template.metadata.labels).toMatchObject(service.selector);
  const namespaces = all.map(({ metadata }) => metadata.namespace).filter(Boolean);
  expect(new Set(namespaces)).toEqual(new Set(["default"]));
});

test("X20: both spellings of the guide's files say what the command prints", async () => {
  const folder = join(ROOT, "deploy/guide/knavigator/docs/examples/knavigator");
  for (const [name, part] of [
    ["rbac", "rbac"],
    ["test-job", "job"],
  ] as const) {
    const args = ["--part", part, "--allow", "batch/jobs"];
    const { out } = await print(...args);
    for (const ending of ["yaml", "yml"]) {
      const text = readFileSync(join(folder, `${name}.${ending}`), "utf8");
      expect(text).toBe(`# navarch manifests workflows ${args.join(" ")}\n${out}`);
    }
  }
});
