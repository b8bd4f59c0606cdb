/**
 * When a Node was marked, told by two that know: the product's own log ("isolated", from the report
 * that was parsed to the answer of the API server) and the API server's audit log.
 */
import { until } from "../../fixture/plane/plane.ts";
import type { AuditEntry } from "../../real/kubernetes/cluster.ts";
import { isProduct } from "../../real/kubernetes/joined.ts";

/** What a control plane needs to log its own figure. */
export const LOGS_MARKS = ["--log-level=debug"];

/** Both write a mark down a moment after the cluster shows it. */
const WRITTEN_MS_MAX = 10_000;

export type Marks = { own: Map<string, number>; marked: Map<string, number> };

/** What both say of these nodes, once both say it. */
export function readMarks(
  nodes: readonly { node: string; object: string }[],
  read: { log(): string; audit(): readonly AuditEntry[] },
): Promise<Marks> {
  return until("each mark is in the product's log and in the audit log", WRITTEN_MS_MAX, () => {
    const own = isolatedOf(read.log());
    const marked = markedOf(read.audit());
    const isWhole = nodes.every(({ node, object }) => own.has(node) && marked.has(object));
    return isWhole ? { own, marked } : null;
  });
}

/** The product's own figure, by node: milliseconds from report to answer. */
export function isolatedOf(log: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of log.split("\n")) {
    if (!line.includes("isolated")) continue;
    const { msg, node, ms } = readLine(line);
    if (msg === "isolated" && node !== "" && Number.isFinite(ms)) found.set(node, ms);
  }
  return found;
}

function readLine(line: string): { msg: string; node: string; ms: number } {
  try {
    const said = JSON.parse(line) as Record<string, unknown>;
    const { msg, message, node, ms } = said;
    return { msg: String(msg ?? message ?? ""), node: String(node ?? ""), ms: Number(ms) };
  } catch {
    return { msg: "", node: "", ms: Number.NaN };
  }
}

/** Wall ms at which the server had answered the first successful mark, by the object's name. */
export function markedOf(entries: readonly AuditEntry[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const { user, verb, objectRef, requestURI, responseStatus, stageTimestamp } of entries) {
    if (!isProduct(user.username) || verb !== "patch" || objectRef?.resource !== "nodes") continue;
    if (responseStatus?.code !== 200 || !requestURI.includes("navarch-cordon")) continue;
    const name = objectRef.name ?? "";
    if (!found.has(name)) found.set(name, parseMicro(stageTimestamp));
  }
  return found;
}

/** RFC 3339 with microseconds, as milliseconds with a fraction. */
export function parseMicro(text: string): number {
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? "";
  const whole = Date.parse(text.replace(/\.\d+/, ""));
  return whole + Number(`0.${fraction === "" ? "0" : fraction}`) * 1_000;
}
