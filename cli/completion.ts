/**
 * The completion table: the words and flags that a shell may offer at each place, and the source of
 * their values, from the command table. One file for each shell turns it into a script. Pure.
 */
import type { Command } from "./command.ts";
import { flagsOf, GROUP_ALIAS } from "./find.ts";
import type { Flag } from "./flag.ts";
import { GLOBAL_FLAGS } from "./global-flag.ts";

/** Where values come from: a fixed list, files, or the names that a command prints. */
export type Source =
  | { kind: "words"; words: readonly string[] }
  | { kind: "files" }
  | { kind: "names"; command: string }
  | { kind: "none" };

export type Place = {
  /** `pool list`; `paths` has its aliases too. */
  path: string;
  paths: readonly string[];
  summary: string;
  flags: readonly Flag[];
  words: Source;
};

export type Table = {
  places: readonly Place[];
  /** First words; a group has second words in `next`. */
  heads: readonly { word: string; summary: string; next: readonly Place[] }[];
  /** Every flag that takes a value, each name once. */
  valued: readonly { flag: Flag; source: Source }[];
  global: readonly Flag[];
  aliases: readonly (readonly [string, string])[];
};

const FILES = new Set(["F", "FILE", "DIR", "E"]);
const NONE: Source = { kind: "none" };

export function tableOf(commands: readonly Command[]): Table {
  const groups = new Set(commands.flatMap(({ name }) => (name.length > 1 ? [name[0]] : [])));
  const places = commands.map((command) => ({
    path: command.name.join(" "),
    paths: pathsOf(command, groups),
    summary: command.summary,
    flags: flagsOf(command).filter((flag) => flag.hidden !== true),
    words: wordsOf(command, commands),
  }));
  const firsts = [...new Set(commands.map(({ name }) => name[0] ?? ""))];
  const heads = firsts.map((word) => ({
    word,
    next: places.filter(({ path }) => path.startsWith(`${word} `)),
    get summary() {
      const own = places.find(({ path }) => path === word)?.summary;
      return own ?? this.next.map(({ path }) => path.slice(word.length + 1)).join(", ");
    },
  }));
  const byName = new Map<string, Flag>();
  for (const flag of [...GLOBAL_FLAGS, ...places.flatMap(({ flags }) => flags)]) {
    if (flag.kind !== "switch" && !byName.has(flag.name)) byName.set(flag.name, flag);
  }
  const valued = [...byName.values()].map((flag) => ({ flag, source: sourceOf(flag) }));
  return { places, heads, valued, global: GLOBAL_FLAGS, aliases: [...GROUP_ALIAS] };
}

/** An alias that is also the first word of a group would hide the group. */
function pathsOf({ name, alias = [] }: Command, groups: ReadonlySet<string | undefined>): string[] {
  return [name.join(" "), ...alias.filter((one) => !groups.has(one))];
}

function sourceOf({ name, value = "", values }: Flag): Source {
  if (values !== undefined) return { kind: "words", words: values };
  if (name === "pool") return { kind: "names", command: "pool list" };
  if (name === "node") return { kind: "names", command: "list" };
  return FILES.has(value) ? { kind: "files" } : NONE;
}

/** From the usage line: `<pool>`, `<file>…`, or an id, for which the group's `list` is run. */
function wordsOf({ name, usage }: Command, commands: readonly Command[]): Source {
  if (name[0] === "help") {
    const first = [...new Set(commands.map((command) => command.name[0] ?? ""))];
    return { kind: "words", words: [...first, "flags"] };
  }
  if (usage.includes("<pool>")) return { kind: "names", command: "pool list" };
  if (usage.includes("<agentpool>")) return { kind: "names", command: "agentpool list" };
  if (usage.includes("<key>")) return { kind: "names", command: name.join(" ") };
  if (/[<[]file/.test(usage)) return { kind: "files" };
  const [, shell] = /^<((?:\w+\|)+\w+)>$/.exec(usage) ?? [];
  if (shell !== undefined) return { kind: "words", words: shell.split("|") };
  if (!/<(node-)?id>/.test(usage)) return NONE;
  const own = commands.find((one) => one.name[0] === name[0] && one.name[1] === "list");
  if (name.length > 1 && own !== undefined) return { kind: "names", command: own.name.join(" ") };
  return { kind: "names", command: name[0] === "instances" ? "instances" : "list" };
}

/** `--flag` and `-f`. */
export function formsOf({ name, short, isGo }: Flag): string[] {
  return [`${isGo === true ? "-" : "--"}${name}`, ...(short === undefined ? [] : [`-${short}`])];
}

/** Single quotes for bash and zsh; fish reads them alike, since no text holds a backslash. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
