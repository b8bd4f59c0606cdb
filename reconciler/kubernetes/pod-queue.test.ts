import { describe, expect, test } from "bun:test";
import type { KubePod } from "../core/kubernetes/object.ts";
import type { QueuePool } from "../core/kubernetes/scheduler.ts";
import type { PoolName } from "../../schema/id.ts";
import { queueOf } from "./pod-queue.ts";

const LABEL = "navarch.dev/pool";

const pod = (pool: string | null, phase: string, part: Partial<KubePod> = {}): KubePod => ({
  namespace: "default",
  name: "p",
  uid: "u",
  resourceVersion: "1",
  node: "",
  ips: [],
  phase,
  controller: null,
  mirror: false,
  emptyDir: false,
  claims: false,
  deletionAt: null,
  finalizers: [],
  graceMs: 30_000,
  gpus: 0,
  critical: false,
  tolerations: [],
  labels: pool === null ? {} : { [LABEL]: pool },
  annotations: {},
  ...part,
});

test("queueOf() counts by pool what waits and what runs", () => {
  const pods = [
    pod("a", "Pending", { gpus: 1 }),
    pod("a", "Pending", { gpus: 8, node: "n1" }),
    pod("a", "Running", { gpus: 2, node: "n1" }),
    pod("b", "Running", { gpus: 1, node: "n1" }),
  ];
  expect(queueOf(pods, LABEL)).toEqual(
    new Map([
      ["a", { pending: 2, running: 1, pendingGpus: 9, runningGpus: 2, wide: 2, widest: 8 }],
      ["b", { pending: 0, running: 1, pendingGpus: 0, runningGpus: 1, wide: 0, widest: 0 }],
    ]),
  );
});

test("queueOf() leaves out what ends, has ended or belongs to no pool", () => {
  const pods = [
    pod("a", "Succeeded"),
    pod("a", "Failed"),
    pod("a", "Unknown"),
    pod("a", "Running", { deletionAt: 1 }),
    pod("a", "Pending", { deletionAt: 1 }),
    pod("a", "Pending", { gated: true, gpus: 8 }),
    pod(null, "Pending"),
    pod("", "Pending"),
  ];
  expect(queueOf(pods, LABEL).size).toBe(0);
  expect(queueOf([pod("a", "Pending")], "toString").size).toBe(0);
});

describe("C78: a pod without the label waits for the pool that it selects and tolerates", () => {
  const poolOf = (name: string, more: Partial<QueuePool> = {}): QueuePool => ({
    name: name as PoolName,
    labels: { "node-type": name, pool: name },
    taints: [{ key: "node-type", value: name, effect: "NoSchedule" }],
    ...more,
  });
  const pools = [poolOf("cpu"), poolOf("gpu"), poolOf("gpu-soft", { labels: { soft: "yes" } })];
  const toleration = (value: string | null, more: object = {}) => ({
    ...{ key: "node-type", operator: "Equal", value, effect: "NoSchedule" },
    ...more,
  });
  const gpu = { selector: { "node-type": "gpu" }, tolerations: [toleration("gpu")], gpus: 1 };
  const every = { operator: "Exists" };
  const linux = { "kubernetes.io/os": "linux" };
  const daemon = { apiVersion: "apps/v1", kind: "DaemonSet" };
  const found = (part: Partial<KubePod>, of = pools): string[] => [
    ...queueOf([pod(null, "Pending", part)], LABEL, of).keys(),
  ];

  test("and each pool has its own queue", () => {
    const cpu = { selector: { "node-type": "cpu" }, tolerations: [toleration("cpu")] };
    const pods = [pod(null, "Pending", gpu), pod(null, "Running", gpu), pod(null, "Pending", cpu)];
    expect(queueOf(pods, LABEL, pools)).toEqual(
      new Map([
        ["gpu", { pending: 1, running: 1, pendingGpus: 1, runningGpus: 1, wide: 0, widest: 1 }],
        ["cpu", { pending: 1, running: 0, pendingGpus: 0, runningGpus: 0, wide: 0, widest: 0 }],
      ]),
    );
    expect(queueOf([pod("cpu", "Pending", gpu)], LABEL, pools).has("gpu")).toBe(false);
  });

  test.each<[string, Partial<KubePod>, string[]]>([
    ["its exact toleration", {}, ["gpu"]],
    ["one of any value", { tolerations: [toleration(null, every)] }, ["gpu"]],
    ["one of every key", { tolerations: [toleration(null, { ...every, key: null })] }, ["gpu"]],
    ["one of every effect", { tolerations: [toleration("gpu", { effect: null })] }, ["gpu"]],
    ["one of another value", { tolerations: [toleration("cpu")] }, []],
    ["one of another effect", { tolerations: [toleration("gpu", { effect: "NoExecute" })] }, []],
    ["no toleration", { tolerations: [] }, []],
    ["a label that no pool has", { selector: { ...gpu.selector, rack: "r1" } }, []],
    ["the system's label besides", { selector: { ...gpu.selector, ...linux } }, ["gpu"]],
    ["the system's label alone", { selector: linux }, []],
    ["a DaemonSet", { controller: { ...daemon, name: "d", uid: "u" } }, []],
  ])("with %s", (_what, part, names) => expect(found({ ...gpu, ...part })).toEqual(names));

  test("with two pools that are alike, the first", () => {
    const twins = [poolOf("a", { labels: { x: "1" }, taints: [] })];
    const twin = poolOf("b", { labels: { x: "1" }, taints: [] });
    expect(found({ selector: { x: "1" } }, [...twins, twin])).toEqual(["a"]);
  });
});
