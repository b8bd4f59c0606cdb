/**
 * How large the product is, by what layout cannot move: nodes of the syntax tree, files, exports
 * and who uses them. Comments and blank lines are no code. Pure.
 */
import { dirname, join, normalize } from "node:path";
import { parseSync } from "oxc-parser";

/** One source file: what it holds, what it offers and what it takes. */
export type Counted = {
  path: string;
  /** Lines that hold more than a comment. */
  lines: number;
  /** Nodes of its syntax tree. */
  nodes: number;
  exports: readonly string[];
  /** Names taken from each file of the repository; `*` is the whole of it. */
  imports: ReadonlyMap<string, readonly string[]>;
};

export type RoomSize = {
  files: number;
  lines: number;
  nodes: number;
  median: number;
  /** Exports that one other file of the product imports. */
  oneUser: number;
  /** Exports that no other file of the product imports: the tests' own, or none. */
  noUser: number;
};

const ROOMS = ["agent", "bootstrap", "cli", "deploy", "health", "reconciler", "schema"];
const PRODUCT = new Set([...ROOMS, "simulator", "systemd"]);

/** A source that ships: no test, no contract of a test, no declaration. */
export const isProduct = (path: string): boolean =>
  PRODUCT.has(path.split("/")[0] ?? "") &&
  path.endsWith(".ts") &&
  !/\.(test|contract|d)\.ts$/.test(path);

/** The room of a source: the first folder, and in `reconciler` the second too. */
export function roomOf(path: string): string {
  const [first = "", second = ""] = path.split("/");
  return first === "reconciler" && !second.endsWith(".ts") ? `${first}/${second}` : first;
}

/** Counts one file. Throws if it does not parse. */
export function countSource(path: string, text: string): Counted {
  const { program, module, comments, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`);
  const imports = new Map<string, string[]>();
  const take = (specifier: string, name: string) => {
    if (!specifier.startsWith(".")) return;
    const target = normalize(join(dirname(path), specifier));
    imports.set(target, [...(imports.get(target) ?? []), name]);
  };
  for (const { moduleRequest, entries } of module.staticImports) {
    for (const { importName } of entries) take(moduleRequest.value, importName.name ?? "*");
  }
  const exported: string[] = [];
  for (const { exportName, moduleRequest, importName } of module.staticExports.flatMap(
    ({ entries }) => entries,
  )) {
    exported.push(exportName.name ?? "default");
    if (moduleRequest !== null) take(moduleRequest.value, importName.name ?? "*");
  }
  return {
    path,
    lines: codeLines(text, comments),
    nodes: countNodes(program),
    exports: exported,
    imports,
  };
}

function codeLines(text: string, comments: readonly { start: number; end: number }[]): number {
  let code = "";
  let at = 0;
  for (const { start, end } of comments) {
    // A comment's own line ends stay lines, and are blank.
    code += text.slice(at, start) + text.slice(start, end).replace(/[^\n]/g, "");
    at = end;
  }
  return (code + text.slice(at)).split("\n").filter((line) => line.trim() !== "").length;
}

function countNodes(value: unknown): number {
  if (Array.isArray(value)) return value.reduce<number>((sum, one) => sum + countNodes(one), 0);
  if (typeof value !== "object" || value === null) return 0;
  const own = "type" in value && typeof value.type === "string" ? 1 : 0;
  return Object.values(value).reduce<number>((sum, one) => sum + countNodes(one), own);
}

/** The size of each room, in order of names, and of the `whole`. */
export function sizeOf(sources: readonly Counted[]): Map<string, RoomSize> {
  const users = countUsers(sources);
  const rooms = Map.groupBy(sources, ({ path }) => roomOf(path));
  const sorted = [...rooms].sort(([a], [b]) => a.localeCompare(b));
  return new Map([
    ...sorted.map(([room, files]): [string, RoomSize] => [room, sumUp(files, users)]),
    ["whole", sumUp(sources, users)],
  ]);
}

/** How many files import each export, by `path name`. */
function countUsers(sources: readonly Counted[]): Map<string, number> {
  const exportsOf = new Map(sources.map(({ path, exports }) => [path, exports]));
  const users = new Map<string, number>();
  for (const { imports } of sources) {
    for (const [target, names] of imports) {
      const all = names.includes("*") ? (exportsOf.get(target) ?? []) : names;
      for (const name of new Set(all)) {
        const key = `${target} ${name}`;
        users.set(key, (users.get(key) ?? 0) + 1);
      }
    }
  }
  return users;
}

function sumUp(files: readonly Counted[], users: ReadonlyMap<string, number>): RoomSize {
  const lines = files.map((file) => file.lines).sort((a, b) => a - b);
  const counts = files.flatMap(({ path, exports }) =>
    exports.map((name) => users.get(`${path} ${name}`) ?? 0),
  );
  return {
    files: files.length,
    lines: lines.reduce((sum, one) => sum + one, 0),
    nodes: files.reduce((sum, { nodes }) => sum + nodes, 0),
    median: lines[Math.floor(lines.length / 2)] ?? 0,
    oneUser: counts.filter((count) => count === 1).length,
    noUser: counts.filter((count) => count === 0).length,
  };
}
