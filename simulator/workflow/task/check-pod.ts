/**
 * Task `CheckPod`: the pods of submitted objects have a phase and run on nodes with labels, at one
 * look or within a time-out. With one, each pod counts once it has come so far.
 */
import type { V1PodSpec } from "@kubernetes/client-node";
import * as v from "valibot";
import {
  type Identity,
  readIdentity,
  readObject,
  readText,
  type Untrusted,
} from "../../../reconciler/kubernetes/read-field.ts";
import { nearest } from "../../../schema/nearest.ts";
import { follow } from "../follow.ts";
import { collectionPaths, patience, readAt } from "../object-call.ts";
import { duration, readParams, textMap } from "../param.ts";
import { PodMatch } from "../pod-match.ts";
import type { Submission } from "../state.ts";
import { TaskError, type Run, type TaskType } from "../task.ts";
import { listObjects } from "../write.ts";

const PHASES = ["Pending", "Running", "Succeeded", "Failed", "Unknown"];

/** Another text would be waited for in vain. */
const phase = v.pipe(
  v.string("expected the phase of a pod, such as Running"),
  v.check(
    (given) => given === "" || PHASES.includes(given),
    ({ input }) => {
      const close = nearest(input, PHASES);
      const hint = close === null ? "" : `; did you mean "${close}"?`;
      return `no pod has the phase ${JSON.stringify(input)}: expected ${PHASES.join(", ")}${hint}`;
    },
  ),
);

const Params = v.strictObject({
  refTaskId: v.nullish(v.string("expected a task id"), ""),
  status: v.nullish(phase, ""),
  nodeLabels: v.nullish(textMap, {}),
  timeout: v.nullish(duration, "0s"),
});
type Wanted = { status: string; nodeLabels: Readonly<Record<string, string>> };

export const checkPod: TaskType = {
  name: "CheckPod",
  isPrefixed: true,
  runsDry: true,
  read({ params }) {
    const { refTaskId, timeout, status, nodeLabels } = readParams(Params, params);
    if (refTaskId === "") throw new TaskError("missing parameter 'refTaskId'");
    if (status === "" && Object.keys(nodeLabels).length === 0) {
      throw new TaskError("missing parameters 'status' and/or 'nodeLabels'");
    }
    return async (run) => {
      const submission = run.state.submitted(refTaskId);
      if (submission.podNames.length === 0) throw new TaskError("no pods to check");
      const check = new Check(run, submission, { status, nodeLabels });
      if (run.isDryRun) return;
      await (timeout === 0 ? check.look() : check.watch(timeout));
    };
  },
};

type Pod = Identity & {
  namespace?: string;
  phase: string;
  node: string | null;
  /** Why it is not on a node yet, as the scheduler says. */
  unscheduled: string | null;
};

const PODS = { group: "", version: "v1", resource: "pods" };
const SHOWN_MAX = 10;

class Check {
  readonly #run: Run;
  readonly #submission: Submission;
  readonly #wanted: Wanted;
  readonly #match: PodMatch;
  /** Labels by node. */
  readonly #labels = new Map<string, Readonly<Record<string, unknown>>>();
  /** Pods that are there, and those that have come so far, by namespace and name. */
  readonly #present = new Map<string, Pod>();
  readonly #reached = new Map<string, Pod>();
  readonly #verified = new Set<string>();

  constructor(run: Run, submission: Submission, wanted: Wanted) {
    this.#run = run;
    this.#submission = submission;
    this.#wanted = wanted;
    this.#match = new PodMatch(submission.podNames);
  }

