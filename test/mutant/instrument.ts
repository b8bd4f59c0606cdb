/**
 * Puts mutants into source so that one of them can be switched on at run time: an expression `E`
 * becomes `($m(7) ? (M) : (E))`. Line numbers stay, so that a failing test points to the right
 * place. A top-level constant runs once, at import; where it is read, `$t` notes that its mutants
 * were reached. Pure.
 */
import { childrenOf, type Mutant, parseTree, type Tree } from "./operator.ts";

export type Numbered = Mutant & { id: number };

/** `source` with `mutants` of the same file in it. */
export function instrument(path: string, source: string, mutants: readonly Numbered[]): string {
  const inserts = [...mutants.flatMap((mutant) => wrap(mutant, source))];
  const constants = new Map<string, number[]>();
  for (const { constant, id } of mutants) {
    if (constant === null || constant === "") continue;
    constants.set(constant, [...(constants.get(constant) ?? []), id]);
  }
  inserts.push(...touches(path, source, constants));
  return apply(source, inserts);
}

/**
 * Text to insert. At one offset, what closes comes before what opens; among those that open, the
 * wider span comes first, among those that close, the narrower.
 */
type Insert = { at: number; text: string; opens: boolean; width: number; order: number };

function wrap({ id, start, end, replacement, form }: Numbered, source: string): Insert[] {
  const width = end - start;
  const opens = (text: string): Insert => ({ at: start, text, opens: true, width, order: id });
  const closes = (text: string): Insert => ({ at: end, text, opens: false, width, order: id });
  const mutated = replacement.replaceAll("\n", " ");
  if (/\/\//.test(source.slice(start, end)) && mutated !== replacement)
    return [opens(`($m(${id}) ? (${replacement}) : (`), closes("))")];
  if (form === "block") return [opens(`{ if (!$m(${id})) `), closes(" }")];
  if (form === "statement") return [opens(`($m(${id}) ? void 0 : (`), closes("))")];
  return [opens(`($m(${id}) ? (${mutated}) : (`), closes("))")];
}

/** `CAUSE_WAIT_MS` inside a function becomes `($t(7), CAUSE_WAIT_MS)`. */
function touches(path: string, source: string, constants: Map<string, number[]>): Insert[] {
  if (constants.size === 0) return [];
  const found: Insert[] = [];
  const visit = (node: Tree, key: string, parent: Tree) => {
    if (isRead(node, key, parent)) {
      const ids = constants.get(String(node["name"]));
      if (ids !== undefined) found.push(...touch(node, ids));
    }
    for (const [inner, child] of childrenOf(node)) visit(child, inner, node);
  };
  const root = parseTree(path, source);
  for (const [key, child] of childrenOf(root)) visit(child, key, root);
  return found;
}

const touch = ({ start, end }: Tree, ids: readonly number[]): Insert[] => [
  { at: start, text: `($t(${ids.join(", ")}), `, opens: true, width: end - start, order: -1 },
  { at: end, text: ")", opens: false, width: end - start, order: -1 },
];

const NAMED = new Set(["id", "params", "label", "local", "imported", "exported", "superClass"]);

/** An identifier that is read as a value, where a parenthesis may stand for it. */
function isRead(node: Tree, key: string, parent: Tree): boolean {
  if (node.type !== "Identifier" || NAMED.has(key)) return false;
  if (parent["computed"] !== true && (key === "property" || key === "key")) return false;
  if (parent["shorthand"] === true) return false;
  if (/Pattern|Update|Import|Export/.test(parent.type)) return false;
  return !(key === "left" && /Assignment|ForOf|ForIn/.test(parent.type));
}

function apply(source: string, inserts: readonly Insert[]): string {
  const sorted = [...inserts].sort((a, b) => {
    if (a.at !== b.at) return a.at - b.at;
    if (a.opens !== b.opens) return a.opens ? 1 : -1;
    if (a.width !== b.width) return a.opens ? b.width - a.width : a.width - b.width;
    return a.opens ? b.order - a.order : a.order - b.order;
  });
  let text = "";
  let from = 0;
  for (const { at, text: more } of sorted) {
    text += source.slice(from, at) + more;
    from = at;
  }
  return text + source.slice(from);
}

/** The source with one mutant built in for good, for the compiler and for a person. */
export const replaceBy = (source: string, { start, end, replacement }: Mutant): string =>
  source.slice(0, start) + replacement + source.slice(end);
