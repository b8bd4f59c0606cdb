/** `docs/configuration.md`: every key of the tables in `schema/config/`. */
import { cellsOf, defaultText, listKeys, type Row } from "../../reconciler/config/key-list.ts";
import { whyNoAdapter } from "../../reconciler/core/adapter.ts";
import { AUTOSCALER, AUTOSCALERS } from "../../schema/config/autoscaler.ts";
import { type Key, type Meta, metaOf, type Table } from "../../schema/config/field.ts";
import { KUBERNETES } from "../../schema/config/kubernetes.ts";
import { DEFAULTS, DRAIN, POOL } from "../../schema/config/pool.ts";
import { PROVIDER, PROVIDER_TYPES, SETTINGS } from "../../schema/config/provider.ts";
import { PROVISIONER } from "../../schema/config/provisioner.ts";
import { ROOT } from "../../schema/config/root.ts";
import { SAFETY } from "../../schema/config/safety.ts";
import { SLURM } from "../../schema/config/slurm.ts";
import { SIMULATION } from "../../schema/config/simulation.ts";
import { AGENT, MANAGER, SERVER } from "../../schema/config/server.ts";
import { code, formatHead, formatTable, readProse } from "./markdown.ts";

export const HEAD = ["key", "type", "default", "meaning"];

export function formatConfiguration(): string {
  const part = (title: string, table: Table, words = ""): string =>
    `\n## ${title}\n\n${words}${formatTable(HEAD, listKeys(table).map(cellsOf))}`;
  const sections = Object.entries<Table[string]>(ROOT).map(([key, field]) => {
    const meta = metaOf(field);
    return [code(key), meta.kind === "own" ? meta.type : meta.kind, "–", meta.help];
  });
  return [
    formatHead("Configuration", "the tables of `schema/config/`"),
    readProse("configuration"),
    `\n## Sections\n\n${formatTable(HEAD, sections)}`,
    part("server", SERVER),
    part("pools", POOL, readProse("pool")),
    `\n## pools[].scaling.autoscaler\n\n${formatTable(HEAD, listAutoscaler())}`,
    `\n## providers\n\n${readProse("provider")}${formatProviders()}`,
    part("defaults and global", DEFAULTS),
    part("global.agent", AGENT),
    part("drain", DRAIN),
    part("safety", SAFETY),
    part("kubernetes", KUBERNETES),
    part("slurm", SLURM),
    part("provisioners", PROVISIONER),
    part("simulation", SIMULATION),
    part("instance_manager", MANAGER),
  ].join("");
}

/** Defaults of a section that can be written: path, and value in YAML. For the test. */
export function listDefaults(): [path: string, value: string][] {
  const { defaults, drain, safety, kubernetes, slurm, simulation, instance_manager, server } = ROOT;
  const sections: [string, Table][] = [
    ["pools[].", POOL],
    ["", { defaults, drain, safety, kubernetes, slurm, simulation, instance_manager, server }],
  ];
  return sections.flatMap(([prefix, table]) =>
    listKeys(table, prefix).flatMap(([path, field]): [string, string][] => {
      const isFixed = field.unused !== true && field.or === undefined;
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
