/**
 * I9 and I10 for jobs of Slurm: none is cut off before its drain's deadline, nothing ends while its
 * work is dark, and only a drain of Navarch is released, on a machine that runs. Judged by what
 * slurmctld and the cloud know at the first byte of each call, never by what the product believes.
 */
import { parseReason } from "../../reconciler/core/slurm/reason.ts";
import type { Call, Observation, Violation } from "../world/observation.ts";
import { isJobOrder, type SlurmWrite } from "../world/slurm/write.ts";

/** Slurm has no compare-and-set: what a person said this shortly before may be overwritten. */
const RACE_MS = 10_000;
/** A list may be as old as the poll interval and this, with the time limits of both calls. */
const STALE_EXTRA_MS = 30_000;
/** What stopped so lately may not have been seen to. */
const SEEN_MS = 5_000;
/** These end a node's jobs, or give them up. */
const ENDS: ReadonlySet<string> = new Set([
  ...["down", "power_down", "power_down_force", "requeue", "requeuehold"],
]);
const OPENS: ReadonlySet<string> = new Set(["undrain", "resume", "delete"]);

/** By node and by NodeName: until when a drain waits for work. Wall milliseconds. */
type Deadlines = Map<string, number>;

export type JobJudge = (
  seen: Pick<Observation, "calls" | "commits" | "slurm" | "config">,
) => Violation[];

/** No job of Slurm is cut off before its time, and none is that nobody could see. */
export function jobsFinish(): JobJudge {
  const deadlines: Deadlines = new Map();
  return ({ calls, commits, slurm, config }) => {
    for (const { change } of commits) {
      for (const { id, phase, slurm: side } of change.nodes) {
        const isOver = phase.kind === "serving" || phase.kind === "gone";
        for (const key of side === null ? [id] : [id, side.name]) {
          if (phase.kind === "draining") deadlines.set(key, phase.deadlineAt || Infinity);
          else if (isOver) deadlines.delete(key);
        }
      }
    }
    const darkMaxMs = darkMaxOf(config);
    return [
      ...calls.flatMap((call) => judgeEnd(call, deadlines, darkMaxMs)),
      ...slurm.filter(isOurs).flatMap((write) => judgeGivenUp(write, deadlines)),
    ];
  };
}

const darkMaxOf = ({ slurm }: Observation["config"]): number => {
  return slurm.pollIntervalMs + STALE_EXTRA_MS;
};

/** Nothing ends or reboots while a person holds it in Slurm, unless a person ordered it. */
export function judgeHeld(call: Call, config: Observation["config"]): Violation[] {
  const { kind, node, slurm, target, subject } = call;
  if (kind !== "terminate" && kind !== "reboot") return [];
  if (slurm === null || target?.state !== "running" || subject?.order != null) return [];
  if (slurm.heldMs === null || slurm.heldMs <= darkMaxOf(config)) return [];
  const held = `a person has held ${slurm.nodeName} in Slurm for ${Math.round(slurm.heldMs)} ms`;
  return [{ id: "I10", message: `${kind} of ${node} while ${held}` }];
}

const isOurs = ({ by }: SlurmWrite): boolean => by === "api";

function judgeEnd(call: Call, deadlines: Deadlines, darkMaxMs: number): Violation[] {
  const { kind, node, slurm, target, subject, at } = call;
  if (kind !== "terminate" && kind !== "reboot") return [];
  if (slurm === null || target === null || target.state !== "running") return [];
  const { order } = subject ?? {};
  if (order?.force === true && order.goal !== "drain") return [];
  const isOver = at >= (deadlines.get(node) ?? Infinity);
  const { jobs, nodeName, darkMs } = slurm;
  const bad = (why: string): Violation => ({ id: "I9", message: `${kind} of ${node} ${why}` });
  // The cloud accepted its end before, and forgot it: the node was empty and is still drained.
  const isRepeat = subject?.phase.kind === "terminating" && subject.phase.accepted !== null;
  if (isRepeat && jobs.length === 0) return [];
  if (darkMs > darkMaxMs) return [bad(`while ${nodeName} in Slurm was not seen for ${darkMs} ms`)];
  if (jobs.length === 0 || isOver) return [];
  return [bad(`while ${nodeName} runs job ${jobs.join(", ")}`)];
}

function judgeGivenUp(write: SlurmWrite, deadlines: Deadlines): Violation[] {
  const { what, node, jobs, reason, at } = write;
  if (!ENDS.has(what) || jobs.length === 0) return [];
  const names = isJobOrder(what) ? (reason ?? "").split(",") : [node];
  if (names.some((name) => at >= (deadlines.get(name) ?? Infinity))) return [];
  return [{ id: "I9", message: `${what} of ${node} while it runs job ${jobs.join(", ")}` }];
}

/** A drain is released, or a node removed, only if it is ours; others' reasons stay. */
export function judgeOwner(write: SlurmWrite): Violation[] {
  if (!isOurs(write)) return [];
  const { what, node, over, overMs, goneMs, reason } = write;
  const bad = (why: string): Violation => ({ id: "I10", message: `${what} of ${node} ${why}` });
  const out: Violation[] = [];
  const isForeign = over !== null && parseReason(over) === null;
  // A reason that the product puts back is the one that it took.
  const isRestored = what === "reason" && parseReason(reason) === null;
  if (isForeign && overMs > RACE_MS && !isRestored) out.push(bad(`over another's drain: ${over}`));
  if (what === "drain" && parseReason(reason) === null) out.push(bad(`with ${reason}`));
  if (OPENS.has(what) && !isForeign && what !== "delete" && goneMs > SEEN_MS) {
    out.push(bad("while no slurmd runs under this name"));
  }
  return out;
}
