/**
 * The console's set and the guide's charts without a cluster: rendered files are current, helm and
 * `navarch manifests console` agree, and the script calls helm as it says. The real API server takes
 * them in `test/real/console/manifest.test.ts`.
 */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { renderConsole } from "../../deploy/console/render.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import { navarch } from "../cli/spawn.ts";
import { renderTree } from "../docs/kai/tree.ts";
import { findBinary, whyNoCluster } from "../real/kubernetes/binary.ts";
import { byKey, type KubeObject, one, parseObjects, runTool, type Workload } from "./object.ts";

const noHelm = await whyNoCluster(["helm"]);
if (noHelm !== null) console.error(`SKIPPED: the console's charts: ${noHelm}`);

const GUIDE = join(ROOT, "deploy/guide/kai");
const CHARTS = join(GUIDE, "helm-charts");
const read = (path: string): string => readFileSync(join(GUIDE, path), "utf8");
const fileOf = (name: string) => ({ name, text: read(`helm-charts/kai/values-${name}.yaml`) });

function rendered(...names: string[]): KubeObject[] {
  const found = renderConsole(names.length === 0 ? null : names.map(fileOf));
  if (!found.ok) throw new Error(found.message);
  return found.objects as KubeObject[];
}

const refusal = (text: string): string => {
  const found = renderConsole([{ name: "mine.yaml", text }]);
  return found.ok ? "" : found.message;
};

describe("files of the guide's platform", () => {
  test("C72: templates, schemas, Flux's tree and manifests are as they are rendered", () => {
    const tree = renderTree();
    for (const [path, text] of tree) expect([path, read(path)]).toEqual([path, text]);
    for (const chart of ["coordinator", "infrastructure"]) {
      const folder = `helm-charts/${chart}/templates`;
      const known = [...tree.keys()].filter((path) => path.startsWith(`${folder}/`));
      const found = readdirSync(join(GUIDE, folder)).map((name) => `${folder}/${name}`);
      expect(found.filter((path) => !path.endsWith("_helpers.tpl")).sort()).toEqual(known.sort());
    }
  });

  test("C69, C70: charts and templates have the guide's names", () => {
    const names = readdirSync(CHARTS).sort();
    expect(names).toEqual([
      ...["coordinator", "helm-deploy.sh", "infrastructure", "kai", "mobile-optimization"],
      "wasm-compiler",
    ]);
    const templates = readdirSync(join(CHARTS, "coordinator/templates"));
    const wanted = "_helpers.tpl deployment.yaml service.yaml hpa.yaml pdb.yaml rbac.yaml";
    expect(templates).toEqual(expect.arrayContaining([...wanted.split(" "), "configmap.yaml"]));
    const { dependencies } = Bun.YAML.parse(read("helm-charts/kai/Chart.yaml")) as {
      dependencies: { name: string }[];
    };
    const charts = names.filter((name) => name !== "kai" && !name.endsWith(".sh"));
    expect(dependencies.map(({ name }) => name).sort()).toEqual(charts);
  });

  test("C73: Flux's tree has both clusters, with the infrastructure first", () => {
    for (const [cluster, replicas] of [
      ["staging", 1],
      ["production", 3],
    ] as const) {
      const root = `flux/clusters/${cluster}`;
      const all = (path: string) => parseObjects(read(`${root}/${path}`));
      const { resources } = all("kustomization.yaml")[0] as unknown as { resources: string[] };
      expect(resources).toContain("releases/infrastructure.yaml");
      const objects = resources.flatMap(all);
      expect(one(objects, "GitRepository")).toMatchObject({
        metadata: { name: "flux-system" },
        spec: { interval: "1m0s", ref: { branch: "main" } },
      });
      expect(one(objects, "HelmRepository")).toMatchObject({
        metadata: { name: "kai-charts" },
        spec: { interval: "5m" },
      });
      expect(one(objects, "HelmRelease", "coordinator")).toMatchObject({
        spec: {
          interval: "5m",
          dependsOn: [{ name: "infrastructure" }],
          chart: { spec: { chart: "coordinator", version: ">=1.0.0" } },
          values: { replicaCount: replicas, image: { tag: "v1.2.3" } },
        },
      });
    }
  });

  test("C40: the guide's seven pools are a configuration", () => {
    const { config, problems } = readConfig([{ name: "pools.yaml", text: read("pools.yaml") }]);
    expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
    const rows = config?.pools.map(({ name, scaling, gpus, labels, taints, market }) => {
      const { minNodes, maxNodes } = scaling;
      const marks = taints.map(({ key, value, effect }) => `${key}=${value}:${effect}`).join(" ");
      return [
        name,
        `${minNodes}–${maxNodes}`,
        gpus,
        labels["workload-class"],
        market,
        marks,
      ].join();
    });
    expect(rows).toEqual([
      "cpu-optimized,3–10,0,general,on-demand,node-type=cpu-optimized:NoSchedule",
      "gpu-optimized,1–8,1,ml-inference,on-demand,node-type=gpu-optimized:NoSchedule",
      "gpu-high-end,0–4,2,ml-training,on-demand,node-type=gpu-high-end:NoSchedule",
      "memory-optimized,1–5,0,memory-intensive,on-demand,node-type=memory-optimized:NoSchedule",
      "storage-optimized,1–4,0,data-intensive,on-demand,node-type=storage-optimized:NoSchedule",
      "orchestration,3–5,0,control-plane,on-demand,node-type=orchestration:NoSchedule",
      "spot-instances,0–20,0,batch-preemptible,spot,node-type=spot:NoSchedule " +
        "cloud.google.com/gke-spot=:NoSchedule",
    ]);
  });
});

