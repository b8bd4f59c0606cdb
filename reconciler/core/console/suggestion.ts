/**
 * What may be wrong with a failed item, and what to look at: likely causes first. Pure, and by
 * condition and reason only: messages of a cluster are other people's text.
 */
import type { Condition, PodFacts, Stuck, Suggestion } from "../../../schema/console/cluster.ts";
import type { WriterLoad } from "../store.ts";

const say = (cause: string, resolution: string): Suggestion => ({ cause, resolution });

const PENDING: readonly Suggestion[] = [
  say(
    "No node has enough free CPU, memory or GPUs.",
    "Compare the pod's requests with the free resources of the nodes; a pool whose labels and " +
      "taints fit could host it if it grew.",
  ),
  say(
    "A volume is not bound or cannot be mounted.",
    "Look at the pod's PersistentVolumeClaims, and at the events of the pod.",
  ),
  say(
    "No node matches the node selector or affinity, or the pod does not tolerate the taints.",
    "Compare nodeSelector, affinity and tolerations in the pod's specification with the labels " +
      "and taints of the nodes.",
  ),
];

const GATED = say(
  "A scheduling gate holds the pod back.",
  "Look at spec.schedulingGates; the controller that set a gate removes it.",
);

const CREATING: readonly Suggestion[] = [
  say(
    "A volume cannot be mounted, or a ConfigMap or Secret that the pod names does not exist.",
    "Look at the events of the pod: they name the volume or object.",
  ),
  say(
    "The container runtime or the network plug-in of the node does not answer.",
    "Look at the node's conditions, and at other pods that start there.",
  ),
];

const PULL: readonly Suggestion[] = [
  say(
    "The image or its tag does not exist.",
    "Check the image's name and tag in the pod's specification.",
  ),
  say(
    "The registry refuses the pull, or the node cannot reach it.",
    "Check imagePullSecrets, and the node's route to the registry.",
  ),
];

const OOM = say(
  "A container needed more memory than its limit (OOMKilled).",
  "Raise the container's memory limit, or find out what it allocates.",
);

const CRASH: readonly Suggestion[] = [
  say(
    "The application ends with an error.",
    "Read the log of the previous container; it holds the last lines before the crash.",
  ),
  say(
    "Its configuration is wrong: environment, arguments, or a missing file.",
    "Compare the pod's specification with one that worked, and read the first lines of the log.",
  ),
];

const EVICTED = say(
  "The node was short of memory or disk, and its kubelet evicted the pod.",
  "Look at the node's conditions; give the pod requests that match its use.",
);

const DEADLINE = say(
  "The pod ran longer than its activeDeadlineSeconds.",
  "Raise the deadline, or find out why it took longer.",
);

/** Empty for a pod that is neither stuck nor failed. */
export function suggestForPod(pod: PodFacts, stuck: Stuck | null): Suggestion[] {
  if (pod.status === "SchedulingGated") return stuck === null ? [] : [GATED];
  if (stuck === "Pending") return [...PENDING];
  if (stuck === "ContainerCreating") return [...CREATING];
  if (stuck === "ImagePullBackOff") return [...PULL];
  if (stuck === null && pod.phase !== "Failed") return [];
  if (pod.status === "Evicted") return [EVICTED];
  if (pod.status === "DeadlineExceeded") return [DEADLINE];
  return wasOutOfMemory(pod) ? [OOM, ...CRASH] : [...CRASH, OOM];
}

function wasOutOfMemory({ containers, initContainers }: PodFacts): boolean {
  return [...containers, ...initContainers].some(({ reason, lastReason }) => {
    return reason === "OOMKilled" || lastReason === "OOMKilled";
  });
}

const FLUX: readonly Suggestion[] = [
  say(
    "The chart or artifact was not found.",
    "Check that the chart exists in that version in its repository, and that the source is ready.",
  ),
  say(
    "The values or the manifests are not valid.",
    "Compare the values with the chart's schema; render the chart with them.",
  ),
  say(
    "An object that it depends on is not ready.",
    "Look at dependsOn, and at the state of these objects.",
  ),
];

const REFUSED = say(
  "The source refuses connections.",
  "Check the URL and the port, that the service runs, and network policies on the way.",
);

const TIMEOUT = say(
  "The source or the cluster did not answer in time.",
  "Check the network on the way and the load of the source; raise spec.timeout if it is slow.",
);

/** Of an object whose Ready condition is `False`. */
export function suggestForFlux({ message = "" }: Partial<Condition>): Suggestion[] {
  if (/connection refused/i.test(message)) return [REFUSED, ...FLUX];
  if (/timed? ?out|deadline exceeded/i.test(message)) return [TIMEOUT, ...FLUX];
  return [...FLUX];
}

const SLOW: readonly Suggestion[] = [
  say(
    "The control plane is short of CPU, or its volume is slow.",
    "Compare its use of CPU with its limit, and raise its requests; give the database a faster " +
      "disk.",
  ),
  say(
    "Many changes are written one after the other.",
    "Look at which clients write most in the audit, and have them batch or slow down.",
  ),
  say(
    "There is more data than before.",
    "Shorten the retention of the audit, and read the same answers less often.",
  ),
];

/** Of the store's writer: its transactions wait, or fill most of a minute. */
export function suggestForStore({ busyPercent, waitSeconds }: WriterLoad): Suggestion[] {
  return busyPercent >= 80 || waitSeconds >= 1 ? [...SLOW] : [];
}
