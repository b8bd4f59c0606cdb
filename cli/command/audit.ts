/**
 * `navarch audit`: who did what, and who was turned away.
 */
import type { AuditView } from "../../schema/audit.ts";
import { formatTime } from "../age.ts";
import type { Command } from "../command.ts";
import { EXIT, usage } from "../failure.ts";
import { readSpan } from "../flag.ts";
import { show } from "../show.ts";
import { formatTable } from "../table.ts";
import type { Style } from "../table.ts";

const LIMIT_DEFAULT = "100";

export const audit: Command = {
  name: ["audit"],
  usage: "",
  summary: "list changes and refused requests, with their author",
  examples: ["navarch audit --since 24h", "navarch audit --refused"],
  more: "Identical refusals within one minute are one line with a count.",
  flags: [
    {
      name: "limit",
      kind: "text",
      value: "N",
      help: `at most N lines (default ${LIMIT_DEFAULT}, max 1000)`,
    },
    { name: "since", kind: "text", value: "T", help: "start: a duration (2h) or an RFC 3339 time" },
    { name: "by", kind: "text", value: "NAME", help: "only this author: admin, token:ID, node:ID" },
    { name: "refused", kind: "switch", help: "only refused requests" },
  ],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const { flags, world } = context;
    const limit = flags.text("limit") ?? LIMIT_DEFAULT;
    if (!/^[1-9]\d{0,3}$/.test(limit)) {
      return usage(`--limit: expected a whole number from 1, found "${limit}"`);
    }
    const given = flags.text("since");
    let since: string | null = given;
    if (given !== null && Number.isNaN(Date.parse(given))) {
      const span = readSpan("since", given);
      if (!span.ok) return span;
      since = new Date(world.wallMs() - span.ms).toISOString();
    }
    const answer = await client.get<{ audit: AuditView[] }>("/audit", ["audit"], {
      limit,
      since,
      by: flags.text("by"),
      refused: flags.on("refused") ? "true" : null,
    });
    if (!answer.ok) return answer;
    const rows = answer.value.audit;
    await show(context, {
      data: rows,
      names: rows.map((row) => String(row.id)),
      human: (wide, style) => formatAudit(rows, wide, style),
      empty: "Nothing found",
    });
    return EXIT.done;
  },
};

export function formatAudit(rows: readonly AuditView[], wide: boolean, style: Style): string {
  const head = ["Time", "Who", "Call", "Target", "Outcome", "From"];
  const cells = rows.map((row) => [
    formatTime(row.at),
    row.who,
    `${row.method} ${row.path}`,
    row.target ?? "",
    row.count === 1 ? row.code : `${row.code} ×${row.count}`,
    row.remote,
    ...(wide ? [row.role ?? "", String(row.status), row.request_id] : []),
  ]);
  return formatTable(wide ? [...head, "Role", "Status", "Request"] : head, cells, style);
}
