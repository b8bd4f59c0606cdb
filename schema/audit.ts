/**
 * Audit rows: one for each call that changes something or is refused, where equal refusals of one
 * minute share a row, and one for each mark of the control plane in a scheduler. Never a body,
 * never a secret.
 */
import * as v from "valibot";
import { count, instant } from "./number.ts";

/** Of the rows of marks, which no call has made. */
export const RECONCILER = "reconciler";

/** Where a mark was set or lifted. */
export const AuditMark = v.object({
  /** The session of the repair; `null` = there was none, as for a person's cordon. */
  repair: v.nullable(v.string()),
  sink: v.picklist(["kubernetes", "slurm"]),
  /** The node's names in Kubernetes and in Slurm. */
  names: v.array(v.string()),
});
export type AuditMark = v.InferOutput<typeof AuditMark>;

export const AuditRow = v.object({
  id: count,
  /** Wall milliseconds of the first call of the row, and of the last. */
  at: instant,
  until: instant,
  count,
  /** True if nothing was done. */
  refused: v.boolean(),
  /**
   * `admin`, `token:<id>`, `node:<id>`, `join:<id>`, `shared`, `anonymous`, `several`;
   * `reconciler` for marks.
   */
  who: v.string(),
  role: v.nullable(v.string()),
  method: v.string(),
  path: v.string(),
  /** A node, a pool, a token. */
  target: v.nullable(v.string()),
  /** `ok`, or the code of the error; of a mark `ok`, `refused`, `foreign` or `unknown`. */
  code: v.string(),
  /** HTTP status; 403 for a report refused on a stream; 0 for a mark. */
  status: count,
  remote: v.string(),
  /** Id of the request, or of the operation that marked. */
  request: v.string(),
  /** What the call does (`cordon`) to what kind of object (`node`); `null` in older rows. */
  verb: v.nullable(v.string()),
  kind: v.nullable(v.string()),
  /** Kubernetes namespace of the object. */
  namespace: v.nullable(v.string()),
  /** Why it was refused, or what came of it. */
  detail: v.nullable(v.string()),
  /** `null` in rows of calls. */
  mark: v.nullable(AuditMark),
});
export type AuditRow = v.InferOutput<typeof AuditRow>;

/** What a call does, and to what. */
export type AuditAct = Pick<AuditRow, "verb" | "kind" | "namespace" | "detail">;

/** A call or mark before it has a number. */
export type AuditDraft = Omit<AuditRow, "id" | "until" | "count" | "mark"> & { mark?: AuditMark };

/** A mark of the control plane in a scheduler. */
export type MarkDraft = AuditDraft & { mark: AuditMark };

export type AuditQuery = {
  /** Any of these authors. */
  who: readonly string[] | null;
  /** Rows with a call at or after it. */
  since: number | null;
  /** Rows with a call at or before it. */
  until: number | null;
  /** Rows with a smaller id. */
  before: number | null;
  verb: string | null;
  kind: string | null;
  /** A name, `kind/name`, `namespace/name` or `kind/namespace/name`; of a mark any of its names. */
  object: string | null;
  /** Only refused calls, or only others. */
  refused: boolean | null;
  /** `ok`, or the code of an error. */
  code: string | null;
  limit: number;
};

/** Every row. */
export const ANY_ROW: Omit<AuditQuery, "limit"> = {
  who: null,
  since: null,
  until: null,
  before: null,
  verb: null,
  kind: null,
  object: null,
  refused: null,
  code: null,
};

/** Times are RFC 3339. */
export type AuditView = Omit<AuditRow, "at" | "until" | "request" | "namespace"> & {
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
  /** An object in rows of marks. */
  detail: string | (AuditMark & { outcome: string; text: string });
  requestId: string;
};
