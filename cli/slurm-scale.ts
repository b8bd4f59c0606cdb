/**
 * Changes the replicas of the StatefulSet whose pods are Slurm's compute nodes. Fewer: its highest
 * nodes are drained in Slurm first, and replicas follow only below a drained node without jobs.
 * Each round reads all of it again, so it may be stopped at any point and called again.
 */
import { readNodeText, readJobText, JOB_FORMAT } from "../reconciler/slurm/text.ts";
import {
  decidePods,
  isOf,
  isOfPod,
  isPodMarked,
  podName,
  type PodSight,
  Registrations,
} from "../reconciler/core/slurm/pod-scale.ts";
import type { PodSet } from "../reconciler/core/slurm/pod-set.ts";
import { EXIT, failure, type Failure } from "./failure.ts";
import type { Kubectl } from "./kubectl.ts";
import type { SlurmRun } from "./slurm-run.ts";
import type { World } from "./world.ts";
import { parseInstant } from "../schema/instant.ts";

export type Scale = {
  kubectl: Kubectl;
  run: SlurmRun;
  world: Pick<World, "err" | "monoMs" | "sleep">;
  namespace: string;
  /** Of the StatefulSet. */
  name: string;
  to: number;
  limitMs: number;
};

const POLL_MS = 2_000;
/** Of single nodes in a round. */
const READS_MAX = 8;
/** Until a registration that was seen counts (`Registrations`). */
const SETTLED_MS = 6_000;

/** A caller's own narrowing of the queue would hide jobs. */
const HIDING = [
  ...["SQUEUE_ACCOUNT", "SQUEUE_PARTITION", "SQUEUE_QOS", "SQUEUE_STATES", "SQUEUE_USERS"],
  ...["SQUEUE_LICENSES", "SLURM_CLUSTERS", "SQUEUE_CLUSTERS", "SLURM_TIME_FORMAT"],
];
const PLAIN = ["env", ...HIDING.flatMap((name) => ["-u", name]), "TZ=UTC"];

type Answer<T> = { ok: true; value: T } | Failure;
type Pods = PodSet;
type Watched = Scale & { registrations: Registrations };

/** `null` once the StatefulSet has the replicas. */
export async function scalePods(given: Scale): Promise<Failure | null> {
  const scale: Watched = { ...given, registrations: new Registrations() };
  const { world, to, limitMs } = scale;
  const endMs = world.monoMs() + limitMs;
  let known: number | null = null;
  let said = "";
  let last = "";
  for (;;) {
    const pods = await readPods(scale);
    if (!pods.ok) return pods;
    const { replicas } = pods.value;
    if (known !== null && replicas !== known) return overruled(scale, pods.value, known);
    known = replicas;
    const seen = await look(scale, pods.value);
    if (!seen.ok) return seen;
    const goal = { to, drains: true };
    let step = decidePods(pods.value, seen.value, goal);
    if (step.kind === "release") {
      const ready = await findReady(scale, seen.value, step.names);
      if (!ready.ok) return ready;
      step = decidePods(pods.value, seen.value, goal, (name) => ready.value.has(name));
    }
    let problem: Failure | null = null;
    switch (step.kind) {
      case "steady":
        return null;
      case "held":
        return foreign(step.name, step.why);
      case "grow":
      case "lower":
        problem = await setReplicas(scale, pods.value, step.to);
        known = step.to;
        break;
      case "release":
        problem = await release(scale, seen.value, step.names);
        break;
      case "drain":
        problem = await drain(scale, step.names, step.reason);
        break;
      case "wait":
        if (step.why !== said) world.err(`waiting: ${step.why}\n`);
        said = step.why;
    }
    if (problem !== null) return problem;
    // The same step twice: Slurm has accepted it and does not show it.
    const isAgain = step.kind === "wait" || JSON.stringify(step) === last;
    last = JSON.stringify(step);
    if (!isAgain) continue;
    if (world.monoMs() >= endMs) return late(scale, replicas, said);
    await world.sleep(POLL_MS);
  }
}

async function readPods({ kubectl, namespace, name }: Scale): Promise<Answer<Pods>> {
  const answer = await kubectl(["get", "statefulset", name, "-n", namespace, "-o=json"]);
  if (!answer.ok) return failed("kubectl", answer.why);
  const { metadata, spec } = JSON.parse(answer.out) as {
    metadata: { uid: string; resourceVersion: string; annotations?: object };
    spec: { replicas: number; ordinals?: { start?: number } };
  };
  const first = spec.ordinals?.start ?? 0;
  const { uid, resourceVersion: version, annotations } = metadata;
  const hasNotes = annotations !== undefined;
  return { ok: true, value: { name, uid, version, replicas: spec.replicas, first, hasNotes } };
}

/** Refused by the server if another party has changed the replicas since they were read. */
async function setReplicas(scale: Scale, { uid, replicas }: Pods, to: number) {
  const { kubectl, namespace, name, world } = scale;
  const path = "/spec/replicas";
  const patch = JSON.stringify([
    { op: "test", path: "/metadata/uid", value: uid },
    { op: "test", path, value: replicas },
    { op: "replace", path, value: to },
  ]);
  const words = ["patch", "statefulset", name, "-n", namespace, "--type=json", "-p", patch];
  const answer = await kubectl(words);
  if (!answer.ok) return failed("kubectl", `${name} keeps ${replicas} replicas: ${answer.why}`);
  world.err(`${name} has ${to} replicas, before ${replicas}\n`);
  return null;
}

