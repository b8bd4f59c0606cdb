/** I12: while the product cannot trust its own eyes, nothing destructive starts. */
import type { Call, Checker } from "../world/observation.ts";

/** A forced order of a person needs no eyes, and what the cloud has ended cannot be harmed. */
function mayWhileBlind({ subject, target }: Call): boolean {
  if (subject === null) return false;
  if (subject.order?.force === true) return true;
  return subject.instance?.state === "terminated" || target === null;
}

export function stillWhileBlind(): Checker {
  return {
    id: "I12",
    look: ({ calls }) =>
      calls
        .filter((call) => call.kind === "terminate" || call.kind === "drain")
        .filter((call) => call.blind.length > 0 && !mayWhileBlind(call))
        .map(({ kind, node, blind }) => ({
          id: "I12",
          message: `${kind} of ${node} starts while blind: ${blind.join("; ")}`,
        })),
  };
}
