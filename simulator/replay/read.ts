/**
 * A file of `navarch support dump`, read line by line. Whatever cannot be used is named by file,
 * line and path, and what was expected there.
 */
import * as v from "valibot";
import type { Node } from "../../schema/node.ts";
import {
  type SavedActivation,
  type SavedHeader,
  SavedHeader as Header,
  SAVED_KIND,
  SavedLine,
} from "../../reconciler/core/decide/saved-activation.ts";

export type Read =
  | { kind: "header"; header: SavedHeader }
  | { kind: "activation"; saved: SavedActivation; nodes: Node[] };

/** What is wrong with the file, as a sentence for people. */
export class BadFile extends Error {}

/** `lines` without line breaks. Throws `BadFile`. */
export function* readSaved(file: string, lines: Iterable<string>): Generator<Read> {
  const nodes: Node[] = [];
  let line = 0;
  let activations = 0;
  let isWhole = false;
  const bad = (path: string, message: string): BadFile =>
    new BadFile(`${file}:${line}: ${path === "" ? "" : `${path}: `}${message}`);
  for (const text of lines) {
    line++;
    if (isWhole) throw bad("", "expected nothing after the last line");
    const value = parse(text, (message) => bad("", message));
    if (line === 1) {
      if (kindOf(value) !== SAVED_KIND) throw bad("kind", NO_SAVED);
      yield { kind: "header", header: check(Header, value, bad) };
      continue;
    }
    const one = check(SavedLine, value, bad);
    if (one.kind === "node") nodes.push(one.node);
    else if (one.kind === "activation") {
      activations++;
      const own = one.nodes.map((at) => nodeAt(nodes, at, bad));
      yield { kind: "activation", saved: one, nodes: own };
    } else if (one.activations === activations) isWhole = true;
    else throw bad("activations", `${one.activations} were saved, and ${activations} are here`);
  }
  if (line === 0) throw new BadFile(`${file}: the file is empty`);
  if (!isWhole) throw bad("", "the file ends early: save it again");
}

const NO_SAVED = `expected "${SAVED_KIND}": is this a file of navarch support dump?`;

function kindOf(value: unknown): unknown {
  return typeof value === "object" && value !== null && "kind" in value ? value.kind : null;
}

type Bad = (path: string, message: string) => BadFile;

function parse(text: string, bad: (message: string) => BadFile): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw bad("expected one JSON document on a line");
  }
}

function check<S extends v.GenericSchema>(schema: S, value: unknown, bad: Bad): v.InferOutput<S> {
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw bad(v.getDotPath(issue) ?? "", issue.message);
}

function nodeAt(nodes: readonly Node[], at: number, bad: Bad): Node {
  const node = nodes[at];
  if (node === undefined) throw bad("nodes", `${at} of ${nodes.length} node lines before it`);
  return node;
}
