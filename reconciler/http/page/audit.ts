/** The page `/audit`: who did what, and what was refused, newest first. Pure. */
import { html } from "hono/html";
import type { AuditRecord } from "../../../schema/audit.ts";
import { hrefOf, say, sayFilters, sayNode, sayPager, sayTime } from "./cell.ts";
import { formatTone } from "./kit.ts";
import type { Html, Page } from "./page.ts";

/** Filters as the URL has them; `null` = any. */
export type AuditFilters = {
  actor: string | null;
  verb: string | null;
  object: string | null;
  result: string | null;
  since: string | null;
  until: string | null;
};

export type AuditPageFrom = {
  rows: readonly AuditRecord[];
  filters: AuditFilters;
  cursor: string | null;
  next: string | null;
  /** The same period for the export, which takes times alone. */
  period: { since: string | null; until: string | null };
};

/** Codes that a filter offers; any other may be in the URL. */
const RESULTS = ["ok", "refused", "permission_denied", "unauthenticated", "not_found", "conflict"];

export function auditPage({ rows, filters, cursor, next, period }: AuditPageFrom): Page {
  const { actor, verb, object, result, since, until } = filters;
  const form = sayFilters("/audit", "Filter the audit log", [
    { name: "actor", label: "Actor", value: actor, placeholder: "admin" },
    { name: "verb", label: "Verb", value: verb, placeholder: "cordon" },
    { name: "object", label: "Object", value: object, placeholder: "node/NAME" },
    { name: "result", label: "Result", value: result, choices: RESULTS },
    { name: "since", label: "Since", value: since, placeholder: "24h or 2026-11-23T12:00Z" },
    { name: "until", label: "Until", value: until },
  ]);
  const exports = ["jsonl", "csv"].map((format) => {
    const query = { ...filters, ...period, format };
    return html` <a href="${hrefOf("/api/v1/audit/export", query)}">${format}</a>`;
  });
  return {
    title: "Audit",
    nav: "/audit",
    blocks: [
      {
        id: "audit",
        heading: "Audit, newest first",
        kind: "table",
        above: html`${form}<p>Export what the filter matches:${exports}</p>`,
        columns: [
          { name: "Time" },
          { name: "Actor" },
          { name: "Verb" },
          { name: "Object" },
          { name: "Result" },
          { name: "Detail" },
          { name: "From" },
          { name: "Role" },
          { name: "Request" },
        ],
        rows: rows.map((row) => ({
          id: `audit-${row.id}`,
          tone: row.result === "ok" ? "ok" : "warn",
          cells: [
            sayTime(row.ts),
            say(row.actor),
            say(row.verb),
            sayObject(row),
            formatTone(row.result === "ok" ? "ok" : "warn", row.result),
            sayDetail(row.detail),
            say(row.ip),
            say(row.role),
            say(row.requestId),
          ],
        })),
        empty: "No row matches. Remove a filter, or choose an earlier start.",
        below: sayPager("the audit log", "/audit", filters, {
          ...{ key: "cursor", current: cursor, next },
        }),
      },
    ],
  };
}

function sayObject({ kind, namespace, name }: AuditRecord): Html {
  if (name === null) return say(kind);
  if (kind === "node" && namespace === null) return html`node ${sayNode(name)}`;
  const full = namespace === null ? name : `${namespace}/${name}`;
  return say(kind === null ? full : `${kind} ${full}`);
}

function sayDetail(detail: AuditRecord["detail"]): Html {
  if (typeof detail === "string") return say(detail);
  const { repair, sink, names, outcome, text } = detail;
  const why = text === "" ? outcome : `${outcome}: ${text}`;
  const of = repair === null ? "" : `, repair ${repair}`;
  return say(`${sink} ${names.join(", ")}${of}: ${why}`);
}
