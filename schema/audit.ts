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
});
export type AuditRow = v.InferOutput<typeof AuditRow>;

/** A call before it has a number. */
export type AuditDraft = Omit<AuditRow, "id" | "until" | "count">;

export type AuditQuery = {
  who: string | null;
  since: number | null;
  /** Only refused calls, or only others. */
  refused: boolean | null;
  limit: number;
};

/** Times are RFC 3339. */
export type AuditView = Omit<AuditRow, "at" | "until" | "request"> & {
  at: string;
  until: string;
  request_id: string;
};
