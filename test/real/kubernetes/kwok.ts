/**
 * What KWOK does in a throw-away cluster in place of kubelets: it keeps the lease and the status of
 * a node fresh, lets pods run, and lets them end. Annotations make a pod misbehave.
 */

/** A node that is made with this annotation is KWOK's; one without it is renewed by nobody. */
export const KWOK_NODE = { "kwok.x-k8s.io/node": "fake" } as const;

/** A node with `"true"` here is not made Ready again; its lease is another matter. */
export const DEAD_NODE = "navarch.test/dead";

/** Annotations of a pod that the stages below obey; each wants the value `"true"`. */
export const POD_ACT = {
  /** Runs but is never ready. */
  unready: "navarch.test/unready",
  /** Succeeds as soon as it ran. */
  completes: "navarch.test/completes",
  /** Once deleted it stays Terminating, as on a node whose kubelet is dead. */
  lingers: "navarch.test/lingers",
  /** Stays Pending although bound to a node. */
  pending: "navarch.test/pending",
} as const;

type Match = {
  key: string;
  operator: "Exists" | "DoesNotExist" | "In" | "NotIn";
  values?: string[];
};

const DELETED = ".metadata.deletionTimestamp";
const LEAVING = ".metadata | select( .deletionGracePeriodSeconds != 0 ) | .deletionTimestamp";
const READY = '.status.conditions.[] | select( .type == "Ready" ) | .status';
const PHASE = ".status.phase";

/** Kubelets report at least every five minutes; nothing here needs it sooner than the lease. */
const STATUS_MS = 300_000;

/** Requests of KWOK at once; its own 4 make two thousand pods run in 17 s. */
const PARALLEL = 32;

/**
 * The configuration file, JSON being YAML. `podEndMs` of `null` uses the whole grace period; `none`
 * leaves the stages to objects of the API.
 */
export function formatKwokConfig(podEndMs: number | null | "none"): string {
  const options = {
    podPlayStageParallelism: PARALLEL,
    nodePlayStageParallelism: PARALLEL,
    nodeLeaseParallelism: PARALLEL,
    podsOnNodeSyncParallelism: PARALLEL,
    // Logs of pods; without the port of its server nothing listens.
    enableDebuggingHandlers: true,
  };
  const own = { apiVersion: "config.kwok.x-k8s.io/v1alpha1", kind: "KwokConfiguration", options };
  const stages = podEndMs === "none" ? [] : testStages(podEndMs);
  return [own, ...stages].map((each) => JSON.stringify(each)).join("\n---\n");
}

function testStages(podEndMs: number | null): Stage[] {
  const alive: Match = { key: DELETED, operator: "DoesNotExist" };
  // A deletion that leaves no time is said once more before the end: that is its own echo.
  const deleted: Match = { key: LEAVING, operator: "Exists" };
  const pending = [alive, has(PHASE, "In", "Pending"), is("pending", "NotIn")];
  const running = [alive, has(PHASE, "In", "Running")];
  const end = stage("pod-end", "Pod", [deleted, is("lingers", "NotIn")], { delete: true });
  end.spec["delay"] = endDelay(podEndMs);
  return [
    nodeStage("node-ready", "NotIn", 0),
    nodeStage("node-report", "In", STATUS_MS),
    podStage("pod-ready", [...pending, is("unready", "NotIn")], ran("True")),
    podStage("pod-unready", [...pending, is("unready", "In")], ran("False")),
    podStage("pod-complete", [...running, is("completes", "In")], COMPLETE),
    end,
  ];
}

/** The deletion timestamp already lies the grace period ahead. */
function endDelay(podEndMs: number | null): Record<string, unknown> {
  return podEndMs === null
    ? { durationFrom: { expressionFrom: DELETED } }
    : { durationMilliseconds: podEndMs };
}

type Stage = {
  apiVersion: string;
  kind: "Stage";
  metadata: { name: string };
  spec: Record<string, unknown>;
};

function stage(name: string, kind: string, match: Match[], next: Record<string, unknown>): Stage {
  return {
    apiVersion: "kwok.x-k8s.io/v1alpha1",
    kind: "Stage",
    metadata: { name },
    spec: {
      resourceRef: { apiGroup: "v1", kind },
      selector: { matchExpressions: match },
      next,
    },
  };
}

function podStage(name: string, match: Match[], statusTemplate: string): Stage {
  return stage(name, "Pod", match, { statusTemplate });
}

function nodeStage(name: string, operator: "In" | "NotIn", delayMs: number): Stage {
  const alive = has(`.metadata.annotations["${DEAD_NODE}"]`, "NotIn", "true");
  const match = [alive, has(READY, operator, "True")];
  const made = stage(name, "Node", match, { statusTemplate: NODE_STATUS });
  made.spec["delay"] = { durationMilliseconds: delayMs, jitterDurationMilliseconds: delayMs * 1.1 };
  return made;
}

const has = (key: string, operator: "In" | "NotIn", value: string): Match => ({
  key,
  operator,
  values: [value],
});

const is = (act: keyof typeof POD_ACT, operator: "In" | "NotIn"): Match =>
  has(`.metadata.annotations["${POD_ACT[act]}"]`, operator, "true");

const NODE_STATUS = `{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ or $.metadata.creationTimestamp $now | Quote }}
{{ end }}
phase: Running
`;

function ran(ready: "True" | "False"): string {
  const isReady = ready === "True";
  return `{{ $now := Now }}
phase: Running
startTime: {{ $now | Quote }}
hostIP: 127.0.0.1
podIP: 127.0.0.1
conditions:
{{ range $type := list "Initialized" "PodScheduled" }}
- {type: {{ $type }}, status: "True", lastTransitionTime: {{ $now | Quote }}}
{{ end }}
{{ range $type := list "Ready" "ContainersReady" }}
- {type: {{ $type }}, status: "${ready}", lastTransitionTime: {{ $now | Quote }}}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: ${isReady}
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
`;
}

const COMPLETE = `{{ $now := Now }}
phase: Succeeded
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: false
  restartCount: 0
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
{{ end }}
`;
