/**
 * The help texts, made of the same declarations that the parser reads, so that neither can promise
 * what the other does not know. Pure.
 */
import type { Flag } from "./flag.ts";
import type { Command } from "./command.ts";
import { GLOBAL_FLAGS } from "./global-flag.ts";

const INTRO = `navarch keeps GPU fleets healthy: a GPU fault becomes a healthy, schedulable
replacement, without a person.

Usage: navarch <command> [words] [flags]
`;

const OUTRO = `
Exit status: 0 done, 1 failed, 2 usage or invalid file, 3 not found, 4 no or wrong token,
5 control plane unreachable, 6 refused by state, 7 --wait ended without the goal.

navarch help <command> tells more about one command.
`;

/** All commands, one line each. */
export function printOverview(commands: readonly Command[]): string {
  const lines = commands.map((command) => ({
    left: [...command.name, command.usage].join(" ").trim(),
    right: command.summary,
  }));
  return `${INTRO}\nCommands:\n${columns(lines)}\nFlags of every command:\n${flagLines(
    GLOBAL_FLAGS,
  )}${OUTRO}`;
}

/** One group (`pool`) with its commands. */
export function printGroup(name: string, commands: readonly Command[]): string {
  const lines = commands.map((command) => ({
    left: [...command.name, command.usage].join(" ").trim(),
    right: command.summary,
  }));
  return `Usage: navarch ${name} <command> [words] [flags]\n\nCommands:\n${columns(lines)}`;
}

/** One command with its flags. */
export function printHelp(command: Command): string {
  const line = ["navarch", ...command.name, command.usage, "[flags]"].filter((word) => word !== "");
  const own = command.flags.filter((flag) => flag.hidden !== true);
  const names = new Set(command.flags.map((flag) => flag.name));
  const rest = GLOBAL_FLAGS.filter((flag) => !names.has(flag.name));
  return [
    `${capital(command.summary)}.\n\nUsage: ${line.join(" ")}\n`,
    command.alias === undefined ? "" : `\nAlso: ${command.alias.join(", ")}\n`,
    command.more === undefined ? "" : `\n${command.more}\n`,
    own.length === 0 ? "" : `\nFlags:\n${flagLines(own)}`,
    `\nFlags of every command:\n${flagLines(rest)}`,
  ].join("");
}

function flagLines(flags: readonly Flag[]): string {
  const lines = flags
    .filter((flag) => flag.hidden !== true)
    .map((flag) => {
      const short = flag.short === undefined ? "" : `-${flag.short}, `;
      const value = flag.kind === "switch" ? "" : ` ${flag.value ?? "V"}`;
      const env = flag.env === undefined ? "" : ` [${flag.env.join(", ")}]`;
      const many = flag.kind === "texts" ? ", may be repeated" : "";
      return { left: `${short}--${flag.name}${value}`, right: `${flag.help}${many}${env}` };
    });
  return columns(lines);
}

function columns(lines: readonly { left: string; right: string }[]): string {
  const width = Math.max(0, ...lines.map(({ left }) => left.length));
  return lines.map(({ left, right }) => `  ${left.padEnd(width)}  ${right}\n`).join("");
}

function capital(text: string): string {
  return `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}`;
}
