/**
 * A fleet whose nodes, cloud, cluster and builds are hostile: every string that they choose is
 * markup, quotes, controls and marks of direction, short or 100 kB long.
 */
import type { ConsoleCluster } from "../../reconciler/core/console/cluster.ts";
import type { Hpa } from "../../reconciler/core/console/hpa.ts";
import { HpaLog } from "../../reconciler/core/console/hpa-log.ts";
import type { ClusterEvent, ClusterNode, Pod } from "../../schema/console/cluster.ts";
import type { Instance } from "../../reconciler/core/provider.ts";
import type { PipelineReport } from "../../schema/console/pipeline.ts";
import { fullReport } from "../fuzz/document.ts";
import type { WorldApp } from "../world/app.ts";
import { fakePools, type FakePools, QUIET } from "../world/agent-pools.ts";
import type { World } from "../world/world.ts";

/** Begins with the shortest attack, so that what is cut is still one. */
export const EVIL =
  `<img src=x onerror=alert(1)>\u202e\u0000\u001b[2J"'\u0060&amp;<!--</script></textarea></title>` +
  "\u001b]0;x\u0007\u2066\u200f\ufeff\u009b\u007f\r\n-->";
export const LONG = EVIL.repeat(1_000).slice(0, 100_000);
/** From the longest: a limit of a field refuses some of them. */
const CHOICES = [LONG, EVIL, ...[63, 40, 29, 14].map((length) => EVIL.slice(0, length))];

const AT = "2026-03-01T10:00:00Z";

type Tree = { [key: string]: unknown };

/** Each string of a document, by its path; `put` replaces it. */
function leavesOf(tree: Tree): { path: string; put(text: string): void }[] {
  return Object.entries(tree).flatMap(([key, value]) => {
    if (typeof value === "string") {
      return [{ path: key, put: (text: string): void => void (tree[key] = text) }];
    }
    if (typeof value !== "object" || value === null) return [];
    return leavesOf(value as Tree).map((leaf) => ({ ...leaf, path: `${key}/${leaf.path}` }));
  });
}

/**
 * Reports of `node` in which each string is hostile as far as the control plane takes it. The
 * paths of those that it took.
 */
export async function reportHostile(a: WorldApp, world: World, node: string): Promise<string[]> {
  let seq = 100;
  const taken: string[] = [];
  const send = async (report: Tree): Promise<boolean> => {
    for (const one of report["findings"] as Tree[]) one["seq"] = ++seq;
    for (const one of report["gaps"] as Tree[]) one["seq"] = ++seq;
    // A node may report only so often.
    world.clock.sleepThrough(1_000);
    return (await a.call("POST", "/v1/agent/report", report)).status === 202;
  };
  let report = fullReport(node, 79) as Tree;
  for (const { path } of leavesOf(report)) {
    if (/^(?:node_id|boot_id|stream)$|at$/.test(path)) continue;
    for (const text of CHOICES) {
      const tried = structuredClone(report);
      leavesOf(tried)
        .find((one) => one.path === path)
        ?.put(text);
      if (!(await send(tried))) continue;
      report = tried;
      taken.push(path);
      break;
    }
  }
  return taken;
}

/** The cloud's words about an instance; `id`, tags and state stay, or it were another machine. */
export function spoil(instance: Instance): Instance {
  return {
    ...instance,
    ...{ name: EVIL, region: EVIL, zone: EVIL, instanceType: EVIL, internalIp: EVIL },
    ...{ externalIp: EVIL, hostKeys: [EVIL], failure: { class: "capacity", message: LONG } },
    notice: { kind: "maintenance", atMs: null, message: LONG },
  };
}

/** A machine with the fleet's tag that it did not buy. */
export const strayInstance = (like: Instance): Instance => ({
  ...spoil(like),
  id: EVIL as Instance["id"],
  tags: { ...like.tags, "navarch-node": EVIL, "navarch-pool": EVIL, [EVIL]: EVIL },
  token: EVIL,
});

const container = (name: string): Pod["containers"][number] => ({
  ...{ name, image: LONG, ready: false, restartCount: 2, state: EVIL, reason: EVIL, message: LONG },
  ...{ exitCode: 1, lastReason: LONG },
});

function pod(name: string, change: Partial<Pod> = {}): Pod {
  return {
    ...{ name, namespace: "kai-ml", status: LONG, phase: EVIL, nodeName: "gpu-1", ip: EVIL },
    ...{ startTime: AT, uid: EVIL, creationTimestamp: AT, deletionTimestamp: null },
    labels: { [EVIL]: LONG },
    containers: [container("c1"), container(EVIL)],
    initContainers: [container("i1")],
    conditions: [{ type: EVIL, status: EVIL, lastTransitionTime: AT, reason: LONG, message: LONG }],
    owner: { kind: EVIL, name: LONG },
    isMirror: false,
    resources: { requests: { [EVIL]: 1 }, limits: {} },
    ...{ age: 60, stuck: "CrashLoopBackOff", scaling: true, suggestions: [] },
    ...change,
  };
}

const node = (name: string): ClusterNode => ({
  ...{ name, uid: name, status: "Ready", roles: [EVIL], version: LONG, internalIP: EVIL },
  ...{ externalIP: EVIL, osImage: LONG, kernelVersion: LONG, containerRuntime: LONG },
  conditions: [{ type: EVIL, status: EVIL, lastHeartbeatTime: AT, reason: LONG, message: LONG }],
  ...{ capacity: { cpu: 1, memory: 1, pods: 1 }, allocatable: { cpu: 1, memory: 1, pods: 1 } },
  ...{ creationTimestamp: AT, labels: { [EVIL]: EVIL }, unschedulable: true },
  taints: [{ key: EVIL, value: EVIL, effect: EVIL }],
  gpus: { count: 8, allocatable: 7 },
  cordon: { owner: EVIL, reason: LONG, since: AT, preexisting: true },
});

