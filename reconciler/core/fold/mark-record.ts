/**
 * The audit rows of marks: what the control plane did to a node in Kubernetes and in Slurm. Pure.
 * A row is committed with the answer that it tells of, so a crash neither loses nor doubles it; a
 * mark that is repeated without a change has none.
 */
import { type MarkDraft, RECONCILER } from "../../../schema/audit.ts";
import type { Node } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import type { SlurmFact } from "../../../schema/slurm.ts";
import { repairOf } from "../slurm/reason.ts";
import type { SlurmMark } from "../slurm/sink.ts";
import { isNewRefusal, mayBeMarked } from "./mark.ts";
import type { Outcome } from "./outcome.ts";
import { answerOf, isNewSlurmRefusal, isSlurmOnly, slurmPartOf } from "./slurm-answer.ts";
import { sayOutcome } from "../say/outcome.ts";

type Result = { code: "ok" | "refused" | "foreign" | "unknown"; text: string };

const DETAIL_CHARS_MAX = 1_000;

/** Rows of an answer. `node` is as it was before; `closed`, whether the answer ends it. */
export function marksOf(
  operation: Operation,
  node: Node | null,
  outcome: Outcome,
  closed: Operation["state"],
  now: number,
): MarkDraft[] {
  const inSlurm = slurmResult(operation, node, outcome);
  const inKube = isSlurmOnly(operation) ? null : kubeResult(operation, node, outcome, closed);
  return [
    ...(inKube === null ? [] : [row(operation, node, "kubernetes", inKube, now)]),
    ...(inSlurm === null ? [] : [row(operation, node, "slurm", inSlurm, now)]),
  ];
}

/** Rows of an operation that is given up although its call may have been made. */
export function marksGivenUp(operation: Operation, node: Node, now: number): MarkDraft[] {
  const unknown: Result = {
    code: "unknown",
    text: operation.message ?? sayOutcome({ code: "given_up" }),
  };
  const isInKube = isMark(operation) && !isSlurmOnly(operation) && node.kube !== null;
  return [
    ...(isInKube ? [row(operation, node, "kubernetes", unknown, now)] : []),
    ...(slurmPartOf(operation) === null ? [] : [row(operation, node, "slurm", unknown, now)]),
  ];
}

const isMark = ({ payload: { kind } }: Operation): boolean =>
  kind === "cordon" || kind === "uncordon";

function kubeResult(
  { payload, because }: Operation,
  node: Node | null,
  outcome: Outcome,
  closed: Operation["state"],
): Result | null {
  if (payload.kind !== "cordon" && payload.kind !== "uncordon") return null;
  const kube = node?.kube ?? null;
  if (closed === "refused") {
    const message = outcome.message ?? sayOutcome({ code: "not_marked" });
    if (kube === null || !isNewRefusal(kube, payload.kind, message)) return null;
    return { code: outcome.kind === "refused" ? "refused" : "unknown", text: message };
  }
  if (closed !== "done" || outcome.kind !== "done") return null;
  if (payload.kind === "cordon") {
    // Without an object there is no scheduler, and the cordon is Navarch's own state alone.
    return outcome.on == null ? null : { code: "ok", text: payload.why };
  }
  if (payload.keep === true || kube === null || node === null || !mayBeMarked(node)) return null;
  const why = new Set([payload.why, ...because, outcome.message ?? payload.why]);
  return { code: "ok", text: [...why].join("; ") };
}

function slurmResult(operation: Operation, node: Node | null, outcome: Outcome): Result | null {
  const part = slurmPartOf(operation);
  if (part === null || (outcome.slurm === undefined && !isSlurmOnly(operation))) return null;
  const known = node?.slurm ?? null;
  const slurm = known?.name === part.name ? known : null;
  const answer = answerOf(outcome);
  const releases = operation.payload.kind === "uncordon";
  if (answer.kind === "unsent") return null;
  if (answer.kind !== "ok") return refusal(slurm, answer);
  if (answer.owner === "foreign") {
    if (slurm?.owner === "foreign") return null;
    return { code: "foreign", text: sayOutcome({ code: "foreign" }) };
  }
  if (answer.owner !== (releases ? "none" : "own")) {
    return refusal(slurm, { kind: "ambiguous", message: sayOutcome({ code: "not_confirmed" }) });
  }
  if (releases) return { code: "ok", text: operation.because.join(" ") };
  const reason = "reason" in part ? part.reason : "";
  return isNews(operation, slurm, reason) ? { code: "ok", text: reason } : null;
}

function refusal(
  slurm: SlurmFact | null,
  { kind, message }: Exclude<SlurmMark, { kind: "ok" | "unsent" }>,
): Result | null {
  if (slurm !== null && !isNewSlurmRefusal(slurm, message)) return null;
  return { code: kind === "refused" ? "refused" : "unknown", text: message };
}

/** Not the repeat of a drain that stands; a list may have shown this one before its answer. */
function isNews({ recorded, askedAt }: Operation, slurm: SlurmFact | null, reason: string) {
  if (slurm === null || slurm.markedAt === null || slurm.refusals > 0) return true;
  if (slurm.reason?.startsWith(reason) !== true) return true;
  return recorded !== true && slurm.markedAt >= askedAt;
}

function row(
  operation: Operation,
  node: Node | null,
  sink: MarkDraft["mark"]["sink"],
  { code, text }: Result,
  now: number,
): MarkDraft {
  const marks = operation.payload.kind === "cordon";
  const inSlurm = node?.slurm?.name ?? slurmPartOf(operation)?.name;
  const names = [node?.kube?.name, inSlurm].filter((one) => one !== undefined);
  const verb = sink === "slurm" ? (marks ? "drain" : "undrain") : marks ? "cordon" : "uncordon";
  const name = sink === "slurm" ? (inSlurm ?? "") : (node?.kube?.name ?? "");
  const slurm = node?.slurm ?? null;
  return {
    at: now,
    refused: code === "refused" || code === "foreign",
    who: RECONCILER,
    role: null,
    method: verb.toUpperCase(),
    path: `${sink}/${name}`,
    target: operation.node,
    code,
    status: 0,
    remote: "",
    request: operation.id,
    verb,
    kind: "node",
    namespace: null,
    detail: text.slice(0, DETAIL_CHARS_MAX),
    // A release comes after the repair: its drain's reason still has the repair's id.
    mark: {
      repair: operation.session ?? (marks || slurm === null ? null : repairOf(slurm.reason)),
      sink,
      names: [...new Set(names)],
    },
  };
}
