/** `docs/configuration.md`: every key of the tables in `schema/config/`. */
import { cellsOf, defaultText, listKeys, type Row } from "../../reconciler/config/key-list.ts";
import { whyNoAdapter } from "../../reconciler/core/adapter.ts";
import { AUTOSCALER, AUTOSCALERS } from "../../schema/config/autoscaler.ts";
import { type Key, type Meta, metaOf, type Table } from "../../schema/config/field.ts";
import { DEFAULTS, POOL } from "../../schema/config/pool.ts";
import { PROVIDER, PROVIDER_TYPES, SETTINGS } from "../../schema/config/provider.ts";
import { ROOT } from "../../schema/config/root.ts";
import { AGENT } from "../../schema/config/server.ts";
import { code, formatHead, formatTable, readProse } from "./markdown.ts";

export const HEAD = ["key", "type", "default", "meaning"];

export function formatConfiguration(): string {
  const part = (title: string, table: Table, words = ""): string =>
    `\n## ${title}\n\n${words}${formatTable(HEAD, listKeys(table).map(cellsOf))}`;
  const sections = Object.entries<Table[string]>(ROOT).map(([key, field]) => {
    const meta = metaOf(field);
    return [code(key), meta.kind === "own" ? meta.type : meta.kind, "–", meta.help];
  });
  const parts: Readonly<Record<string, () => string>> = {
    pools: () =>
      part("pools", POOL, readProse("pool")) +
      `\n## pools[].scaling.autoscaler\n\n${formatTable(HEAD, listAutoscaler())}`,
    providers: () => `\n## providers\n\n${readProse("provider")}${formatProviders()}`,
    defaults: () => part("defaults and global", DEFAULTS),
    global: () => part("global.agent", AGENT),
  };
  const all = Object.entries<Table[string]>(ROOT).map(([key, field]) => {
    const meta = metaOf(field);
    const keys = meta.kind === "mapping" ? meta.keys : meta.kind === "own" ? meta.inner?.() : null;
    return parts[key]?.() ?? (keys == null ? "" : part(key, keys));
  });
  return [
    formatHead("Configuration", "the tables of `schema/config/`"),
    readProse("configuration"),
    `\n## Sections\n\n${formatTable(HEAD, sections)}`,
    ...all,
  ].join("");
}

/** Defaults of a section that can be written: path, and value in YAML. For the test. */
export function listDefaults(): [path: string, value: string][] {
  const { pools: _a, providers: _b, global: _c, ...sections } = ROOT;
  const tables: [string, Table][] = [
    ["pools[].", POOL],
    ["", sections],
  ];
  return tables.flatMap(([prefix, table]) =>
    listKeys(table, prefix).flatMap(([path, field]): [string, string][] => {
      // Of a list there may be none.
      const isOne = prefix !== "" || !path.includes("[]");
      const isFixed = isOne && field.unused !== true && field.or === undefined;
      const text = isFixed ? defaultText(field) : null;
      return text === null ? [] : [[path, text]];
    }),
  );
}

function listAutoscaler(): string[][] {
  const type: Row = ["type", metaOf(AUTOSCALERS["type"] as Key<unknown, Meta>)];
  const rows = Object.entries<Table>(AUTOSCALER).flatMap(([name, table]) =>
    listKeys(table).map((row) => {
      const [key, kind, fallback, help] = cellsOf(row);
      const words = help.replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase());
      return [key, kind, fallback, `${code(name)}: ${words}`];
    }),
  );
  return [cellsOf(type), ...rows];
}

function formatProviders(): string {
  const isThere = (types: Meta["types"]) =>
    types === undefined || types.some((type) => whyNoAdapter(type as "fake") === null);
  const rows = [...listKeys(PROVIDER), ...listKeys(SETTINGS)].flatMap(([key, field]) => {
    const head = SETTINGS[key.split(".")[0] as keyof typeof SETTINGS];
    const types = head === undefined ? undefined : metaOf(head as Key<unknown, Meta>).types;
    if (!isThere(types)) return [];
    const isAll = types === undefined || types.length === PROVIDER_TYPES.length;
    const [name, type, fallback, help] = cellsOf([key, field]);
    return [[name, type, isAll ? "all" : types.map(code).join(", "), fallback, help]];
  });
  return formatTable(["key", "type", "provider types", "default", "meaning"], rows);
}
