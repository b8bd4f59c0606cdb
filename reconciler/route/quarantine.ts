/** Stored rows that could not be read (`navarch doctor store`). */
import { LIMIT } from "../../schema/limit.ts";
import type { QuarantineView } from "../../schema/quarantine.ts";
import type { QuarantinedRow } from "../store/quarantine.ts";
import { iso } from "../view/node.ts";
import { needs, refuse, type App, type RoutePorts } from "./app.ts";

function viewRow({ id, source, key, node, pool, at, reason, doc }: QuarantinedRow): QuarantineView {
  const bytes = Buffer.byteLength(doc);
  return { id, source, key, node_id: node, pool, at: iso(at), reason, bytes };
}

export function quarantineRoutes(api: App, { store }: RoutePorts): void {
  api.get("/store/quarantine", needs("viewer"), async (c) => {
    const rows = await store.quarantine(LIMIT.quarantineKeptMax);
    return c.json({ rows: rows.map(viewRow) });
  });
  // The text may hold anything that a row may, so it is for administrators.
  api.get("/store/quarantine/:id", needs("admin"), async (c) => {
    const rows = await store.quarantine(LIMIT.quarantineKeptMax);
    const row = rows.find((one) => String(one.id) === c.req.param("id"));
    if (row === undefined) return refuse(c, "not_found", `no row ${c.req.param("id")}`);
    return c.json({ ...viewRow(row), text: row.doc });
  });
}
