/** C24–C29: the page of the cluster from values: sections, tabs, suggestions, actions, failures. */
import { expect, test } from "bun:test";
import type { ClusterEvent, ConsoleNode, Pod } from "../../../schema/console/cluster.ts";
import type { Pipeline } from "../../../schema/console/pipeline.ts";
import { suggestForPipeline } from "../../core/console/pipeline.ts";
import { deploymentPage, type DeploymentPageFrom, NODES_SHOWN } from "./deployment.ts";
import { formatPage } from "./layout.ts";
import type { Page } from "./page.ts";
import { podEventsPage, podLogPage, podPage } from "./pod.ts";

const AT = "2026-11-23T12:00:00Z";
const EVIL = '<img src=x onerror="alert(1)">\u202e\u0000';
const FRAME = {
  assets: { style: "/s", script: "/j", icon: "/i" },
  ...{ entries: [{ path: "/deployment", label: "Deployment" }], reader: null, csrf: null },
  ...{ notices: [], live: null, now: Date.parse(AT) },
};

/** The document. Fails if an id is twice or has a space, or a row lacks a cell. */
function render(page: Page): string {
  for (const block of page.blocks) {
    if (block.kind !== "table") continue;
    for (const row of block.rows) expect(row.cells).toHaveLength(block.columns.length);
  }
  const text = formatPage(page, FRAME);
  const ids = [...text.matchAll(/ id="([^"]*)"/g)].map(([, id = ""]) => id);
  expect(ids.filter((id) => /\s/.test(id))).toEqual([]);
  expect(ids.length).toBe(new Set(ids).size);
  return text;
}

const use = { allocatable: 8, requested: 4, percent: 50, basis: "requested" } as const;

const pod = (name: string, change: Partial<Pod> = {}): Pod => ({
  ...{ name, namespace: "kai-ml", status: "Running", phase: "Running", nodeName: "gpu-1" },
  ...{ ip: "10.0.0.9", startTime: AT, labels: { app: "web" }, uid: "u", creationTimestamp: AT },
  containers: [
    { name: "c1", image: "web:1", ready: true, restartCount: 2, state: "running" },
    {
      ...{ name: "c2", image: "web:2", ready: false, restartCount: 1, state: "waiting" },
      ...{ reason: "CrashLoopBackOff", lastReason: "OOMKilled", exitCode: 137 },
    },
  ],
  initContainers: [],
  conditions: [
    { type: "Ready", status: "False", lastTransitionTime: AT, reason: EVIL, message: EVIL },
  ],
  ...{ deletionTimestamp: null, owner: { kind: "ReplicaSet", name: "web" }, isMirror: false },
  resources: { requests: { cpu: 1.5, memory: 2 ** 30 }, limits: {} },
  ...{ age: 60, stuck: null, scaling: false, suggestions: [] },
  ...change,
});

const node = (name: string, change: Partial<ConsoleNode> = {}): ConsoleNode => ({
  ...{ name, uid: "u", status: "Ready", roles: [], version: "v1.33.1", internalIP: "10.0.0.1" },
  ...{ osImage: "", kernelVersion: "", containerRuntime: "", conditions: [] },
  ...{ capacity: { cpu: 1, memory: 1, pods: 1 }, allocatable: { cpu: 1, memory: 1, pods: 1 } },
  ...{ creationTimestamp: AT, labels: {}, unschedulable: false, taints: [], cordon: null },
  ...{ node: `node-${name}`, pool: "train", repair: null },
  gpu: { count: 8, allocatable: 8, verdict: "healthy", worst: null },
  ...change,
});

const event = (name: string, change: Partial<ClusterEvent> = {}): ClusterEvent => ({
  ...{ name, namespace: "kai-ml", type: "Warning", reason: "BackOff", message: EVIL, count: 3 },
  ...{ firstTimestamp: AT, lastTimestamp: AT, category: "error" },
  involvedObject: { kind: "Pod", name: "web-1", namespace: "kai-ml" },
  source: { component: "kubelet", host: "gpu-1" },
  ...change,
});

const pipeline = (id: string): Pipeline => {
  const stages = [
    { name: "deploy", status: "failed" as const, duration: 3, error: EVIL },
    { name: "build", status: "success" as const, duration: 9, error: null },
  ];
  const run = {
    ...{ id, name: EVIL, status: "failed" as const, branch: EVIL, commit: "0123456789abcdef" },
    ...{ commitMessage: "Fix\nmore", author: EVIL, startTime: AT, endTime: AT, stages },
  };
  return { ...run, receivedAt: AT, suggestions: suggestForPipeline(run) };
};

const suggestions = [{ cause: "It crashes.", resolution: "Read the log." }];

