/**
 * Parses a setup command's template completely: a parsed template prints with any values. Errors
 * name line, column and, for a misspelled variable, the nearest one.
 */
import { parseExpression, type Scope, wordText } from "./expression.ts";
import { type Part, TemplateFault, type TemplateAnswer } from "./template.ts";
import { cutPieces, lineOf, type Piece, type Word } from "./token.ts";
import { TEMPLATE_VARIABLES, type VariableKind } from "./variable.ts";

/** Blocks inside blocks. A command that needs more is a script that belongs in a file. */
const BLOCKS_MAX = 32;

/** A block being filled: `parts` is where the next part goes, which changes at `else`. */
type Block = {
  word: "if" | "range";
  offset: number;
  owner: Part & { kind: "if" | "range" };
  elseSeen: boolean;
  /** An `else if` opens another `if` that the same `end` closes. */
  chained: boolean;
};

/** Reads one template against the known variables. */
export function parseTemplate(
  text: string,
  variables: Readonly<Record<string, VariableKind>> = TEMPLATE_VARIABLES,
): TemplateAnswer {
  try {
    return { ok: true, template: { parts: parseParts(cutPieces(text), variables) } };
  } catch (error) {
    if (!(error instanceof TemplateFault)) throw error;
    const { message, hint, offset } = error;
    return { ok: false, message, hint, at: lineOf(text, offset) };
  }
}

type Piecewise = { blocks: Block[]; root: Part[]; variables: Scope["variables"] };
type ActionPiece = Piece & { kind: "action" };

function parseParts(pieces: readonly Piece[], variables: Scope["variables"]): Part[] {
  const state: Piecewise = { blocks: [], root: [], variables };
  for (const piece of pieces) {
    if (piece.kind === "text") target(state).push(piece);
    else parseAction(state, piece);
  }
  const open = state.blocks.at(-1);
  if (open !== undefined) {
    throw new TemplateFault(`{{${open.word}}} is not closed`, open.offset, "add {{end}}");
  }
  return state.root;
}

function target(state: Piecewise): Part[] {
  const block = state.blocks.at(-1);
  if (block === undefined) return state.root;
  if (block.elseSeen) return block.owner.otherwise;
  return block.owner.kind === "if" ? block.owner.then : block.owner.body;
}

function scopeOf(state: Piecewise): Scope {
  const inRange = state.blocks.some((block) => block.word === "range" && !block.elseSeen);
  return { variables: state.variables, inRange };
}

const UNSUPPORTED = ["with", "define", "template", "block", "break", "continue", "index", "len"];

function parseAction(state: Piecewise, action: ActionPiece): void {
  const [first, ...rest] = action.words;
  if (first === undefined) throw new TemplateFault("an empty action", action.offset, "remove {{}}");
  const keyword = first.kind === "name" ? first.name : null;
  if (keyword === "if" || keyword === "range") {
    openBlock(state, keyword, rest, action.offset, false);
  } else if (keyword === "else") {
    parseElse(state, action, rest);
  } else if (keyword === "end") {
    closeBlock(state, action, rest);
  } else if (keyword !== null && UNSUPPORTED.includes(keyword)) {
    const hint = "supported: if, else, end, range, eq, ne, and, or, not, printf";
    throw new TemplateFault(`${keyword} is not supported`, first.offset, hint);
  } else {
    const value = parseExpression(action.words, action.offset, scopeOf(state));
    refuseList(state, value, action.offset);
    target(state).push({ kind: "print", value });
  }
}

function refuseList(state: Piecewise, value: { kind: string; name?: string }, offset: number) {
  if (value.kind !== "field" || state.variables[value.name ?? ""] !== "list") return;
  throw new TemplateFault(`.${value.name} is a list`, offset, `write {{range .${value.name}}}`);
}

function openBlock(
  state: Piecewise,
  word: "if" | "range",
  words: readonly Word[],
  offset: number,
  chained: boolean,
): void {
  if (state.blocks.length >= BLOCKS_MAX) throw new TemplateFault("nested too deeply", offset);
  const value = parseExpression(words, offset, scopeOf(state));
  if (word === "range" && !(value.kind === "field" && state.variables[value.name] === "list")) {
    throw new TemplateFault("range needs a list", offset, "the variables here are text");
  }
  const owner: Block["owner"] =
    word === "if"
      ? { kind: "if", condition: value, then: [], otherwise: [] }
      : { kind: "range", list: value, body: [], otherwise: [] };
  target(state).push(owner);
  state.blocks.push({ word, offset, owner, elseSeen: false, chained });
}

function parseElse(state: Piecewise, action: ActionPiece, rest: readonly Word[]): void {
  const block = state.blocks.at(-1);
  if (block === undefined) throw new TemplateFault("{{else}} without {{if}}", action.offset);
  if (block.elseSeen) throw new TemplateFault("a second {{else}}", action.offset);
  block.elseSeen = true;
  const [first, ...words] = rest;
  if (first === undefined) return;
  if (first.kind !== "name" || first.name !== "if" || block.word !== "if") {
    throw new TemplateFault(`unexpected ${wordText(first)} after else`, first.offset);
  }
  openBlock(state, "if", words, action.offset, true);
}

function closeBlock(state: Piecewise, action: ActionPiece, rest: readonly Word[]): void {
  const [extra] = rest;
  if (extra !== undefined) {
    throw new TemplateFault(`unexpected ${wordText(extra)} after end`, extra.offset);
  }
  let block = state.blocks.pop();
  if (block === undefined) throw new TemplateFault("{{end}} without {{if}}", action.offset);
  while (block?.chained === true) block = state.blocks.pop();
}
