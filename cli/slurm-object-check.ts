/** Judges the pods and Services of a Slurm cluster on Kubernetes. Pure. */
import { type KubeObject, listOf, mapOf, textOf } from "../deploy/slurm/reference-set.ts";

export type Seen = readonly KubeObject[];
/** What is wrong, and what was found besides. */
export type Findings = { failed: readonly string[]; found: readonly string[] };

const WORKLOADS = [
  { kind: "StatefulSet", name: "slurm-mariadb" },
  { kind: "Deployment", name: "slurm-dbdaemon" },
  { kind: "Deployment", name: "slurm-controller" },
  { kind: "StatefulSet", name: "slurm-compute" },
] as const;

export function judgeObjects(seen: Seen, what: "pods" | "services" | "controller"): Findings {
  const names = what === "controller" ? ["slurm-controller"] : WORKLOADS.map(({ name }) => name);
  const judge = what === "services" ? judgeService : judgeWorkload;
  const judged = names.map((name) => judge(seen, name));
  return {
    failed: judged.flatMap(({ failed }) => failed),
    found: judged.flatMap(({ found }) => found),
  };
}

function judgeWorkload(seen: Seen, name: string): Findings {
  const workload = seen.find(({ kind, metadata }) => {
    return metadata.name === name && (kind === "StatefulSet" || kind === "Deployment");
  });
  if (workload === undefined) return { failed: [`${name}: does not exist`], found: [] };
  const wanted = Number(mapOf(workload["spec"])["replicas"] ?? 1);
  const ready = Number(mapOf(workload["status"])["readyReplicas"] ?? 0);
  // A pool may take every compute pod away; the others are one pod each.
  if (wanted === 0 && name !== "slurm-compute") {
    return { failed: [`${name}: is scaled to 0`], found: [] };
  }
  const line = `${name}: ${ready} of ${wanted} ready`;
  if (ready >= wanted) return { failed: [], found: [line] };
  return { failed: [line, ...podsOf(seen, name).flatMap(whyNotReady)], found: [] };
}

const podsOf = (seen: Seen, name: string): KubeObject[] =>
  seen.filter((one) => {
    return one.kind === "Pod" && mapOf(mapOf(one["metadata"])["labels"])["app"] === name;
  });

function whyNotReady(pod: KubeObject): string[] {
  const status = mapOf(pod["status"]);
  const conditions = listOf(status["conditions"]);
  const ready = conditions.find((one) => one["type"] === "Ready");
  if (ready?.["status"] === "True") return [];
  const unscheduled = conditions.find((one) => {
    return one["type"] === "PodScheduled" && one["status"] === "False";
  });
  const states = listOf(status["containerStatuses"]).flatMap(({ state }) => {
    const waiting = mapOf(mapOf(state)["waiting"]);
    return [textOf(waiting["reason"]), textOf(waiting["message"])].filter((one) => one !== "");
  });
  const why = [textOf(unscheduled?.["message"]), ...states].filter((one) => one !== "");
  return [`  ${[`${pod.metadata.name} is ${textOf(status["phase"])}`, ...why].join(": ")}`];
}

/** A Service leads nowhere unless it selects a pod that is ready. */
function judgeService(seen: Seen, name: string): Findings {
  const service = seen.find(({ kind, metadata }) => kind === "Service" && metadata.name === name);
  if (service === undefined) return { failed: [`${name}: does not exist`], found: [] };
  const selector = Object.entries(mapOf(mapOf(service["spec"])["selector"]));
  const ready = seen.filter((one) => {
    const labels = mapOf(mapOf(one["metadata"])["labels"]);
    const isSelected = selector.every(([key, value]) => labels[key] === value);
    return one.kind === "Pod" && isSelected && whyNotReady(one).length === 0;
  });
  const compute = seen.find(({ kind, metadata }) => {
    return kind === "StatefulSet" && metadata.name === name;
  });
  const isEmpty = mapOf(compute?.["spec"])["replicas"] === 0;
  if (ready.length > 0 || isEmpty) return { failed: [], found: [`${name}: ${ready.length} pods`] };
  return { failed: [`${name}: no pod behind it is ready`], found: [] };
}
