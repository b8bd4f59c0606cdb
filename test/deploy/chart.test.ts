/**
 * The chart makes the very objects of the plain manifests, and its options those of the overlays, so
 * that there is one installation in two forms. Compared as parsed documents, by the real helm.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AGENT_POOL_CRD } from "../../deploy/agentpool/crd.ts";
import { REPLICATED } from "../../deploy/bundle.ts";
import { renderManifests } from "../../deploy/render.ts";
import { findBinary, whyNoCluster } from "../real/kubernetes/binary.ts";
import {
  assembled,
  byKey,
  DEPLOY,
  type KubeObject,
  one,
  parseObjects,
  plainObjects,
  readObjects,
  runTool,
  sorted,
  type Workload,
} from "./object.ts";

const missing = await whyNoCluster(["helm", "kubectl"]);
if (missing !== null) console.error(`SKIPPED: the chart: ${missing}`);
const IS_CI = process.env["CI"] === "true";

test("helm is here to render the chart with", () => {
  if (IS_CI) expect(missing).toBeNull();
});

const CHART = join(DEPLOY, "helm/navarch");
const plain = byKey(plainObjects());

function render(...sets: string[]): Record<string, KubeObject> {
  const flags = sets.flatMap((set) => ["--set", set]);
  const helm = findBinary("helm") ?? "helm";
  return byKey(parseObjects(runTool([helm, "template", "navarch", CHART, ...flags])));
}

/** What an option adds to the objects of the plain manifests, which it must not touch. */
function added(...sets: string[]): KubeObject[] {
  const found = render(...sets);
  for (const [key, object] of Object.entries(plain)) expect(found[key]).toEqual(object);
  return Object.entries(found).flatMap(([key, object]) => (key in plain ? [] : [object]));
}

