/**
 * `navarch config explain`: shows one key of the configuration, or lists the keys of a section,
 * from the tables that the reader uses.
 */
import { cellsOf, defaultText, listKeys, type Row } from "../../reconciler/config/key-list.ts";
import { AUTOSCALERS } from "../../schema/config/autoscaler.ts";
import { PROVIDER_KEYS } from "../../schema/config/provider.ts";
import { ROOT } from "../../schema/config/root.ts";
import { nearest } from "../../schema/nearest.ts";
import type { Command } from "../command.ts";
import { didYouMean, EXIT, failure } from "../failure.ts";
import { switchFlag } from "../flag.ts";
import { formatLabels, formatTable, type Style } from "../table.ts";

const NO_HINT = " (navarch config explain lists all)";

/** `pools[0].name`, `pools[].name` and `pools.name` are one key; so is a provider of any name. */
function pathOf(given: string): string {
  const path = given.replace(/\[\d*\]/g, "");
  const [, word = ""] = /^providers\.([^.]+)$/.exec(path) ?? [];
  // `providers.prices` asks for a key; a provider may have that name, but says less.
  if (Object.hasOwn(PROVIDER_KEYS, word)) return `providers.NAME.${word}`;
  return path.replace(/^providers\.[^.]+/, "providers.NAME");
}

export const configExplain: Command = {
  name: ["config", "explain"],
  usage: "[<key>]",
  summary: "explain a key of the configuration",
  examples: [
    "navarch config explain pools.scaling.max_nodes",
    "navarch config explain server.tls",
    "navarch config explain --json-schema > navarch.schema.json",
  ],
  more:
    "A section lists its keys; without a key all are listed. NAME is a name that you choose.\n" +
    "With --json-schema: what an editor with a YAML language server completes and checks a file\n" +
    "by that begins with # yaml-language-server: $schema=…, as config init writes it. That line\n" +
    "names the schema of the release; without a network, let it name a file with this output.",
  flags: [switchFlag("json-schema", "print the JSON Schema of configuration files, for editors")],
  words: { min: 0, max: 1 },
  reach: "offline",
  async run({ words, flags, world }) {
    if (flags.on("json-schema")) {
      const { formatJsonSchema } = await import("../../reconciler/config/json-schema.ts");
      world.out(formatJsonSchema());
      return EXIT.done;
    }
    const all: Row[] = [...listKeys(ROOT), ...listKeys(AUTOSCALERS, "pools.scaling.autoscaler.")];
    const rows = all.map(explain);
    const [given = ""] = words;
    const wanted = pathOf(given);
    const one = rows.find(({ key }) => key === wanted);
    const below = rows.filter(({ key }) => given === "" || key.startsWith(`${wanted}.`));
    if (one === undefined && below.length === 0) {
      const paths = rows.map(({ key }) => key);
      const last = wanted.slice(wanted.lastIndexOf(".") + 1);
      const alike = paths.filter((path) => path.endsWith(`.${last}`));
      const close = nearest(wanted, alike) ?? alike[0] ?? nearest(wanted, paths);
      const hint = close === null ? NO_HINT : didYouMean(close, paths);
      return failure(EXIT.notFound, "not_found", `no configuration key "${given}"${hint}`);
    }
    const shown = [...(one === undefined ? [] : [one]), ...below.filter((row) => row !== one)];
    return {
      data: one !== undefined && below.length === 0 ? one : shown,
      names: shown.map(({ key }) => key),
      human: (_wide, style) => {
        const head = one === undefined ? "" : formatKey(one, style);
        const cells = below.map((row) => [row.key, row.type, row.default, row.meaning]);
        const list = formatTable(["Key", "Type", "Default", "Meaning"], cells, style);
        return below.length === 0 ? head : `${head}${head === "" ? "" : "\n"}${list}`;
      },
    };
  },
};

function explain([path, field]: Row) {
  const key = pathOf(path);
  const [, type, fallback, meaning] = cellsOf([key, field]).map((cell) => cell.replaceAll("`", ""));
  const value = defaultText(field) ?? (field.kind === "choice" ? field.of?.[0] : null);
  const example = formatExample(path.replace(/^pools\./, "pools[].").split("."), value ?? "…");
  return { key, type: type ?? "", default: fallback ?? "", meaning: meaning ?? "", example };
}

/** The key in its place of a file, in YAML; the name of a list ends in `[]`. */
function formatExample(names: readonly string[], value: string): string {
  let column = 0;
  let isItem = false;
  const lines = names.map((name) => {
    const line = `${" ".repeat(column)}${isItem ? "- " : ""}${name.replace("[]", "")}:`;
    column += isItem ? 4 : 2;
    isItem = name.endsWith("[]");
    return line;
  });
  const parts = value.split("\n");
  const inline = parts.length > 1 ? parts.map((part) => part.trim()).join(" ") : value;
  return `${lines.join("\n")} ${inline}\n`;
}

function formatKey(row: ReturnType<typeof explain>, style: Style): string {
  const labels = formatLabels(
    [
      ["Key", row.key],
      ["Type", row.type],
      ["Default", row.default],
      ["Meaning", row.meaning],
    ],
    style,
  );
  return `${labels}Example:\n${row.example.replaceAll(/^(?=.)/gm, "  ")}`;
}
