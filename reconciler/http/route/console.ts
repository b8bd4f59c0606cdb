/**
 * The console's API under `/api/admin`: for administrators on internal networks, with flat errors.
 * So far the audit log, newest first, page by page.
 */
import { Hono, type Context } from "hono";
import * as v from "valibot";
import { ANY_ROW, type AuditMark, type AuditRecord } from "../../../schema/audit.ts";
import { isInternal } from "../../core/address.ts";
import type { Audit, ActedRow } from "../../security/audit/audit.ts";
import { iso } from "../view/node.ts";
import type { App, Env, RoutePorts } from "./app.ts";
import { auditCall, authenticate, remoteOf } from "./gate.ts";
import { needs, queryNumber, queryTime, readQuery, Refusal } from "./request.ts";

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
    v.transform((text) => (text === "boot" ? BOOT : Date.parse(text))),
    v.check((at) => !Number.isNaN(at), "expected an RFC 3339 time, or boot"),
  ),
);

const AuditQuery = v.strictObject({
  actor: filter,
  verb: filter,
  kind: filter,
  object: filter,
  since: sinceTime,
  until: queryTime,
  limit: v.pipe(
    queryNumber(LIMIT_EXPECTED, 1),
    v.check((limit) => (limit ?? 1) <= LIMIT_MAX, LIMIT_EXPECTED),
  ),
  cursor: queryNumber(CURSOR_EXPECTED, 1),
});

export function openConsole(ports: RoutePorts): App {
  const api: App = new Hono<Env>();
  api.use((c, next) => auditCall(c, next, ports));
  api.use((c, next) => authenticate(c, next, ports));
  api.use(async (c, next) => {
    const remote = remoteOf(c);
    if (!isInternal(remote)) {
      const where = remote === "" ? "an unknown address" : remote;
      const message = `${where} is not in an internal network; call from a private address`;
      throw new Refusal("permission_denied", message);
    }
    await next();
  });
  const { admission } = ports;
  const bootAt = ports.clock.wallMs();
  if (admission !== null) {
    api.get("/audit", needs("admin"), (c) => listAudit(c, admission.audit, bootAt));
  }
  return api;
}

/** The next page is named in `Link`, as the body is the list itself. */
async function listAudit(c: Context<Env>, audit: Audit, bootAt: number): Promise<Response> {
  const asked = readQuery(c, AuditQuery);
  const { actor = null, verb = null, kind = null, object = null, limit = LIMIT_DEFAULT } = asked;
  const { until = null, cursor = null } = asked;
  const since = asked.since === BOOT ? bootAt : (asked.since ?? null);
  const what = { who: actor, since, until, verb, kind, object };
  const query = { ...ANY_ROW, ...what, before: cursor, limit };
  const { rows, next } = await audit.page(query);
  if (next !== null) {
    const same = new URLSearchParams({ ...c.req.query(), cursor: String(next) });
    c.header("Link", `<${c.req.path}?${same}>; rel="next"`);
  }
  return c.json(rows.map(viewRecord));
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
