import { describe, expect, test } from "bun:test";
import { capacityOf, PRESET_TYPES } from "./catalog.ts";
import { type VirtualNodeSpec, virtualNode } from "./virtual-node.ts";

const SPEC: VirtualNodeSpec = {
  name: "virtual-cpu.x86-abc123",
  labels: {},
  annotations: {},
  resources: { pods: 110, memory: "196692052Ki" },
  conditions: [],
  isTainted: false,
};

describe("W35: capacityOf()", () => {
  const capacity = (type: string) => {
    const answer = capacityOf(type);
    return answer.kind === "ok" ? answer.capacity : null;
  };

  test("W35: knows three presets with the resources of their machines", () => {
    const shared = { "hugepages-1Gi": 0, "hugepages-2Mi": 0, pods: 110 };
    const gpus = { ...shared, "nvidia.com/gpu": 8, "nvidia.com/mlnxnics": 16 };
    expect(PRESET_TYPES).toEqual(["dgxa100.40g", "dgxa100.80g", "dgxh100.80g"]);
    expect(PRESET_TYPES.map(capacity)).toEqual([
      { ...gpus, cpu: 256, memory: "1Ti", "ephemeral-storage": "15Ti" },
      { ...gpus, cpu: 256, memory: "2Ti", "ephemeral-storage": "30Ti" },
      { ...gpus, cpu: 224, memory: "2Ti", "ephemeral-storage": "30Ti" },
    ]);
  });

  test("W35: takes further resources of a preset, and none of its own", () => {
    const added = capacityOf("dgxh100.80g", { "rdma/hca": 8 });
    expect(added).toMatchObject({ kind: "ok", capacity: { "rdma/hca": 8, cpu: 224 } });
    const taken = capacityOf("dgxh100.80g", { "rdma/hca": 8, cpu: 1 });
    expect(taken).toEqual({ kind: "preset", resource: "cpu" });
  });

  test("W36: gives another type its own resources, and the baseline where it has none", () => {
    const own = { cpu: 48, memory: "196692052Ki" };
    expect(capacityOf("cpu.x86", own)).toEqual({ kind: "ok", capacity: own, isBaseline: false });
    expect(capacityOf("cpu.x86")).toEqual({
      kind: "ok",
      capacity: { "hugepages-1Gi": 0, "hugepages-2Mi": 0, pods: 110 },
      isBaseline: true,
    });
    expect(capacityOf("constructor")).toMatchObject({ isBaseline: true });
  });
});

describe("virtualNode()", () => {
  test("W37: writes capacity and allocatable alike, as they were typed", () => {
    const { capacity, allocatable } = virtualNode(SPEC).status;
    expect(JSON.stringify(capacity)).toBe('{"pods":110,"memory":"196692052Ki"}');
    expect(JSON.stringify(allocatable)).toBe(JSON.stringify(capacity));
  });

  test("W34: has no taint unless asked", () => {
    expect(virtualNode(SPEC).spec).toEqual({ providerID: "kwok://virtual-cpu.x86-abc123" });
    expect(virtualNode({ ...SPEC, isTainted: true }).spec.taints).toEqual([
      { key: "kwok.x-k8s.io/node", value: "fake", effect: "NoSchedule" },
    ]);
  });

  test("W34: adds labels and annotations to the standard ones; `type` stays kwok", () => {
    const { labels, annotations } = virtualNode({
      ...SPEC,
      labels: { rack: "a1", type: "mine", "kubernetes.io/arch": "arm64" },
      annotations: { owner: "gpu-team" },
    }).metadata;
    expect(labels).toEqual({
      "beta.kubernetes.io/arch": "amd64",
      "beta.kubernetes.io/os": "linux",
      "kubernetes.io/arch": "arm64",
      "kubernetes.io/os": "linux",
      "kubernetes.io/hostname": SPEC.name,
      "kubernetes.io/role": "agent",
      "node-role.kubernetes.io/agent": "",
      rack: "a1",
      type: "kwok",
    });
    expect(annotations).toEqual({
      "node.alpha.kubernetes.io/ttl": "0",
      "kwok.x-k8s.io/node": "fake",
      owner: "gpu-team",
    });
  });

  test("W34: adds conditions to the kubelet's; one of the same type replaces it", () => {
    const hung = { type: "KernelDeadlock", status: "True", reason: "Hung", message: "a: b" };
    const down = { type: "Ready", status: "False", reason: "Down", message: "" };
    const { conditions } = virtualNode({ ...SPEC, conditions: [hung, down] }).status;
    expect(conditions.map(({ type, status }) => `${type}=${status}`)).toEqual([
      "MemoryPressure=False",
      "DiskPressure=False",
      "PIDPressure=False",
      "KernelDeadlock=True",
      "Ready=False",
    ]);
    expect(conditions).toContainEqual(hung);
  });
});
