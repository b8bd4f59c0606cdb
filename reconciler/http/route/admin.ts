/**
 * The control plane itself: events, plan, policy, version, and, for administrators,
 * audit, quarantined rows, backup and support dump.
 *
 * Adapter: files.
 */
import { closeSync, openSync, readSync, rmSync, statSync } from "node:fs";
import * as v from "valibot";
import type { EventView } from "../../../schema/api.ts";
import { ANY_ROW, type AuditRow, type AuditView } from "../../../schema/audit.ts";
import { roleIncludes } from "../../../schema/credential.ts";
import { type Event, EVENT_KINDS } from "../../../schema/event.ts";
import { LIMIT } from "../../../schema/limit.ts";
import type { QuarantineView } from "../../../schema/quarantine.ts";
import { BUILD_DATE, COMMIT, VERSION } from "../../../schema/version.ts";
import type { QuarantinedRow } from "../../core/store.ts";
import { ACTIVATIONS_MAX } from "../../runtime/recorder.ts";
import { saveActivations } from "../view/activation.ts";
import { viewPlan } from "../view/explain.ts";
import { traceIdOf } from "../../core/trace.ts";
import { builtinPolicy } from "../../../health/policy/builtin.ts";
import { iso } from "../view/node.ts";
import type { RoutePorts, Route } from "./route.ts";
import { exportAudit, ExportQuery } from "./audit.ts";
import { invalid, queryNumber, queryTime, readQuery, Refusal } from "./request.ts";
import { openSliced } from "./sliced.ts";
import { auditOf } from "./audit.ts";

export function viewEvent(event: Event): EventView {
  return {
    id: event.id,
    at: iso(event.at),
    kind: event.kind,
    node_id: event.node,
    pool: event.pool,
    session_id: event.session,
    trace_id: event.session === null ? null : traceIdOf(event.session),
    actor: event.actor,
    message: event.message,
  };
}

const EVENTS_MAX = 1_000;
const EVENT_KIND = "expected a kind of event (docs/events.md)";
const EventsQuery = v.object({
  node: v.optional(v.string()),
  pool: v.optional(v.string()),
  kind: v.optional(v.picklist(EVENT_KINDS, EVENT_KIND)),
  since: queryTime,
  q: v.optional(v.pipe(v.string(), v.maxLength(200))),
  after: queryNumber("expected a whole number"),
  before: queryNumber("expected a whole number"),
  limit: queryNumber("expected a whole number"),
});

const TextQuery = v.object({ text: v.optional(v.string()) });

function viewRow({ id, source, key, node, pool, at, reason, doc }: QuarantinedRow): QuarantineView {
  const bytes = Buffer.byteLength(doc);
  return { id, source, key, node_id: node, pool, at: iso(at), reason, bytes };
}

const AuditQuery = v.object({
  limit: queryNumber("expected a whole number from 1", 1),
  since: queryTime,
  refused: v.optional(v.picklist(["true", "false"], "expected true or false")),
  by: v.optional(v.string()),
  verb: v.optional(v.string()),
  object: v.optional(v.string()),
});

function viewAudit({ request, namespace: _, ...row }: AuditRow): AuditView {
  return { ...row, at: iso(row.at), until: iso(row.until), request_id: request };
}

/** Bytes read and sent at once. */
const BACKUP_SLICE_BYTES = 256 * 1_024;
/** One at a time. */
const running = new WeakSet<() => Promise<string>>();

/** Streams the file, which is unlinked first, so that no failure leaves it behind. */
function openOnce(path: string): ReadableStream<Uint8Array> {
  const file = openSync(path, "r");
  rmSync(path);
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const bytes = Buffer.alloc(BACKUP_SLICE_BYTES);
        const count = readSync(file, bytes, 0, BACKUP_SLICE_BYTES, null);
        if (count > 0) return controller.enqueue(bytes.subarray(0, count));
        closeSync(file);
        controller.close();
      },
      cancel: () => closeSync(file),
    },
    { highWaterMark: 1 },
  );
}

/** A dump of thousands of nodes is tens of megabytes, and its reader may be far away. */
const DUMP_READ_MS_MAX = 10 * 60_000;

const EXPECTED = `expected a whole number from 1 to ${ACTIVATIONS_MAX}`;
const DumpQuery = v.object({ last: queryNumber(EXPECTED, 1) });

export type AdminPorts = RoutePorts & {
  bootAt: number;
  /** Writes a copy of the database and returns its path; `null` with a database server. */
  backup: (() => Promise<string>) | null;
};