async function listNodes({ run }: Scale): Promise<Answer<PodSight["nodes"]>> {
  const shown = await run([...PLAIN, "scontrol", "--all", "show", "node"]);
  const nodes = shown.ok ? readNodeText(shown.out) : null;
  if (nodes !== null) return { ok: true, value: nodes };
  return failed("slurm", shown.ok ? "scontrol cannot be read" : shown.why);
}

/** Nodes first, then jobs: none starts on a node that was drained before. */
async function look(scale: Scale, pods: Pods): Promise<Answer<PodSight>> {
  const { run } = scale;
  const listed = await listNodes(scale);
  if (!listed.ok) return listed;
  const queued = await run([...PLAIN, "squeue", "--all", "--noheader", `--Format=${JOB_FORMAT}`]);
  const jobs = queued.ok ? readJobText(queued.out) : null;
  if (jobs === null) return failed("slurm", queued.ok ? "squeue cannot be read" : queued.why);
  const nodes = [...listed.value];
  const worked = new Set(jobs.flatMap((job) => job.nodes));
  // A list of all may call a free node MIXED for long; a read of one is always as it is.
  const odd = nodes.filter((node) => {
    const isBusy = /^(?:MIXED|ALLOCATED)$/.test(node.base) && !worked.has(node.name);
    return isOf(pods, node.name) && isPodMarked(node) && isBusy;
  });
  for (const { name } of odd.slice(-READS_MAX)) {
    const one = await run([...PLAIN, "scontrol", "--all", "show", "node", name]);
    const fresh = one.ok ? readNodeText(one.out)?.find((node) => node.name === name) : undefined;
    const at = nodes.findIndex((node) => node.name === name);
    if (fresh !== undefined) nodes[at] = fresh;
  }
  return { ok: true, value: { nodes, jobs } };
}

async function drain({ run }: Scale, names: string[], why: string): Promise<Failure | null> {
  const words = [`nodename=${names.join(",")}`, "state=drain", `reason=${why}`];
  const answer = await run(["scontrol", "update", ...words]);
  return answer.ok ? null : failed("slurm", answer.why);
}

/** Nodes whose slurmd is that of their present pod. */
async function findReady(
  scale: Watched,
  { nodes }: Pick<PodSight, "nodes">,
  names: readonly string[],
): Promise<Answer<ReadonlySet<string>>> {
  const { kubectl, namespace } = scale;
  const answer = await kubectl(["get", "pods", "-n", namespace, "-o=json"]);
  if (!answer.ok) return failed("kubectl", answer.why);
  type Pod = { metadata: { name: string; creationTimestamp: string; deletionTimestamp?: string } };
  const { items } = JSON.parse(answer.out) as { items: Pod[] };
  const live = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const born = new Map(
    live.map(({ metadata: { name, creationTimestamp } }) => {
      return [name, parseInstant(creationTimestamp)];
    }),
  );
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const ready = names.filter((name) => {
    const node = byName.get(name);
    if (node === undefined || !isOfPod(node, born.get(name) ?? null)) return false;
    return scale.registrations.isSettled(node, scale.world.monoMs());
  });
  return { ok: true, value: new Set(ready) };
}

/** Lifts drains of this command alone, and the DOWN that Slurm set on such a node. */
async function release(
  { run, world }: Scale,
  { nodes }: Pick<PodSight, "nodes">,
  names: readonly string[],
): Promise<Failure | null> {
  for (const { name, base } of nodes.filter((node) => names.includes(node.name))) {
    const state = base === "DOWN" ? "resume" : "undrain";
    const answer = await run(["scontrol", "update", `nodename=${name}`, `state=${state}`]);
    if (!answer.ok) return failed("slurm", answer.why);
    world.err(`${name} is released in Slurm\n`);
  }
  return null;
}

async function overruled(scale: Watched, pods: Pods, known: number): Promise<Failure> {
  const problem = await releaseAll(scale, pods);
  const what = `${scale.name} has ${pods.replicas} replicas now, which another party set`;
  const more = problem === null ? "" : `; ${problem.message}`;
  const kept = `that is kept, and its nodes are released in Slurm (it had ${known})`;
  return failure(EXIT.refused, "overruled", `${what}: ${kept}${more}`);
}

/** Those whose pods have not registered yet stay drained. */
async function releaseAll(scale: Watched, pods: Pods): Promise<Failure | null> {
  const wanted = new Set(Array.from({ length: pods.replicas }, (_, i) => podName(pods, i)));
  let own: PodSight["nodes"] = [];
  for (const waitMs of [SETTLED_MS, 0]) {
    const listed = await listNodes(scale);
    if (!listed.ok) return listed;
    own = listed.value.filter((node) => wanted.has(node.name) && isPodMarked(node));
    const ready = await findReady(
      scale,
      { nodes: own },
      own.map(({ name }) => name),
    );
    if (!ready.ok) return ready;
    const problem = await release(scale, { nodes: own }, [...ready.value]);
    if (problem !== null || ready.value.size === own.length) return problem;
    await scale.world.sleep(waitMs);
  }
  return null;
}

function foreign(name: string, why: string): Failure {
  return failure(EXIT.refused, "held", `${name} cannot be given up: ${why}; nothing is lowered`);
}

function late({ name, limitMs, to }: Scale, replicas: number, text: string): Failure {
  const isLess = to < replicas;
  const what = `${name} ${isLess ? "still has" : "has"} ${replicas} replicas`;
  const stay = `its highest nodes stay drained: call again, or with --replicas ${replicas} to stop`;
  const next = isLess ? stay : "call again once the pods run";
  const after = `after ${Math.round(limitMs / 1_000)} s`;
  return failure(EXIT.notReached, "not_reached", `${what}; ${after} ${text}; ${next}`);
}

const failed = (code: string, why: string): Failure => failure(EXIT.failed, code, why);
