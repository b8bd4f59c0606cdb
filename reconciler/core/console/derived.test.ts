import { expect, test } from "bun:test";
import type { ClusterEvent, PodFacts } from "../../../schema/console/cluster.ts";
import type { EventQuery } from "./cluster.ts";
import { categoryOf, matchesEvent } from "./event.ts";
import { fluxKindOf, fluxState, pluralOf } from "./flux.ts";
import { nodeStatus } from "./node.ts";
import { type ContainerState, podStatus, type PodState } from "./pod-status.ts";
import { viewPod } from "./pod.ts";
import { countPhases, healthOf, utilisation } from "./stats.ts";
import { suggestForFlux, suggestForStore } from "./suggestion.ts";

const NOW = Date.parse("2026-11-23T12:00:00Z");
const MINUTE_MS = 60_000;
const ago = (minutes: number): string => new Date(NOW - minutes * MINUTE_MS).toISOString();

const running: PodFacts = {
  ...{ name: "web-1", namespace: "kai-ml", status: "Running", phase: "Running" },
  ...{ nodeName: "gpu-1", ip: "10.0.0.1", startTime: ago(60), containers: [] },
  ...{ initContainers: [], labels: {}, conditions: [], uid: "u-1" },
  ...{ creationTimestamp: ago(60), deletionTimestamp: null, owner: null, isMirror: false },
  resources: { requests: {}, limits: {} },
};

test("C16: Nodes that are not ready and many failed pods make a cluster unhealthy, one does not", () => {
  const pods = { failed: 0, pending: 0, total: 100 };
  const up = { total: 10, notReady: 0 };
  expect(healthOf(pods, up)).toBe("healthy");
  expect(healthOf({ ...pods, pending: 1 }, up)).toBe("degraded");
  expect(healthOf({ ...pods, failed: 1 }, up)).toBe("degraded");
  expect(healthOf({ failed: 1, pending: 0, total: 1 }, up)).toBe("degraded");
  expect(healthOf({ ...pods, failed: 11 }, up)).toBe("unhealthy");
  expect(healthOf(pods, { total: 10, notReady: 1 })).toBe("degraded");
  expect(healthOf(pods, { total: 10, notReady: 5 })).toBe("unhealthy");
  expect(healthOf(pods, { total: 0, notReady: 0 })).toBe("healthy");
});

test("C17: a phase that is not listed is unknown", () => {
  const phases = ["Running", "Running", "Pending", "Failed", "Succeeded", "Unknown", ""];
  const counts = countPhases([...phases, "constructor"].map((phase) => ({ phase })));
  expect(counts).toEqual({
    ...{ total: 8, running: 2, pending: 1, failed: 1, succeeded: 1, unknown: 3 },
  });
});

const waiting = (reason: string): ContainerState => ({ kind: "waiting", reason });
const ended = (exitCode: number, reason = "", signal = 0): ContainerState => {
  return { kind: "terminated", exitCode, reason, signal };
};
const pod = (part: Partial<PodState>): PodState => ({
  ...{ phase: "Running", reason: "", isDeleting: false, isGated: false, isInitialized: true },
  ...{ isReady: true, initCount: 0, inits: [], containers: [] },
  ...part,
});
const init = (state: ContainerState, isSidecar = false, started = false) => {
  return { state, ready: false, isSidecar, started };
};

test("C18: the status of a pod is what kubectl prints", () => {
  const up = { state: { kind: "running" } as const, ready: true };
  const not = { state: { kind: "running" } as const, ready: false };
  const one = (state: ContainerState) => ({ containers: [{ state, ready: false }] });
  const completed = { state: ended(0, "Completed"), ready: false };
  const starting = (initCount: number, ...inits: PodState["inits"]) => {
    return { isInitialized: false, initCount, inits };
  };
  const sidecar = init({ kind: "running" }, true, true);
  const cases: [string, Partial<PodState>][] = [
    ["Running", { containers: [up] }],
    ["Terminating", { isDeleting: true, containers: [up] }],
    ["Succeeded", { isDeleting: true, phase: "Succeeded" }],
    ["Unknown", { isDeleting: true, reason: "NodeLost" }],
    ["Evicted", { phase: "Failed", reason: "Evicted" }],
    ["SchedulingGated", { phase: "Pending", isGated: true }],
    ["CrashLoopBackOff", one(waiting("CrashLoopBackOff"))],
    ["ContainerCreating", one(waiting("ContainerCreating"))],
    ["Completed", { phase: "Succeeded", containers: [completed] }],
    ["Running", { containers: [up, completed] }],
    ["NotReady", { isReady: false, containers: [up, completed] }],
    ["Completed", { containers: [not, completed] }],
    ["OOMKilled", { containers: [{ state: ended(137, "OOMKilled"), ready: false }, up] }],
    ["Signal:9", one(ended(137, "", 9))],
    ["ExitCode:3", one(ended(3))],
    ["Init:0/2", starting(2, init({ kind: "running" }))],
    ["Init:1/2", starting(2, init(ended(0)), init(waiting("PodInitializing")))],
    ["Init:Error", starting(1, init(ended(1, "Error")))],
    ["Init:ExitCode:2", starting(1, init(ended(2)))],
    ["Init:Signal:15", starting(1, init(ended(1, "", 15)))],
    ["Init:CrashLoopBackOff", starting(1, init(waiting("CrashLoopBackOff")))],
    ["Running", { ...starting(1, sidecar), containers: [up] }],
    ["Init:0/1", starting(1, init({ kind: "running" }, true))],
    ["Running", { initCount: 1, inits: [init(ended(1, "Error"), true, true)], containers: [up] }],
  ];
  for (const [status, part] of cases) expect([part, podStatus(pod(part))]).toEqual([part, status]);
});

