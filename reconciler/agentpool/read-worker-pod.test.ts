import { describe, expect, test } from "bun:test";
import { readWorkerPod } from "./read-worker-pod.ts";

type Json = Record<string, unknown>;

const OWNER = { apiVersion: "velda.io/v1", kind: "AgentPool", name: "cpu", uid: "p" };
const pod = (metadata: Json = {}, status: Json = {}): Json => {
  const identity = { name: "cpu-abcde", namespace: "default", uid: "u", resourceVersion: "9" };
  return { metadata: { ...identity, ...metadata }, spec: { nodeName: "n1" }, status };
};

test("a worker's pod is read", () => {
  const labels = { "navarch.dev/agentpool": "cpu", "navarch.dev/agentpool-generation": "4" };
  const creationTimestamp = "2026-01-01T00:00:00Z";
  const metadata = { labels, creationTimestamp, ownerReferences: [{ ...OWNER, controller: true }] };
  expect(readWorkerPod(pod(metadata, { phase: "Running" }))).toEqual({
    ...{ name: "cpu-abcde", namespace: "default", uid: "u", resourceVersion: "9", labels },
    ...{ ownerUid: "p", generation: 4, phase: "Running", isDeleting: false, nodeName: "n1" },
    ...{ createdAt: Date.parse(creationTimestamp), trouble: null },
  });
});

describe("owner", () => {
  const ownerOf = (...ownerReferences: Json[]) => readWorkerPod(pod({ ownerReferences }));
  const job = { apiVersion: "batch/v1", kind: "Job", name: "j", uid: "j", controller: true };

  test("V19: of another controller is not read, whatever its labels", () => {
    expect(ownerOf(job)).toBeNull();
    expect(ownerOf(job, OWNER)).toBeNull();
    expect(ownerOf({ ...OWNER, apiVersion: "other.io/v1" })).toBeNull();
    expect(ownerOf({ ...OWNER, uid: 7 })).toBeNull();
  });

  test("A6: by hand, without `controller`, is one", () => {
    expect(ownerOf(OWNER)?.ownerUid).toBe("p");
  });

  test("none is told as none", () => {
    expect(ownerOf()).toMatchObject({ ownerUid: null, generation: null, phase: "Unknown" });
  });
});

describe("V33: trouble", () => {
  const troubleOf = (status: Json) => readWorkerPod(pod({}, status))?.trouble;
  const waiting = (reason: string, message?: string): Json => {
    return { containerStatuses: [{ name: "agent", state: { waiting: { reason, message } } }] };
  };

  test("image, configuration and room are told apart", () => {
    expect(troubleOf(waiting("ImagePullBackOff", "no such image"))).toEqual({
      ...{ kind: "image", message: "container agent: ImagePullBackOff: no such image" },
    });
    expect(troubleOf(waiting("CreateContainerConfigError"))).toMatchObject({ kind: "config" });
    expect(troubleOf(waiting("ContainerCreating"))).toBeNull();
    const startable = (status: string, phase = "Pending") =>
      troubleOf({
        ...waiting("ContainerCreating"),
        phase,
        conditions: [{ type: "PodReadyToStartContainers", status }],
      });
    expect(startable("False")).toMatchObject({ kind: "mount" });
    expect(startable("True")).toBeNull();
    expect(startable("False", "Succeeded")).toBeNull();
    const condition = { type: "PodScheduled", status: "False", reason: "Unschedulable" };
    expect(troubleOf({ conditions: [{ ...condition, message: "0/3 nodes" }] })).toEqual({
      ...{ kind: "unschedulable", message: "0/3 nodes" },
    });
    expect(troubleOf({ conditions: [{ ...condition, status: "True" }] })).toBeNull();
  });

  test("of an init container counts", () => {
    const { containerStatuses } = waiting("ErrImagePull");
    expect(troubleOf({ initContainerStatuses: containerStatuses })).toMatchObject({
      kind: "image",
    });
  });
});
