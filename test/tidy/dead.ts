/**
 * Files that nothing uses. A file lives if it is an entry, or if another file than its own unit
 * test imports it or names it in a string (a child process and a Worker are named, not imported).
 */
import { dirname, join, normalize } from "node:path";
import { importsOf, targetOf } from "./import.ts";
import { isMain, isTest } from "./source.ts";
import type { Source, Violation } from "./source.ts";

const ENTRY = /(^|\/)(?:[\w-]+-)?worker\.ts$|\.d\.ts$/;

/** `scripts` are the commands of package.json; a file named there is an entry. */
export function judgeDead(sources: readonly Source[], scripts: readonly string[]): Violation[] {
  const used = new Set(scripts.flatMap((script) => script.split(/\s+/)));
  for (const source of sources) {
    for (const target of usesOf(source)) {
      if (!isOwnTest(source.path, target)) used.add(target);
    }
  }
  return sources
    .filter(({ path }) => !isTest(path) && !isMain(path) && !ENTRY.test(path) && !used.has(path))
    .map(({ path }) => ({ path, line: 1, rule: "dead", what: "nothing but its own test uses it" }));
}

function usesOf(source: Source): string[] {
  const { path, bare } = source;
  const imports = importsOf(source).map(({ specifier }) => targetOf(path, specifier) ?? specifier);
  const named = [...bare.matchAll(/["'`]([\w./-]+\.tsx?)["'`]/g)].flatMap(([, name]) =>
    name === undefined ? [] : [normalize(name), join(dirname(path), name)],
  );
  return [...imports, ...named].filter((target) => target !== path);
}

const isOwnTest = (path: string, target: string): boolean =>
  isTest(path) && path.replace(/\.(test|contract)\.ts/, ".ts") === target;
