/**
 * Decides the next step of a StatefulSet whose pods are Slurm's nodes: its highest ordinals are
 * drained in Slurm first, and replicas follow only below a node that is drained and empty. Pure:
 * each step is derived from what both show, so it may end or begin again anywhere.
 */
import type { PoolName } from "../../../schema/id.ts";
import { slurmDemand } from "./demand.ts";
import { workLeft } from "./left.ts";
import type { SlurmJob, SlurmNode } from "./object.ts";
import { isHeldByItself, ownerOf } from "./owner.ts";
import type { PodSet } from "./pod-set.ts";
import { isDrained, isOutage } from "./state.ts";

/** Nodes and jobs of Slurm; jobs were asked for with the nodes or after them. */
export type PodSight = { nodes: readonly SlurmNode[]; jobs: readonly SlurmJob[] };

export type PodStep =
  | { kind: "steady" }
  | { kind: "grow" | "lower"; to: number }
  | { kind: "drain"; names: string[]; reason: string }
  /** Drained by an earlier step and needed again. */
  | { kind: "release"; names: string[] }
  | { kind: "wait"; names: string[]; why: string }
  /** Others hold `name`, and no ordinal below it can go before it. */
  | { kind: "held"; name: string; index: number; why: string };

export type PodGoal = {
  to: number;
  /** Whether nodes may be drained now; those that are drained go in any case. */
  drains: boolean;
};

type Row = {
  name: string;
  index: number;
  node: SlurmNode | undefined;
  isEmpty: boolean;
  isBusy: boolean;
  message: string;
};

/** Unlike the reasons of repairs, which are released by rules of their own. */
export const POD_MARK = "slurm-scale: ";
const SHOWN_MAX = 5;

export const podName = ({ name, first }: PodSet, index: number): string =>
  `${name}-${first + index}`;

export const isPodMarked = (node: SlurmNode | undefined): boolean =>
  node !== undefined && isDrained(node) && node.reason?.startsWith(POD_MARK) === true;

/** By a party that must release it first; what slurmctld set down by itself holds nothing. */
export const isPodHeld = (node: SlurmNode): boolean =>
  ownerOf(node) !== "none" && !isPodMarked(node) && !isHeldByItself(node);

/** `isReady`: whether a node may be released, because the pod that it has now has registered. */
export function decidePods(
  set: PodSet,
  seen: PodSight,
  { to, drains }: PodGoal,
  isReady: (name: string) => boolean = () => true,
): PodStep {
  if (to > set.replicas) return { kind: "grow", to };
  const rows = rowsOf(set, seen, set.replicas);
  const kept = rows.slice(0, to).filter(({ node }) => isPodMarked(node));
  const ready = kept.flatMap(({ name }) => (isReady(name) ? name : []));
  if (ready.length > 0) return { kind: "release", names: ready };
  const top = rows.slice(to);
  if (top.length === 0) {
    const [one] = kept;
    if (one === undefined) return { kind: "steady" };
    const why = `${listed(kept)} to be released once its pod has registered in Slurm`;
    return { kind: "wait", names: kept.map(({ name }) => name), why };
  }
  const held = top.findLast(({ node }) => node === undefined || isPodHeld(node));
  if (held !== undefined) return { kind: "held", ...whyHeld(held) };
  const open = top.filter(({ node }) => !isPodMarked(node)).map(({ name }) => name);
  if (drains && open.length > 0) {
    return { kind: "drain", names: open, reason: `${POD_MARK}${set.name} to ${to}` };
  }
  const least = leastOf(rows, to);
  if (least < set.replicas) return { kind: "lower", to: least };
  const waits = top.filter(({ isEmpty }) => !isEmpty);
  const why = waits.map(({ name, message }) => `${name}: ${message}`);
  return { kind: "wait", names: waits.map(({ name }) => name), why: brief(why, "; ") };
}

/** Past an ordinal that others hold: those above it may still go. */
export function decideAround(...of: Parameters<typeof decidePods>): PodStep {
  const [set, seen, goal, isReady] = of;
  const step = decidePods(set, seen, goal, isReady);
  if (step.kind !== "held" || step.index + 1 >= set.replicas) return step;
  const above = decidePods(set, seen, { ...goal, to: step.index + 1 }, isReady);
  return above.kind === "steady" ? step : above;
}

/** The fewest replicas that lose only nodes that are drained and empty. */
function leastOf(rows: readonly Row[], to: number): number {
  return Math.max(to, rows.findLastIndex(({ isEmpty }) => !isEmpty) + 1);
}

function whyHeld({ name, index, node }: Row): { name: string; index: number; why: string } {
  const why =
    node === undefined
      ? "Slurm does not show it, so its jobs are unknown"
      : `others hold it in Slurm (${node.reason ?? "without a reason"})`;
  return { name, index, why };
}

function rowsOf(set: PodSet, { nodes, jobs }: PodSight, count: number): Row[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const jobsOn = new Map<string, SlurmJob[]>();
  for (const job of jobs) {
    for (const name of job.nodes) {
      const there = jobsOn.get(name);
      if (there === undefined) jobsOn.set(name, [job]);
      else there.push(job);
    }
  }
  return Array.from({ length: count }, (_, index) => {
    const name = podName(set, index);
    const node = byName.get(name);
    const left = workLeft(node, jobsOn.get(name) ?? [], 0);
    const isEmpty = isPodMarked(node) && left.kind === "empty";
    const message = "message" in left ? left.message : "is not drained";
    return { name, index, node, isEmpty, isBusy: left.kind === "busy", message };
  });
}

