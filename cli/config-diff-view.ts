/** Formats the differences of two configurations, and the state of the running one. Pure. */
import type { ConfigDiffView, ReloadView } from "../schema/api-config.ts";
import { formatTable, plain, type Style } from "./table.ts";

/** Longer values are cut in the middle; `-o json` has them whole. */
const VALUE_CHARS_MAX = 60;

export function formatDiff(view: ConfigDiffView, style: Style): string {
  // Older control planes do not tell them apart.
  const { changes, effects, restart, refused, refused_always: always = [], policy } = view;
  const isSame = changes.length === 0 && policy === null;
  if (isSame) return "No difference\n";
  const rows = changes.map(({ key, before, after, restart: waits }) => [
    waits ? `${key} (restart)` : key,
    cut(before),
    cut(after),
  ]);
  const table = rows.length === 0 ? "" : formatTable(["Key", "Before", "After"], rows, style);
  const judged = "every node with findings is judged again";
  const rules = policy && `health policy: ${policy.before} → ${policy.after}; ${judged}`;
  const done = effects.map(({ object, message }) => `${object}: ${message}`);
  return [
    table,
    ...section("A reload does", [...done, ...(rules === null ? [] : [rules])]),
    ...section("After the next restart", restart),
    ...section("Refused", always),
    ...section(
      "Refused without --allow-pool-removal",
      refused.filter((why) => !always.includes(why)),
    ),
  ].join("");
}

function section(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  return [`\n${title}:\n`, ...lines.map((line) => `  ${plain(line)}\n`)];
}

function cut(value: string | null): string {
  const text = plain(value);
  if (text.length <= VALUE_CHARS_MAX) return text;
  const half = (VALUE_CHARS_MAX - 1) / 2;
  return `${text.slice(0, Math.ceil(half))}…${text.slice(-Math.floor(half))}`;
}

export function formatReload(view: ReloadView): string {
  const { outcome, hash, changed, restart, warnings } = view;
  const count = changed === 1 ? "1 key changed" : `${changed} keys changed`;
  const keys = changed === 0 ? "another health policy" : count;
  const head =
    outcome === "applied"
      ? `Configuration ${hash} is in force (${keys})`
      : `Configuration ${hash} was in force already`;
  const waits = restart.length === 0 ? [] : [`These keys take a restart: ${restart.join(", ")}`];
  return [head, ...waits, ...warnings].map((line) => `${plain(line)}\n`).join("");
}
