/**
 * Changes the replicas of the StatefulSet whose pods are Slurm's compute nodes. Fewer: its highest
 * nodes are drained in Slurm first, and replicas follow only below a drained node without jobs.
 * Each round reads all of it again, so it may be stopped at any point and called again.
 */
import { readNodeText, readJobText, JOB_FORMAT } from "../reconciler/slurm/text.ts";
import { workLeft } from "../reconciler/core/slurm/left.ts";
import type { SlurmJob, SlurmNode } from "../reconciler/core/slurm/object.ts";
import { isHeldByItself, ownerOf } from "../reconciler/core/slurm/owner.ts";
import { isDrained } from "../reconciler/core/slurm/state.ts";
import { EXIT, failure, type Failure } from "./failure.ts";
import type { Kubectl } from "./kubectl.ts";
import type { SlurmRun } from "./slurm-run.ts";
import type { World } from "./world.ts";

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
/** Unlike the reasons of the control plane, which releases its own drains by itself. */
const MARK = "slurm-scale: ";

/** A caller's own narrowing of the queue would hide jobs. */
const HIDING = [
  ...["SQUEUE_ACCOUNT", "SQUEUE_PARTITION", "SQUEUE_QOS", "SQUEUE_STATES", "SQUEUE_USERS"],
  ...["SQUEUE_LICENSES", "SLURM_CLUSTERS", "SQUEUE_CLUSTERS", "SLURM_TIME_FORMAT"],
];
const PLAIN = ["env", ...HIDING.flatMap((name) => ["-u", name])];

type Answer<T> = { ok: true; value: T } | Failure;
type Pods = { uid: string; replicas: number; first: number };
type Row = { name: string; node: SlurmNode | undefined; isEmpty: boolean; message: string };

/** `null` once the StatefulSet has the replicas. */
export async function scalePods(scale: Scale): Promise<Failure | null> {
  const { world, to, limitMs } = scale;
  const endMs = world.monoMs() + limitMs;
  let known: number | null = null;
  let said = "";
  for (;;) {
    const pods = await readPods(scale);
    if (!pods.ok) return pods;
    const { replicas } = pods.value;
    if (known !== null && replicas !== known) return overruled(scale, pods.value, known);
    if (to >= replicas) {
      const grown = to > replicas ? await setReplicas(scale, pods.value, to) : null;
      return grown ?? release(scale, pods.value, to);
    }
    known = replicas;
    const rows = await look(scale, pods.value);
    if (!rows.ok) return rows;
    const held = rows.value.find(({ node }) => node === undefined || isHeld(node));
    if (held !== undefined) return foreign(held);
    const drained = await drain(scale, rows.value);
    if (drained !== null) return drained;
    const least = leastOf(rows.value, pods.value, to);
    if (least < replicas) {
      const lowered = await setReplicas(scale, pods.value, least);
      if (lowered !== null) return lowered;
      known = least;
      if (least === to) return null;
      continue;
    }
    const waits = rows.value.filter(({ isEmpty }) => !isEmpty);
    const text = waits.map(({ name, message }) => `${name}: ${message}`).join("; ");
    if (text !== said) world.err(`waiting: ${text}\n`);
    said = text;
    if (world.monoMs() >= endMs) return late(scale, replicas, text);
    await world.sleep(POLL_MS);
  }
}

const nameOf = ({ name }: Scale, { first }: Pods, index: number): string =>
  `${name}-${first + index}`;
const isMarked = (node: SlurmNode): boolean =>
  isDrained(node) && node.reason?.startsWith(MARK) === true;
const isHeld = (node: SlurmNode): boolean =>
  ownerOf(node) !== "none" && !isMarked(node) && !isHeldByItself(node);

/** The fewest replicas that lose only nodes that are drained and empty. */
function leastOf(rows: readonly Row[], { replicas }: Pods, to: number): number {
  const busy = rows.findLastIndex(({ isEmpty }) => !isEmpty);
  return busy === -1 ? to : replicas - rows.length + busy + 1;
}

