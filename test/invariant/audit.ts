/**
 * I14: for every effect and every refusal there is exactly one row that tells of it. An operation's
 * row is the effect's own: it is closed once, together with the event for people. The chain is
 * checked where it is kept: the ids of events, in the database, have no hole.
 */
import type { EventKind } from "../../schema/event.ts";
import type { Operation, OperationKind } from "../../schema/operation.ts";
import type { Checker, Commit, Violation } from "../world/observation.ts";

const TOLD: Record<OperationKind, EventKind> = {
  create: "node.booting",
  terminate: "node.terminating",
  reboot: "node.repairing",
  cordon: "node.cordoned",
  uncordon: "node.uncordoned",
  drain: "node.draining",
  end_jobs: "slurm.jobs_told",
  bootstrap: "node.bootstrapped",
};

/** `events` counts the event rows and their greatest id; `null` while no database is open. */
export function audit(
  events: () => { count: number; first: number; last: number } | null,
): Checker {
  let told = 0;
  return {
    id: "I14",
    look(seen) {
      const out: Violation[] = [];
      if (seen.forgotten) {
        told = 0;
      }
      for (const commit of seen.commits) {
        told += commit.change.events.length;
        out.push(...judgeClosings(commit));
      }
      const rows = seen.commits.length === 0 ? null : events();
      if (rows === null || rows.count === 0) return out;
      if (rows.last - rows.first + 1 !== rows.count)
        out.push({
          id: "I14",
          message: `${rows.count} events between ${rows.first} and ${rows.last}`,
        });
      // A commit may be durable although its process died before it knew: never the other way.
      if (rows.last < told)
        out.push({ id: "I14", message: `${told} events were committed, ${rows.last} are kept` });
      return out;
    },
  };
}

function judgeClosings(commit: Commit): Violation[] {
  const { change, operationsBefore, nodesBefore } = commit;
  const out: Violation[] = [];
  for (const operation of change.operations) {
    const before = operationsBefore.get(operation.id);
    const bad = (message: string): void => void out.push({ id: "I14", message });
    if (change.operations.filter((one) => one.id === operation.id).length > 1)
      bad(`${operation.id} is written twice in one transaction`);
    if (before === undefined || before.state !== "asked" || operation.state === "asked") continue;
    if (operation.closedAt === null) bad(`${operation.id} closed without an instant`);
    if (nodesBefore.get(operation.node)?.operation !== operation.id) continue;
    const after = change.nodes.find(({ id }) => id === operation.node);
    const told = tellings(change.events, operation) - (isGivenUp(commit, operation) ? 1 : 0);
    if (told > 1) bad(`${told} events tell of ${operation.id}`);
    // The mark's own row tells each refusal; the event comes after each power of two of them.
    const isMirrored = "mirror" in operation.payload && operation.payload.mirror === true;
    const refusals = nodesBefore.get(operation.node)?.kube?.refusals ?? 0;
    const isCounted = (after?.kube?.refusals ?? 0) > refusals;
    if (told === 0 && operation.state === "refused" && !isMirrored && !isCounted)
      bad(`nothing tells that ${operation.id} was refused`);
  }
  return out;
}

function tellings(events: Commit["change"]["events"], operation: Operation): number {
  const kind = operation.state === "refused" ? "provider.error" : TOLD[operation.payload.kind];
  const isSaid = (said: string): boolean =>
    said === kind || (operation.state === "refused" && said === "kube.refused");
  const own = events.filter(
    (event) => isSaid(event.kind) && event.node === operation.node && event.actor === "navarch",
  );
  if (operation.payload.kind !== "drain" || operation.state === "refused") return own.length;
  // The same transaction may tell of work that was seen on the node, in the same word.
  const why = operation.because.join("; ");
  return own.filter(({ message }) => message === (why === "" ? "asked to drain" : why)).length;
}

/** The same transaction may tell, in the same word, that the slot of the ended node is given up. */
function isGivenUp({ change, nodesBefore }: Commit, { node, state, payload }: Operation): boolean {
  if (payload.kind !== "terminate" || state === "refused") return false;
  const before = nodesBefore.get(node)?.phase;
  const after = change.nodes.find(({ id }) => id === node)?.phase;
  if (before?.kind !== "terminating" || after?.kind !== "terminating") return false;
  return before.purpose !== "scale_down" && after.purpose === "scale_down";
}
