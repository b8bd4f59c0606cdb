/** Work left on a Slurm node, by its state and the queue: what is not known is never empty. */
import type { DrainSight } from "../fleet.ts";
import type { SlurmJob, SlurmNode } from "./object.ts";
import { fleetState } from "./state.ts";

/** A powered-down node is given work only after its ResumeProgram ran. */
const OFF_FLAGS: readonly string[] = ["POWERED_DOWN", "POWERING_DOWN"];
/** `squeue` shows them for minutes after their end. */
const AWAY_STATES: ReadonlySet<string> = new Set([
  ...["PENDING", "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED"],
  ...["BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY", "REVOKED"],
]);
const SHOWN_JOBS_MAX = 5;

/** `seenAt`: wall milliseconds before the older of both lists was asked for. */
export function workLeft(
  node: SlurmNode | undefined,
  listed: readonly SlurmJob[],
  seenAt: number,
): DrainSight {
  if (node === undefined) return { kind: "dark", message: "Slurm does not show this node" };
  const { name, flags } = node;
  const jobs = listed.filter(({ state }) => !isAway(state));
  // A suspended job holds no CPU, so its node may read IDLE.
  if (jobs.length > 0) {
    const ids = jobs.filter(isEndable).map(({ id }) => id);
    const endable = ids.length === 0 ? {} : { jobs: ids };
    return { kind: "busy", remaining: jobs.length, message: showJobs(jobs), ...endable };
  }
  const { state, isUnreachable } = fleetState(node);
  if (state === "busy" || state === "draining") {
    const how = flags.includes("COMPLETING") ? "an epilog runs" : "Slurm calls it busy";
    return { kind: "busy", remaining: 1, message: `${how} (${stateOf(node)})` };
  }
  const isIdle = node.base === "IDLE" && !flags.includes("COMPLETING");
  const isOff = state === "scaling" && isIdle && OFF_FLAGS.some((flag) => flags.includes(flag));
  if (state === "drained" || state === "down" || isOff) return { kind: "empty", seenAt };
  const how = state === "unknown" ? "has an unknown state" : "is not drained";
  const message = `${name} ${how} in Slurm (${stateOf(node)})`;
  const isFree = state === "free" && !isUnreachable;
  return isFree ? { kind: "dark", message, idle: true } : { kind: "dark", message };
}

/** As in `IDLE+DRAIN`. */
export function stateOf({ base, flags }: Pick<SlurmNode, "base" | "flags">): string {
  return [base, ...flags].join("+");
}

/** Whether it still runs: not over, and not in its epilog. */
export function isEndable({ state }: Pick<SlurmJob, "state">): boolean {
  return !isAway(state) && !state.split("+").includes("COMPLETING");
}

/** States come as one word or joined, as in `COMPLETED+COMPLETING`. */
function isAway(state: string): boolean {
  const words = state.split("+");
  return !words.includes("COMPLETING") && words.some((word) => AWAY_STATES.has(word));
}

function showJobs(jobs: readonly SlurmJob[]): string {
  const ids = jobs.slice(0, SHOWN_JOBS_MAX).map(({ id, state }) => {
    return state === "RUNNING" ? id : `${id} (${state})`;
  });
  const more = jobs.length > SHOWN_JOBS_MAX ? ` and ${jobs.length - SHOWN_JOBS_MAX} more` : "";
  return `${jobs.length === 1 ? "job" : "jobs"} ${ids.join(", ")}${more}`;
}