const pending = { ...running, phase: "Pending", status: "Pending", startTime: null };

test("C19: a pod is stuck by its status and its time", () => {
  const stuck = (part: Partial<PodFacts>) => viewPod({ ...pending, ...part }, NOW).stuck;
  expect(stuck({ creationTimestamp: ago(11) })).toBe("Pending");
  expect(stuck({ creationTimestamp: ago(10) })).toBeNull();
  const creating = { status: "ContainerCreating", creationTimestamp: ago(60) };
  expect(stuck({ ...creating, startTime: ago(6) })).toBe("ContainerCreating");
  expect(stuck({ ...creating, creationTimestamp: ago(9), startTime: ago(5) })).toBeNull();
  for (const status of ["ImagePullBackOff", "ErrImagePull", "Init:ImagePullBackOff"]) {
    expect(stuck({ status, creationTimestamp: ago(1) })).toBe("ImagePullBackOff");
  }
  const crash = { ...running, status: "CrashLoopBackOff" };
  expect(viewPod(crash, NOW).stuck).toBe("CrashLoopBackOff");
  expect(viewPod(running, NOW).stuck).toBeNull();
  // A clock of the cluster that is ahead makes nothing stuck.
  expect(stuck({ creationTimestamp: ago(-500) })).toBeNull();
  expect(stuck({ status: "Terminating", creationTimestamp: ago(60) })).toBeNull();
});

test("C20: a young pod of a Deployment is scaling", () => {
  const labels = { "pod-template-hash": "abc" };
  const scaling = (minutes: number, of: Record<string, string>) => {
    return viewPod({ ...running, labels: of, creationTimestamp: ago(minutes) }, NOW).scaling;
  };
  expect(scaling(29, labels)).toBe(true);
  expect(scaling(30, labels)).toBe(false);
  expect(scaling(1, {})).toBe(false);
});

test("C21: a cordoned node is never plainly ready", () => {
  expect(nodeStatus("True", false)).toBe("Ready");
  expect(nodeStatus("True", true)).toBe("Ready,SchedulingDisabled");
  expect(nodeStatus("False", false)).toBe("NotReady");
  expect(nodeStatus("Unknown", true)).toBe("Unknown,SchedulingDisabled");
  expect(nodeStatus(null, false)).toBe("Unknown");
});

test("C22: warnings whose reason says that something failed are errors", () => {
  const of = (type: string, reason: string) => categoryOf({ type, reason });
  expect(of("Normal", "FailedScheduling")).toBe("normal");
  for (const reason of ["FailedScheduling", "FailedMount", "BackOff", "Evicted", "OOMKilling"]) {
    expect([reason, of("Warning", reason)]).toEqual([reason, "error"]);
  }
  for (const reason of ["NetworkError", "NotTriggerScaleUp", "Failed"]) {
    expect([reason, of("Warning", reason)]).toEqual([reason, "error"]);
  }
  for (const reason of ["Unhealthy", "BackOffPull", "EvictedByMe", "errors", "NotFailed", ""]) {
    expect([reason, of("Warning", reason)]).toEqual([reason, "warning"]);
  }
  expect(of("Strange", "X")).toBe("warning");
});

