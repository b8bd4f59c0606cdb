/**
 * The status of a pod as `kubectl get pods` prints it (Kubernetes, pkg/printers/internalversion,
 * `printPod`): the phase says `Running` while a container crashes in a loop. Pure.
 */

export type ContainerState =
  | { kind: "waiting"; reason: string }
  | { kind: "running" }
  | { kind: "terminated"; reason: string; exitCode: number; signal: number }
  /** The kubelet reported no state. */
  | { kind: "none" };

export type ContainerStatus = { state: ContainerState; ready: boolean };

export type InitStatus = ContainerStatus & {
  /** Runs beside the containers (`restartPolicy: Always`). */
  isSidecar: boolean;
  started: boolean;
};

export type PodState = {
  phase: string;
  /** `status.reason`: `Evicted`, `NodeLost`. */
  reason: string;
  isDeleting: boolean;
  /** A scheduling gate holds it. */
  isGated: boolean;
  isInitialized: boolean;
  isReady: boolean;
  /** In `spec.initContainers`, whether or not they have a status. */
  initCount: number;
  inits: readonly InitStatus[];
  containers: readonly ContainerStatus[];
};

export function podStatus(pod: PodState): string {
  const { phase, reason, isDeleting } = pod;
  if (isDeleting && reason === "NodeLost") return "Unknown";
  if (isDeleting && phase !== "Failed" && phase !== "Succeeded") return "Terminating";
  const first = pod.isGated ? "SchedulingGated" : reason || phase;
  const initializing = initStatus(pod);
  if (initializing !== null && !pod.isInitialized) return initializing;
  return containerStatus(pod, initializing ?? first);
}

/** `null`: its init containers are done. */
function initStatus({ inits, initCount }: PodState): string | null {
  for (const [index, { state, isSidecar, started }] of inits.entries()) {
    if (state.kind === "terminated" && state.exitCode === 0) continue;
    if (isSidecar && started) continue;
    if (state.kind === "terminated") return `Init:${endOf(state)}`;
    const waits = state.kind === "waiting" && state.reason !== "";
    if (waits && state.reason !== "PodInitializing") return `Init:${state.reason}`;
    return `Init:${index}/${initCount}`;
  }
  return null;
}

function containerStatus({ containers, isReady }: PodState, first: string): string {
  let status = first;
  let hasRunning = false;
  // The first container with something to say wins, so the last one is read first.
  for (const { state, ready } of containers.toReversed()) {
    if (state.kind === "waiting" && state.reason !== "") status = state.reason;
    else if (state.kind === "terminated") status = endOf(state);
    else if (state.kind === "running" && ready) hasRunning = true;
  }
  if (status !== "Completed" || !hasRunning) return status;
  return isReady ? "Running" : "NotReady";
}

function endOf(state: Extract<ContainerState, { kind: "terminated" }>): string {
  const { reason, signal, exitCode } = state;
  if (reason !== "") return reason;
  return signal !== 0 ? `Signal:${signal}` : `ExitCode:${exitCode}`;
}
