import { expect, test } from "bun:test";
import { readConfig } from "./read.ts";

test("C39: a pool's taints are read as a Node has them and as kubectl writes them", () => {
  const text = `server: { address: ":50051" }
providers: { fake: {} }
pools:
  - name: gpu-optimized
    provider: fake
    instance_type: t
    labels: { node-type: gpu-optimized, gpu: nvidia-t4 }
    taints:
      - key: "node-type"
        value: "gpu-optimized"
        effect: "NoSchedule"
      - cloud.google.com/gke-spot=:NoSchedule
      - bare:PreferNoSchedule
      - { key: count, value: 8, effect: NoSchedule }
    scaling: { min_nodes: 1, max_nodes: 8 }
`;
  const { config, problems } = readConfig([{ name: "navarch.yaml", text }]);
  expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
  expect(config?.pools[0]?.taints).toEqual([
    { key: "node-type", value: "gpu-optimized", effect: "NoSchedule" },
    { key: "cloud.google.com/gke-spot", value: "", effect: "NoSchedule" },
    { key: "bare", value: "", effect: "PreferNoSchedule" },
    { key: "count", value: "8", effect: "NoSchedule" },
  ]);
});