const event = (name: string, about: string): ClusterEvent => ({
  ...{ name, namespace: "kai-ml", type: EVIL, reason: LONG, message: LONG, count: 3 },
  ...{ firstTimestamp: AT, lastTimestamp: AT, category: "error" },
  involvedObject: { kind: "Pod", name: about, namespace: "kai-ml" },
  source: { component: EVIL, host: EVIL },
});

const ok = <T>(value: T) => Promise.resolve({ kind: "ok" as const, value });
const use = { allocatable: 8, requested: 4, percent: 50, basis: "requested" } as const;
const pods = Array.from({ length: 50 }, (_, at) => pod(`web-${at}`));
const log = {
  ...{ podName: "web-0", containerName: EVIL, namespace: "kai-ml", timestamp: AT },
  containers: ["c1", EVIL],
};

const hostileHpa = (at: number, desired: number): Hpa => ({
  ...{ namespace: "kai-ml", name: `hpa-${at}`, uid: `u-${at}`, target: `web-${at}` },
  ...{ min: 1, max: 9, current: 1, desired, limit: { reason: EVIL, message: LONG } },
  metrics: [EVIL, LONG.slice(0, 253)].map((metric, threshold) => {
    return { type: "Pods", metric, measure: "average", value: 12.5, threshold: threshold + 1 };
  }),
});
const hostileHpas = new HpaLog();
for (const [minute, desired] of [1, 2, 9, 3].entries()) {
  const all = Array.from({ length: 150 }, (_, at) => hostileHpa(at, desired));
  hostileHpas.take(all, Date.parse(AT) + minute * 360_000);
}

/** A cluster whose pods and nodes are hostile; their names are ones that an API server takes. */
export const hostileCluster: ConsoleCluster = {
  stats: () =>
    ok({
      ...{ nodes: 2, deployments: 3, services: 4, health: "unhealthy" },
      pods: { total: 12, running: 7, pending: 2, failed: 1, succeeded: 1, unknown: 1 },
      utilisation: { cpu: use, memory: use, storage: use, gpu: use },
    }),
  hpas: () => ok(hostileHpas),
  knownHpas: () => hostileHpas,
  pods: () => ok({ pods, next: "kai-ml/web-9" }),
  pod: async ({ name }) => {
    const found = pods.find((one) => one.name === name);
    if (found !== undefined) return { kind: "ok", value: found };
    return { kind: "failed", code: "not_found", message: `no pod ${name}` };
  },
  nodes: () => ok(Array.from({ length: 60 }, (_, at) => node(`gpu-${at}`))),
  deployments: () =>
    ok([
      {
        ...{ name: "web", namespace: "kai-ml", replicas: 1, availableReplicas: 1 },
        ...{ updatedReplicas: 1, readyReplicas: 1, strategy: EVIL, creationTimestamp: AT },
        conditions: [{ type: EVIL, status: EVIL, lastUpdateTime: AT, message: LONG }],
        ...{ labels: { [EVIL]: EVIL }, selector: { [EVIL]: EVIL } },
      },
    ]),
  events: () =>
    ok(Array.from({ length: 60 }, (_, at) => event(`e${at}`, at % 2 === 0 ? EVIL : "web-1"))),
  namespaces: () => ok(["default", "kai-ml"]),
  logs: () => ok({ ...log, logs: LONG, truncated: true }),
  follow: () => Promise.resolve({ kind: "failed", code: "unavailable", message: LONG }),
  restart: () => ok(LONG),
  kill: () => Promise.resolve({ kind: "failed", code: "budget_blocked", message: LONG }),
  flux: () =>
    ok({
      objects: [
        {
          ...{ name: "coordinator", namespace: "flux-system", type: "HelmRelease" as const },
          ...{ apiVersion: EVIL, status: "Failed" as const, source: LONG, revision: LONG },
          conditions: [{ type: EVIL, status: EVIL, lastTransitionTime: AT, message: LONG }],
          ...{ lastUpdated: AT, error: LONG, suggestions: [] },
        },
      ],
      absent: [],
    }),
  actOnFlux: () => Promise.resolve({ kind: "failed", code: "conflict", message: LONG }),
  close: () => undefined,
};

/** A pool whose last error and conditions come from a hostile cluster. */
export function hostilePools(): FakePools {
  const pools = fakePools(["kai-ml/agents"], 1);
  for (const view of pools.views) {
    const error = { reason: EVIL, message: LONG, at: Date.parse(AT) };
    const conditions = [{ type: EVIL, status: "False" as const, reason: EVIL, message: LONG }];
    Object.assign(view, { status: { ...QUIET, lastAllocationError: error, conditions } });
  }
  return pools;
}

/** The run of a build whose committer is hostile. */
export function hostilePipeline(world: World, serial: number): PipelineReport {
  const text = (max: number): string => LONG.slice(0, max);
  const startTime = new Date(world.clock.wallMs()).toISOString();
  return {
    ...{ id: `${serial}${text(190)}`, name: text(200), status: "failed", branch: text(255) },
    commit: text(64),
    ...{ commitMessage: text(4_096), author: text(255), startTime, endTime: null },
    stages: Array.from({ length: 3 }, () => ({
      ...{ name: text(200), status: "failed" as const, duration: 1, error: text(8_192) },
    })),
  };
}
