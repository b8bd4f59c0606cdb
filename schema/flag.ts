/**
 * Flags as both binaries read them (`navarch/cli.md` §1): `--flag value`, `--flag=value`, the single
 * dash form of Go programs, `--` to end them, and the environment behind them. Pure: the caller hands
 * in the arguments and the environment. An unknown flag is refused with the nearest known one.
 */
import { nearest } from "./nearest.ts";

export type Flag = {
  /** Without dashes. */
  name: string;
  /** One letter, without the dash. */
  short?: string;
  /** `switch` takes no value (`--x`, `--x=false`); `texts` may be given several times. */
  kind: "text" | "texts" | "switch";
  /** Variables looked at in this order when the flag is not given; an empty one counts as unset. */
  env?: readonly string[];
  /** What stands for the value in the help: `F`, `k=v`. */
  value?: string;
  help: string;
  /** Left out of the help. */
  hidden?: boolean;
};

export type Flags = {
  /** The last value given, or `null`. */
  text(name: string): string | null;
  /** Every value given, in order. */
  texts(name: string): string[];
  on(name: string): boolean;
  /** Where the value came from; `null` if it was not given at all. */
  from(name: string): "flag" | "env" | null;
  /** Arguments that are no flags, in order. */
  rest: readonly string[];
};

export type FlagsAnswer = { ok: true; flags: Flags } | { ok: false; message: string };

type Given = { texts: string[]; from: "flag" | "env" };

/**
 * Reads `argv` (without the program's own name). The message of a refusal names the flag, what was
 * expected, and the nearest known name.
 */
export function parseFlags(
  spec: readonly Flag[],
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): FlagsAnswer {
  const given = new Map<string, Given>();
  const rest: string[] = [];
  let at = 0;
  while (at < argv.length) {
    const word = argv[at] ?? "";
    at += 1;
    if (word === "--") {
      rest.push(...argv.slice(at));
      break;
    }
    // A lone dash is the usual name of standard input, and -5 is a number.
    if (!/^--?[A-Za-z]/.test(word)) {
      rest.push(word);
      continue;
    }
    const taken = parseOne(spec, word, argv[at]);
    if (!taken.ok) return taken;
    if (taken.usedNext) at += 1;
    const before = given.get(taken.flag.name)?.texts ?? [];
    given.set(taken.flag.name, { texts: [...before, taken.text], from: "flag" });
  }
  for (const flag of spec) {
    if (given.has(flag.name)) continue;
    const name = flag.env?.find((one) => (env[one] ?? "") !== "");
    if (name === undefined) continue;
    const answer = readSwitch(flag, env[name] ?? "", name);
    if (!answer.ok) return answer;
    given.set(flag.name, { texts: [answer.text], from: "env" });
  }
  return { ok: true, flags: flagsOf(spec, given, rest) };
}

type Taken =
  | { ok: true; flag: Flag; text: string; usedNext: boolean }
  | { ok: false; message: string };

function parseOne(spec: readonly Flag[], word: string, next: string | undefined): Taken {
  const [, dashes = "", name = "", equals] = /^(--?)([^=]*)(=[\s\S]*)?$/.exec(word) ?? [];
  const long = spec.find((flag) => flag.name === name);
  const short = dashes === "-" ? spec.find((flag) => flag.short === name) : undefined;
  const flag = long ?? short;
  if (flag === undefined) return parseAttached(spec, word, dashes, name);
  const shown = `${dashes}${name}`;
  if (equals !== undefined) {
    const answer = readSwitch(flag, equals.slice(1), shown);
    return answer.ok ? { ok: true, flag, text: answer.text, usedNext: false } : answer;
  }
  if (flag.kind === "switch") return { ok: true, flag, text: "true", usedNext: false };
  if (next === undefined || isKnown(spec, next)) {
    const hint = next === undefined ? "" : `, found the flag ${next}`;
    return { ok: false, message: `${shown} needs a value${hint}` };
  }
  return { ok: true, flag, text: next, usedNext: true };
}

/** `-ojson`: a short flag with its value attached, unless the word is nearer to a long name. */
function parseAttached(spec: readonly Flag[], word: string, dashes: string, name: string): Taken {
  const names = spec.filter((flag) => flag.hidden !== true).map((flag) => flag.name);
  const close = nearest(name, names);
  const short = spec.find((flag) => flag.short === word[1] && flag.kind !== "switch");
  if (dashes === "-" && close === null && short !== undefined) {
    return { ok: true, flag: short, text: word.slice(2), usedNext: false };
  }
  const hint = close === null ? "" : `: did you mean --${close}?`;
  return { ok: false, message: `unknown flag ${dashes}${name}${hint}` };
}

/** True for a word that is itself one of the flags, so that it is not swallowed as a value. */
function isKnown(spec: readonly Flag[], word: string): boolean {
  const name = /^--?([^=]+)/.exec(word)?.[1];
  if (name === undefined) return false;
  const long = spec.some((flag) => flag.name === name);
  return long || (!word.startsWith("--") && spec.some((flag) => flag.short === name));
}

type SwitchAnswer = { ok: true; text: string } | { ok: false; message: string };

function readSwitch(flag: Flag, text: string, shown: string): SwitchAnswer {
  if (flag.kind !== "switch") return { ok: true, text };
  if (/^(1|t|true|yes|on)$/i.test(text)) return { ok: true, text: "true" };
  if (/^(0|f|false|no|off)$/i.test(text)) return { ok: true, text: "false" };
  return { ok: false, message: `${shown}: expected true or false, found "${text}"` };
}

function flagsOf(spec: readonly Flag[], given: Map<string, Given>, rest: string[]): Flags {
  const look = (name: string): Given | null => {
    if (!spec.some((flag) => flag.name === name)) throw new Error(`flag ${name} is not declared`);
    return given.get(name) ?? null;
  };
  return {
    text: (name) => look(name)?.texts.at(-1) ?? null,
    texts: (name) => look(name)?.texts ?? [],
    on: (name) => look(name)?.texts.at(-1) === "true",
    from: (name) => look(name)?.from ?? null,
    rest,
  };
}
