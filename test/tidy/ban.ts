/**
 * Words that may not appear. Two lists: what no file may contain, and what only the edge of the
 * program may touch — the clock, randomness, timers, the environment and the network. A file at the
 * edge is a `main.ts`, a test, a script under `build/` or `test/`, or an adapter that says so in
 * its header with a line `Adapter: <what it touches>.`
 */
import { isMain, isTest, lineAt } from "./source.ts";
import type { Source, Violation } from "./source.ts";

/** `unless` exempts paths. */
type Ban = { view: "code" | "comment"; pattern: RegExp; what: string; unless?: RegExp };

const EVERYWHERE: readonly Ban[] = [
  // A property named `any` is fine: `Promise.any`, `{ any: 1 }`; a type is not, nor `v.any()`.
  ban(/(?<![.\w$])any\b(?!\s*[(:?])|(?::\s*|\bas\s+|\|\s*)any\b|\bv\.any\b/g, "the type any"),
  ban(/[\w$)\]"'`]!(?![=\w])/g, "a non-null assertion; narrow the type instead"),
  ban(/(?<![.\w$])enum\s+[A-Za-z_$]/g, "an enum; use a union of literals"),
  // A declaration file says what `import text from "x.sql"` yields, and cannot say it otherwise.
  {
    ...ban(/\bexport\s+default\b|\bas\s+default\b/g, "a default export; name it"),
    unless: /\.d\.ts$/,
  },
  {
    ...ban(
      /\bv\.(?:number|bigint)\s*\(/g,
      "a number without bounds; take its kind from schema/number.ts",
    ),
    unless: /^schema\/number\.ts$|^test\/|\.test\.ts$/,
  },
  {
    ...ban(
      /^\s*(?:readonly\s+)?\w+\?(?:\(|:\s*\(+[^;{}]*=>[^;{}]*;)/gm,
      "an optional method of a port; what an adapter cannot do is an answer",
    ),
    // What an activation sees becomes plain values.
    unless: /^(?!reconciler\/(?:core\/(?!fleet\.ts)|runtime|http|server))|\.test\.ts$/,
  },
  ban(/\.only\s*\(/g, ".only leaves the other tests out"),
  { view: "comment", pattern: /@ts-(?:ignore|nocheck)\b/g, what: "a silenced type error" },
  { view: "comment", pattern: /\b(?:TODO|FIXME)\b/g, what: "an unfinished thought; finish it" },
];

const AMBIENT: readonly Ban[] = [
  ban(/\bDate\.now\b/g, "Date.now; take a clock"),
  ban(/\bnew\s+Date\b(?!\s*\(\s*[^)\s])/g, "new Date() reads the clock; take one"),
  ban(/\bperformance\.now\b/g, "performance.now; take a clock"),
  ban(/\bMath\.random\b/g, "Math.random; take a source of randomness"),
  ban(
    /\b(?:randomUUID|randomBytes|randomInt|getRandomValues|generateKeyPair\w*)\b/g,
    "randomness; take a source",
  ),
  ban(global("setTimeout"), "setTimeout; take a clock"),
  ban(global("setInterval"), "setInterval; take a clock"),
  ban(/\bBun\.sleep(?:Sync)?\b/g, "Bun.sleep; take a clock"),
  ban(/\bprocess\.env\b|\bBun\.env\b/g, "the environment; take a value"),
  ban(global("fetch", "\\s*\\("), "fetch; take a port"),
];

function ban(pattern: RegExp, what: string): Ban {
  return { view: "code", pattern, what };
}

/**
 * A global by its bare name or through `globalThis`, never another object's method of that name.
 */
function global(name: string, after = "\\b"): RegExp {
  return new RegExp(
    `(?:\\bglobalThis\\.|(?<![.\\w$])(?<!function )(?<!async ))${name}${after}`,
    "g",
  );
}

const isEdge = ({ path, text }: Source): boolean =>
  isMain(path) || isTest(path) || /^(build|test)\//.test(path) || isAdapter(text);

/**
 * The header is the file's first comment; a line such as ` * Adapter: reads /dev/kmsg.` marks it.
 */
export function isAdapter(text: string): boolean {
  const header = /^(?:#![^\n]*\n)?\s*\/\*\*[\s\S]*?\*\//.exec(text);
  return header !== null && /^\s*(?:\/\*)?\*\s*Adapter: \S/m.test(header[0]);
}

export function judgeBans(source: Source): Violation[] {
  const bans = isEdge(source) ? EVERYWHERE : [...EVERYWHERE, ...AMBIENT];
  const held = bans.filter(({ unless }) => unless === undefined || !unless.test(source.path));
  return held.flatMap(({ view, pattern, what }) =>
    [...source[view].matchAll(pattern)].map(({ index }) => ({
      path: source.path,
      line: lineAt(source.text, index),
      rule: "ban",
      what,
    })),
  );
}
