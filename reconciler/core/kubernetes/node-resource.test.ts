import { expect, test } from "bun:test";
import { nameLabels, occupancyOf, sumUses } from "./node-resource.ts";
import { UNIT } from "./quantity.ts";

test("W48: label keys are mapped to Prometheus names", () => {
  const keys = ["nvidia.com/gpu.count", "nodeType", "1st", "topology.kubernetes.io/zone"];
  expect(nameLabels(keys)).toEqual({
    ok: true,
    labels: [
      { key: "nvidia.com/gpu.count", name: "nvidia_com_gpu_count" },
      { key: "nodeType", name: "nodeType" },
      { key: "1st", name: "_1st" },
      { key: "topology.kubernetes.io/zone", name: "topology_kubernetes_io_zone" },
    ],
  });
  expect(nameLabels([])).toEqual({ ok: true, labels: [] });
  expect(nameLabels(["a", "a"])).toEqual({ ok: true, labels: [{ key: "a", name: "a" }] });
});

test.each([
  [["a.b/c", "a.b.c"], "labels a.b/c and a.b.c are both a_b_c in Prometheus"],
  [["node"], "label node: every series has a label node already"],
  [["resource"], "label resource: every series has a label resource already"],
])("W48: labels %p are refused: they would make two series one", (keys, message) => {
  expect(nameLabels(keys)).toEqual({ ok: false, message });
});

test("W46: occupancy is 100 · requests / allocatable, only where something is allocatable", () => {
  expect(occupancyOf(4n * UNIT, "8")).toBe(50);
  expect(occupancyOf(UNIT / 10n, "300m")).toBeCloseTo(100 / 3, 12);
  expect(occupancyOf(16n * UNIT, "8")).toBe(200);
  expect(occupancyOf(0n, "8")).toBe(0);
  for (const none of ["0", "-1", "eight", null]) expect(occupancyOf(UNIT, none)).toBeNull();
});

test("W46: requests and limits are summed over the pods; an idle node has 0", () => {
  const node = { name: "n", labels: {}, allocatable: [], uses: () => [] };
  const pod = [
    { requests: 1n, limits: 2n },
    { requests: 3n, limits: 0n },
  ];
  expect(sumUses(["cpu", "memory"], node)).toEqual([
    { requests: 0n, limits: 0n },
    { requests: 0n, limits: 0n },
  ]);
  expect(sumUses(["cpu", "memory"], { ...node, uses: () => [pod, pod] })).toEqual([
    { requests: 2n, limits: 4n },
    { requests: 6n, limits: 0n },
  ]);
});
