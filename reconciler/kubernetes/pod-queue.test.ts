import { expect, test } from "bun:test";
import type { KubePod } from "../core/kubernetes/object.ts";
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
      ["a", { pending: 2, running: 1, pendingGpus: 9, runningGpus: 2, wide: 2 }],
      ["b", { pending: 0, running: 1, pendingGpus: 0, runningGpus: 1, wide: 0 }],
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
    pod(null, "Pending"),
    pod("", "Pending"),
  ];
  expect(queueOf(pods, LABEL).size).toBe(0);
  expect(queueOf([pod("a", "Pending")], "toString").size).toBe(0);
});
