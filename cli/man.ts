/**
 * Formats the man(7) pages of `navarch` and of each command from the command table, and that of a
 * program without commands. Pure.
 */
import type { Command } from "./command.ts";
import type { Flag } from "./flag.ts";
import { GLOBAL_FLAGS } from "./global-flag.ts";
import { flagMeaning, flagUsage } from "./help.ts";

/** Footer of each page; `date` is YYYY-MM-DD. */
export type Imprint = { date: string; version: string };

const STATUS: readonly (readonly [string, string])[] = [
  ["0", "Done; an empty list is not an error."],
  ["1", "The operation failed."],
  ["2", "Usage, unknown flag, or an invalid file."],
  ["3", "Not found."],
  ["4", "Unauthenticated or forbidden."],
  ["5", "The control plane is unreachable or did not answer in time."],
  ["6", "Refused by state."],
  ["7", "--wait ended without the goal."],
  ["8", "An assertion or a threshold of a simulation failed."],
];

/** Page by file name: `navarch.1`, `navarch-pool-list.1`. */
export function manPages(commands: readonly Command[], imprint: Imprint): Map<string, string> {
  const pages = new Map<string, string>();
  pages.set("navarch.1", overview(commands, imprint));
  for (const command of commands) {
    pages.set(`navarch-${command.name.join("-")}.1`, pageOf(command, imprint));
  }
  return pages;
}

function overview(commands: readonly Command[], imprint: Imprint): string {
  const titles = [...new Set(commands.map(({ group }) => group ?? ""))];
  const groups = titles.flatMap((title) => [
    `.SS ${roff(title)}`,
    ...commands
      .filter(({ group }) => (group ?? "") === title)
      .flatMap(({ name, summary }) => [
        ".TP",
        `.BR navarch\\-${roff(name.join("-"))} (1)`,
        `${sentence(summary)}`,
      ]),
  ]);
  return lines([
    ...head({ name: "navarch", section: 1, summary: "keep GPU fleets healthy" }, imprint),
    ".B navarch",
    "\\fIcommand\\fR [\\fIarguments\\fR] [\\fIflags\\fR]",
    ".SH DESCRIPTION",
    "Control plane of GPU fleets and its command line: a GPU fault becomes a healthy,",
    "schedulable replacement, without a person.",
    ".SH COMMANDS",
    ...groups,
    ".SH OPTIONS",
    "Every command accepts these.",
    ...flags(GLOBAL_FLAGS),
    ".SH EXIT STATUS",
    ...terms(STATUS),
  ]);
}

function pageOf(command: Command, imprint: Imprint): string {
  const name = `navarch-${command.name.join("-")}`;
  const own = command.flags.filter((flag) => flag.hidden !== true);
  const examples = command.examples ?? [];
  const more = command.more?.split("\n").filter((line) => line.trim() !== "") ?? [];
  return lines([
    ...head({ name, section: 1, summary: command.summary }, imprint),
    `.B navarch ${roff(command.name.join(" "))}`,
    roff(`${command.usage} [flags]`.trim()),
    ".SH DESCRIPTION",
    sentence(command.summary),
    ...more.flatMap((line, i) => {
      // Help lines are broken by width: a paragraph starts after a line that ends a sentence.
      const begins = /[.:]$/.test(more[i - 1] ?? ".");
      return [...(begins ? [".PP"] : []), roff(line.trim())];
    }),
    ...(own.length === 0 ? [] : [".SH OPTIONS", ...flags(own)]),
    ...(examples.length === 0 ? [] : [".SH EXAMPLES", ".EX", ...examples.map(roff), ".EE"]),
    ".SH SEE ALSO",
    ".BR navarch (1)",
  ]);
}

export type Manual = {
  name: string;
  section: 1 | 8;
  summary: string;
  /** Paragraphs. */
  description: readonly string[];
  flags: readonly Flag[];
  /** Further sections by heading: words, each with its explanation. */
  more: Readonly<Record<string, readonly (readonly [string, string])[]>>;
  /** `navarch(1)`. */
  see: readonly string[];
};

export function formatManual(manual: Manual, imprint: Imprint): string {
  return lines([
    ...head(manual, imprint),
    `.B ${roff(manual.name)}`,
    "[\\fIflags\\fR]",
    ".SH DESCRIPTION",
    ...manual.description.flatMap((text, i) => [...(i === 0 ? [] : [".PP"]), roff(text)]),
    ".SH OPTIONS",
    ...flags(manual.flags),
    ...Object.entries(manual.more).flatMap(([title, list]) => [`.SH ${title}`, ...terms(list)]),
    ".SH SEE ALSO",
    manual.see.map((one) => `\\fB${roff(one).replace("(", "\\fR(")}`).join(", "),
  ]);
}

type Named = Pick<Manual, "name" | "section" | "summary">;

function head({ name, section, summary }: Named, { date, version }: Imprint): string[] {
  const upper = roff(name.toUpperCase());
  return [
    `.TH "${upper}" "${section}" "${date}" "navarch ${roff(version)}" "Navarch manual"`,
    ".SH NAME",
    `${roff(name)} \\- ${roff(summary)}`,
    ".SH SYNOPSIS",
  ];
}

function terms(list: readonly (readonly [string, string])[]): string[] {
  return list.flatMap(([term, text]) => [".TP", `.B ${roff(term)}`, roff(text)]);
}

function flags(list: readonly Flag[]): string[] {
  return terms(list.map((flag) => [flagUsage(flag), flagMeaning(flag)]));
}

function sentence(text: string): string {
  return roff(`${text[0]?.toUpperCase() ?? ""}${text.slice(1)}.`);
}

/** Escapes backslashes and leading dots; a dash stays one that can be copied. */
function roff(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("…", "\\&...")
    .replaceAll("−", "\\-");
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}

function lines(list: readonly string[]): string {
  return `${list.join("\n")}\n`;
}
