/**
 * The reason of a drain in Slurm: `navarch:<session> <CODE> <text>`, the only mark of its owner.
 * Written and read here alone (docs/reference/slurm.md). Pure.
 */
import { drainCodeOf } from "../../../health/policy/drain-code.ts";
import { groupIncidents } from "../../../health/policy/incident.ts";
import type { SessionId } from "../../../schema/id.ts";
import type { Cordon } from "../../../schema/cordon.ts";
import type { Node } from "../../../schema/node.ts";

export type SlurmReason = {
  /** Of the repair, the node's id without one, or `operator` for a person's cordon. */
  session: string;
  code: string;
  text: string;
};

export const OPERATOR = "operator";
const TEXT_CHARS_MAX = 160;
/** Slinky's operator copies a reason of ours behind its own prefix. */
const OWN = /^(?:slurm-operator: )?navarch:(?<session>[^\s]+) (?<code>[^\s]+)(?: (?<text>.*))?$/s;
/** `scontrol reboot` appends these. */
const TAILS = ["issued", "complete", "timed out", "requested", "canceled", "cancelled"].map(
  (what) => ` : reboot ${what}`,
);

export function formatReason({ session, code, text }: SlurmReason): string {
  const said = printable(text).slice(0, TEXT_CHARS_MAX).trim();
  const head = `navarch:${wordOf(session)} ${wordOf(code)}`;
  return said === "" ? head : `${head} ${said}`;
}

/** A reason as its author wrote it. */
export function withoutTail(reason: string): string {
  let left = reason;
  for (;;) {
    const tail = TAILS.find((one) => left.endsWith(one));
    if (tail === undefined) return left;
    left = left.slice(0, -tail.length);
  }
}

/** `null` = another owner's. */
export function parseReason(reason: string | null): SlurmReason | null {
  const groups = reason === null ? undefined : OWN.exec(reason)?.groups;
  if (groups?.["session"] === undefined || groups["code"] === undefined) return null;
  const text = withoutTail(groups["text"] ?? "");
  return { session: groups["session"], code: groups["code"], text };
}

/** The repair that the reason names; `null` = none, as in a person's cordon. */
export function repairOf(reason: string | null): SessionId | null {
  const session = parseReason(reason)?.session ?? "";
  return /[.]s\d+$/.test(session) ? (session as SessionId) : null;
}

/** Why the node is cordoned now: its evidence, or the words of its cordon. */
export function reasonOf(node: Node, why: string): string {
  const { session, cordon, id } = node;
  if (cordon.product === null && cordon.human !== null && session === null) {
    return formatReason(byPerson(cordon.human));
  }
  const of = session?.id ?? id;
  const incidents = groupIncidents(node.health.held).filter(({ result }) => result === "unhealthy");
  const root = incidents[0]?.root;
  if (root !== undefined && session !== null) {
    return formatReason({ session: of, ...drainCodeOf(root.finding, root.judgement.because) });
  }
  if (node.health.silentSince !== null && session !== null) {
    return formatReason({ session: of, code: "SILENT", text: why });
  }
  return formatReason({ session: of, code: "CORDON", text: why });
}

function byPerson({ by, why }: Cordon): SlurmReason {
  return { session: OPERATOR, code: "CORDON", text: `${by}: ${why}` };
}

function wordOf(text: string): string {
  return printable(text).replaceAll(/\s+/g, "_") || "-";
}

/** One line without quotes: `scontrol` strips them, and a newline would end the record. */
function printable(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f\u2028\u2029]+/g, " ").replaceAll('"', "'");
}
