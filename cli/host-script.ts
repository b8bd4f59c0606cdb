/**
 * Reads the commands of `bootstrap --host`: those of built-in templates, then files, each with a
 * name for messages.
 *
 * Adapter: reads template files.
 */
import { readFileSync } from "node:fs";
import { builtinCommands } from "../bootstrap/builtin/builtin.ts";
import { parseTemplate } from "../bootstrap/template/parse.ts";
import type { TemplateVariable } from "../bootstrap/template/variable.ts";
import { usage } from "./failure.ts";
import type { Read } from "./host-flag.ts";
import { explainPath } from "./path.ts";

export type HostScript = {
  commands: readonly string[];
  /** `agent[0]`, `./prepare.sh`; one for each command. */
  names: readonly string[];
  /** Variables in the commands. */
  uses: ReadonlySet<TemplateVariable>;
};

/** Larger scripts belong in a package. */
const FILE_BYTES_MAX = 256 * 1_024;

export function readHostScript(
  templates: readonly string[],
  files: readonly string[],
): Read<HostScript> {
  const commands: string[] = [];
  const names: string[] = [];
  for (const name of templates) {
    const answer = builtinCommands(name);
    if (!answer.ok) return usage(`--template: ${answer.error}`);
    names.push(...answer.commands.map((_, at) => `${name}[${at}]`));
    commands.push(...answer.commands);
  }
  for (const path of files) {
    const text = readTemplate(path);
    if (!text.ok) return text;
    names.push(path);
    commands.push(text.value);
  }
  if (commands.length === 0) {
    return usage("bootstrap --host needs --template NAME or --file F: there is nothing to run");
  }
  const uses = new Set(commands.flatMap(variablesIn));
  return { ok: true, value: { commands, names, uses } };
}

function readTemplate(path: string): Read<string> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    return usage(`--file ${path}: ${explainPath(path, error)}`);
  }
  if (text.length > FILE_BYTES_MAX) return usage(`--file ${path}: over ${FILE_BYTES_MAX} bytes`);
  if (text.trim() === "") return usage(`--file ${path}: the file is empty`);
  if (text.includes("\0")) return usage(`--file ${path}: not a text file`);
  const parsed = parseTemplate(text);
  if (parsed.ok) return { ok: true, value: text };
  const { message, hint, at } = parsed;
  const more = hint === null ? "" : ` (${hint})`;
  return usage(`--file ${path}:${at.line}:${at.col}: ${message}${more}`);
}

/** A text search: a name in a comment counts too, and costs one request. */
function variablesIn(command: string): TemplateVariable[] {
  const actions = command.matchAll(/\{\{([^{}]*)\}\}/g);
  return [...actions].flatMap(([, action = ""]) =>
    [...action.matchAll(/\.([A-Za-z]+)/g)].map(([, name]) => name as TemplateVariable),
  );
}