export const adminRoutes: readonly Route<AdminPorts>[] = [
  {
    at: "GET /v1/events",
    access: "viewer",
    query: EventsQuery,
    says:
      "events; filters `node`, `pool`, `kind`, `since`, `q` (text); pass `next` as `after`, " +
      "or go back with `before`; `limit`",
    run: async (c, ports) => {
      const { limit: most = 200, ...query } = readQuery(c, EventsQuery);
      const { node = null, pool = null, since = null, after = null, q = null } = query;
      const { kind = null, before = null } = query;
      const limit = Math.min(most, EVENTS_MAX);
      const which = { node, pool, kind, since, text: q, after, before };
      const events = await ports.store.events({ ...which, limit });
      const last = events[events.length - 1]?.id ?? after ?? 0;
      return c.json({ events: events.map(viewEvent), next: last });
    },
  },
  {
    at: "GET /v1/plan",
    access: "viewer",
    isLeaders: true,
    says: "pending actions and waits",
    run: (c, ports) => {
      const sight = ports.reconciler.lastSight();
      return c.json(
        viewPlan(ports.reconciler.lastPlan(), sight?.blind ?? [], sight?.frozen ?? null),
      );
    },
  },
  {
    at: "GET /v1/policy",
    access: "viewer",
    says: "the active health policy",
    run: (c, ports) => {
      const { policy } = ports.reconciler.activePolicy();
      const rules = policy.rules.map((rule) => ({
        ...rule,
        matches: ports.metrics.matchCount(rule.name),
      }));
      const isBuiltin = policy.hash === builtinPolicy.hash;
      const file = isBuiltin ? null : ports.reconciler.activeConfig().server.healthPolicyPath;
      const { name, version, hash } = policy;
      return c.json({ name, version, hash, file, rules });
    },
  },
  {
    at: "GET /v1/whoami",
    access: "token",
    says: "role and name of the caller",
    run: (c) => {
      const { role, name, shared } = c.get("principal");
      return c.json({ role, name, shared });
    },
  },
  {
    at: "GET /v1/version",
    access: "viewer",
    says: "version of the control plane",
    run: (c) =>
      c.json({
        version: VERSION,
        commit: COMMIT,
        build_date: BUILD_DATE,
        runtime: `bun ${Bun.version}`,
        platform: `${process.platform}-${process.arch}`,
      }),
  },
  {
    at: "GET /v1/store/quarantine",
    access: "viewer",
    query: TextQuery,
    says: "unreadable stored rows; their `text` for `admin` only",
    run: async (c, ports) => {
      const { name, role } = c.get("principal");
      // The text of a row may hold secrets.
      const text = readQuery(c, TextQuery).text === "true";
      if (text && !roleIncludes(role, "admin")) {
        throw new Refusal("permission_denied", `${name} has role ${role}; the text needs admin`);
      }
      const rows = await ports.store.quarantine(LIMIT.quarantineKeptMax);
      const views = rows.map((row) => (text ? { ...viewRow(row), text: row.doc } : viewRow(row)));
      return c.json({ rows: views });
    },
  },
  {
    at: "GET /v1/audit/export",
    access: "operator",
    act: ["get", "audit"],
    isLeaders: true,
    query: ExportQuery,
    isText: true,
    says: "every matching row as a file; filters of `/api/admin/audit`; `format` (`jsonl` or `csv`)",
    run: (c, ports) => exportAudit(c, auditOf(ports)),
  },
  {
    at: "GET /v1/audit",
    access: "operator",
    act: ["get", "audit"],
    isLeaders: true,
    query: AuditQuery,
    says:
      "audit rows; filters `since`, `by` (an author, or a person by the labels of tokens), " +
      "`refused`, `verb`, `object`; `limit`",
    run: async (c, ports) => {
      const { audit, authority } = auditOf(ports);
      const asked = readQuery(c, AuditQuery);
      const { limit = 100, since = null, by = null, refused, verb = null, object = null } = asked;
      const authors = await audit.authors(by, authority.list());
      const { rows, next } = await audit.page({
        ...ANY_ROW,
        who: authors,
        ...{ since, verb, object },
        refused: refused === undefined ? null : refused === "true",
        limit: Math.min(limit, 1_000),
      });
      return c.json({ audit: rows.map(viewAudit), authors, older: next !== null });
    },
  },
  {
    at: "POST /v1/admin/backup",
    access: "admin",
    act: ["backup", "database"],
    says: "a copy of the embedded database",
    run: async (c, ports) => {
      const { backup, log } = ports;
      if (backup === null) {
        const message = "the database is on a server: back it up with that server's own tools";
        throw new Refusal("conflict", message);
      }
      if (running.has(backup))
        throw new Refusal("rate_limited", "another backup is already running");
      running.add(backup);
      try {
        const path = await backup();
        const { size } = statSync(path);
        log("info", "backup", { by: c.get("principal").name });
        const headers = { "Content-Type": "application/vnd.sqlite3" };
        // A stream has no Content-Length, and the reader shows its progress.
        return c.body(openOnce(path), 200, { ...headers, "Navarch-Bytes": String(size) });
      } finally {
        running.delete(backup);
      }
    },
  },
  // `navarch support dump`. A POST, because the audit records those.
  {
    at: "POST /v1/admin/activations",
    access: "admin",
    act: ["dump", "database"],
    query: DumpQuery,
    says: "the `last` activations, for support",
    run: (c, ports) => {
      const { reconciler, clock } = ports;
      const { last = ACTIVATIONS_MAX } = readQuery(c, DumpQuery);
      if (last > ACTIVATIONS_MAX) return invalid(`last: ${EXPECTED}`);
      const activations = reconciler.activations(last);
      if (activations.length === 0) {
        const message = "no decisions recorded yet: not the leader, or just started";
        throw new Refusal("not_found", message);
      }
      const lines = saveActivations(activations, reconciler.activeConfig(), clock.wallMs());
      return c.body(openSliced(lines, DUMP_READ_MS_MAX), 200, {
        "Content-Type": "application/jsonl",
      });
    },
  },
];
