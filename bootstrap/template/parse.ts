/**
 * Parses a template completely: a parsed setup command prints with any values. Errors name line,
 * column and, for a misspelled variable, the nearest one.
 */
import { parseExpression, type Scope, wordText } from "./expression.ts";
import {
  type BranchPart,
  type Expression,
  type Naming,
  type OpenTemplateAnswer,
  type Part,
  type TemplateAnswer,
  TemplateFault,
} from "./template.ts";
import { cutPieces, lineOf, type Piece, type Word } from "./token.ts";
import { TEMPLATE_VARIABLES, type VariableKind } from "./variable.ts";

/** Blocks inside blocks. A command that needs more is a script that belongs in a file. */
const BLOCKS_MAX = 32;

/** A block being filled: `owner` is where the next part goes, which changes at `else`. */
type Block = {
  offset: number;
  owner: BranchPart;
  elseSeen: boolean;
  /** An `else if` opens another `if` that the same `end` closes. */
  chained: boolean;
  /** Variables that were declared before it; its own end with it. */
  namesBefore: number;
};

type Language =
  | { dialect: "closed"; variables: Readonly<Record<string, VariableKind>> }
  | { dialect: "open" };

/** Reads one setup command against the known variables. */
export function parseTemplate(
  text: string,
  variables: Readonly<Record<string, VariableKind>> = TEMPLATE_VARIABLES,
): TemplateAnswer {
  const read = readParts(text, { dialect: "closed", variables });
  return read.ok ? { ok: true, template: { dialect: "closed", parts: read.parts } } : read;
}

/** Reads a workflow template, whose parameters are known when it prints. */
export function parseOpenTemplate(text: string): OpenTemplateAnswer {
  const read = readParts(text, { dialect: "open" });
  return read.ok ? { ok: true, template: { dialect: "open", parts: read.parts, text } } : read;
}

function readParts(text: string, language: Language) {
  try {
    return { ok: true as const, parts: parseParts(cutPieces(text), language) };
  } catch (error) {
    if (!(error instanceof TemplateFault)) throw error;
    const { message, hint, offset } = error;
    return { ok: false as const, message, hint, at: lineOf(text, offset) };
  }
}

/** `names`: the variables that are declared, in order. */
type State = { blocks: Block[]; root: Part[]; language: Language; names: string[] };
type ActionPiece = Piece & { kind: "action" };

function parseParts(pieces: readonly Piece[], language: Language): Part[] {
  const state: State = { blocks: [], root: [], language, names: [] };
  for (const piece of pieces) {
    if (piece.kind === "text") target(state).push(piece);
    else parseAction(state, piece);
  }
  const open = state.blocks.at(-1);
  if (open !== undefined) {
    throw new TemplateFault(`{{${open.owner.kind}}} is not closed`, open.offset, "add {{end}}");
  }
  return state.root;
}

function target(state: State): Part[] {
  const block = state.blocks.at(-1);
  if (block === undefined) return state.root;
  return block.elseSeen ? block.owner.otherwise : block.owner.body;
}

const isInRange = (state: State): boolean =>
  state.blocks.some((block) => block.owner.kind === "range" && !block.elseSeen);

function scopeOf(state: State): Scope {
  const { language } = state;
  if (language.dialect === "open") return { dialect: "open", names: state.names };
  return { ...language, inRange: isInRange(state) };
}

const CLOSED_LACKS = ["with", "define", "template", "block", "break", "continue", "index", "len"];
const OPEN_LACKS = ["define", "template", "block", "html", "js", "urlquery", "slice", "call"];
const CLOSED_HAS = "supported: if, else, end, range, eq, ne, and, or, not, printf";
const OPEN_HAS =
  "supported: if, with, range, else, end, break, continue, eq, ne, lt, le, gt, ge, and, or, not, " +
  "len, index, print, println, printf";

function parseAction(state: State, action: ActionPiece): void {
  const [first, ...rest] = action.words;
  if (first === undefined) throw new TemplateFault("an empty action", action.offset, "remove {{}}");
  const isOpen = state.language.dialect === "open";
  const keyword = first.kind === "name" ? first.name : null;
  if (keyword === "if" || keyword === "range" || (isOpen && keyword === "with")) {
    openBlock(state, keyword, rest, action.offset, false);
  } else if (keyword === "else") {
    parseElse(state, action, rest);
  } else if (keyword === "end") {
    closeBlock(state, action, rest);
  } else if (isOpen && (keyword === "break" || keyword === "continue")) {
    parseJump(state, keyword, first, rest);
  } else if (keyword !== null && (isOpen ? OPEN_LACKS : CLOSED_LACKS).includes(keyword)) {
    const hint = isOpen ? OPEN_HAS : CLOSED_HAS;
    throw new TemplateFault(`${keyword} is not supported`, first.offset, hint);
  } else {
    parseValue(state, action);
  }
}