describe.skipIf(missing !== null)("helm template", () => {
  test("with default values makes the plain manifests, object for object", () => {
    expect(render()).toEqual(plain);
  });

  test("has no fault that helm's own lint knows", () => {
    const helm = findBinary("helm") ?? "helm";
    expect(runTool([helm, "lint", "--strict", CHART])).toContain("0 chart(s) failed");
  });

  test("V1: installs the definition of AgentPool, beside the templates", () => {
    const helm = findBinary("helm") ?? "helm";
    const [shown] = parseObjects(runTool([helm, "show", "crds", CHART]));
    expect(shown).toEqual(structuredClone(AGENT_POOL_CRD) as unknown as KubeObject);
    const with_ = runTool([helm, "template", "navarch", CHART, "--include-crds"]);
    const kinds = parseObjects(with_).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === "CustomResourceDefinition")).toHaveLength(1);
  });

  test("with ha.enabled makes what `navarch manifests kubernetes --ha` prints", () => {
    const options = { namespace: null, imageTag: null };
    const database = "http://libsql.navarch.svc.cluster.local:8080";
    const ours = byKey(parseObjects(renderManifests({ ...options, database })));
    expect(render("ha.enabled=true")).toEqual(ours);
    const named = "libsql://db.example.com";
    const other = byKey(parseObjects(renderManifests({ ...options, database: named })));
    expect(render("ha.enabled=true", `ha.databaseUrl=${named}`)).toEqual(other);
  });

  test("with a namespace and a tag makes what the command prints with them", () => {
    const options = { namespace: "gpu", imageTag: "9.9.9", database: null };
    const ours = byKey(parseObjects(renderManifests(options)));
    expect(render("namespace=gpu", "image.tag=9.9.9")).toEqual(ours);
  });

  test.each([
    ["serviceMonitor.enabled=true", "monitoring/service-monitor.yaml"],
    ["prometheusRule.enabled=true", "monitoring/prometheus-rule.yaml"],
    ["networkPolicy.enabled=true", "overlay/network-policy/network-policy.yaml"],
    ["clusterJoin.enabled=true", "overlay/cluster-join/cluster-join.yaml"],
    ["slurmPods.enabled=true", "overlay/slurm-pods/slurm-pods.yaml"],
    ["flowControl.enabled=true", "overlay/flow-control/flow-control.yaml"],
  ])("with %s adds %s", (set, path) => {
    expect(byKey(added(set))).toEqual(byKey(readObjects(path)));
  });

  test("with admissionPolicy.enabled adds the policy, with the labels that are named", () => {
    const ours = readObjects("overlay/admission-policy/admission-policy.yaml");
    const lists = JSON.stringify(ours)
      .replace("['workload', 'cluster']", String.raw`[\"a.b/c\"]`)
      .replace("['node-type']", String.raw`[\"t\"]`);
    const keys = ["poolLabels={a.b/c}", "poolTaints={t}"].map((one) => `admissionPolicy.${one}`);
    const set = ["admissionPolicy.enabled=true", ...keys];
    expect(byKey(added(...set))).toEqual(byKey(JSON.parse(lists) as KubeObject[]));
  });

  test("with nodeAgent.nvidiaRuntime changes the agents as the overlay does", () => {
    const found = render("nodeAgent.nvidiaRuntime.enabled=true");
    const pod = one<Workload>(Object.values(found), "DaemonSet").spec.template.spec;
    const patch = one<Workload>(readObjects("overlay/nvidia-runtime/patch.yaml"), "DaemonSet");
    const { containers, ...rest } = patch.spec.template.spec;
    expect(pod).toMatchObject(rest);
    for (const variable of containers[0].env)
      expect(pod.containers[0].env).toContainEqual(variable);
  });

  test.each([
    ["narrow-delete", ["podDeletion.namespaces={default}"]],
    ["narrow-device", ["nodeAgent.narrowDevice.enabled=true"]],
    ["token-file", ["nodeAgent.tokenFile.enabled=true"]],
    [
      "own-selector",
      [
        String.raw`nodeAgent.nodeSelector.nvidia\.com/gpu\.present=null`,
        String.raw`nodeAgent.nodeSelector.navarch\.dev/gpu=true`,
      ],
    ],
  ])("makes the objects of overlay/%s with its values", (name, sets) => {
    expect(sorted(render(...sets))).toEqual(sorted(byKey(assembled(`overlay/${name}`))));
  });

  test("under another name or namespace shares no object with the first, but common ones", () => {
    const helm = findBinary("helm") ?? "helm";
    const options = ["clusterJoin", "flowControl", "admissionPolicy", "slurmPods"];
    const flags = ["namespace=team-b", ...options.map((one) => `${one}.enabled=true`)];
    const second = parseObjects(
      runTool([helm, "template", "blue", CHART, ...flags.flatMap((set) => ["--set", set])]),
    );
    const first = new Set(Object.keys(render(...options.map((one) => `${one}.enabled=true`))));
    expect(Object.keys(byKey(second)).filter((key) => first.has(key))).toEqual([]);
    const outside = second.filter(
      ({ kind, metadata }) => kind !== "Namespace" && metadata.namespace !== "team-b",
    );
    expect(outside.length).toBeGreaterThan(8);
    for (const { metadata } of outside) expect(metadata.name).toEndWith(".team-b.blue");
    expect(JSON.stringify(second)).not.toContain(".navarch.navarch");
  });

  test("with other values changes only what they are for", () => {
    const sets = [
      "createNamespace=false",
      "secret.create=false",
      "secret.name=mine",
      "nodeAgent.enabled=false",
      "config=server: {}",
      "controlPlane.serviceAccountAnnotations.role=r",
      "controlPlane.storage.className=fast",
      "serviceMonitor.enabled=true",
      "serviceMonitor.labels.release=mine",
    ];
    const found = render(...sets);
    const gone = Object.keys(plain).filter((key) => !(key in found));
    expect(gone).toEqual([
      "Namespace//navarch",
      "ServiceAccount/navarch/navarch-node-agent",
      "Secret/navarch/navarch-credentials",
      "DaemonSet/navarch/navarch-node-agent",
    ]);
    const objects = Object.values(found);
    expect(one(objects, "ConfigMap").data?.["config.yaml"]).toBe("server: {}\n");
    expect(one(objects, "ServiceAccount")).toMatchObject({
      metadata: { annotations: { role: "r" } },
    });
    const claim = one(objects, "PersistentVolumeClaim");
    expect(claim).toMatchObject({ spec: { storageClassName: "fast" } });
    expect(one(objects, "ServiceMonitor").metadata.labels).toMatchObject({ release: "mine" });
    expect(JSON.stringify(one(objects, "Deployment"))).not.toContain("navarch-credentials");
  });
});

test("what replicas need besides is what the overlay has", () => {
  const text = readFileSync(join(DEPLOY, "overlay/ha/disruption-budget.yaml"), "utf8");
  expect(REPLICATED.map((one) => one.text)).toEqual([text]);
});