describe("navarch manifests console", () => {
  const plain = rendered();

  test("C36, C37, C38: namespace, quota, and the limits that the quota needs", () => {
    expect(one(plain, "Namespace").metadata).toMatchObject({
      name: "kai-ml",
      labels: {
        component: "infrastructure",
        "app.kubernetes.io/part-of": "kai-ml",
        "pod-security.kubernetes.io/enforce": "baseline",
      },
    });
    expect(one(plain, "ResourceQuota")).toMatchObject({
      metadata: { name: "kai-ml-quota", namespace: "kai-ml" },
      spec: {
        hard: {
          pods: "100",
          "requests.cpu": "100",
          "limits.cpu": "200",
          "requests.memory": "200Gi",
          "limits.memory": "400Gi",
          "requests.nvidia.com/gpu": "16",
          "limits.nvidia.com/gpu": "16",
          "requests.storage": "500Gi",
          persistentvolumeclaims: "50",
          "count/workflows.argoproj.io": "50",
        },
      },
    });
    expect(one(plain, "LimitRange")).toMatchObject({
      metadata: { name: "kai-ml-limits" },
      spec: {
        limits: [
          {
            default: { cpu: "1", memory: "1Gi" },
            defaultRequest: { cpu: "100m", memory: "128Mi" },
          },
        ],
      },
    });
  });

  test("C41, C42, C43, C44, C45, C46, C47: seven priority classes, one of them the default", () => {
    const classes = plain.filter(({ kind }) => kind === "PriorityClass") as (KubeObject & Class)[];
    const rows = classes.map(({ metadata, value, globalDefault = false, description }) => {
      // The API server keeps names that begin with `system-` for itself.
      expect([metadata.name, description]).toEqual([
        expect.not.stringMatching(/^system-/),
        expect.any(String),
      ]);
      return [value, metadata.name, globalDefault];
    });
    expect(rows.sort(([one], [other]) => Number(other) - Number(one))).toEqual([
      [1_000_000, "kai-system-critical", false],
      [100_000, "interactive", false],
      [50_000, "high-priority-batch", false],
      [10_000, "medium-priority-batch", true],
      [1_000, "low-priority-batch", false],
      [100, "maintenance", false],
      [0, "preemptible", false],
    ]);
  });

  test("C35: the coordinator's role for workflows", () => {
    expect(one(plain, "Role").rules).toEqual([
      {
        apiGroups: ["argoproj.io"],
        resources: ["workflows", "workflows/finalizers", "workflowtemplates"],
        verbs: ["create", "delete", "get", "list", "patch", "update", "watch"],
      },
    ]);
    expect(one(plain, "RoleBinding")).toMatchObject({
      roleRef: { name: "coordinator-workflow-manager" },
      subjects: [{ name: "coordinator-service", namespace: "kai-ml" }],
    });
  });

  test("C34: the account that serves the console gets its permissions", async () => {
    const bound = (objects: readonly KubeObject[]) =>
      objects
        .filter(({ kind, roleRef }) => {
          return (
            kind === "ClusterRoleBinding" && roleRef?.name.startsWith("fleet-console.") === true
          );
        })
        .map(({ subjects }) => subjects?.map((one) => `${one.namespace}/${one.name}`).join());
    expect(bound(plain)).toEqual(["kai-ml/fleet-console"]);
    expect(bound(rendered("production"))).toEqual([
      "kai-system/fleet-console",
      "kai-system/coordinator-service",
    ]);
    const words = ["manifests", "console", "--account"];
    const ran = await navarch([...words, "navarch/navarch-control-plane"]);
    expect(bound(parseObjects(ran.out))).toEqual([
      "kai-ml/fleet-console",
      "navarch/navarch-control-plane",
    ]);
    expect((await navarch([...words, "navarch"])).code).toBe(2);
  });

  test("C49, C61: budget and autoscaler are the guide's", () => {
    expect(one(plain, "PodDisruptionBudget")).toMatchObject({
      metadata: { name: "coordinator-pdb" },
      spec: { minAvailable: 2, selector: { matchLabels: { app: "coordinator-service" } } },
    });
    const [wanted] = parseObjects(readFileSync(join(import.meta.dir, "seed-hpa.yaml"), "utf8"));
    const found = structuredClone(one(plain, "HorizontalPodAutoscaler")) as KubeObject & Metrics;
    // A quantity may be written as a number.
    for (const { pods } of found.spec.metrics) {
      if (pods !== undefined) pods.target.averageValue = Number(pods.target.averageValue);
    }
    expect(found).toMatchObject(wanted as KubeObject);
  });

  test("C59: the adapter's rule sums by namespace and pod", () => {
    const config = one(plain, "ConfigMap").data?.["config.yaml"] ?? "";
    expect(read("kubernetes/monitoring/prometheus-adapter.yaml")).toContain(config);
    // The seed's, and the same for the other metric that its autoscaler asks for.
    expect(Bun.YAML.parse(config)).toEqual({
      rules: [
        {
          seriesQuery:
            'kai_coordinator_queue_depth{kubernetes_namespace!="",kubernetes_pod_name!=""}',
          resources: {
            overrides: {
              kubernetes_namespace: { resource: "namespace" },
              kubernetes_pod_name: { resource: "pod" },
            },
          },
          name: { matches: "kai_coordinator_queue_depth", as: "coordinator_queue_depth" },
          metricsQuery: "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
        },
        expect.objectContaining({
          name: { matches: "kai_ml_processing_time_seconds", as: "ml_processing_time_seconds" },
        }),
      ],
    });
  });

  test("C48, C49, C57: the control plane is hardened, spread and scraped", () => {
    const { template, replicas } = one<Workload>(rendered("production"), "Deployment").spec;
    expect(replicas).toBe(3);
    expect(template.metadata).toMatchObject({
      annotations: {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8081",
        "prometheus.io/path": "/metrics",
      },
    });
    expect(template.spec).toMatchObject({
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      priorityClassName: "kai-system-critical",
      topologySpreadConstraints: [{ topologyKey: "topology.kubernetes.io/zone" }],
    });
    const [{ podAffinityTerm }] =
      template.spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution;
    expect(podAffinityTerm.labelSelector.matchLabels).toEqual({ app: "coordinator-service" });
    expect(template.spec.containers[0]).toMatchObject({
      image: "navarch/control-plane:0.1.0",
      securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
      resources: { requests: { cpu: "500m", memory: "1Gi" }, limits: { cpu: "2000m" } },
    });
    const privileged = rendered("production").filter((object) =>
      JSON.stringify(object).includes('"privileged":true'),
    );
    expect(privileged.map(({ kind, metadata }) => [kind, metadata.namespace])).toEqual([
      ["DaemonSet", "navarch"],
    ]);
  });

  test("C62: the control plane is never the target of an autoscaler", async () => {
    const text = "coordinator: { autoscaling: { target: coordinator-service } }";
    expect(refusal(text)).toContain("names the control plane, which has one writer");
    const other = "coordinator: { controlPlane: { enabled: false }, autoscaling: { target: T } }";
    expect(refusal(other.replace("T", "navarch-control-plane"))).toContain("one writer");
    expect(refusal(other.replace("T", "coordinator-service"))).toBe("");
    expect(refusal(text.replace("coordinator-service", "workers"))).toBe("");
  });

  test("values are checked, and resources are multiplied where none are given", () => {
    expect(refusal("coordinator: { replicaCounts: 3 }")).toContain(
      "mine.yaml: coordinator.replicaCounts: unknown value (did you mean replicaCount?)",
    );
    expect(refusal("global: { namespace: Kai }")).toContain(
      'global.namespace: "Kai" does not match',
    );
    expect(refusal("coordinator: { replicaCount: 1.5 }")).toContain("expected integer, found 1.5");
    expect(refusal("- a")).toContain("expected object");
    expect(refusal("{")).toContain("not YAML");
    const text = "global: { resourceMultiplier: 3 }\ncoordinator: { resources: null }";
    const found = renderConsole([{ name: "mine.yaml", text }]);
    const objects = found.ok ? (found.objects as KubeObject[]) : [];
    const [container] = one<Workload>(objects, "Deployment").spec.template.spec.containers;
    expect(container).toMatchObject({
      resources: { requests: { cpu: "300m", memory: "768Mi" }, limits: { memory: "3072Mi" } },
    });
  });

  test("C72: a budget that blocks every drain is a warning, and files are read in order", async () => {
    const chart = "deploy/guide/kai/helm-charts/kai";
    const values = ["--values", `${chart}/values-staging.yaml`];
    const staging = await navarch(["manifests", "console", ...values]);
    expect(staging.code).toBe(0);
    expect(staging.err).toContain("coordinator-pdb lets no healthy pod be evicted");
    const more = [...values, "--values", `${chart}/values-production.yaml`];
    const production = await navarch(["manifests", "console", ...more]);
    expect([production.code, production.err]).toEqual([0, ""]);
    expect(byKey(parseObjects(production.out))).toEqual(byKey(rendered("production")));
    const absent = await navarch(["manifests", "console", "--values", "/nonexistent"]);
    expect([absent.code, absent.out]).toEqual([2, ""]);
  });
});