  async look(): Promise<void> {
    const pods: Pod[] = [];
    for (const path of this.#paths()) {
      const ask = { path, query: {}, what: "pods", read: (json: unknown) => this.#read(json) };
      pods.push(...(await listObjects(this.#run, ask, patience(this.#run))));
    }
    const { status } = this.#wanted;
    let count = 0;
    for (const pod of pods) {
      this.#run.say("detail", `Matched pod ${pod.name}`);
      if (status !== "" && pod.phase !== status) {
        throw new TaskError(`pod ${pod.name}, status ${pod.phase}, expected ${status}`);
      }
      if (!this.#hasCome(pod)) continue;
      await this.#verifyNode(pod, patience(this.#run));
      count += 1;
    }
    const { podCount } = this.#submission;
    if (count !== podCount) {
      throw new TaskError(`verified ${count} pods, expected ${podCount}`);
    }
  }

  async watch(timeoutMs: number): Promise<void> {
    const deadlineMs = this.#run.clock.monoMs() + timeoutMs;
    const end = await follow<Pod>(this.#run, {
      paths: this.#paths(),
      query: {},
      read: (json) => this.#read(json),
      changed: (before, after) => this.#changed(before, after),
      isDone: () => this.#isDone(deadlineMs),
      timeoutMs,
    });
    if (end.kind === "done") return;
    const problem = end.problem === null ? "" : ` (${end.problem})`;
    throw new TaskError(`context deadline exceeded: ${this.#missing()}${problem}`);
  }

  #paths(): string[] {
    const { podNamespaces } = this.#submission;
    return collectionPaths(PODS, podNamespaces.length === 0 ? [null] : podNamespaces);
  }

  /** `null`: it belongs to other objects. */
  #read(json: unknown): Pod | null {
    const { metadata, spec, status } = readObject(json);
    const { namespace, ...named } = readObject(metadata);
    const identity = readIdentity(named);
    if (identity === null || !this.#match.has(identity.name)) return null;
    const { podNamespaces } = this.#submission;
    const isElsewhere = podNamespaces.length > 0 && !podNamespaces.includes(String(namespace));
    if (isElsewhere) return null;
    const { phase, conditions } = readObject(status);
    return {
      ...identity,
      ...(typeof namespace === "string" ? { namespace } : {}),
      phase: readText(phase) ?? "Unknown",
      node: readText(readObject(spec)["nodeName"]),
      unscheduled: readUnscheduled(conditions) ?? unseenBy(readObject<V1PodSpec>(spec)),
    };
  }

  /** Without a phase to check, pods that run are those whose node is checked. */
  #hasCome({ phase, node }: Pod): boolean {
    const { status, nodeLabels } = this.#wanted;
    if (phase !== (status === "" ? "Running" : status)) return false;
    return node !== null || Object.keys(nodeLabels).length === 0 || status !== "";
  }

  #changed(before: Pod | null, after: Pod | null): void {
    if (before !== null && after === null) this.#present.delete(keyOf(before));
    if (after === null) return;
    const key = keyOf(after);
    if (before === null) this.#run.say("detail", `Matched pod ${after.name}`);
    if (before?.phase !== after.phase) {
      this.#run.say("detail", `Pod ${after.name} is ${after.phase}`);
    }
    this.#present.set(key, after);
    if (this.#hasCome(after) && !this.#reached.has(key)) this.#reached.set(key, after);
  }

  async #isDone(deadlineMs: number): Promise<boolean> {
    for (const [key, pod] of this.#reached) {
      if (this.#verified.has(key)) continue;
      await this.#verifyNode(pod, deadlineMs);
      this.#verified.add(key);
    }
    return this.#verified.size >= this.#submission.podCount;
  }

  /** Throws `TaskError` if the pod's node has other labels. Without a node nothing is checked. */
  async #verifyNode({ name, node }: Pod, deadlineMs: number): Promise<void> {
    const wanted = Object.entries(this.#wanted.nodeLabels);
    if (wanted.length === 0 || node === null) return;
    const labels = this.#labels.get(node) ?? (await this.#readLabels(name, node, deadlineMs));
    this.#labels.set(node, labels);
    for (const [key, value] of wanted) {
      if (Object.hasOwn(labels, key) && labels[key] === value) continue;
      const what = `pod '${name}' was scheduled on node '${node}'`;
      throw new TaskError(`${what} without label '${key}=${value}'`);
    }
    this.#run.say("detail", `Pod ${name} is on node ${node}, which has the labels`);
  }

  async #readLabels(
    pod: string,
    node: string,
    deadlineMs: number,
  ): Promise<Readonly<Record<string, unknown>>> {
    const path = `/api/v1/nodes/${encodeURIComponent(node)}`;
    const answer = await readAt(this.#run, path, deadlineMs);
    if (answer.kind === "ok") {
      return readObject(readObject(readObject(answer.body)["metadata"])["labels"]);
    }
    throw new TaskError(`failed to get node '${node}' for pod '${pod}': ${answer.message}`);
  }

  /** The pods that have not come so far, their phase, and what the scheduler says. */
  #missing(): string {
    const { podCount } = this.#submission;
    const { status } = this.#wanted;
    const phase = status === "" ? "Running" : status;
    const open = [...this.#present].filter(([key]) => !this.#reached.has(key));
    const shown = open.slice(0, SHOWN_MAX).map(([, { name, phase: now, unscheduled }]) => {
      return `pod ${name} is ${now}${unscheduled === null ? "" : ` (${unscheduled})`}`;
    });
    if (open.length > SHOWN_MAX) shown.push(`${open.length - SHOWN_MAX} more`);
    const absent = podCount - this.#reached.size - open.length;
    if (absent > 0) shown.push(`${absent} ${absent === 1 ? "pod does" : "pods do"} not exist`);
    const all = shown.length === 0 ? "" : `; ${shown.join("; ")}`;
    return `${this.#reached.size} of ${podCount} pods reached ${phase}${all}`;
  }
}

const keyOf = ({ namespace = "", name }: { namespace?: string; name: string }): string =>
  `${namespace}/${name}`;

/** The scheduler that the pod waits for, unless it is Kubernetes' own or has placed the pod. */
function unseenBy({ nodeName, schedulerName }: Untrusted<V1PodSpec>): string | null {
  const name = readText(schedulerName);
  if (name === null || name === "default-scheduler" || readText(nodeName) !== null) return null;
  return `scheduler ${name} has not placed it`;
}

function readUnscheduled(conditions: unknown): string | null {
  if (!Array.isArray(conditions)) return null;
  for (const one of conditions) {
    const { type, status, reason, message } = readObject(one);
    if (type !== "PodScheduled" || status !== "False") continue;
    return [readText(reason), readText(message)].filter((part) => part !== null).join(": ");
  }
  return null;
}
