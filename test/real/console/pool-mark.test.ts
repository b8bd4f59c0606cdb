/**
 * A9: labels and taints of a pool on the Nodes of a real API server, with a compiled control plane
 * and virtual nodes, while people edit them away and the configuration changes.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { KwokGround } from "../workflow/kwok-ground.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: labels and taints of pools: ${missing}`);

test("a Kubernetes API server is here to keep a pool's labels and taints on", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

setDefaultTimeout(120_000);

const POOL = `  - name: gpu-optimized
    provider: kwok
    instance_type: dgxh100.80g
    labels: { node-type: gpu-optimized, workload-class: ml-inference, gpu: nvidia-t4 }
    taints:
    - key: "node-type"
      value: "gpu-optimized"
      effect: "NoSchedule"
    scaling: { min_nodes: 1, max_nodes: 8 }
`;

type Taint = { key: string; value?: string; effect: string };
type Node = {
  metadata: { name: string; labels: Record<string, string>; annotations: Record<string, string> };
  spec: { taints?: Taint[] };
};

let ground: KwokGround;

beforeAll(async () => {
  if (missing !== null) return;
  ground = await KwokGround.open(0, { config: POOL });
  await ground.plane.start(60_000);
}, 300_000);

afterAll(async () => {
  if (missing === null) expect(await ground.close()).toEqual([]);
}, 60_000);

async function nodes(): Promise<Node[]> {
  const path = "/api/v1/nodes?labelSelector=node-type%3Dgpu-optimized";
  return (await ground.cluster.json<{ items: Node[] }>(path)).items;
}

const keysOf = ({ spec }: Node): string[] => (spec.taints ?? []).map(({ key }) => key).sort();

test.skipIf(missing !== null)("A9: pool labels and taints are kept", async () => {
  const { cluster } = ground;
  const node = await until("a labelled and tainted Node", 60_000, async () => {
    const [first] = await nodes();
    return first !== undefined && keysOf(first).includes("node-type") ? first : null;
  });
  const { name, labels } = node.metadata;
  const value = node.spec.taints?.find(({ key }) => key === "node-type")?.value;
  expect([labels["workload-class"], labels["gpu"], value]).toEqual([
    "ml-inference",
    "nvidia-t4",
    "gpu-optimized",
  ]);
  const person = async (...words: string[]): Promise<void> => {
    expect((await cluster.kubectl(...words)).code).toBe(0);
  };
  await person("label", "node", name, "gpu-", "team=blue");
  await person("taint", "node", name, "other=1:PreferNoSchedule", "node-type-");
  const again = await until("what was edited away is back", 10_000, async () => {
    const one = await cluster.json<Node>(`/api/v1/nodes/${name}`);
    return one.metadata.labels["gpu"] === "nvidia-t4" && keysOf(one).length === 2 ? one : null;
  });
  expect(again.metadata.labels["team"]).toBe("blue");
  expect(keysOf(again)).toEqual(["node-type", "other"]);
  expect(again.metadata.annotations["navarch.dev/taints"]).toBe("node-type:NoSchedule");
});

test.skipIf(missing !== null)("C39: a reload changes what the pool put there", async () => {
  const { plane } = ground;
  const text = readFileSync(plane.config, "utf8")
    .replace("gpu: nvidia-t4", "gpu: nvidia-l4")
    .replace('key: "node-type"', "key: node-kind");
  writeFileSync(plane.config, text);
  process.kill(plane.pid, "SIGHUP");
  const found = await until("the new label and taint", 30_000, async () => {
    const [one] = await nodes();
    return one?.metadata.labels["gpu"] === "nvidia-l4" && keysOf(one).length === 2 ? one : null;
  });
  expect(keysOf(found)).toEqual(["node-kind", "other"]);
  expect(found.metadata.labels["team"]).toBe("blue");
});
