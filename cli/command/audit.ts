/**
 * `navarch audit`: lists changes, refused requests and marks in schedulers, with their author.
 */
import { countOf } from "../../schema/article.ts";
import type { AuditView } from "../../schema/audit.ts";
import { csvLine } from "../../schema/csv.ts";
import { formatTime } from "../age.ts";
import type { Command } from "../command.ts";
import { usage } from "../failure.ts";
import { switchFlag, textFlag } from "../flag.ts";
import { getSince } from "../lookup.ts";
import { formatTable, plain, type Style } from "../table.ts";

const LIMIT_DEFAULT = "100";
const NOTHING = "Nothing found";

/** An older control plane does not report the last two. */
type Page = { audit: AuditView[]; authors?: string[] | null; older?: boolean };

export const audit: Command = {
  name: ["audit"],
  usage: "",
  summary: "list changes, refused requests and marks in schedulers, with their author",
  examples: [
    "navarch audit --since 24h",
    "navarch audit --by alice",
    "navarch audit --refused",
    "navarch audit --object gpu-1 --verb undrain",
    "navarch audit --limit 1000 --output csv",
  ],
  more: `Identical refusals within one minute are one line with a count. Marks of the control plane
(cordon, uncordon, drain, undrain) are rows of the author reconciler, with the repair's id.
A person is found by all tokens, also revoked ones, whose label has the name.`,
  flags: [
    textFlag("limit", "N", `at most N lines (default ${LIMIT_DEFAULT}, max 1000)`),
    textFlag("since", "T", "start: a duration (2h) or an RFC 3339 time"),
    textFlag("by", "NAME", "only this person, or admin, token:ID, node:ID, reconciler"),
    textFlag("object", "NAME", "only this node (also by its name in a scheduler), pool or token"),
    textFlag("verb", "VERB", "only this act: cordon, undrain, resize, …"),
    switchFlag("refused", "only refused requests"),
  ],
  formats: ["csv"],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const { flags } = context;
    const limit = flags.text("limit") ?? LIMIT_DEFAULT;
    if (!/^([1-9]\d{0,2}|1000)$/.test(limit)) {
      return usage(`--limit: expected a whole number from 1 to 1000, found "${limit}"`);
    }
    const from = flags.text("since");
    const since = from === null ? null : await getSince(client, "since", from);
    if (since?.ok === false) return since;
    const by = flags.text("by");
    const answer = await client.get<Page>("/audit", ["audit"], {
      limit,
      since: since?.at ?? null,
      by,
      object: flags.text("object"),
      verb: flags.text("verb"),
      refused: flags.on("refused") ? "true" : null,
    });
    if (!answer.ok) return answer;
    const { audit: rows, authors = null, older = false } = answer.value;
    if (older) {
      const more = "for older ones raise --limit, or narrow with --since";
      context.world.err(`note: ${countOf(rows.length, "row")}, the newest; ${more}\n`);
    }
    const isCsv = flags.text("output")?.toLowerCase() === "csv";
    return {
      data: rows,
      names: rows.map((row) => String(row.id)),
      human: (wide, style) => (isCsv ? formatCsv(rows) : formatAudit(rows, wide, style)),
      empty: authors?.length === 0 ? `Nothing found: no author or token is called ${by}` : NOTHING,
    };
  },
};

function formatCsv(rows: readonly AuditView[]): string {
  const head = ["id", "at", "who", "role", "remote", "method", "path", "verb", "kind", "target"];
  const lines = rows.map((row) => [
    ...[String(row.id), row.at, row.who, row.role ?? "", row.remote, row.method, row.path],
    ...[row.verb ?? "", row.kind ?? "", row.target ?? "", row.code, String(row.status)],
    ...[String(row.count), row.mark?.repair ?? "", row.detail ?? "", row.request_id],
  ]);
  const more = ["code", "status", "count", "repair", "detail", "request_id"];
  const text = [[...head, ...more], ...lines].map((cells) => csvLine(cells.map(plain))).join("");
  // A carriage return is no text of a terminal.
  return text.replaceAll("\r\n", "\n");
}

export function formatAudit(rows: readonly AuditView[], wide: boolean, style: Style): string {
  const head = ["Time", "Who", "Call", "Target", "Outcome", "From", "Repair", "Detail"];
  const cells = rows.map((row) => [
    formatTime(row.at),
    row.who,
    `${row.method} ${row.path}`,
    row.target ?? "",
    row.count === 1 ? row.code : `${row.code} ×${row.count}`,
    row.remote,
    row.mark?.repair ?? "",
    row.detail ?? "",
    ...(wide ? [row.role ?? "", String(row.status), row.request_id] : []),
  ]);
  return formatTable(wide ? [...head, "Role", "Status", "Request"] : head, cells, style);
}