export type PodNeed = {
  to: number;
  /** Nodes with work, and further nodes for the pending jobs. */
  busy: number;
  pending: number;
  /** Why no more are asked for although jobs wait. */
  stop: string | null;
};

export type PodLimits = { partition: string; min: number; max: number };

/** `late`: ordinals that have not come up although their pods had the time to. */
export function neededPods(
  set: PodSet,
  seen: PodSight,
  limits: PodLimits,
  late: ReadonlySet<string>,
): PodNeed {
  const { min, max } = limits;
  const rows = rowsOf(set, seen, Math.max(set.replicas, max));
  const isUsable = ({ name, node }: Row): boolean =>
    !late.has(name) && (node === undefined || !isPodHeld(node));
  const busy = rows.filter((row) => row.index < set.replicas && row.isBusy && isUsable(row)).length;
  const pending = nodesFor(set, seen, limits);
  let to = 0;
  let found = 0;
  for (const row of rows.slice(0, max)) {
    if (found >= busy + pending) break;
    if (isUsable(row)) found += 1;
    to = row.index + 1;
  }
  to = Math.max(min, to);
  const unlisted = rows.find(({ index, name, node }) => {
    return index < set.replicas && node === undefined && late.has(name);
  });
  if (unlisted === undefined || to <= Math.max(min, set.replicas)) {
    return { to, busy, pending, stop: null };
  }
  const stop = `Slurm does not list ${unlisted.name}: add it to slurm.conf`;
  return { to: Math.max(min, set.replicas), busy, pending, stop };
}

/**
 * Nodes that the partition's pending jobs would fill. Jobs on one node share its GPUs; without GPUs
 * each counts one, since what else they ask for is not known here. One that asks for more nodes
 * than there may be never starts.
 */
function nodesFor(set: PodSet, { nodes, jobs }: PodSight, { partition, max }: PodLimits): number {
  const own = nodes.filter(({ name }) => isOf(set, name));
  const each = Math.max(0, ...own.map(({ gres }) => gpusIn(gres)));
  const able = jobs.filter(({ nodeCount }) => nodeCount <= max);
  // One that is being given up may be the node that a job names.
  const fit = able.map((job) => ({ ...job, requiredNodes: [] }));
  const shares = ({ gpus, nodeCount }: SlurmJob): boolean => each > 0 && gpus > 0 && nodeCount <= 1;
  const of = (some: readonly SlurmJob[]) => {
    const pool = "pods" as PoolName;
    const demand = slurmDemand(some, [{ pool, partition, nodes: own }]).get(pool);
    return demand?.pending ?? { nodes: 0, gpus: 0 };
  };
  const small = of(fit.filter(shares));
  return of(fit.filter((job) => !shares(job))).nodes + Math.ceil(small.gpus / (each || 1));
}

export function isOf({ name }: Pick<PodSet, "name">, nodeName: string): boolean {
  return nodeName.startsWith(`${name}-`) && /^\d+$/.test(nodeName.slice(name.length + 1));
}

/** Of `gpu:h100:8(S:0-1),gpu:a100:2`. */
function gpusIn(gres: string | null): number {
  const all = (gres ?? "").matchAll(/(?:^|,)gpu:(?:[^:,()]+:)?(\d+)/g);
  return [...all].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Whether its slurmd has registered and answers. */
export function isPodUp(node: SlurmNode | undefined): boolean {
  if (node === undefined || isOutage(node) || node.flags.includes("NOT_RESPONDING")) return false;
  return node.base !== "UNKNOWN" && node.base !== "FUTURE";
}

/** Between the clocks of the API server and of the pod's machine. */
const SKEW_MS = 60_000;

/**
 * Whether its slurmd registered from the pod that there is now. slurmctld believes in the one of a
 * pod that is gone for up to SlurmdTimeout. `bornAt`: of the pod, wall; `null` = there is none.
 */
export function isOfPod(node: SlurmNode | undefined, bornAt: number | null): boolean {
  const startedAt = node?.slurmdStartedAt ?? null;
  if (startedAt === null || bornAt === null) return false;
  return node?.flags.includes("NOT_RESPONDING") === false && startedAt >= bornAt - SKEW_MS;
}

/** slurmctld sets a node DOWN that is released in the second in which it registers. */
const SETTLE_MS = 5_000;

/** Tells which registrations have been seen for long enough; one reader each. */
export class Registrations {
  readonly #seen = new Map<string, { startedAt: number | null; since: number }>();

  /** `now` is monotonic. */
  isSettled({ name, slurmdStartedAt: startedAt }: SlurmNode, now: number): boolean {
    const before = this.#seen.get(name);
    if (before?.startedAt === startedAt) return now - before.since >= SETTLE_MS;
    this.#seen.set(name, { startedAt, since: now });
    return false;
  }
}

function listed(rows: readonly Row[]): string {
  const names = rows.map(({ name }) => name);
  return `${brief(names, ", ")} ${names.length === 1 ? "is" : "are"}`;
}

function brief(all: readonly string[], by: string): string {
  const more = all.length > SHOWN_MAX ? `${by}${all.length - SHOWN_MAX} more` : "";
  return `${all.slice(0, SHOWN_MAX).join(by)}${more}`;
}
