/**
 * The reason of a drain in Slurm: `navarch:<session> <CODE> <text>`, the only mark of its owner.
 * Written and read here alone (docs/reference/slurm.md). Pure.
 */
import { groupIncidents } from "../../../health/policy/incident.ts";
import type { Finding } from "../../../schema/finding.ts";
import type { Cordon, Node } from "../../../schema/node.ts";

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
const TAIL = /(?: : reboot (?:issued|complete|timed out|requested|cancell?ed))+$/;

export function formatReason({ session, code, text }: SlurmReason): string {
  const said = printable(text).slice(0, TEXT_CHARS_MAX).trim();
  const head = `navarch:${wordOf(session)} ${wordOf(code)}`;
  return said === "" ? head : `${head} ${said}`;
}

/** `null` = another owner's. */
export function parseReason(reason: string | null): SlurmReason | null {
  const groups = reason === null ? undefined : OWN.exec(reason)?.groups;
  if (groups?.["session"] === undefined || groups["code"] === undefined) return null;
  const text = (groups["text"] ?? "").replace(TAIL, "");
  return { session: groups["session"], code: groups["code"], text };
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
    const text = textOf(root.finding, root.judgement.because);
    return formatReason({ session: of, code: codeOf(root.finding), text });
  }
  if (node.health.silentSince !== null && session !== null) {
    return formatReason({ session: of, code: "SILENT", text: why });
  }
  return formatReason({ session: of, code: "CORDON", text: why });
}

function byPerson({ by, why }: Cordon): SlurmReason {
  return { session: OPERATOR, code: "CORDON", text: `${by}: ${why}` };
}

/** As in `XID79`, `ECC`, `GPU_COUNT`. */
export function codeOf({ kind, code }: Finding): string {
  if (kind === "lost") return "GPU_COUNT";
  if (code !== null) return `${kind.toUpperCase()}${code}`;
  return kind.toUpperCase();
}

/** A lost GPU is told as `7<8`: how many there are, and how many there should be. */
function textOf(finding: Finding, because: string): string {
  const { present, expected } = finding.metrics;
  const isShort = typeof present === "number" && typeof expected === "number";
  if (finding.kind !== "lost" || !isShort || present >= expected) return because;
  return `${present}<${expected} ${because}`;
}

function wordOf(text: string): string {
  return printable(text).replaceAll(/\s+/g, "_") || "-";
}

/** One line without quotes: `scontrol` strips them, and a newline would end the record. */
function printable(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f\u2028\u2029]+/g, " ").replaceAll('"', "'");
}
