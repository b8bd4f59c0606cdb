/**
 * Names of the virtual nodes of the set. A name follows from type, entry and ordinal, so a second
 * run finds the nodes of the first. The chart `virtual-nodes` computes the same names. Pure.
 */

/** On every node of the set: without it, nothing of ours deletes a Node. */
export const SET_LABEL = { key: "navarch.dev/nodeset", value: "virtual-nodes" } as const;

/** What the node's entry said when it was written: the entry without its count, as JSON. */
export const ENTRY_ANNOTATION = "navarch.dev/nodeset-entry";

const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz";
const SUFFIX_CHARS = 6;
const SUFFIXES = 36n ** 6n;
/**
 * Has no factor in common with 36, so two numbers below 36⁶ have two suffixes: names never collide.
 * The products stay below 2⁶³, which helm's arithmetic needs.
 */
const FACTOR = 1_345_678_901n;
const OFFSET = 987_654_321n;
/** Ordinals of one entry: more than a set may have nodes. */
const ORDINALS = 100_000n;

/** `index` counts the entries of this type only; `ordinal` counts the nodes of the entry. */
export function nodeName(type: string, index: number, ordinal: number): string {
  const number = BigInt(index) * ORDINALS + BigInt(ordinal);
  let rest = (number * FACTOR + OFFSET) % SUFFIXES;
  let suffix = "";
  for (let place = 0; place < SUFFIX_CHARS; place += 1) {
    suffix = (DIGITS[Number(rest % 36n)] ?? "") + suffix;
    rest /= 36n;
  }
  return `virtual-${type}-${suffix}`;
}