async function readPods({ kubectl, namespace, name }: Scale): Promise<Answer<Pods>> {
  const answer = await kubectl(["get", "statefulset", name, "-n", namespace, "-o=json"]);
  if (!answer.ok) return failed("kubectl", answer.why);
  const { metadata, spec } = JSON.parse(answer.out) as {
    metadata: { uid: string };
    spec: { replicas: number; ordinals?: { start?: number } };
  };
  const first = spec.ordinals?.start ?? 0;
  return { ok: true, value: { uid: metadata.uid, replicas: spec.replicas, first } };
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

/** Nodes first, then jobs: none starts on a node that was drained before. */
async function look(scale: Scale, pods: Pods): Promise<Answer<Row[]>> {
  const { run, to } = scale;
  const shown = await run([...PLAIN, "scontrol", "--all", "show", "node"]);
  const nodes = shown.ok ? readNodeText(shown.out) : null;
  if (nodes === null) return failed("slurm", shown.ok ? "scontrol cannot be read" : shown.why);
  const queued = await run([...PLAIN, "squeue", "--all", "--noheader", `--Format=${JOB_FORMAT}`]);
  const jobs = queued.ok ? readJobText(queued.out) : null;
  if (jobs === null) return failed("slurm", queued.ok ? "squeue cannot be read" : queued.why);
  const rows: Row[] = [];
  let reads = 0;
  for (let index = pods.replicas - 1; index >= to; index -= 1) {
    const name = nameOf(scale, pods, index);
    const there = jobs.filter((job) => job.nodes.includes(name));
    const listed = nodes.find((one) => one.name === name);
    let row = rowOf(name, listed, there);
    // A list of all may call a free node MIXED for long; a read of one is always as it is.
    const isOdd = listed !== undefined && isMarked(listed) && !row.isEmpty && there.length === 0;
    if (isOdd && reads < READS_MAX) {
      reads += 1;
      const one = await run([...PLAIN, "scontrol", "--all", "show", "node", name]);
      const fresh = one.ok ? readNodeText(one.out)?.find((node) => node.name === name) : undefined;
      if (fresh !== undefined) row = rowOf(name, fresh, there);
    }
    rows.unshift(row);
  }
  return { ok: true, value: rows };
}

function rowOf(name: string, node: SlurmNode | undefined, jobs: readonly SlurmJob[]): Row {
  const left = workLeft(node, jobs, 0);
  const isEmpty = node !== undefined && isMarked(node) && left.kind === "empty";
  return { name, node, isEmpty, message: "message" in left ? left.message : "is to be drained" };
}

async function drain({ run, name, to }: Scale, rows: readonly Row[]): Promise<Failure | null> {
  const open = rows.filter(({ node }) => node !== undefined && !isMarked(node));
  if (open.length === 0) return null;
  const names = open.map((row) => row.name).join(",");
  const reason = `reason=${MARK}${name} to ${to}`;
  const answer = await run(["scontrol", "update", `nodename=${names}`, "state=drain", reason]);
  return answer.ok ? null : failed("slurm", answer.why);
}

/** Lifts drains of this command alone, and the DOWN that Slurm set on such a node. */
async function release(scale: Scale, pods: Pods, below: number): Promise<Failure | null> {
  const { run, world } = scale;
  const shown = await run([...PLAIN, "scontrol", "--all", "show", "node"]);
  const nodes = shown.ok ? readNodeText(shown.out) : null;
  if (nodes === null) return failed("slurm", shown.ok ? "scontrol cannot be read" : shown.why);
  const wanted = new Set(Array.from({ length: below }, (_, i) => nameOf(scale, pods, i)));
  for (const node of nodes) {
    if (!wanted.has(node.name) || !isMarked(node)) continue;
    const state = node.base === "DOWN" ? "resume" : "undrain";
    const answer = await run(["scontrol", "update", `nodename=${node.name}`, `state=${state}`]);
    if (!answer.ok) return failed("slurm", answer.why);
    world.err(`${node.name} is released in Slurm\n`);
  }
  return null;
}

async function overruled(scale: Scale, pods: Pods, known: number): Promise<Failure> {
  const problem = await release(scale, pods, pods.replicas);
  const what = `${scale.name} has ${pods.replicas} replicas now, which another party set`;
  const more = problem === null ? "" : `; ${problem.message}`;
  const kept = `that is kept, and its nodes are released in Slurm (it had ${known})`;
  return failure(EXIT.refused, "overruled", `${what}: ${kept}${more}`);
}

function foreign({ name, node }: Row): Failure {
  const why =
    node === undefined
      ? "Slurm does not show it, so its jobs are unknown"
      : `others hold it in Slurm (${node.reason ?? "without a reason"})`;
  return failure(EXIT.refused, "held", `${name} cannot be given up: ${why}; nothing is lowered`);
}

function late({ name, limitMs }: Scale, replicas: number, text: string): Failure {
  const what = `${name} still has ${replicas} replicas after ${Math.round(limitMs / 1_000)} s`;
  const next = `its highest nodes stay drained: call again, or with --replicas ${replicas} to stop`;
  return failure(EXIT.notReached, "not_reached", `${what}: ${text}; ${next}`);
}

const failed = (code: string, why: string): Failure => failure(EXIT.failed, code, why);
