/**
 * Finds the command of a command line. Flags may stand before its name, so a first pass knows the
 * flags of all commands to tell a value from a word; a test checks that a flag name has one kind in
 * all commands. Pure.
 */
import { type Flag, readFlags } from "./flag.ts";
import type { Command } from "./command.ts";
import { nearest } from "../schema/nearest.ts";
import { didYouMean, type Failure, usage } from "./failure.ts";
import { GLOBAL_FLAGS, withGlobal } from "./global-flag.ts";
import { slurmVerb } from "./slurm-program.ts";

/** Program names that start the control plane, or the simulator. */
const CONTROL_PLANE = /^(?:navarch-)?control-plane(?:\.exe)?$/;
const SIMULATOR = /^(?:navarch-)?simulator(?:\.exe)?$/;

export type Found =
  | { kind: "command"; command: Command; words: readonly string[] }
  | { kind: "overview" }
  | { kind: "group"; name: string; commands: readonly Command[] }
  | Failure;

/** `program` is the name the program was started under. */
export function findCommand(
  commands: readonly Command[],
  program: string,
  argv: readonly string[],
): Found {
  const first = readFlags(allFlags(commands), argv, {});
  const raw = findRaw(commands, program, argv, first.ok ? first.flags.rest : []);
  if (raw !== null) return raw;
  if (!first.ok) return usage(first.message);
  const words = first.flags.rest;
  const version = commands.find((command) => command.name[0] === "version");
  if (version !== undefined && first.flags.on("version")) {
    return { kind: "command", command: version, words: [] };
  }
  const server = commands.find((command) => command.name[0] === "control-plane");
  if (CONTROL_PLANE.test(program) && words[0] !== "control-plane" && server !== undefined) {
    return { kind: "command", command: server, words };
  }
  const power = slurmVerb(program);
  if (power !== null) return findByWords(commands, ["slurm", power, ...words]);
  if (SIMULATOR.test(program)) {
    return findByWords(commands, words[0] === "simulate" ? words : ["simulate", ...words]);
  }
  if (words.length === 0) {
    const isServer = server !== undefined && hasFlagOf(server, first.flags.from);
    if (isServer) return { kind: "command", command: server, words };
    return { kind: "overview" };
  }
  return findByWords(commands, words);
}

/** Programs of the workflow guide, by the command that each name stands for. */
const PROGRAMS: ReadonlyMap<string, readonly string[]> = new Map([
  ["knavigator", ["simulate", "workflow"]],
  ["klient", ["simulate", "submit"]],
  ["node-resource-exporter", ["exporter"]],
]);

/**
 * A command that reads its own line: named by the program's name or by the first words, before any
 * flag. `sim` with flags and no verb runs a workflow; `words` are those of the first pass.
 */
function findRaw(
  commands: readonly Command[],
  program: string,
  argv: readonly string[],
  words: readonly string[],
): Found | null {
  const of = (name: readonly string[], rest: readonly string[]): Found | null => {
    const command = commands.find((one) => one.name.join(" ") === name.join(" "));
    return command?.reach === "raw" ? { kind: "command", command, words: rest } : null;
  };
  const own = PROGRAMS.get(program.replace(/\.exe$/, ""));
  if (own !== undefined) return of(own, argv);
  const [head = "", second = ""] = argv;
  const named = [GROUP_ALIAS.get(head) ?? head, second];
  const found = of(named, argv.slice(2)) ?? of([head], argv.slice(1));
  if (found !== null || named[0] !== "simulate") return found;
  const isBare = head === "sim" && argv.length === 1;
  return isBare || isWorkflowLine(head, argv, words)
    ? of(["simulate", "workflow"], argv.slice(1))
    : null;
}

/** `sim --seed 7 run FILE` is a scenario's: its first word is a verb. */
function isWorkflowLine(head: string, argv: readonly string[], words: readonly string[]): boolean {
  const [, second = ""] = argv;
  if (!second.startsWith("-")) return false;
  if (argv.some((word) => /^--?(workflow|port)(=|$)/.test(word))) return true;
  const isHelp = /^--?h(elp)?$/.test(second);
  return head === "sim" && (isHelp || words.length < 2);
}

/** Flags alone start the control plane if one is its own (entry point of the image). */
function hasFlagOf(server: Command, from: (name: string) => unknown): boolean {
  const shared = new Set(GLOBAL_FLAGS.map((flag) => flag.name));
  return server.flags.some((flag) => !shared.has(flag.name) && from(flag.name) !== null);
}

/** Short names of whole groups. */
export const GROUP_ALIAS: ReadonlyMap<string, string> = new Map([["sim", "simulate"]]);

function findByWords(commands: readonly Command[], given: readonly string[]): Found {
  const [first = "", ...others] = given;
  const words = [GROUP_ALIAS.get(first) ?? first, ...others];
  const [head = "", second] = words;
  const exact = commands
    .flatMap((command) => phrasesOf(command).map((name) => ({ command, name })))
    .filter(({ name }) => name.every((word, i) => words[i] === word))
    .sort((a, b) => b.name.length - a.name.length)[0];
  if (exact !== undefined) {
    return { kind: "command", command: exact.command, words: words.slice(exact.name.length) };
  }
  const alias = commands.find((command) => command.alias?.includes(head));
  if (alias !== undefined) return { kind: "command", command: alias, words: words.slice(1) };
  const group = commands.filter((command) => command.name.length > 1 && command.name[0] === head);
  if (group.length > 0 && second === undefined) {
    return { kind: "group", name: head, commands: group };
  }
  if (group.length > 0) {
    const names = group.map((command) => command.name[1] ?? "");
    const hint = didYouMean(second ?? "", names);
    return usage(`unknown command "${head} ${second}" (${names.join(", ")})${hint}`);
  }
  return usage(`unknown command "${head}"${suggestCommand(commands, head)}`);
}

/** Its name, and aliases of several words: `doctor kube`. */
function phrasesOf({ name, alias = [] }: Command): (readonly string[])[] {
  return [name, ...alias.map((one) => one.split(" ")).filter((words) => words.length > 1)];
}

/** The nearest first word, else commands with this second word: `pool status`. */
function suggestCommand(commands: readonly Command[], given: string): string {
  const hint = didYouMean(given, namesOf(commands));
  if (hint !== "") return hint;
  const later = nearest(given, commands.map((command) => command.name[1] ?? "").filter(Boolean));
  const names = commands.filter((command) => later !== null && command.name[1] === later);
  if (names.length === 0) return " (see navarch help)";
  return `: did you mean ${names.map(({ name }) => `"${name.join(" ")}"`).join(" or ")}?`;
}

/** First words of all commands, each once. */
export function namesOf(commands: readonly Command[]): string[] {
  const first = commands.flatMap((command) => [command.name[0] ?? "", ...(command.alias ?? [])]);
  return [...new Set(first)];
}

function allFlags(commands: readonly Command[]): Flag[] {
  const byName = new Map<string, Flag>();
  for (const flag of [...GLOBAL_FLAGS, ...commands.flatMap(parsedFlags)]) {
    if (!byName.has(flag.name)) byName.set(flag.name, flag);
  }
  return [...byName.values()];
}

const parsedFlags = (command: Command): readonly Flag[] =>
  command.reach === "raw" ? [] : command.flags;

/** Own and global flags of a command; one that reads its own line has no global ones. */
export function flagsOf(command: Command): Flag[] {
  return command.reach === "raw" ? [...command.flags] : withGlobal(command.flags);
}
