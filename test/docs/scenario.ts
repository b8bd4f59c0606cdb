/** `docs/scenario.md`: every key, action and condition of a scenario, from their tables. */
import { cellsOf, listKeys } from "../../reconciler/config/key-list.ts";
import { PARAMS } from "../../simulator/scenario/action.ts";
import { TYPES } from "../../simulator/scenario/assertion.ts";
import { SCENARIO } from "../../simulator/scenario/table.ts";
import { THRESHOLDS } from "../../simulator/scenario/threshold.ts";
import type { Table } from "../../schema/config/field.ts";
import { HEAD } from "./configuration.ts";
import { code, formatHead, formatTable, readProse } from "./markdown.ts";

export function formatScenario(): string {
  const actions = Object.entries<Table>(PARAMS).flatMap(([action, table]) => {
    const rows = listKeys(table).map(cellsOf);
    const some = rows.length === 0 ? [["–", "", "", ""]] : rows;
    return some.map((row) => [code(action), ...row]);
  });
  const list = (names: readonly string[]): string => `${names.map(code).join(", ")}.\n`;
  return [
    formatHead("Scenarios", "the tables of `simulator/scenario/`"),
    readProse("scenario"),
    `\n## Keys\n\n${formatTable(HEAD, listKeys(SCENARIO).map(cellsOf))}`,
    `\n## events\n\n${readProse("scenario-event")}`,
    formatTable(["action", "parameter", ...HEAD.slice(1)], actions),
    `\n## assertions\n\n${readProse("scenario-assertion")}`,
    list(TYPES),
    `\n## stress.thresholds\n\n${readProse("scenario-threshold")}`,
    list(Object.keys(THRESHOLDS)),
  ].join("");
}
