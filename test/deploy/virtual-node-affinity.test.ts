/**
 * No workload that the product ships is scheduled onto a virtual node: every pod template of a
 * manifest, of the charts and of `navarch manifests` has the affinity, so that virtual nodes may be
 * there before what runs for real.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { databaseDefault, renderManifests } from "../../deploy/render.ts";
import { findBinary, whyNoCluster } from "../real/kubernetes/binary.ts";
import { listTree } from "../scratch-copy.ts";
import { DEPLOY, parseDocuments, runTool } from "./object.ts";

const missing = await whyNoCluster(["helm"]);
if (missing !== null) console.error(`SKIPPED: pods of the chart: ${missing}`);

type Term = { matchExpressions?: { key: string; operator: string; values?: string[] }[] };
type PodSpec = {
  containers: unknown[];
  affinity?: {
    nodeAffinity?: {
      requiredDuringSchedulingIgnoredDuringExecution?: { nodeSelectorTerms: Term[] };
    };
  };
};

/** Every object with containers inside a document, whatever its kind. */
function podSpecsIn(value: unknown): PodSpec[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(podSpecsIn);
  const inside = Object.values(value).flatMap(podSpecsIn);
  return "containers" in value ? [value as PodSpec, ...inside] : inside;
}

/** Terms are alternatives: each must exclude virtual nodes. */
function isKeptOff(spec: PodSpec): boolean {
  const { requiredDuringSchedulingIgnoredDuringExecution: required } =
    spec.affinity?.nodeAffinity ?? {};
  const terms = required?.nodeSelectorTerms ?? [];
  return (
    terms.length > 0 && terms.every(({ matchExpressions = [] }) => matchExpressions.some(isOff))
  );
}

const isOff = ({ key, operator, values }: { key: string; operator: string; values?: string[] }) =>
  key === "type" && operator === "NotIn" && values?.includes("kwok") === true;

/**
 * Not workloads of ours: templates of charts (rendered below), the stages of KWOK, patches of overlays, which
 * change the templates here, the guides' own manifests, among them pools that may be
 * rehearsed on virtual nodes, and what a rehearsal submits on purpose.
 */
const GUIDES =
  "guide/(agentpool|kai/helm-charts|navarch/kubernetes|knavigator/(charts|resources))/";
const NOT_SHIPPED = new RegExp(`^deploy/(agentpool/example/|helm/|kwok/|overlay/|${GUIDES})`);

const files = listTree().filter(
  (path) => /^deploy\/.*\.ya?ml$/.test(path) && !NOT_SHIPPED.test(path),
);

const withPods = files.filter((path) => podSpecsOf(path).length > 0);

function podSpecsOf(path: string): PodSpec[] {
  return podSpecsIn(parseDocuments(readFileSync(join(ROOT, path), "utf8")));
}

test("W58: the manifests with pods are those that are known", () => {
  expect(withPods).toEqual(
    expect.arrayContaining([
      "deploy/31-control-plane.yaml",
      "deploy/40-node-agent.yaml",
      "deploy/example/training-job.yaml",
      "deploy/workflow/job.yaml",
    ]),
  );
});

test.each(withPods)("W58: no pod of %s runs on a virtual node", (path) => {
  for (const spec of podSpecsOf(path)) expect([path, isKeptOff(spec)]).toEqual([path, true]);
});

test.each([null, databaseDefault(null)])("W58: nor one of the manifests with %p", (database) => {
  const text = renderManifests({ namespace: "team", imageTag: null, database });
  const specs = podSpecsIn(parseDocuments(text));
  expect(specs.map(isKeptOff)).toEqual([true, true]);
});

describe.skipIf(missing !== null)("helm template", () => {
  test.each([[], ["ha.enabled=true"]])(
    "W58: no pod of the chart runs on a virtual node: %p",
    (...sets) => {
      const chart = join(DEPLOY, "helm/navarch");
      const flags = sets.flatMap((set) => ["--set", set]);
      const helm = findBinary("helm") ?? "helm";
      const text = runTool([helm, "template", "navarch", chart, ...flags]);
      expect(podSpecsIn(parseDocuments(text)).map(isKeptOff)).toEqual([true, true]);
    },
  );
});

describe.skipIf(missing !== null)("helm template of the guide kai", () => {
  test("W58: no pod of its charts runs on a virtual node", () => {
    const chart = join(DEPLOY, "guide/kai/helm-charts/kai");
    const text = runTool([findBinary("helm") ?? "helm", "template", "kai", chart]);
    expect(podSpecsIn(parseDocuments(text)).map(isKeptOff)).toEqual([true, true]);
  });
});

test("W58: a pod without the affinity is noticed, one of two terms too", () => {
  const term = { matchExpressions: [{ key: "type", operator: "NotIn", values: ["kwok"] }] };
  const withTerms = (nodeSelectorTerms: Term[]): PodSpec => {
    const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } };
    return { containers: [], affinity: { nodeAffinity: required } };
  };
  const other = { matchExpressions: [{ key: "zone", operator: "Exists" }] };
  const specs = [{ containers: [] }, withTerms([term]), withTerms([term, other]), withTerms([])];
  expect(specs.map(isKeptOff)).toEqual([false, true, false, false]);
});
