/**
 * The rules that `oxlint` can tell (oxc.rs, 1.94): what no file may contain, how long a file and a
 * function may be, and what only the edge of the program may touch: the clock, randomness, timers,
 * the environment and the network. A file at the edge is a `main.ts`, a test, a script under
 * `build/` or `test/`, or an adapter, which says so in its header by a line
 * `Adapter: <what it touches>.` What oxlint cannot tell is in `../rule.ts` and `../import.ts`. No
 * other source lies in this folder: globs count from it for files within it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { OxlintConfig } from "oxlint";

const ROOT = join(import.meta.dirname, "../../..");

type Restriction = { object?: string; property: string; message: string };

/** No schema but that of numbers and no test makes a number without bounds. */
const UNBOUND: Restriction[] = ["number", "bigint"].map((property) => {
  return { object: "v", property, message: "Take its kind from schema/number.ts." };
});

const EVERYWHERE: Restriction[] = [
  { object: "v", property: "any", message: "Say what the value is." },
  ...["test", "describe", "it"].map((object) => {
    return { object, property: "only", message: "It leaves the other tests out." };
  }),
];

/** The engine takes much that is no time, and a time without a zone as of this machine's. */
const DATES: Restriction[] = [
  { object: "Date", property: "parse", message: "Take parseInstant() of schema/instant.ts." },
];

/** Where the one reader of times is, and where a text has another form that is told there. */
const READS_DATES = [
  "**/schema/instant.ts",
  // Dates of HTTP, and of certificates.
  ...["**/reconciler/core/reply.ts", "**/cli/client.ts", "**/reconciler/security/tls/own.ts"],
  // A person's day, or minute.
  ...["**/agent/service/option.ts", "**/cli/flag.ts", "**/reconciler/http/route/overview-page.ts"],
];

const CLOCK = "Take a clock.";
const RANDOM = "Take a source of randomness.";
const ENVIRONMENT = "Take a value.";
const RANDOM_NAMES = [
  "generateKeyPair",
  "generateKeyPairSync",
  "getRandomValues",
  "randomBytes",
  "randomInt",
  "randomUUID",
];

const AMBIENT: Restriction[] = [
  { object: "Date", property: "now", message: CLOCK },
  { object: "performance", property: "now", message: CLOCK },
  { object: "Bun", property: "sleep", message: CLOCK },
  { object: "Bun", property: "sleepSync", message: CLOCK },
  { object: "Bun", property: "env", message: ENVIRONMENT },
  { object: "process", property: "env", message: ENVIRONMENT },
  { object: "Math", property: "random", message: RANDOM },
  ...RANDOM_NAMES.map((property) => ({ property, message: RANDOM })),
];

const GLOBALS = [
  { name: "setTimeout", message: CLOCK },
  { name: "setInterval", message: CLOCK },
  { name: "fetch", message: "Take a port." },
];

const CRYPTO = { name: "node:crypto", importNames: RANDOM_NAMES, message: RANDOM };

const properties = (...restrictions: Restriction[][]): ["error", ...Restriction[]] => [
  "error",
  ...restrictions.flat(),
];

/** The header is the file's first comment. */
const HEADER = /^(?:#![^\n]*\n)?\s*\/\*\*[\s\S]*?\*\//;

export function isAdapter(text: string): boolean {
  return /^\s*(?:\/\*)?\*\s*Adapter: \S/m.test(HEADER.exec(text)?.[0] ?? "");
}

/** Sources of the product whose header makes them an adapter, as globs. */
function adapters(): string[] {
  const rooms = readdirSync(ROOT).filter((name) => !/^(\.|node_modules$|dist$|test$)/.test(name));
  return rooms
    .flatMap((room) => [...new Bun.Glob(`${room}/**/*.ts`).scanSync({ cwd: ROOT })])
    .filter((path) => isAdapter(readFileSync(join(ROOT, path), "utf8")))
    .map((path) => `**/${path}`);
}

const AT_EDGE = adapters();
const TESTS = ["**/*.test.ts", "**/*.contract.ts"];

const config: OxlintConfig = {
  plugins: ["eslint", "typescript", "import", "unicorn", "oxc"],
  categories: { correctness: "error" },
  rules: {
    "typescript/no-explicit-any": "error",
    "typescript/no-non-null-assertion": "error",
    "typescript/ban-ts-comment": "error",
    "import/no-default-export": "error",
    "no-warning-comments": ["error", { terms: ["todo", "fixme"], location: "anywhere" }],
    "unicorn/filename-case": ["error", { case: "kebabCase" }],
    "max-lines-per-function": ["error", { max: 70, IIFEs: true }],
    "no-restricted-properties": properties(EVERYWHERE, UNBOUND, DATES, AMBIENT),
    "no-restricted-globals": ["error", { globals: GLOBALS, checkGlobalObject: true }],
    "no-restricted-imports": ["error", { paths: [CRYPTO] }],
    // Imports that import.ts would not see.
    "typescript/no-require-imports": "error",
    "typescript/consistent-type-imports": ["error", { disallowTypeAnnotations: true }],
    // Part of "correctness" and not our opinion.
    "no-control-regex": "off",
    "no-loss-of-precision": "off",
    // tsc says it, and lets `{ a: _, ...rest }` be.
    "no-unused-vars": "off",
    "import/namespace": "off",
    "unicorn/no-new-array": "off",
    "unicorn/no-thenable": "off",
    "unicorn/no-useless-spread": "off",
    "unicorn/prefer-string-starts-ends-with": "off",
  },
  overrides: [
    {
      files: ["**/main.ts", "**/build/**", "**/test/**", ...TESTS, ...AT_EDGE],
      rules: {
        "no-restricted-properties": properties(EVERYWHERE, UNBOUND, DATES),
        "no-restricted-globals": "off",
        "no-restricted-imports": "off",
      },
    },
    // The console's script runs in a browser, which has no other clock.
    {
      files: ["**/http/page/browser.js"],
      rules: { "no-restricted-properties": "off", "no-restricted-globals": "off" },
    },
    {
      files: ["**/schema/number.ts"],
      rules: { "no-restricted-properties": properties(EVERYWHERE, DATES, AMBIENT) },
    },
    {
      files: READS_DATES.filter((path) => !AT_EDGE.includes(path)),
      rules: { "no-restricted-properties": properties(EVERYWHERE, UNBOUND, AMBIENT) },
    },
    {
      files: ["**/build/**", ...READS_DATES.filter((path) => AT_EDGE.includes(path))],
      rules: { "no-restricted-properties": properties(EVERYWHERE, UNBOUND) },
    },
    {
      files: ["**/test/**", ...TESTS],
      rules: { "no-restricted-properties": properties(EVERYWHERE) },
    },
    // A table of cases is read row by row.
    { files: TESTS, rules: { "max-lines-per-function": "off" } },
    // A declaration file says what `import text from "x.sql"` yields, and cannot say it otherwise.
    {
      files: ["**/*.d.ts", "**/oxlint.config.ts"],
      rules: { "import/no-default-export": "off" },
    },
  ],
};

export default config;
