/**
 * Prints the result of a command in the format of `-o`. Formats for programs contain data only; an
 * empty list is `[]`.
 */
import { unreachable } from "../schema/unreachable.ts";
import type { Failure } from "./failure.ts";
import { plain, type Style } from "./table.ts";
import { escapeData, isUnsafe } from "../schema/terminal.ts";
import type { World } from "./world.ts";
import { foldLines } from "./wrap.ts";

export const FORMATS = ["table", "wide", "json", "jsonl", "yaml", "name"] as const;
export type Format = (typeof FORMATS)[number];

/** Where and how to print. */
export type Screen = {
  world: World;
  format: Format;
  style: Style;
  /** Takes the output of a watched command instead of standard output. */
  collect?(shown: Shown): void;
};

export type Shown = {
  /** What `json` and `yaml` print, and `jsonl` one item a line. */
  data: unknown;
  /** What `name` prints, one a line. */
  names: readonly string[];
  /** Text; ends with a line break. `wide` adds columns. */
  human(wide: boolean, style: Style): string;
  /** Printed on standard error instead of an empty table or text. */
  empty?: string;
};

export async function show(screen: Screen, shown: Shown): Promise<void> {
  const { world, format, style } = screen;
  if (screen.collect !== undefined) return screen.collect(shown);
  switch (format) {
    case "json":
      return world.out(`${escapeData(JSON.stringify(shown.data, null, 2))}\n`);
    case "jsonl":
      return world.out(formatLines(shown.data));
    case "yaml":
      return world.out(await formatYaml(shown.data));
    case "name":
      return world.out(shown.names.map((name) => `${plain(name)}\n`).join(""));
    case "table":
    case "wide":
      return showPeople(world, shown, format === "wide", style);
    default:
      return unreachable(format);
  }
}

function showPeople(world: World, shown: Shown, wide: boolean, style: Style): void {
  const text = humanText(shown, wide, style);
  if (text === "" && shown.empty !== undefined) return world.err(`${shown.empty}\n`);
  return world.out(text);
}

/** The text, folded to the width; empty if `empty` applies. */
export function humanText(shown: Shown, wide: boolean, style: Style): string {
  if (shown.empty !== undefined && isEmpty(shown.data)) return "";
  const text = shown.human(wide, style);
  return style.columns === null ? text : foldLines(text, style.columns);
}

/** True for formats of programs, whose errors are JSON. */
export function isForMachines(format: Format): boolean {
  return format === "json" || format === "jsonl";
}

/** Prints a failure on standard error, as JSON if `-o` asks for it. */
export function sayFailure(world: World, format: Format, failure: Failure): void {
  const { code, message, details } = failure;
  if (isForMachines(format)) {
    const more = Object.keys(details).length === 0 ? {} : { details };
    world.err(`${escapeData(JSON.stringify({ error: { code, message, ...more } }))}\n`);
  } else world.err(`error: ${plain(message)}\n`);
}

function isEmpty(data: unknown): boolean {
  return Array.isArray(data) && data.length === 0;
}

function formatLines(data: unknown): string {
  const items: unknown[] = Array.isArray(data) ? data : [data];
  return items.map((item) => `${escapeData(JSON.stringify(item))}\n`).join("");
}

/** Loads the library on demand: a table must start fast. */
async function formatYaml(data: unknown): Promise<string> {
  const { Document, visit } = await import("yaml");
  const document = new Document(data);
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value === "string" && isUnsafe(node.value)) node.type = "QUOTE_DOUBLE";
    },
  });
  return escapeData(document.toString({ lineWidth: 0 }));
}
