/** Who did what, and who was turned away (`navarch audit`). For administrators. */
import * as v from "valibot";
import type { AuditRow, AuditView } from "../../../schema/audit.ts";
import type { Audit } from "../../security/audit/audit.ts";
import { iso } from "../view/node.ts";
import type { App } from "./app.ts";
import { needs, queryNumber, queryTime, readQuery } from "./request.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;

function viewAudit({ request, ...row }: AuditRow): AuditView {
  return { ...row, at: iso(row.at), until: iso(row.until), request_id: request };
}

const AuditQuery = v.object({
  limit: queryNumber("expected a whole number from 1", 1),
  since: queryTime,
  refused: v.optional(v.picklist(["true", "false"], "expected true or false")),
  by: v.optional(v.string()),
});

export function auditRoutes(api: App, audit: Audit): void {
  api.get("/audit", needs("admin"), async (c) => {
    const { limit = LIMIT_DEFAULT, since = null, by, refused } = readQuery(c, AuditQuery);
    const rows = await audit.read({
      who: by ?? null,
      since,
      refused: refused === undefined ? null : refused === "true",
      limit: Math.min(limit, LIMIT_MAX),
    });
    return c.json({ audit: rows.map(viewAudit) });
  });
}