function values(change: Partial<DeploymentPageFrom> = {}): DeploymentPageFrom {
  const url = new URL("http://x/deployment");
  const ok = <T>(value: T) => ({ kind: "ok" as const, value });
  const shown = (nodes: ConsoleNode[]) => ok({ shown: nodes, total: nodes.length });
  return {
    ...{ url, namespaces: ["default", "kai-ml"], nodesPage: 1, after: null },
    filters: { namespace: null, type: null, kind: null, name: null, q: null },
    writer: { busyPercent: 3, waitSeconds: 0 },
    stats: ok({
      ...{ nodes: 2, deployments: 3, services: 4, health: "unhealthy" as const },
      pods: { total: 12, running: 7, pending: 2, failed: 1, succeeded: 1, unknown: 1 },
      utilisation: { cpu: use, memory: use, storage: { ...use, percent: null }, gpu: use },
      fleet: { below_minimum: [{ pool: "train", serving: 1, minimum: 2 }], in_repair: 1 },
    }),
    nodes: shown([
      node("gpu-1", {
        status: "Ready,SchedulingDisabled",
        unschedulable: true,
        cordon: { owner: "navarch", reason: EVIL, since: AT, preexisting: true },
        gpu: { count: 8, allocatable: 7, verdict: "unhealthy", worst: "XID 79 on GPU 3" },
        repair: { id: "r1", since: AT, step: "draining", stepSince: AT, reasons: ["XID 79"] },
      }),
      node("cpu-1", { node: null, pool: null }),
    ]),
    pods: ok({
      pods: [
        pod("web-1", { scaling: true }),
        pod("web-2", { stuck: "CrashLoopBackOff", status: "CrashLoopBackOff", suggestions }),
      ],
      next: "kai-ml/web-2",
    }),
    pipelines: [pipeline("run-1")],
    flux: ok({
      objects: [
        {
          ...{ name: "coordinator", namespace: "flux-system", type: "HelmRelease" as const },
          ...{ apiVersion: "v2", status: "Failed" as const, source: null, revision: null },
          ...{ lastUpdated: AT, conditions: [], error: "chart not found", suggestions },
        },
      ],
      absent: [],
    }),
    events: ok([event("e1"), event("e2", { category: "normal" })]),
    ...change,
  };
}

test("C25: overview, nodes, pods, pipelines, Flux and events come in this order", () => {
  const text = render(deploymentPage(values()));
  const headings = [...text.matchAll(/<h2[^>]*>([^<]*)</g)].map(([, heading]) => heading);
  expect(headings).toEqual([
    ...["Overview", "Nodes", "Pods", "CI/CD Pipelines", "Flux deployments", "Events"],
  ]);
  expect(text).toContain("7 running, 2 pending, 1 failed, 1 succeeded, 1 unknown");
  expect(text).toContain("train 1 of 2");
  expect(text).toMatch(/50 % requested/);
  expect(text).toContain('Read at <span id="read-at">');
});

