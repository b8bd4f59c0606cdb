/**
 * Reads flags as Go's package `flag` does, for the commands that stand in for Go programs: one or
 * two dashes, a value by `=` or as the next word, booleans bare or by `=`, and an end at the first
 * other word or at `--`. Messages are Go's (go.dev/src/flag/flag.go, 1.26). Pure.
 */
import { parseDuration } from "../schema/duration.ts";
import { nearest } from "../schema/nearest.ts";
import type { Flag } from "./flag.ts";
import { wrap } from "./wrap.ts";

export type GoFlag = {
  /** Without dashes. */
  name: string;
  kind: "string" | "bool" | "int" | "float" | "duration";
  /** Placeholder of the value in the help: `FILE`. */
  value?: string;
  help: string;
  /** As it would be written. Without one: empty, `false` or 0. */
  default?: string;
  /** Left out of the help: accepted for the sake of existing command lines. */
  hidden?: boolean;
};

export type GoFlags = {
  text(name: string): string;
  on(name: string): boolean;
  /** Of an int or float; of a duration, milliseconds. */
  number(name: string): number;
  /** True if it stood on the command line. */
  isGiven(name: string): boolean;
  /** The first word that is no flag, and all after it: Go reads no flags there. */
  rest: readonly string[];
};

export type GoFlagAnswer =
  | { kind: "ok"; flags: GoFlags }
  /** `-h` or `-help`. */
  | { kind: "help" }
  | { kind: "bad"; message: string };

/** Looking up a flag that is not in `list` is a bug, and throws. */
export function readGoFlags(list: readonly GoFlag[], argv: readonly string[]): GoFlagAnswer {
  const given = new Map<string, string>();
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (!/^-./s.test(word)) break;
    if (word === "--") {
      at++;
      break;
    }
    const [, body = ""] = /^--?(.*)$/s.exec(word) ?? [];
    if (body === "" || /^[-=]/.test(body)) return bad(`bad flag syntax: ${word}`);
    const [name = "", value] = splitAtEquals(body);
    const flag = list.find((one) => one.name === name);
    if (flag === undefined) {
      if (name === "h" || name === "help") return { kind: "help" };
      return bad(`flag provided but not defined: -${name}${hintOf(name, list)}`);
    }
    let text = value;
    if (text === undefined && flag.kind === "bool") text = "true";
    if (text === undefined) {
      at++;
      text = argv[at];
    }
    if (text === undefined) return bad(`flag needs an argument: -${name}`);
    const problem = problemOf(flag, text);
    if (problem !== null) return bad(problem);
    given.set(name, text);
  }
  return { kind: "ok", flags: flagsOf(list, given, argv.slice(at)) };
}

function flagsOf(
  list: readonly GoFlag[],
  given: ReadonlyMap<string, string>,
  rest: readonly string[],
): GoFlags {
  const text = (name: string): string => {
    const flag = list.find((one) => one.name === name);
    if (flag === undefined) throw new Error(`flag ${name} is not declared`);
    return given.get(name) ?? flag.default ?? "";
  };
  return {
    text,
    on: (name) => TRUE.has(text(name)),
    number(name) {
      const value = text(name);
      const isDuration = list.some((one) => one.name === name && one.kind === "duration");
      if (!isDuration) return Number(value);
      const read = parseDuration(value === "" ? "0" : value);
      return read.ok ? read.ms : 0;
    },
    isGiven: (name) => given.has(name),
    rest,
  };
}

const bad = (message: string): GoFlagAnswer => ({ kind: "bad", message });

function splitAtEquals(body: string): [string, string?] {
  const equals = body.indexOf("=");
  return equals < 0 ? [body] : [body.slice(0, equals), body.slice(equals + 1)];
}

/** Go's `strconv.ParseBool`. */
const TRUE = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE = new Set(["0", "f", "F", "false", "FALSE", "False"]);

function problemOf({ name, kind }: GoFlag, text: string): string | null {
  const quoted = JSON.stringify(text);
  switch (kind) {
    case "string":
      return null;
    case "bool":
      if (TRUE.has(text) || FALSE.has(text)) return null;
      return `invalid boolean value ${quoted} for -${name}: parse error`;
    case "int":
      if (/^[+-]?\d+$/.test(text) && Number.isSafeInteger(Number(text))) return null;
      return `invalid value ${quoted} for flag -${name}: parse error`;
    case "float":
      if (/^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number.isFinite(Number(text))) {
        return null;
      }
      return `invalid value ${quoted} for flag -${name}: parse error`;
    case "duration": {
      const read = parseDuration(text);
      return read.ok ? null : `invalid value ${quoted} for flag -${name}: ${read.message}`;
    }
  }
}

function hintOf(name: string, list: readonly GoFlag[]): string {
  const close = nearest(
    name,
    list.filter(({ hidden }) => hidden !== true).map((one) => one.name),
  );
  return close === null ? "" : ` (did you mean -${close}?)`;
}

/** For the help, the pages and the completion, which know flags by one type. */
export function asFlags(list: readonly GoFlag[]): Flag[] {
  return list.map(({ name, kind, value, help, hidden, default: fallback }) => ({
    name,
    kind: kind === "bool" ? "switch" : "text",
    isGo: true,
    ...(value === undefined ? {} : { value }),
    help: fallback === undefined ? help : `${help} (default ${fallback})`,
    ...(hidden === undefined ? {} : { hidden }),
  }));
}

/** `head`, then each flag with its meaning under it, as Go prints them; 80 columns. */
export function formatGoUsage(head: string, list: readonly GoFlag[]): string {
  const flags = asFlags(list).filter((flag) => flag.hidden !== true);
  const lines = flags.flatMap(({ name, value, kind, help }) => [
    `  -${name}${kind === "switch" ? "" : ` ${value ?? "VALUE"}`}`,
    ...wrap(help, 72).map((line) => `        ${line}`),
  ]);
  return `${head}\n${lines.join("\n")}\n`;
}