test("C5, C28: events are filtered by namespace, type, kind, name and free text", () => {
  const event: ClusterEvent = {
    ...{ name: "web-1.17", namespace: "kai-ml", type: "Warning", reason: "FailedMount" },
    ...{ message: "no volume", count: 2, firstTimestamp: null, lastTimestamp: null },
    involvedObject: { kind: "Pod", name: "web-1", namespace: "kai-ml" },
    source: { component: "kubelet" },
    category: "error",
  };
  const all: EventQuery = { namespace: null, type: null, kind: null, name: null, text: null };
  const matches = (part: Partial<EventQuery>) => matchesEvent(event, { ...all, ...part });
  expect(matches({})).toBe(true);
  const yes = [{ namespace: "kai-ml" }, { type: "warning" }, { type: "error" }, { kind: "pod" }];
  for (const part of [...yes, { name: "web-1" }, { text: "VOLUME" }, { text: "failedm" }]) {
    expect([part, matches(part)]).toEqual([part, true]);
  }
  const no = [{ namespace: "kai" }, { type: "Normal" }, { kind: "Node" }, { name: "web" }];
  for (const part of [...no, { text: "nothing" }]) {
    expect([part, matches(part)]).toEqual([part, false]);
  }
});

test("C23: utilisation says by what it is measured", () => {
  expect(utilisation(8, 2)).toEqual({
    ...{ allocatable: 8, requested: 2, percent: 25, basis: "requested" },
  });
  expect(utilisation(8, 2, 6)).toEqual({
    ...{ allocatable: 8, requested: 2, used: 6, percent: 75, basis: "used" },
  });
  expect(utilisation(0, 0).percent).toBeNull();
  expect(utilisation(null, null).percent).toBeNull();
  expect(utilisation(8, 0, 0).percent).toBe(0);
});

test("C75: the state of a Flux object follows its Ready condition", () => {
  expect(fluxState({ status: "True" }, false)).toBe("Reconciled");
  expect(fluxState({ status: "Unknown", reason: "Progressing" }, false)).toBe("Reconciling");
  expect(fluxState({ status: "False", reason: "Progressing" }, false)).toBe("Reconciling");
  expect(fluxState({ status: "False", reason: "ArtifactFailed" }, false)).toBe("Failed");
  expect(fluxState(undefined, false)).toBe("Reconciling");
  expect(fluxState({ status: "False" }, true)).toBe("Suspended");
});

test("C74: kinds of Flux are named as people write them", () => {
  for (const text of ["helmrelease", "HelmRelease", "helmreleases"]) {
    expect(fluxKindOf(text)).toBe("HelmRelease");
  }
  expect(fluxKindOf("gitrepositories")).toBe("GitRepository");
  expect(fluxKindOf("secret")).toBeNull();
  expect(fluxKindOf("constructor")).toBeNull();
  expect(pluralOf("HelmRepository")).toBe("helmrepositories");
  expect(pluralOf("Kustomization")).toBe("kustomizations");
});

test("C29: each failed item has suggestions", () => {
  const of = (part: Partial<PodFacts>) => {
    return viewPod({ ...pending, creationTimestamp: ago(60), ...part }, NOW).suggestions;
  };
  const text = (part: Partial<PodFacts>) => JSON.stringify(of(part));
  expect(text({})).toMatch(/CPU, memory or GPUs.*volume.*node selector/s);
  expect(text({ status: "ContainerCreating", startTime: ago(9) })).toContain("ConfigMap");
  expect(text({ status: "ImagePullBackOff" })).toContain("image");
  const killed = { name: "a", image: "a", ready: false, restartCount: 3, state: "waiting" };
  const crash = { ...running, status: "CrashLoopBackOff" };
  const first = (part: Partial<PodFacts>) => of({ ...crash, ...part })[0]?.cause;
  expect(first({ containers: [{ ...killed, lastReason: "OOMKilled" }] })).toContain("memory");
  expect(first({ containers: [killed] })).toContain("application");
  expect(text({ ...running, phase: "Failed", status: "Error" })).toContain("previous container");
  expect(text({ phase: "Failed", status: "Evicted" })).toContain("kubelet evicted");
  expect(viewPod(running, NOW).suggestions).toEqual([]);
  expect(suggestForStore({ busyPercent: 79, waitSeconds: 0.9 })).toEqual([]);
  expect(suggestForStore({ busyPercent: 80, waitSeconds: 0 })).toHaveLength(3);
  expect(suggestForStore({ busyPercent: 0, waitSeconds: 1 })[0]?.cause).toContain("CPU");
  expect(suggestForFlux({ message: "chart not found" })[0]?.cause).toContain("chart");
  expect(suggestForFlux({ message: "dial: connection refused" })[0]?.cause).toContain("refuses");
  expect(suggestForFlux({ message: "context deadline exceeded" })[0]?.cause).toContain("in time");
});
