/**
 * Audit rows: one for each call that changes something or is refused; equal refusals of one minute
 * share a row. Never a body, never a secret.
 */
import * as v from "valibot";
import { count, instant } from "./number.ts";

export const AuditRow = v.object({
  id: count,
  /** Wall milliseconds of the first call of the row, and of the last. */
  at: instant,
  until: instant,
  count,
  /** True if nothing was done. */
  refused: v.boolean(),
  /** `admin`, `token:<id>`, `node:<id>`, `join:<id>`, `shared`, `anonymous`, `several`. */
  who: v.string(),
  role: v.nullable(v.string()),
  method: v.string(),
  path: v.string(),
  /** A node, a pool, a token. */
  target: v.nullable(v.string()),
  /** `ok`, or the code of the error. */
  code: v.string(),
  /** HTTP status; 403 for a report refused on a stream. */
  status: count,
  remote: v.string(),
  request: v.string(),
  /** What the call does (`cordon`) to what kind of object (`node`); `null` in older rows. */
  verb: v.nullable(v.string()),
  kind: v.nullable(v.string()),
  /** Kubernetes namespace of the object. */
  namespace: v.nullable(v.string()),
  /** Why it was refused, or what came of it. */
  detail: v.nullable(v.string()),
});
export type AuditRow = v.InferOutput<typeof AuditRow>;

/** What a call does, and to what. */
export type AuditAct = Pick<AuditRow, "verb" | "kind" | "namespace" | "detail">;

/** A call before it has a number. */
export type AuditDraft = Omit<AuditRow, "id" | "until" | "count">;

export type AuditQuery = {
  who: string | null;
  /** Rows with a call at or after it. */
  since: number | null;
  /** Rows with a call at or before it. */
  until: number | null;
  /** Rows with a smaller id. */
  before: number | null;
  verb: string | null;
  /** A name, `kind/name`, `namespace/name` or `kind/namespace/name`. */
  object: string | null;
  /** Only refused calls, or only others. */
  refused: boolean | null;
  limit: number;
};

/** Every row. */
export const ANY_ROW: Omit<AuditQuery, "limit"> = {
  who: null,
  since: null,
  until: null,
  before: null,
  verb: null,
  object: null,
  refused: null,
};

/** Times are RFC 3339. */
export type AuditView = Omit<AuditRow, "at" | "until" | "request" | keyof AuditAct> & {
  at: string;
  until: string;
  request_id: string;
};

/** A row of `GET /api/admin/audit`; `ts` is RFC 3339, `result` is `ok` or the code of the error. */
export type AuditRecord = {
  id: number;
  ts: string;
  actor: string;
  role: string | null;
  ip: string;
  verb: string;
  kind: string | null;
  namespace: string | null;
  name: string | null;
  result: string;
  detail: string;
  requestId: string;
};
