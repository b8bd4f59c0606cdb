/**
 * I7, I8 and I13: a person's cordon is never lifted, a closed session acts no more, and what is not
 * ours is not touched.
 */
import type { Call, Checker, Commit, Violation } from "../world/observation.ts";

/** The product lifts only what it set itself, and only people take a person's mark away. */
export function ownCordonOnly(): Checker {
  /** NodeNames that people put back into service in Slurm, since a person's last cordon. */
  const released = new Set<string>();
  return {
    id: "I7",
    look({ calls, commits, slurm }) {
      const out: Violation[] = [];
      for (const { by, what, node } of slurm) {
        const isPerson = by !== "api" && by !== "slurm";
        if (isPerson && (what === "resume" || what === "undrain")) released.add(node);
      }
      for (const call of calls) {
        if (call.kind !== "uncordon") continue;
        const mark = call.subject?.cordon.product ?? null;
        if (mark === null)
          out.push({ id: "I7", message: `uncordon of ${call.node}, which is not ours to lift` });
      }
      for (const commit of commits) out.push(...judgeMarks(commit, released));
      return out;
    },
  };
}

function judgeMarks({ change, nodesBefore }: Commit, released: Set<string>): Violation[] {
  const out: Violation[] = [];
  for (const node of change.nodes) {
    const before = nodesBefore.get(node.id);
    const mark = before?.cordon.human ?? null;
    if (mark === null && node.cordon.human !== null) released.delete(node.slurm?.name ?? "");
    if (mark === null || node.cordon.human !== null) continue;
    const ordered = change.commands.some(
      (one) => one.node === node.id && one.type === "uncordon" && one.state === "applied",
    );
    const inSlurm = released.has(before?.slurm?.name ?? "");
    if (!ordered && !inSlurm)
      out.push({ id: "I7", message: `the cordon of ${mark.by} on ${node.id} is gone` });
  }
  return out;
}

/**
 * No call starts for a session that is closed, but for the end of an instance whose intent was
 * committed while it was open.
 */
export function closedIsClosed(): Checker {
  return {
    id: "I8",
    look: ({ calls }) => calls.filter((call) => isLate(call)).map(tellLate),
  };
}

function isLate({ session, subject, kind }: Call): boolean {
  if (session === null || subject?.session?.id === session) return false;
  return kind !== "terminate";
}

function tellLate({ kind, node, session, subject }: Call): Violation {
  const now = subject?.session?.id ?? "none";
  return { id: "I8", message: `${kind} of ${node} for session ${session}; open is ${now}` };
}

/** No call targets an instance outside the fleet, or a node that the product does not manage. */
export function handsOff(): Checker {
  return {
    id: "I13",
    look({ calls, cloud }) {
      const out: Violation[] = [];
      for (const call of calls) {
        if (call.kind === "terminate") {
          const { target } = call;
          if (target === null) continue;
          const ours = target.fleet === cloud.fleetId && !target.decoy;
          if (!ours)
            out.push({ id: "I13", message: `terminate of ${target.id}, which is not ours` });
        } else if (call.kind === "create") {
          if (call.request?.tags["navarch-fleet"] !== cloud.fleetId)
            out.push({ id: "I13", message: `create for ${call.node} without the fleet's mark` });
        } else if (call.subject === null) {
          out.push({ id: "I13", message: `${call.kind} of ${call.node}, which has no row` });
        }
      }
      return out;
    },
  };
}
