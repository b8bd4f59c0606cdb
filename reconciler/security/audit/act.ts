/**
 * What a call of the HTTP API does, in the words of the audit: a verb, and the kind of its object,
 * as the route's own row says them. Pure.
 */
import type { AuditRow } from "../../../schema/audit.ts";

/** What a call of no route does, or a read; `UPGRADE` and `REPORT` are an agent's own. */
const VERB_OF: Readonly<Record<string, string>> = {
  POST: "create",
  PUT: "update",
  PATCH: "update",
  DELETE: "delete",
  UPGRADE: "connect",
  REPORT: "report",
};

export type Act = { verb: string; kind: string | null };

/** `act` is what the route says of itself. */
export function actOf(method: string, act?: readonly [verb: string, kind: string | null]): Act {
  const [verb = VERB_OF[method] ?? "get", kind = null] = act ?? [];
  return { verb, kind };
}

/** `row` with the verb and kind that rows of older releases lack. */
export function withAct(
  row: AuditRow,
  actOfCall: (method: string, path: string) => Act,
): AuditRow & { verb: string } {
  const { verb } = row;
  return verb === null ? { ...row, ...actOfCall(row.method, row.path) } : { ...row, verb };
}

/** As `AuditQuery.object` names it. */
export function isObject({ kind, namespace, target, mark }: AuditRow, object: string): boolean {
  if (mark?.names.includes(object) === true) return true;
  if (target === null) return false;
  const names = [target, ...(kind === null ? [] : [`${kind}/${target}`])];
  if (namespace !== null) names.push(`${namespace}/${target}`);
  if (namespace !== null && kind !== null) names.push(`${kind}/${namespace}/${target}`);
  return names.includes(object);
}
