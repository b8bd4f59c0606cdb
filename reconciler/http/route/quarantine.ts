/** Stored rows that could not be read (`navarch doctor store`). */
import { roleIncludes } from "../../../schema/credential.ts";
import { LIMIT } from "../../../schema/limit.ts";
import type { QuarantineView } from "../../../schema/quarantine.ts";
import type { QuarantinedRow } from "../../core/store.ts";
import { iso } from "../view/node.ts";
import type { App, RoutePorts } from "./app.ts";
import { needs, Refusal } from "./request.ts";

function viewRow({ id, source, key, node, pool, at, reason, doc }: QuarantinedRow): QuarantineView {
  const bytes = Buffer.byteLength(doc);
  return { id, source, key, node_id: node, pool, at: iso(at), reason, bytes };
}

export function quarantineRoutes(api: App, { store }: RoutePorts): void {
  api.get("/store/quarantine", needs("viewer"), async (c) => {
    const { name, role } = c.get("principal");
    // The text may hold anything that a row may, so it is for administrators.
    const text = c.req.query("text") === "true";
    if (text && !roleIncludes(role, "admin")) {
      throw new Refusal("permission_denied", `${name} has role ${role}; the text needs admin`);
    }
    const rows = await store.quarantine(LIMIT.quarantineKeptMax);
    const views = rows.map((row) => (text ? { ...viewRow(row), text: row.doc } : viewRow(row)));
    return c.json({ rows: views });
  });
}