test("C24: markup and marks of direction of a cluster stay text on every page", () => {
  const log = { podName: "web-1", containerName: "c1", namespace: "kai-ml", timestamp: AT };
  const logs = { ...log, logs: `\u001b[31mred\u001b[0m ${EVIL}\r\nnext`, containers: ["c1", EVIL] };
  const choice = { container: null, previous: true, tail: "200" };
  const pages = [
    deploymentPage(values({ filters: { ...values().filters, q: EVIL, namespace: EVIL } })),
    podPage(pod("web-1")),
    podEventsPage(pod("web-1"), { kind: "ok", value: [event("e1")] }),
    podLogPage(pod("web-1"), choice, { kind: "ok", value: { ...logs, truncated: false } }),
  ];
  for (const page of pages) {
    const text = render(page);
    expect(text).not.toContain("<img");
    expect(text.replace(/(?:value|href)="[^"]*"/g, "")).not.toMatch(/[\u202e\u0000\u001b]/);
    expect(text).not.toMatch(/ (?:style|onerror)="/);
  }
});

test("C26: a pod has tabs as links, its containers, conditions and use", () => {
  const text = render(podPage(pod("web-1")));
  for (const tab of ["", "/logs", "/events"]) {
    expect(text).toContain(`href="/deployment/pod/kai-ml/web-1${tab}"`);
  }
  expect(text).toContain("waiting: CrashLoopBackOff, exit code 137");
  expect(text).toContain("cpu 1.5, memory 1 GiB");
  expect(text).toContain("ReplicaSet web");
  expect(text).toContain("OOMKilled");
  const lone = render(podPage(pod("a-b-c", { namespace: "x-y", owner: null })));
  expect(lone).toContain("nothing replaces it");
  expect(lone).toContain('href="/deployment/pod/x-y/a-b-c/restart"');
});

test("C26: a log says which container it is of, and that its reading is audited", () => {
  const log = {
    ...{ podName: "web-1", containerName: "c2", namespace: "kai-ml", logs: "line 1\nline 2" },
    ...{ timestamp: AT, containers: ["c1", "c2"], truncated: true },
  };
  const choice = { container: null, previous: true, tail: "1000" };
  const text = render(podLogPage(pod("web-1"), choice, { kind: "ok", value: log }));
  expect(text).toContain("Log of c2");
  expect(text).toContain('<option value="c2" selected>');
  expect(text).toContain('value="true" checked');
  expect(text).toContain("line 1\nline 2");
  expect(text).toContain("in the audit");
  expect(text).toContain("The newest lines are missing");
  const long = { ...log, logs: "x".repeat(300_000) };
  const cut = render(podLogPage(pod("web-1"), choice, { kind: "ok", value: long }));
  expect(cut.length).toBeLessThan(220_000);
  expect(cut).toContain("Older lines are left out");
  const failed = { kind: "failed" as const, code: "unavailable" as const, message: EVIL };
  expect(render(podLogPage(pod("web-1"), choice, failed))).toContain("The log cannot be read");
});

test("C19: only a stuck pod has a button that terminates it", () => {
  const text = render(deploymentPage(values()));
  expect(text).toContain('href="/deployment/pod/kai-ml/web-2/kill"');
  expect(text).not.toContain('href="/deployment/pod/kai-ml/web-1/kill"');
  expect(text).toContain('aria-label="Terminate pod kai-ml/web-2"');
});

test("C27: a node shows pool, GPUs, verdict with cause, cordon, repair; orders are the fleet's", () => {
  const text = render(deploymentPage(values()));
  for (const shown of ["Ready,SchedulingDisabled", "7 of 8", "XID 79 on GPU 3", "draining"]) {
    expect(text).toContain(shown);
  }
  expect(text).toContain("(also cordoned before)");
  for (const verb of ["uncordon", "drain", "replace"]) {
    expect(text).toContain(`href="/fleet/node/node-gpu-1/${verb}"`);
  }
  expect(text).toContain("not of this fleet");
  const { blocks } = deploymentPage(values());
  expect(blocks[1]).toMatchObject({ rows: [{ tone: "busy" }, { tone: "ok" }] });
});

test("C28: the filter is in the form and in the links, and events over 50 are counted", () => {
  const filters = { namespace: "kai-ml", type: "error", kind: "Pod", name: "web-1", q: "back" };
  const many = Array.from({ length: 130 }, (_, at) => event(`e${at}`));
  const text = render(deploymentPage(values({ filters, events: { kind: "ok", value: many } })));
  expect(text).toContain('<option value="kai-ml" selected>');
  expect(text).toContain('<option value="error" selected>');
  expect(text).toContain('name="q" value="back"');
  expect(text).toContain("80 older events match too");
  const query = "namespace=kai-ml&amp;type=error&amp;kind=Pod&amp;name=web-1&amp;q=back";
  expect(text).toContain(`${query}&amp;after=kai-ml%2Fweb-2#pods`);
});

test("C29: each failed pod, pipeline and Flux object, and a slow store, has suggestions, the others none", () => {
  const { blocks } = deploymentPage(values());
  const text = render(deploymentPage(values()));
  expect(text.match(/<details>/g)).toHaveLength(3);
  expect(text).toContain("The deployment is refused or does not become ready.");
  expect(text).toContain("chart not found");
  expect(blocks.length).toBe(6);
  const slow = render(deploymentPage(values({ writer: { busyPercent: 92, waitSeconds: 2 } })));
  expect(slow.match(/<details>/g)).toHaveLength(4);
  expect(slow).toContain("slow: 92 % busy, 2.0 s wait");
});

test("C76: without Flux the panel says so, and a section that fails leaves the others", () => {
  const absent = ["Kustomization", "HelmRelease", "GitRepository", "HelmRepository"] as const;
  const none = { kind: "ok" as const, value: { objects: [], absent: [...absent] } };
  const text = render(deploymentPage(values({ flux: none })));
  expect(text).toContain("Flux is not installed here");
  const failed = { kind: "failed" as const, code: "unavailable" as const, message: "no answer" };
  const all = { stats: failed, nodes: failed, pods: failed, flux: failed, events: failed };
  const broken = render(deploymentPage(values({ ...all, pipelines: [] })));
  expect(broken.match(/Cannot be read: no answer/g)).toHaveLength(5);
  expect(broken).toContain("POST /api/pipelines");
});

test("10,000 nodes are pages of 50, below 300 KiB", () => {
  const nodes = Array.from({ length: NODES_SHOWN }, (_, at) => node(`gpu-${at}`));
  const pods = Array.from({ length: 50 }, (_, at) => pod(`web-${at}`, { suggestions }));
  const text = render(
    deploymentPage(
      values({
        nodes: { kind: "ok", value: { shown: nodes, total: 10_000 } },
        pods: { kind: "ok", value: { pods, next: "kai-ml/web-99" } },
        events: { kind: "ok", value: Array.from({ length: 1_000 }, (_, at) => event(`e${at}`)) },
        pipelines: Array.from({ length: 20 }, (_, at) => pipeline(`run-${at}`)),
        nodesPage: 2,
      }),
    ),
  );
  expect(text).toContain("51–100 of 10000");
  expect(text.length).toBeLessThan(300 * 1_024);
});
