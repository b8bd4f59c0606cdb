/**
 * Reads set-up commands. They are parsed as templates, so that a misspelled variable never reaches
 * a machine.
 */
import { builtinCommands } from "../../bootstrap/builtin/builtin.ts";
import { parseTemplate } from "../../bootstrap/template/parse.ts";
import { readSection, type Section } from "./section.ts";
import { readText } from "./value.ts";
import type { Tree } from "./tree.ts";

const COMMANDS_MAX = 100;

/** First the commands of the built-in `setup_templates`, then the pool's own. */
export function readCommands(section: Section): string[] {
  return [...readTemplates(section), ...readOwnCommands(section)];
}

function readTemplates(section: Section): string[] {
  return (section.items("setup_templates") ?? []).flatMap((item) =>
    readBuiltin(section, item, readText(section.problems, item, false)),
  );
}

function readBuiltin({ problems }: Section, at: Tree, name: string | null): string[] {
  if (name === null || at.kind !== "scalar") return [];
  const answer = builtinCommands(name);
  if (answer.ok) return [...answer.commands];
  problems.error(at.inside(1, 1), at.path, "template", answer.error);
  return [];
}

/** Each is a command, or `template: NAME` at the place where it belongs. */
function readOwnCommands(section: Section): string[] {
  const items = section.items("setup_commands") ?? [];
  if (items.length > COMMANDS_MAX) {
    section.fail("setup_commands", "limit", `has more than ${COMMANDS_MAX} commands`);
  }
  return items.slice(0, COMMANDS_MAX).flatMap((item) => {
    if (item.kind === "map") return readNamed(section, item);
    return readCommand(section, item) ?? [];
  });
}

function readNamed(section: Section, item: Tree): string[] {
  const map = readSection(section.problems, item, item.path, item.at);
  const entry = map.look("template");
  const name = map.text("template");
  if (entry === null) map.missing("template", "a command is a text");
  map.finish();
  return entry === null ? [] : readBuiltin(section, entry.value, name);
}

function readCommand(section: Section, item: Tree): string | null {
  const text = readText(section.problems, item, false);
  if (text === null || item.kind !== "scalar") return null;
  const answer = parseTemplate(text);
  if (!answer.ok) {
    const at = item.inside(answer.at.line, answer.at.col);
    section.problems.error(at, item.path, "template", answer.message, answer.hint);
  }
  return text;
}
