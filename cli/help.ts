/**
 * Formats the help from the declarations that the parser reads, at most 80 columns wide. Pure.
 */
import type { Flag } from "./flag.ts";
import type { Command } from "./command.ts";
import { GLOBAL_FLAGS } from "./global-flag.ts";
import { wrap } from "./wrap.ts";

const COLUMNS = 80;
/** A longer left column gets a line of its own. */
const LEFT_MAX = 30;

const INTRO = `navarch keeps GPU fleets healthy: a GPU fault becomes a healthy, schedulable
replacement, without a person.

Usage: navarch <command> [arguments] [flags]
`;

const OUTRO = `
Exit status: 0 done, 1 failed, 2 usage or invalid file, 3 not found,
4 unauthenticated or forbidden, 5 control plane unreachable, 6 refused by state,
7 --wait ended before the goal was reached.

navarch help <command>  flags and examples of one command
navarch help flags      flags that every command accepts
`;

const SEE_FLAGS = "\nFlags that every command accepts: navarch help flags\n";

/** All commands under the headings of their groups, one line each. */
export function formatOverview(commands: readonly Command[]): string {
  const titles = [...new Set(commands.map((command) => command.group ?? ""))];
  const width = Math.max(...commands.map((command) => nameOf(command).length));
  const groups = titles.map((title) => {
    const lines = commands
      .filter((command) => (command.group ?? "") === title)
      .map((command) => ({ left: nameOf(command), right: command.summary }));
    return `\n${title}:\n${columns(lines, width)}`;
  });
  return `${INTRO}${groups.join("")}${OUTRO}`;
}

/** One group (`pool`) with its commands. */
export function formatGroup(name: string, commands: readonly Command[]): string {
  const lines = commands.map((command) => ({
    left: [...command.name, command.usage].join(" ").trim(),
    right: command.summary,
  }));
  const usage = `Usage: navarch ${name} <command> [arguments] [flags]`;
  return `${usage}\n\nCommands:\n${columns(lines)}\nnavarch help ${name} <command>  more\n`;
}

/** One command with its flags and examples. */
export function formatHelp(command: Command): string {
  const words = ["navarch", ...command.name, command.usage, "[flags]"];
  const line = words.filter((word) => word !== "");
  const own = command.flags.filter((flag) => flag.hidden !== true);
  const examples = command.examples ?? [];
  return [
    `${capital(command.summary)}.\n\nUsage: ${line.join(" ")}\n`,
    (command.alias ?? []).length === 0 ? "" : `\nAlso: ${command.alias?.join(", ")}\n`,
    command.more === undefined ? "" : `\n${paragraphs(command.more)}`,
    own.length === 0 ? "" : `\nFlags:\n${flagLines(own)}`,
    examples.length === 0 ? "" : `\nExamples:\n${examples.map((one) => `  ${one}\n`).join("")}`,
    command.reach === "raw" ? "" : SEE_FLAGS,
  ].join("");
}

/** The global flags; no other page repeats them. */
export function formatFlagsPage(): string {
  return `Every command accepts these flags, before or after its name.

${flagLines(GLOBAL_FLAGS)}
A flag wins over its environment variable. --flag value, --flag=value and -flag
are the same; -- ends the flags.
`;
}

function nameOf(command: Command): string {
  return command.name.join(" ");
}

/** `-s, --server ADDRESS`. */
export function flagUsage(flag: Flag): string {
  const short = flag.short === undefined ? "" : `-${flag.short}, `;
  const dashes = flag.isGo === true ? "-" : "--";
  const value = flag.kind === "switch" ? "" : ` ${flag.value ?? "V"}`;
  return `${short}${dashes}${flag.name}${value}`;
}

/** What it does, whether it may be repeated, and its environment variables. */
export function flagMeaning(flag: Flag): string {
  const env = flag.env === undefined ? "" : ` [${flag.env.join(", ")}]`;
  return `${flag.help}${flag.kind === "texts" ? ", may be repeated" : ""}${env}`;
}

function flagLines(flags: readonly Flag[]): string {
  const lines = flags
    .filter((flag) => flag.hidden !== true)
    .map((flag) => ({ left: flagUsage(flag), right: flagMeaning(flag) }));
  return columns(lines);
}

function columns(lines: readonly { left: string; right: string }[], least = 0): string {
  const fits = lines.map(({ left }) => left.length).filter((length) => length <= LEFT_MAX);
  const width = Math.max(least, ...fits, 0);
  const gap = " ".repeat(width + 4);
  return lines
    .map(({ left, right }) => {
      const [first = "", ...rest] = wrap(right, COLUMNS - gap.length);
      const under = rest.map((line) => `${gap}${line}\n`).join("");
      if (left.length > width) return `  ${left}\n${gap}${first}\n${under}`;
      return `  ${left.padEnd(width)}  ${first}\n${under}`;
    })
    .join("");
}

/** Lines of a paragraph flow together; those after a colon start a line, indented ones stay. */
function paragraphs(text: string): string {
  const flowing = text.replace(/([^\n:])\n(?=[^\s])/g, "$1 ");
  const lines = flowing.split("\n").flatMap((line) => {
    return line.startsWith(" ") && line.length <= COLUMNS ? [line] : wrap(line, COLUMNS);
  });
  return `${lines.join("\n")}\n`;
}

function capital(text: string): string {
  return `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}`;
}