type Class = { value: number; globalDefault?: boolean; description?: string };
type Metrics = { spec: { metrics: { pods?: { target: { averageValue: unknown } } }[] } };

describe.skipIf(noHelm !== null)("the real helm", () => {
  const helm = findBinary("helm") ?? "helm";
  const template = (...flags: string[]): KubeObject[] =>
    parseObjects(runTool([helm, "template", "kai", join(CHARTS, "kai"), ...flags]));

  test.each([["staging"], ["production"], ["kai-ml"]])(
    "C72: with values-%s.yaml makes what the command prints, object for object",
    (name) => {
      const values = join(CHARTS, `kai/values-${name}.yaml`);
      expect(byKey(template("-f", values))).toEqual(byKey(rendered(name)));
    },
  );

  test("A13: has no fault to find in any chart", () => {
    const charts = readdirSync(CHARTS).filter((name) => !name.endsWith(".sh"));
    const paths = charts.map((name) => join(CHARTS, name));
    expect(runTool([helm, "lint", ...paths])).toContain("5 chart(s) linted, 0 chart(s) failed");
  });

  test("C62, C70: refuses what the command refuses", () => {
    const target = "coordinator.autoscaling.target=coordinator-service";
    expect(() => template("--set", target)).toThrow("one writer");
    expect(() => template("--set", "coordinator.replicas=3")).toThrow("replicas");
  });

  test("C69: the payload's charts render nothing, enabled or not", () => {
    const on = ["mobile-optimization.enabled=true", "wasm-compiler.enabled=true"];
    const found = template(...on.flatMap((set) => ["--set", set]));
    expect(byKey(found)).toEqual(byKey(template()));
  });

  test("C73: each chart renders alone, as Flux installs it", () => {
    const release = Bun.YAML.parse(read("flux/clusters/production/releases/coordinator.yaml"));
    const { values } = (release as { spec: { values: object } }).spec;
    const flags = [
      "--set-json",
      `replicaCount=3,image=${JSON.stringify(Reflect.get(values, "image"))}`,
    ];
    const alone = runTool([helm, "template", "coordinator", join(CHARTS, "coordinator"), ...flags]);
    const { spec } = one<Workload>(parseObjects(alone), "Deployment");
    expect([spec.replicas, spec.template.spec.containers[0].image]).toEqual([
      3,
      "registry.example.com/navarch/control-plane:v1.2.3",
    ]);
  });
});
