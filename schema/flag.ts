/**
 * Parses command-line flags of both binaries: `--flag value`, `--flag=value`, the single-dash long
 * form `-flag`, and `--`, which ends them. An unknown flag is an error with the nearest name. A
 * flag wins over its environment variable, which wins over the default. Pure.
 */
import { nearest } from "./nearest.ts";

export type FlagSpec = {
  /** `text` takes a value, `list` several, `switch` none or `=true` and `=false`. */
  kind: "text" | "list" | "switch";
  /** One letter, for `-s`. */
  short?: string;
  /** Environment variables; the first non-empty one wins. Not for `list`. */
  env?: readonly string[];
  default?: string;
  /** What the value is, for the help text: `FILE`, `N`. */
  value?: string;
  /** One line for the help text; without it the flag is not listed there. */
  help?: string;
};
export type FlagSpecs = Readonly<Record<string, FlagSpec>>;

type ValueOf<S extends FlagSpec> = S["kind"] extends "switch"
  ? boolean
  : S["kind"] extends "list"
    ? string[]
    : S extends { default: string }
      ? string
      : string | undefined;
export type FlagValues<S extends FlagSpecs> = { [K in keyof S]: ValueOf<S[K]> };

export type FlagAnswer<S extends FlagSpecs> =
  | {
      ok: true;
      values: FlagValues<S>;
      /** Everything that is no flag, in order. */
      rest: string[];
      /** Flags that stood on the command line, not in the environment. */
      given: ReadonlySet<string>;
    }
  | { ok: false; message: string };

type Env = Readonly<Record<string, string | undefined>>;

/** `argv` is without program name and subcommand. Messages never hold the value of a flag. */
export function parseFlags<const S extends FlagSpecs>(
  specs: S,
  argv: readonly string[],
  env: Env = {},
): FlagAnswer<S> {
  const found = new Map<string, string[]>();
  const rest: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (word === "--") {
      rest.push(...argv.slice(at + 1));
      break;
    }
    if (!/^--?[A-Za-z?]/.test(word)) {
      rest.push(word);
      continue;
    }
    const step = readFlag(specs, word, argv[at + 1]);
    if (!step.ok) return step;
    if (step.tookNext) at++;
    const { name, value } = step;
    const kept = specs[name]?.kind === "list" ? [...(found.get(name) ?? []), value] : [value];
    found.set(name, kept);
  }
  const values: Record<string, string | string[] | boolean | undefined> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const answer = valueOf(name, spec, found.get(name), env);
    if (!answer.ok) return answer;
    values[name] = answer.value;
  }
  return { ok: true, values: values as FlagValues<S>, rest, given: new Set(found.keys()) };
}

type Step =
  | { ok: true; name: string; value: string; tookNext: boolean }
  | { ok: false; message: string };

function readFlag(specs: FlagSpecs, word: string, following: string | undefined): Step {
  const body = word.replace(/^--?/, "");
  const equals = body.indexOf("=");
  const given = equals < 0 ? body : body.slice(0, equals);
  const name = nameOf(specs, given);
  if (name === null) return { ok: false, message: unknown(specs, word, given) };
  const value = equals < 0 ? null : body.slice(equals + 1);
  if (specs[name]?.kind === "switch") {
    return { ok: true, name, value: value ?? "true", tookNext: false };
  }
  if (value !== null) return { ok: true, name, value, tookNext: false };
  if (following === undefined) return { ok: false, message: `--${name} needs a value` };
  return { ok: true, name, value: following, tookNext: true };
}

function nameOf(specs: FlagSpecs, given: string): string | null {
  if (Object.hasOwn(specs, given)) return given;
  const byLetter = Object.entries(specs).find(([, spec]) => spec.short === given);
  return byLetter?.[0] ?? null;
}

function unknown(specs: FlagSpecs, word: string, given: string): string {
  const shown = word.split("=")[0];
  const near = nearest(given, Object.keys(specs));
  return `unknown flag ${shown}${near ? ` (did you mean --${near}?)` : " (--help lists all)"}`;
}

const TRUE = new Set(["true", "1", "yes", "on"]);
const FALSE = new Set(["false", "0", "no", "off"]);

type ValueAnswer =
  | { ok: true; value: string | string[] | boolean | undefined }
  | { ok: false; message: string };

function valueOf(name: string, spec: FlagSpec, found: string[] | undefined, env: Env): ValueAnswer {
  if (spec.kind === "list") return { ok: true, value: found ?? [] };
  const variable = spec.env?.find((key) => (env[key] ?? "") !== "");
  const value = found?.[0] ?? (variable ? env[variable] : undefined) ?? spec.default;
  if (spec.kind === "text") return { ok: true, value };
  const word = value?.toLowerCase() ?? "false";
  if (TRUE.has(word)) return { ok: true, value: true };
  if (FALSE.has(word)) return { ok: true, value: false };
  const where = found ? `--${name}` : variable;
  return { ok: false, message: `${where} must be true or false` };
}

/** The flag part of a help text: one line per flag that has a help line, in the order given. */
export function formatFlags(specs: FlagSpecs): string {
  const rows = Object.entries(specs).filter(([, spec]) => spec.help !== undefined);
  const lefts = rows.map(([name, spec]) => {
    const letter = spec.short ? `-${spec.short}, ` : "    ";
    const value = spec.kind === "switch" ? "" : ` ${spec.value ?? "VALUE"}`;
    return `  ${letter}--${name}${value}`;
  });
  const width = Math.max(0, ...lefts.map((left) => left.length));
  const lines = rows.map(([, spec], i) => {
    const from = spec.env ? ` [${spec.env.join(", ")}]` : "";
    const fallback = spec.default === undefined ? "" : ` (default ${spec.default})`;
    return `${(lefts[i] ?? "").padEnd(width)}  ${spec.help}${fallback}${from}`;
  });
  return lines.join("\n");
}
