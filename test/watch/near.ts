/** Which unit tests may notice a change: by the path of imports, the nearest first. Pure. */
import { type Imports, isAsked } from "../mutant/select.ts";

export interface Near {
  tests: string[];
  /** How many more reach a changed file. */
  left: number;
}

/** At most `max` test files that reach one of `changed`; a changed test file is its own. */
export function nearest(changed: Iterable<string>, imports: Imports, max: number): Near {
  const importers = new Map<string, string[]>();
  for (const [path, targets] of imports) {
    for (const target of targets) importers.set(target, [...(importers.get(target) ?? []), path]);
  }
  // Grows while it is walked: each ring of importers follows the one that it imports.
  const reached = new Set(changed);
  for (const path of reached) {
    for (const importer of importers.get(path) ?? []) reached.add(importer);
  }
  const tests = [...reached].filter((path) => isAsked(path) && imports.has(path));
  return { tests: tests.slice(0, max), left: Math.max(0, tests.length - max) };
}
