/**
 * Several autoscalers on one pool. Pure. A member without a usable signal abstains, and votes
 * neither its present size nor zero; when all abstain the size is held. The order of members
 * changes nothing.
 */
import type { Autoscaler } from "../../../schema/config.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { hold, type Ask, type Recommendation, type Snapshot } from "./snapshot.ts";

type Composite = Extract<Autoscaler, { type: "composite" }>;
type Vote = Extract<Recommendation, { kind: "size" }>;

export function recommendComposite(
  autoscaler: Composite,
  snapshot: Snapshot,
  ask: Ask<Autoscaler>,
): Recommendation {
  const answers = autoscaler.autoscalers.map((member) => ask(member, snapshot));
  const votes = answers.filter((answer): answer is Vote => answer.kind === "size");
  const abstained = answers.filter((answer) => answer.kind === "hold");
  const silent = abstained.map((one) => one.because);
  if (votes.length === 0) {
    const lost = abstained.some((one) => one.cause === "unknown");
    return hold(silent.join("; "), lost ? "unknown" : "quiet");
  }
  const nodes = combine(
    autoscaler.mode,
    votes.map((vote) => vote.nodes),
  );
  // An average is everybody's; a highest or lowest recommendation is its winners'.
  const deciding = autoscaler.mode === "avg" ? votes : votes.filter((vote) => vote.nodes === nodes);
  const words = [...new Set(deciding.map((vote) => vote.because))].join("; ");
  const rest = silent.length === 0 ? "" : ` (without a voice: ${silent.join("; ")})`;
  const mode = votes.length === 1 ? "" : `${autoscaler.mode} of ${votes.length}: `;
  const urgent = autoscaler.mode !== "avg" && deciding.some((vote) => vote.cause === "bounds");
  const because = `${mode}${words}${rest}`;
  return { kind: "size", nodes, because, cause: urgent ? "bounds" : "signal" };
}

function combine(mode: Composite["mode"], sizes: number[]): number {
  switch (mode) {
    case "max":
      return Math.max(...sizes);
    case "min":
      return Math.min(...sizes);
    case "avg":
      return Math.ceil(sizes.reduce((sum, one) => sum + one, 0) / sizes.length);
    default:
      return unreachable(mode);
  }
}
