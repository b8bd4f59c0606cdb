/**
 * Nodes whose object was taken away while their machine lives, and the names under which their pods
 * are still to be found. Pure. A name that is another machine's by now says nothing about the first
 * one any more; an object that is nobody's yet may be its own, registered anew with its pods still
 * running and not told apart yet.
 */
import type { Wish } from "../wish.ts";

/** Name by node. `uidOf`: of the object that has the name now; `undefined` = there is none. */
export function partedNames(
  { parted, shown, ended }: Wish,
  uidOf: (name: string) => string | undefined,
): ReadonlyMap<string, string> {
  // Mostly there is none, and the fleet has thousands.
  if (parted.length === 0) return new Map();
  const taken = new Set([...shown, ...ended].map(({ uid }) => uid));
  const left = parted.filter(({ name }) => !taken.has(uidOf(name) ?? ""));
  return new Map(left.map(({ node, name }) => [node, name]));
}
