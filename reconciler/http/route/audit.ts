/**
 * The audit log for the console: newest first, page by page, and as a file. A page of the console
 * and its API read the same query.
 */
import type { Context } from "hono";
import * as v from "valibot";
import { ANY_ROW, type AuditMark } from "../../../schema/audit.ts";
import type { AuditQuery, AuditRecord } from "../../../schema/audit.ts";
import { csvLine } from "../../../schema/csv.ts";
import type { ActedRow, Audit } from "../../security/audit/audit.ts";
import type { Authority } from "../../security/auth.ts";
import { iso } from "../view/node.ts";
import type { Env, Route } from "./route.ts";
import { parse, queryNumber, queryTime, readQuery, Refusal } from "./request.ts";
import type { Admission } from "../../security/join/admission.ts";
import { openSliced } from "./sliced.ts";
import { parseInstant } from "../../../schema/instant.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;
const LIMIT_EXPECTED = `expected a whole number from 1 to ${LIMIT_MAX}`;
const CURSOR_EXPECTED = "expected the id of the last row of the page before";

/** An empty filter matches everything. */
const filter = v.optional(
  v.pipe(
    v.string(),
    v.transform((text) => (text === "" ? null : text)),
  ),
);

/** `boot`: since this process took up its role. */
const BOOT = -1;
const sinceTime = v.optional(
  v.pipe(
    v.string(),
    v.transform((text) => (text === "boot" ? BOOT : parseInstant(text))),
    v.check((at) => !Number.isNaN(at), "expected an RFC 3339 time, or boot"),
  ),
);

const FILTERS = {
  actor: filter,
  verb: filter,
  kind: filter,
  object: filter,
  /** `ok`, `refused`, or the code of an error. */
  result: filter,
  since: sinceTime,
  until: queryTime,
};

const ListQuery = v.strictObject({
  ...FILTERS,
  limit: v.pipe(
    queryNumber(LIMIT_EXPECTED, 1),
    v.check((limit) => (limit ?? 1) <= LIMIT_MAX, LIMIT_EXPECTED),
  ),
  cursor: queryNumber(CURSOR_EXPECTED, 1),
});

const FORMATS = ["jsonl", "csv"] as const;
type Format = (typeof FORMATS)[number];
const TYPE: Record<Format, string> = {
  jsonl: "application/jsonl",
  csv: "text/csv; charset=utf-8; header=present",
};
export const ExportQuery = v.strictObject({
  ...FILTERS,
  format: v.optional(v.picklist(FORMATS, `expected ${FORMATS.join(" or ")}`), "jsonl"),
});

type Filters = Omit<v.InferOutput<typeof ExportQuery>, "format">;

export type AuditPorts = {
  audit: Audit;
  /** Names people by the labels of their tokens. */
  authority: Pick<Authority, "list">;
  /** When this process took up its role. */
  bootAt: number;
};

async function rowsAsked(asked: Filters, ports: AuditPorts): Promise<Omit<AuditQuery, "limit">> {
  const { audit, authority, bootAt } = ports;
  const { actor = null, verb = null, kind = null, object = null, result = null } = asked;
  const refused = result === "refused" ? true : null;
  return {
    ...ANY_ROW,
    who: await audit.authors(actor, authority.list()),
    ...{ verb, kind, object, refused, until: asked.until ?? null },
    code: refused === null ? result : null,
    since: asked.since === BOOT ? bootAt : (asked.since ?? null),
  };
}

/** The rows that a query of the console asks for. */
export async function readRecords(
  query: Readonly<Record<string, string>>,
  ports: AuditPorts,
): Promise<{ rows: AuditRecord[]; next: number | null }> {
  const { limit = LIMIT_DEFAULT, cursor = null, ...asked } = parse(ListQuery, query);
  const rowsOf = await rowsAsked(asked, ports);
  const { rows, next } = await ports.audit.page({ ...rowsOf, before: cursor, limit });
  return { rows: rows.map(viewRecord), next };
}

