/**
 * The chart `virtual-nodes` makes the nodes of `navarch sim nodes apply`, object for object, by the
 * real helm.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readNodeList } from "../../simulator/workflow/node-set/entry.ts";
import { planNodes } from "../../simulator/workflow/node-set/plan.ts";
import { readYaml } from "../../simulator/workflow/yaml.ts";
import { findBinary, whyNoCluster } from "../real/kubernetes/binary.ts";
import { DEPLOY, parseDocuments, runTool } from "./object.ts";

const missing = await whyNoCluster(["helm"]);
if (missing !== null) console.error(`SKIPPED: the chart virtual-nodes: ${missing}`);

const CHART = join(DEPLOY, "helm/virtual-nodes");
const helm = findBinary("helm") ?? "helm";

type Node = { metadata: { name: string } };

function rendered(values: string): Node[] {
  const out = runTool([helm, "template", "virtual-nodes", CHART, "-f", values]);
  return parseDocuments(out).filter((one) => one !== null) as Node[];
}

function applied(values: string): Node[] {
  const yaml = readYaml(readFileSync(values, "utf8"));
  if (!yaml.ok) throw new Error(yaml.message);
  const { nodes } = yaml.value as { nodes: unknown };
  return planNodes(readNodeList(nodes, "nodes", false).entries, []).create;
}

function withValues<T>(text: string, work: (path: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "virtual-nodes-"));
  try {
    const path = join(folder, "values.yaml");
    writeFileSync(path, text);
    return work(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const EVERYTHING = `
nodes:
- {type: dgxh100.80g, count: 3, labels: {a: 8, b: true, c: , d: "<&>", type: mine}, taint: true}
- {type: cpu.x86, count: 0}
- type: dgxh100.80g
  count: 250
  annotations: {big: 2537570228, "node.alpha.kubernetes.io/ttl": 5}
  resources: {rdma/hca: 8, example.com/half: 0.5}
  conditions:
  - {type: KernelDeadlock, status: False, reason: 'a: "b"', message: "kernel: # no <deadlock>"}
  - {type: Ready, status: Unknown}
- {type: plain, count: 2}
- {type: plain, count: 1, resources: {pods: 7, cpu: 1500m}}
`;

describe.skipIf(missing !== null)("helm template", () => {
  test("W38: makes the nodes of the example as `nodes apply` does", () => {
    const values = join(CHART, "values-example.yaml");
    const nodes = rendered(values);
    expect(nodes.length).toBe(4);
    expect(nodes).toEqual(applied(values));
  });

  test("W38: makes every kind of entry as `nodes apply` does", () => {
    withValues(EVERYTHING, (path) => {
      const nodes = rendered(path);
      expect(nodes.length).toBe(256);
      expect(new Set(nodes.map(({ metadata }) => metadata.name)).size).toBe(256);
      expect(nodes).toEqual(applied(path));
    });
  });

  test.each([
    ["{count: 1}", "nodes[0]: must specify type"],
    ["{type: a}", "nodes[0]: must specify count"],
    ["{type: dgxh100.80g, count: 1, resources: {cpu: 1}}", "resource cpu is preset for type"],
  ])("W35: refuses %s in the same words", (entry, message) => {
    withValues(`nodes: [${entry}]`, (path) => {
      expect(() => rendered(path)).toThrow(message);
      expect(() => applied(path)).toThrow(message);
    });
  });

  test("makes nothing without values, and has no fault that helm's own lint knows", () => {
    withValues("nodes: []", (path) => expect(rendered(path)).toEqual([]));
    expect(runTool([helm, "lint", "--strict", CHART])).toContain("0 chart(s) failed");
  });
});
