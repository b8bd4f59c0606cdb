/** Who did what, and who was turned away (`navarch audit`). For administrators. */
import type { AuditRow, AuditView } from "../../../schema/audit.ts";
import type { Audit } from "../../security/audit/audit.ts";
import { iso } from "../view/node.ts";
import { needs, refuse, type App } from "./app.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;

function viewAudit({ request, ...row }: AuditRow): AuditView {
  return { ...row, at: iso(row.at), until: iso(row.until), request_id: request };
}

export function auditRoutes(api: App, audit: Audit): void {
  api.get("/audit", needs("admin"), async (c) => {
    const { limit: asked, since: from, by, refused: only } = c.req.query();
    const limit = asked === undefined ? LIMIT_DEFAULT : Number(asked);
    if (!Number.isInteger(limit) || limit < 1) {
      return refuse(c, "invalid_argument", "limit: expected a whole number from 1");
    }
    const since = from === undefined ? null : Date.parse(from);
    if (since !== null && Number.isNaN(since)) {
      return refuse(c, "invalid_argument", "since: expected an RFC 3339 time");
    }
    if (only !== undefined && only !== "true" && only !== "false") {
      return refuse(c, "invalid_argument", "refused: expected true or false");
    }
    const rows = await audit.read({
      who: by ?? null,
      since,
      refused: only === undefined ? null : only === "true",
      limit: Math.min(limit, LIMIT_MAX),
    });
    return c.json({ audit: rows.map(viewAudit) });
  });
}
