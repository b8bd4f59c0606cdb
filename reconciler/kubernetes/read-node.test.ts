import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isNewer } from "../core/kubernetes/object.ts";
import { readCount } from "./read-field.ts";
import { readNode } from "./read-node.ts";

const entry = (manager: string, operation: string, spec: object = { "f:unschedulable": {} }) => ({
  manager,
  operation,
  apiVersion: "v1",
  fieldsType: "FieldsV1",
  fieldsV1: { "f:spec": spec },
});

const node = (change: { metadata?: object; spec?: object; status?: object } = {}) => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "gpu-17", uid: "u-1", resourceVersion: "8812", ...change.metadata },
  spec: { ...change.spec },
  status: { ...change.status },
});

const cordoned = (...managedFields: object[]) =>
  readNode(node({ metadata: { managedFields }, spec: { unschedulable: true } }));

test("readNode() reads a node of a GPU cluster", () => {
  const read = readNode(
    node({
      metadata: {
        labels: { "node.kubernetes.io/instance-type": "p5.48xlarge" },
        annotations: { "navarch.dev/session": "s-1", "volumes.kubernetes.io/attached": "true" },
        managedFields: [entry("navarch-cordon", "Apply"), entry("kubectl", "Update")],
      },
      spec: {
        providerID: "aws:///us-east-1a/i-0abc",
        unschedulable: true,
        taints: [
          { key: "nvidia.com/gpu", value: "present", effect: "NoSchedule" },
          { key: "navarch.dev/draining", effect: "NoSchedule" },
        ],
      },
      status: {
        allocatable: { "nvidia.com/gpu": "8" },
        nodeInfo: { systemUUID: "EC2-1", bootID: "b-1" },
        addresses: [
          { type: "InternalIP", address: "10.0.0.7" },
          { type: "ExternalIP", address: "192.0.2.7" },
          { type: "Hostname", address: "gpu-17.internal" },
        ],
        conditions: [{ type: "Ready", status: "True", reason: "KubeletReady", message: "ok" }],
      },
    }),
  );
  expect(read).toEqual({
    name: "gpu-17",
    uid: "u-1",
    resourceVersion: "8812",
    unschedulable: true,
    own: true,
    others: ["kubectl"],
    annotations: { "navarch.dev/session": "s-1" },
    labels: { "node.kubernetes.io/instance-type": "p5.48xlarge" },
    taints: [
      { key: "nvidia.com/gpu", value: "present", effect: "NoSchedule" },
      { key: "navarch.dev/draining", value: null, effect: "NoSchedule" },
    ],
    conditions: [{ type: "Ready", status: "True", reason: "KubeletReady", message: "ok" }],
    providerId: "aws:///us-east-1a/i-0abc",
    systemUuid: "EC2-1",
    bootId: "b-1",
    ips: ["10.0.0.7", "192.0.2.7"],
    hostname: "gpu-17.internal",
    gpus: 8,
  });
});

test("readNode() keeps the annotation that keeps it from other autoscalers", () => {
  const annotations = { "karpenter.sh/do-not-disrupt": "true", "a.example/b": "c" };
  const read = readNode({ metadata: { name: "n", uid: "u", resourceVersion: "1", annotations } });
  expect(read).toMatchObject({ kept: "karpenter.sh/do-not-disrupt: true", annotations: {} });
});

describe("readNode() tells who owns the cordon", () => {
  test.each([
    ["only we", [entry("navarch-cordon", "Apply")], true, []],
    ["a person", [entry("kubectl-cordon", "Update")], false, ["kubectl-cordon"]],
    ["both", [entry("kubectl", "Update"), entry("navarch-cordon", "Apply")], true, ["kubectl"]],
    ["an update under our name", [entry("navarch-cordon", "Update")], false, ["navarch-cordon"]],
    ["another applier", [entry("flux", "Apply"), entry("flux", "Update")], false, ["flux"]],
    ["nobody, the list being wiped", [], false, ["unknown"]],
    ["nobody of this field", [entry("kubelet", "Update", { "f:taints": {} })], false, ["unknown"]],
    ["somebody without a name", [{ ...entry("", "Update") }], false, ["unknown"]],
  ])("%s", (_who, entries, own, others) => {
    expect(cordoned(...entries)).toMatchObject({ own, others, unschedulable: true });
  });

  test("nobody has to own what is not set", () => {
    expect(readNode(node())).toMatchObject({ unschedulable: false, own: false, others: [] });
  });
});

test.each([[null], [7], ["node"], [[]], [{}], [{ metadata: null }], [{ metadata: { name: "a" } }]])(
  "readNode() sees nobody in %j",
  (json) => {
    expect(readNode(json)).toBeNull();
  },
);

