import { expect, test } from "bun:test";
import fc from "fast-check";
import { readPod } from "./read-pod.ts";

const pod = (change: { metadata?: object; spec?: object; status?: object } = {}) => ({
  metadata: { namespace: "ml", name: "p", uid: "u", resourceVersion: "7", ...change.metadata },
  spec: { ...change.spec },
  status: { ...change.status },
});

test("readPod() reads a running training pod", () => {
  const read = readPod(
    pod({
      metadata: {
        labels: { app: "train" },
        annotations: { "navarch.dev/hold": "true", "other.io/a": "b" },
        finalizers: ["example.com/save"],
        deletionTimestamp: "2026-11-21T12:00:30Z",
        ownerReferences: [
          { apiVersion: "v1", kind: "ConfigMap", name: "c", uid: "c" },
          { apiVersion: "apps/v1", kind: "StatefulSet", name: "s", uid: "o", controller: true },
        ],
      },
      spec: {
        nodeName: "gpu-17",
        terminationGracePeriodSeconds: 120,
        volumes: [
          { name: "a", emptyDir: {} },
          { name: "b", persistentVolumeClaim: {} },
        ],
        containers: [
          { resources: { requests: { "nvidia.com/gpu": "4" }, limits: { "nvidia.com/gpu": "4" } } },
          { resources: { limits: { "nvidia.com/gpu": 2 } } },
          { resources: { requests: { cpu: "1" } } },
        ],
        tolerations: [{ operator: "Exists" }, { key: "a", value: "b", effect: "NoSchedule" }],
      },
      status: { phase: "Running" },
    }),
  );
  expect(read).toEqual({
    namespace: "ml",
    name: "p",
    uid: "u",
    resourceVersion: "7",
    node: "gpu-17",
    ips: [],
    phase: "Running",
    controller: { apiVersion: "apps/v1", kind: "StatefulSet", name: "s", uid: "o" },
    mirror: false,
    emptyDir: true,
    claims: true,
    deletionAt: Date.UTC(2026, 10, 21, 12, 0, 30),
    finalizers: ["example.com/save"],
    graceMs: 120_000,
    gpus: 6,
    critical: false,
    tolerations: [
      { key: null, operator: "Exists", value: null, effect: null },
      { key: "a", operator: null, value: "b", effect: "NoSchedule" },
    ],
    labels: { app: "train" },
    annotations: { "navarch.dev/hold": "true" },
  });
});

test("readPod() fills in what a pod leaves out", () => {
  expect(readPod(pod())).toMatchObject({
    node: "",
    phase: "Unknown",
    controller: null,
    mirror: false,
    emptyDir: false,
    claims: false,
    deletionAt: null,
    graceMs: 30_000,
    gpus: 0,
    critical: false,
  });
});

test.each([
  [{ priorityClassName: "system-node-critical" }, true],
  [{ priorityClassName: "system-cluster-critical" }, true],
  [{ priority: 2_000_000_000 }, true],
  [{ priority: 1_999_999_999, priorityClassName: "high" }, false],
])("readPod() finds %j critical: %p", (spec, critical) => {
  expect(readPod(pod({ spec }))?.critical).toBe(critical);
});

test("readPod() knows a mirror by its annotation, whatever it says", () => {
  const annotations = { "kubernetes.io/config.mirror": "" };
  expect(readPod(pod({ metadata: { annotations } }))).toMatchObject({
    mirror: true,
    annotations: {},
  });
});

test("readPod() counts a volume made for the pod as a claim", () => {
  expect(readPod(pod({ spec: { volumes: [{ ephemeral: {} }] } }))?.claims).toBe(true);
});

test.each([
  [0, 0],
  [1, 1_000],
  [-1, 30_000],
  ["60", 30_000],
])("readPod() reads the grace period %j as %j ms", (seconds, ms) => {
  const spec = { terminationGracePeriodSeconds: seconds };
  expect(readPod(pod({ spec }))?.graceMs).toBe(ms);
});

test.each([
  [[{ name: "kueue.x-k8s.io/admission" }], true],
  [[], false],
  [undefined, false],
])("readPod() reads whether it is gated by %j as %j", (schedulingGates, gated) => {
  expect(readPod(pod({ spec: { schedulingGates } }))?.gated === true).toBe(gated);
});

test("readPod() keeps the annotation by which it asks other programs not to disturb it", () => {
  const annotations = { "karpenter.sh/do-not-disrupt": "true", "a.example/b": "c" };
  const read = readPod({ metadata: { namespace: "ml", name: "p", uid: "u", annotations } });
  expect(read?.undisturbed).toBe("karpenter.sh/do-not-disrupt: true");
  expect(read?.annotations).toEqual({});
});

test.each([[null], ["pod"], [{}], [{ metadata: { name: "p", uid: "u" } }], [[{}]]])(
  "readPod() sees nobody in %j",
  (json) => {
    expect(readPod(json)).toBeNull();
  },
);

test("readPod() never throws", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (metadata, spec, status) => {
      readPod({ metadata, spec, status });
      const ids = { namespace: "ml", name: "p", uid: "u" };
      const named = { ...ids, ownerReferences: metadata, finalizers: spec, annotations: status };
      expect(readPod({ metadata: named, spec, status })?.uid).toBe("u");
    }),
  );
});