/** An action that prints, or gives a variable its value. */
function parseValue(state: State, { words, offset }: ActionPiece): void {
  const [naming, rest] = readNaming(state, words, 1);
  const value = parseExpression(rest, offset, scopeOf(state));
  refuseList(state, value, offset);
  if (naming === null) target(state).push({ kind: "print", value });
  else {
    target(state).push({ kind: "set", naming, value });
    if (naming.isNew) state.names.push(...naming.names);
  }
}

/** `$x :=` or, in a range, `$i, $x :=`, and the words after it. */
function readNaming(
  state: State,
  words: readonly Word[],
  namesMax: number,
): [Naming | null, readonly Word[]] {
  if (state.language.dialect === "closed") return [null, words];
  const names: string[] = [];
  for (let at = 0; ; at += 2) {
    const [word, mark] = [words[at], words[at + 1]];
    if (word?.kind !== "variable" || word.name === "" || word.path.length > 0) return [null, words];
    if (mark?.kind !== "mark" || !["=", ":=", ","].includes(mark.mark)) return [null, words];
    names.push(word.name);
    if (names.length > namesMax) throw new TemplateFault("too many variables", word.offset);
    if (mark.mark === "=" && !state.names.includes(word.name)) {
      const hint = `declare it first: {{$${word.name} := …}}`;
      throw new TemplateFault(`undefined variable $${word.name}`, word.offset, hint);
    }
    if (mark.mark !== ",") return [{ names, isNew: mark.mark === ":=" }, words.slice(at + 2)];
  }
}

function refuseList({ language }: State, value: Expression, offset: number) {
  if (language.dialect === "open" || value.kind === "chain") return;
  if (value.kind !== "field" && value.kind !== "variable") return;
  const [name = ""] = value.path;
  if (language.variables[name] !== "list") return;
  throw new TemplateFault(`.${name} is a list`, offset, `write {{range .${name}}}`);
}

function openBlock(
  state: State,
  kind: BranchPart["kind"],
  words: readonly Word[],
  offset: number,
  chained: boolean,
): void {
  if (state.blocks.length >= BLOCKS_MAX) throw new TemplateFault("nested too deeply", offset);
  const namesBefore = state.names.length;
  const [naming, rest] = readNaming(state, words, kind === "range" ? 2 : 1);
  const value = parseExpression(rest, offset, scopeOf(state));
  if (kind === "range") checkList(state.language, value, offset);
  if (naming?.isNew === true) state.names.push(...naming.names);
  const owner: BranchPart = { kind, naming, value, body: [], otherwise: [] };
  target(state).push(owner);
  state.blocks.push({ offset, owner, elseSeen: false, chained, namesBefore });
}

function checkList(language: Language, value: Expression, offset: number): void {
  if (language.dialect === "open") return;
  const path = value.kind === "field" || value.kind === "variable" ? value.path : [];
  if (language.variables[path[0] ?? ""] === "list") return;
  throw new TemplateFault("range needs a list", offset, "the variables here are text");
}

function parseJump(
  state: State,
  jump: "break" | "continue",
  first: Word,
  [extra]: readonly Word[],
): void {
  if (extra !== undefined) {
    throw new TemplateFault(`unexpected ${wordText(extra)} after ${jump}`, extra.offset);
  }
  if (!isInRange(state)) throw new TemplateFault(`{{${jump}}} outside {{range}}`, first.offset);
  target(state).push({ kind: "jump", jump });
}

function parseElse(state: State, action: ActionPiece, rest: readonly Word[]): void {
  const block = state.blocks.at(-1);
  if (block === undefined) throw new TemplateFault("{{else}} without {{if}}", action.offset);
  if (block.elseSeen) throw new TemplateFault("a second {{else}}", action.offset);
  block.elseSeen = true;
  const own = block.owner.naming?.isNew === true ? block.owner.naming.names.length : 0;
  state.names.length = block.namesBefore + own;
  const [first, ...words] = rest;
  if (first === undefined) return;
  const { kind } = block.owner;
  if (first.kind !== "name" || first.name !== kind || kind === "range") {
    throw new TemplateFault(`unexpected ${wordText(first)} after else`, first.offset);
  }
  openBlock(state, kind, words, action.offset, true);
}

function closeBlock(state: State, action: ActionPiece, rest: readonly Word[]): void {
  const [extra] = rest;
  if (extra !== undefined) {
    throw new TemplateFault(`unexpected ${wordText(extra)} after end`, extra.offset);
  }
  let block = state.blocks.pop();
  if (block === undefined) throw new TemplateFault("{{end}} without {{if}}", action.offset);
  while (block?.chained === true) block = state.blocks.pop();
  if (block !== undefined) state.names.length = block.namesBefore;
}