/** The next page is named in `Link`, as the body is the list itself. */
async function listAudit(c: Context<Env>, ports: AuditPorts): Promise<Response> {
  const { rows, next } = await readRecords(c.req.query(), ports);
  if (next !== null) {
    const same = new URLSearchParams({ ...c.req.query(), cursor: String(next) });
    c.header("Link", `<${c.req.path}?${same}>; rel="next"`);
  }
  return c.json(rows);
}

/** Rows read and sent at once. */
const SLICE_ROWS = 1_000;
/** The whole log is tens of megabytes, and its reader may be far away. */
const EXPORT_MS_MAX = 10 * 60_000;

/** Every matching row as a file, newest first. */
export async function exportAudit(c: Context<Env>, ports: AuditPorts): Promise<Response> {
  const { format, ...asked } = readQuery(c, ExportQuery);
  const slices = exportSlices(ports.audit, await rowsAsked(asked, ports), format);
  return c.body(openSliced(slices, EXPORT_MS_MAX), 200, {
    "Content-Type": TYPE[format],
    "Content-Disposition": `attachment; filename="navarch-audit.${format}"`,
    "X-Content-Type-Options": "nosniff",
  });
}

const COLUMNS = [
  ...(["id", "ts", "actor", "role", "ip", "verb", "kind", "namespace", "name"] as const),
  ...(["result", "detail", "requestId"] as const),
] satisfies (keyof AuditRecord)[];

async function* exportSlices(
  audit: Audit,
  query: Omit<AuditQuery, "limit">,
  format: Format,
): AsyncGenerator<string> {
  if (format === "csv") yield csvLine(COLUMNS);
  for (let before: number | null = null; ;) {
    const page = await audit.page({ ...query, before, limit: SLICE_ROWS });
    const records = page.rows.map(viewRecord);
    const lines = records.map(format === "csv" ? formatCsv : formatJson);
    if (lines.length > 0) yield lines.join("");
    if (page.next === null) return;
    before = page.next;
  }
}

const formatJson = (record: AuditRecord): string => `${JSON.stringify(record)}\n`;

function formatCsv(record: AuditRecord): string {
  return csvLine(
    COLUMNS.map((name) => {
      const value = record[name];
      if (value === null) return "";
      return typeof value === "object" ? JSON.stringify(value) : String(value);
    }),
  );
}

function viewRecord(row: ActedRow): AuditRecord {
  return {
    id: row.id,
    ts: iso(row.at),
    actor: row.who,
    role: row.role,
    ip: row.remote,
    verb: row.verb,
    kind: row.kind,
    namespace: row.namespace,
    name: row.target,
    result: row.code,
    detail: row.mark === null ? detailOf(row) : markOf(row, row.mark),
    requestId: row.request,
  };
}

const markOf = ({ code, detail }: ActedRow, mark: AuditMark): AuditRecord["detail"] => ({
  ...mark,
  outcome: code,
  text: detail ?? "",
});

function detailOf({ method, path, status, count, until, detail }: ActedRow): string {
  const parts = [`${method} ${path}: ${status}`];
  if (detail !== null) parts.push(detail);
  if (count > 1) parts.push(`${count} such calls until ${iso(until)}`);
  return parts.join("; ");
}

type Parts = {
  admission: Pick<Admission, "audit"> | null;
  authority: Pick<Authority, "list">;
  /** When this process took up its role. */
  bootAt: number;
};

/** Throws in a simulation, which keeps no audit. */
export function auditOf({ admission, authority, bootAt }: Parts): AuditPorts {
  if (admission === null) throw new Refusal("not_found", "simulations keep no audit");
  return { audit: admission.audit, authority, bootAt };
}

export const auditRoutes: readonly Route<Parts>[] = [
  {
    at: "GET /api/admin/audit",
    access: "admin",
    act: ["get", "audit"],
    isLeaders: true,
    query: ListQuery,
    says:
      "the same for the console; filters `actor`, `verb`, `kind`, `object`, `result`, `until`, " +
      "`since` (a time, or `boot`); " +
      "`limit`, `cursor`; the next page is in `Link`; only from internal networks",
    run: (c, ports) => listAudit(c, auditOf(ports)),
  },
];
