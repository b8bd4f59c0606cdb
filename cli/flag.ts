/**
 * Declares and reads the flags of a command, with the parser that both binaries share
 * (`schema/flag.ts`). A flag is looked up by its name, and its source can be asked for. Pure.
 */
import { parseDuration } from "../schema/duration.ts";
import { type FlagSpec, parseFlags } from "../schema/flag.ts";
import { type Failure, usage } from "./failure.ts";
import { FORMATS } from "./show.ts";

export type Flag = {
  /** Without dashes. */
  name: string;
  /** One letter, without the dash. */
  short?: string;
  /** `switch` takes no value but `=true` and `=false`; `texts` may be given several times. */
  kind: "text" | "texts" | "switch";
  env?: readonly string[];
  /** Placeholder of the value in the help: `F`, `k=v`. */
  value?: string;
  help: string;
  /** Allowed values, for completion; the command checks them. */
  values?: readonly string[];
  /** Left out of the help. */
  hidden?: boolean;
  /** Written `-name`: a flag of a command that reads its line as Go does (`go-flag.ts`). */
  isGo?: boolean;
};

export function textFlag(name: string, value: string, help: string): Flag {
  return { name, kind: "text", value, help };
}

/** May be given several times. */
export function textsFlag(name: string, value: string, help: string): Flag {
  return { name, kind: "texts", value, help };
}

export function switchFlag(name: string, help: string): Flag {
  return { name, kind: "switch", help };
}

export type Flags = {
  /** The last value given, or `null`. */
  text(name: string): string | null;
  /** Every value given, in order. */
  texts(name: string): string[];
  on(name: string): boolean;
  /** The source of the value; `null` if not given. */
  from(name: string): "flag" | "env" | null;
  /** That source by its name, for messages: `--token` or `NAVARCH_TOKEN`. */
  source(name: string): string;
  /** Arguments that are not flags, in order. */
  rest: readonly string[];
};

export type FlagsAnswer = { ok: true; flags: Flags } | { ok: false; message: string };

/** Looking up a flag that is not in `list` is a bug, and throws. */
export function readFlags(
  list: readonly Flag[],
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): FlagsAnswer {
  const specs: Record<string, FlagSpec> = {};
  for (const flag of list) specs[flag.name] = specOf(flag);
  const parsed = parseFlags(specs, argv.flatMap(splitOutput), env);
  if (!parsed.ok) return parsed;
  const look = (name: string): string[] | string | boolean | undefined => {
    if (!Object.hasOwn(specs, name)) throw new Error(`flag ${name} is not declared`);
    return parsed.values[name];
  };
  const text = (name: string): string | null => {
    const value = look(name);
    return typeof value === "string" ? value : null;
  };
  return {
    ok: true,
    flags: {
      text,
      texts(name) {
        const value = look(name);
        return Array.isArray(value) ? value : [];
      },
      on: (name) => look(name) === true,
      from(name) {
        const value = look(name);
        if (parsed.given.has(name)) return "flag";
        return typeof value === "string" || value === true ? "env" : null;
      },
      source(name) {
        const variables = list.find((flag) => flag.name === name)?.env ?? [];
        const set = variables.find((variable) => (env[variable] ?? "") !== "");
        return parsed.given.has(name) ? `--${name}` : (set ?? `--${name}`);
      },
      rest: parsed.rest,
    },
  };
}

/** Parses the duration of the flag `--name`, in milliseconds. */
export function readSpan(name: string, text: string): { ok: true; ms: number } | Failure {
  const answer = parseDuration(text);
  if (answer.ok) return answer;
  const hint = answer.hint === null ? "" : ` (${answer.hint})`;
  return usage(`--${name}: ${answer.message}${hint}`);
}

/** Parses an RFC 3339 time or a duration before now; `atMs` is in milliseconds since the epoch. */
export function readSince(
  name: string,
  text: string,
): { ok: true; atMs(nowMs: number): number } | Failure {
  if (!/^\d{4}-\d\d-\d\d/.test(text)) {
    const span = readSpan(name, text);
    return span.ok ? { ok: true, atMs: (nowMs) => Math.max(0, nowMs - span.ms) } : span;
  }
  const at = Date.parse(text);
  if (Number.isNaN(at)) return usage(`--${name}: "${text}" is not an RFC 3339 time`);
  return { ok: true, atMs: () => at };
}

function specOf({ kind, short, env, value, help }: Flag): FlagSpec {
  return {
    kind: kind === "texts" ? "list" : kind,
    help,
    ...(short === undefined ? {} : { short }),
    ...(env === undefined ? {} : { env }),
    ...(value === undefined ? {} : { value }),
  };
}

/**
 * Accepts `-ojson` and `--dry-run=server`, as kubectl does; no other short flag begins like that.
 */
function splitOutput(word: string): string[] {
  if (word === "--dry-run=server") return ["--dry-run"];
  const form = FORMATS.find((one) => word === `-o${one}`);
  return form === undefined ? [word] : ["-o", form];
}
