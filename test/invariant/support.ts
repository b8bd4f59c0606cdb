/**
 * The invariants S1–S5 of docs/reference/invariants.md. Each guards a mechanism whose loss no test
 * of convergence would notice.
 */
import type { NodeId, PoolName } from "../../schema/id.ts";
import type { Checker, Commit, Observation, Violation } from "../world/observation.ts";

/** At most one open operation a node, and the node names it. */
export function oneOperation(): Checker {
  return {
    id: "S1",
    look({ rows, commits }) {
      if (commits.every(({ change }) => change.operations.length + change.nodes.length === 0))
        return [];
      const out: Violation[] = [];
      const open = new Map<string, string>();
      for (const { id, node } of rows.operations.values()) {
        const other = open.get(node);
        if (other !== undefined)
          out.push({ id: "S1", message: `${node} has two open operations: ${other} and ${id}` });
        open.set(node, id);
        const named = rows.nodes.get(node)?.operation;
        if (named !== id)
          out.push({ id: "S1", message: `${id} is open, but ${node} names ${named ?? "none"}` });
      }
      return out;
    },
  };
}

/** Fences and generations only grow. */
export function onlyForward(): Checker {
  return {
    id: "S2",
    look({ commits }) {
      const out: Violation[] = [];
      for (const { change, nodesBefore, poolsBefore } of commits) {
        for (const { id, fence } of change.nodes) {
          const was = nodesBefore.get(id as NodeId)?.fence ?? 0;
          if (fence < was)
            out.push({ id: "S2", message: `the fence of ${id} fell: ${was} → ${fence}` });
        }
        for (const { name, nextGen } of change.pools) {
          const before = poolsBefore.get(name as PoolName);
          if (before !== undefined && nextGen < before.nextGen)
            out.push({ id: "S2", message: `the generation of ${name} fell to ${nextGen}` });
        }
      }
      return out;
    },
  };
}

/** A refusal changes its node in the same transaction: or the next plan repeats it for ever. */
export function refusalTells(): Checker {
  return {
    id: "S3",
    look: ({ commits }) => commits.flatMap(judgeRefusals),
  };
}

function judgeRefusals({ change, operationsBefore, nodesBefore }: Commit): Violation[] {
  const out: Violation[] = [];
  for (const { id, state, node, message } of change.operations) {
    if (state !== "refused" || operationsBefore.get(id)?.state !== "asked") continue;
    // Nothing was refused: it waited for its turn at slurmctld, and is sent again at once.
    if (message?.startsWith("not sent: ") === true) continue;
    const before = nodesBefore.get(node);
    if (before === undefined || before.operation !== id) continue;
    const after = change.nodes.find((one) => one.id === node);
    // A mark that mirrors a cordon rests in its own scheduler, and stops nothing else.
    const rested = [after?.kube?.restUntil, after?.slurm?.restUntil].join();
    const isRested = rested !== [before.kube?.restUntil, before.slurm?.restUntil].join();
    if (after === undefined || (after.fence <= before.fence && !isRested))
      out.push({ id: "S3", message: `the refusal of ${id} left ${node} as it was` });
  }
  return out;
}

/** Law 6: every node that does not serve is acted on, or waits with a reason. */
export function everyNodeExplained(): Checker {
  return {
    id: "S4",
    look({ plan, rows }) {
      if (plan === null) return [];
      let told: Set<string> | null = null;
      const out: Violation[] = [];
      for (const { id, phase } of rows.nodes.values()) {
        if (phase.kind === "serving" || phase.kind === "gone") continue;
        told ??= new Set<string>([
          ...plan.actions.map((one): string => one.node),
          ...plan.waits.flatMap((one) => (one.node === null ? [] : [one.node as string])),
        ]);
        if (!told.has(id))
          out.push({ id: "S4", message: `${id} is ${phase.kind} with neither action nor wait` });
      }
      return out;
    },
  };
}

/** What the scheduler shows is what the row says, or an open operation explains the difference. */
export function cordonAsSaid(): Checker {
  const marks = new Set<NodeId>();
  const lost = new Set<string>();
  return {
    id: "S5",
    look(seen) {
      const { cordoned } = seen;
      if (cordoned === null) return [];
      if (seen.forgotten) {
        marks.clear();
        // The scheduler port has no listing: what was set before cannot be known any more.
        for (const id of cordoned) lost.add(id);
      }
      for (const { change } of seen.commits) {
        for (const node of change.nodes) {
          // A surplus is marked by its adoption, and the scheduler is not told: a known gap.
          const told = !("purpose" in node.phase) || node.phase.purpose !== "surplus";
          if (node.cordon.product !== null && told && node.phase.kind !== "gone") {
            marks.add(node.id);
            lost.delete(node.id);
          } else marks.delete(node.id);
        }
        for (const id of change.removedNodes) marks.delete(id);
        // An earlier sending, whose answer was lost, may have made the mark all the same.
        for (const { state, payload, attempts, node } of change.operations) {
          if (state === "refused" && payload.kind === "cordon" && attempts > 1) lost.add(node);
        }
      }
      return seen.plan === null ? [] : judgeCordons({ ...seen, cordoned }, marks, lost);
    },
  };
}

function judgeCordons(
  { cordoned, rows, forgotten }: Observation & { cordoned: ReadonlySet<string> },
  marks: ReadonlySet<NodeId>,
  lost: ReadonlySet<string>,
): Violation[] {
  const out: Violation[] = [];
  if (forgotten) return out;
  const isOpen = (id: NodeId): boolean => rows.nodes.get(id)?.operation != null;
  for (const id of marks) {
    // A process that dies as its commit arrives has told nobody of it.
    const stands = rows.nodes.get(id)?.cordon.product != null;
    if (cordoned.has(id) || isOpen(id) || !stands) continue;
    out.push({ id: "S5", message: `${id} counts as cordoned; the scheduler places work on it` });
  }
  for (const id of cordoned) {
    const node = rows.nodes.get(id as NodeId);
    if (lost.has(id)) continue;
    if (node === undefined || node.phase.kind === "gone" || node.cordon.product !== null) continue;
    if (isOpen(node.id)) continue;
    out.push({ id: "S5", message: `the scheduler shows ${id} cordoned, its row does not` });
  }
  return out;
}