test("readNode() sees nobody where a name would have to be cut", () => {
  expect(readNode(node({ metadata: { name: "a".repeat(254) } }))).toBeNull();
  expect(readNode(node({ metadata: { uid: "u".repeat(129) } }))).toBeNull();
});

test("readNode() takes a field of another type for absent", () => {
  const read = readNode({
    metadata: { name: "n", uid: "u", resourceVersion: 5, labels: [], annotations: "x" },
    spec: { unschedulable: "true", taints: { key: "a" }, providerID: 7 },
    status: { addresses: [7, { type: "InternalIP" }], conditions: [{ type: "Ready" }] },
  });
  expect(read).toMatchObject({
    resourceVersion: "0",
    unschedulable: false,
    labels: {},
    annotations: {},
    taints: [],
    providerId: null,
    ips: [],
    conditions: [],
    gpus: null,
  });
});

test("readNode() cuts text and bounds lists", () => {
  const conditions = Array.from({ length: 3_000 }, (_, i) => ({
    type: `T${i}`,
    status: "True",
    message: "m".repeat(40_000),
  }));
  const read = readNode(node({ status: { conditions } }));
  expect(read?.conditions).toHaveLength(1_024);
  expect(read?.conditions[0]?.message).toHaveLength(1_024);
});

test("readNode() names who wrote the object after our mark, and neither us nor who reacts", () => {
  const entry = (manager: string, time: string, more: object = {}) => {
    return { manager, operation: "Update", time: `2026-11-22T10:00:${time}Z`, ...more };
  };
  const managedFields = [
    entry("navarch-cordon", "10", { operation: "Apply" }),
    entry("navarch", "20"),
    entry("kubelet", "20"),
    entry("kube-controller-manager", "21"),
    entry("gpu-operator", "09"),
    entry("autoscaler", "12"),
    entry("node-janitor", "13"),
    entry("node-problem-detector", "30", { subresource: "status" }),
    { manager: "timeless" },
  ];
  const read = (fields: unknown) =>
    readNode(node({ metadata: { managedFields: fields } }))?.touched;
  expect(read(managedFields)).toEqual(["node-janitor", "autoscaler"]);
  // Without a mark of ours, or with nobody after it, there is nothing to say.
  expect(read(managedFields.slice(1))).toBeUndefined();
  expect(read(managedFields.slice(0, 5))).toBeUndefined();
});

test("readNode() falls back to the label for the hostname", () => {
  const labels = { "kubernetes.io/hostname": "gpu-17" };
  expect(readNode(node({ metadata: { labels } }))?.hostname).toBe("gpu-17");
});

test("readNode() never throws, and names nobody it was not told", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (metadata, spec, status) => {
      expect(readNode({ metadata, spec, status })?.name).toBeUndefined();
      const named = { name: "n", uid: "u", managedFields: metadata, labels: spec };
      expect(readNode({ metadata: named, spec, status })?.uid).toBe("u");
    }),
  );
});

test.each([
  ["8", 8],
  [8, 8],
  ["8k", 8_000],
  ["2Ki", 2_048],
  ["1e3", 1_000],
  ["1E2", 100],
  ["500m", 1],
  ["8000m", 8],
  [" 4 ", 4],
  ["1.5", 2],
  ["0", 0],
  ["+3", 3],
  ["-1", null],
  ["eight", null],
  ["8 GPUs", null],
  ["8constructor", null],
  ["", null],
  [null, null],
  ["9E", null],
  [Number.NaN, null],
])("readCount() reads %j as %j", (value, count) => {
  expect(readCount(value)).toBe(count);
});

test("isNewer() orders versions beyond exact integers", () => {
  expect(isNewer("10", "9")).toBe(true);
  expect(isNewer("9007199254740993", "9007199254740992")).toBe(true);
  expect(isNewer("9", "9")).toBe(false);
});

test("a note is ours if our apply owns it and no share in the mark", () => {
  const note = { "f:annotations": { "f:navarch.dev/session": {} } };
  const entry = (operation: string, spec: object) => ({
    manager: "navarch-cordon",
    operation,
    fieldsV1: { "f:metadata": note, "f:spec": spec },
  });
  const read = (...managedFields: object[]) =>
    readNode(node({ metadata: { managedFields } }))?.noted;
  expect(read(entry("Apply", {}))).toBe(true);
  expect(read(entry("Apply", { "f:unschedulable": {} }))).toBeUndefined();
  expect(read(entry("Update", {}))).toBeUndefined();
  expect(read({ ...entry("Apply", {}), manager: "kubectl" })).toBeUndefined();
  expect(read({ manager: "navarch-cordon", operation: "Apply" })).toBeUndefined();
});
