/**
 * A template file: blocks between lines of `---`, each a manifest with its own `apiVersion` and
 * `kind` at the start of a line, and the rendering of a block. Pure.
 */
import { parseOpenTemplate } from "../../bootstrap/template/parse.ts";
import { fillTemplate } from "../../bootstrap/template/print.ts";
import type { OpenTemplate } from "../../bootstrap/template/template.ts";
import { TaskError, type Run } from "./task.ts";

export type GroupVersionKind = { group: string; version: string; kind: string };

/** `line`: where the block begins in its file, from 1. */
export type FileBlock = { gvk: GroupVersionKind; body: string; line: number };

/** Throws `TaskError`; `path` is for the message. */
export function cutBlocks(text: string, path: string): FileBlock[] {
  const blocks: { lines: string[]; line: number }[] = [{ lines: [], line: 1 }];
  for (const [index, line] of text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .entries()) {
    if (line === "---") blocks.push({ lines: [], line: index + 2 });
    else blocks.at(-1)?.lines.push(line);
  }
  const full = blocks.filter(({ lines }) => lines.some((line) => !/^\s*(#.*)?$/.test(line)));
  const [first] = blocks;
  const kept = full.length === 0 && first !== undefined ? [first] : full;
  return kept.map(({ lines, line }) => {
    const body = lines.join("\n");
    const gvk = readKind(lines, path);
    checkTemplate(body, line, `failed to parse template ${path}`);
    return { gvk, body, line };
  });
}

function readKind(lines: readonly string[], path: string): GroupVersionKind {
  const fetch = (key: string): string => {
    const line = lines.find((one) => one.startsWith(`${key}:`)) ?? "";
    const value = line.slice(key.length + 1);
    const comment = value.search(/\s#/);
    const plain = unquoted((comment < 0 ? value : value.slice(0, comment)).trim());
    if (plain !== "" && !plain.includes("{{")) return plain;
    const hint = plain === "" ? "" : `: ${plain} depends on parameters; write it out`;
    throw new TaskError(`failed to fetch '${key}' from template ${path}${hint}`);
  };
  const [apiVersion, kind] = [fetch("apiVersion"), fetch("kind")];
  const parts = apiVersion.split("/");
  const version = parts.pop() ?? "";
  return { group: parts.join("/"), version, kind };
}

function unquoted(text: string): string {
  const quote = text[0];
  const isQuoted = (quote === '"' || quote === "'") && text.length > 1 && text.endsWith(quote);
  return isQuoted ? text.slice(1, -1) : text;
}

/** `batch/v1, Kind=Job`, as Go's client writes it. */
export const formatKind = ({ group, version, kind }: GroupVersionKind): string =>
  `${group}/${version}, Kind=${kind}`;

/** Throws `TaskError` that begins with `failed`. */
export function checkTemplate(body: string, line: number, failed: string): OpenTemplate {
  const parsed = parseOpenTemplate(body);
  if (parsed.ok) return parsed.template;
  const { message, hint, at } = parsed;
  const place = `line ${at.line + line - 1}, column ${at.col}`;
  throw new TaskError(`${failed}: ${place}: ${message}${hint === null ? "" : `; ${hint}`}`);
}

/** Where a template comes from, for messages. */
export type Origin = { name: string; line: number };
export type Params = Readonly<Record<string, unknown>>;
export type Fill = (params: Params) => string;

/**
 * A template, ready to be filled. A key without a value prints as `<no value>` and warns once, as
 * Go does; with `-strict` it is an error. Throws `TaskError`, as does what it returns.
 */
export function prepare(
  body: string,
  { name, line }: Origin,
  { isStrict, say }: Pick<Run, "isStrict" | "say">,
): Fill {
  const template = checkTemplate(body, line, `failed to parse template ${name}`);
  const warned = new Set<string>();
  return (params) => {
    const filled = fillTemplate(template, params);
    if (!filled.ok) {
      const place = `line ${filled.at.line + line - 1}, column ${filled.at.col}`;
      throw new TaskError(`failed to execute template ${name}: ${place}: ${filled.message}`);
    }
    for (const key of filled.missing) {
      const message = `${name}: the parameter ${JSON.stringify(key)} has no value`;
      if (isStrict) throw new TaskError(`failed to execute template ${message} (-strict)`);
      if (!warned.has(key)) say("warning", `${message}, and prints <no value>`);
      warned.add(key);
    }
    return filled.text;
  };
}
