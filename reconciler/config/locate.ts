/**
 * Parses YAML into a tree whose parts know their file, line and column. Size, tokens, depth and
 * values are limited, so that no file makes the loader slow or large. Invalid YAML gives its syntax
 * errors and no tree.
 */
import {
  Composer,
  type Document,
  isScalar,
  Lexer,
  LineCounter,
  Parser,
  type YAMLParseError,
} from "yaml";
import { LIMIT } from "../../schema/limit.ts";
import { growTree } from "./grow.ts";
import type { Place, Problems } from "./problem.ts";
import type { Tree } from "./tree.ts";

export type SourceText = { name: string; text: string };

/** A large configuration has about ten tokens for each value. */
const TOKENS_MAX = LIMIT.configNodesMax * 20;
/** Levels of nesting. A composite autoscaler of the allowed depth needs sixteen. */
const PARSER_DEPTH_MAX = 100;
/** One document is read and empty ones are skipped; parsing each costs as much as a small file. */
const DOCUMENTS_MAX = 100;
/**
 * Characters of one scalar or comment: twice the longest setting, so that a setting that is too
 * long is reported by its own reader.
 */
const TOKEN_CHARS_MAX = 128 * 1024;
/** Syntax errors listed for one file; later ones mostly follow from the first. */
const SYNTAX_ERRORS_MAX = 20;

type Parsed = { documents: Document.Parsed[]; lines: LineCounter };

function parseBounded(file: SourceText, problems: Problems): Parsed | null {
  const lines = new LineCounter();
  // The parser does not report the start of line 1 when the caller drives the lexer.
  lines.addNewLine(0);
  const parser = new Parser(lines.addNewLine);
  const composer = new Composer({ uniqueKeys: false, logLevel: "silent", prettyErrors: false });
  const documents: Document.Parsed[] = [];
  const refuse = (message: string, hint: string) =>
    problems.error(place(file.name, lines, parser.offset), "", "limit", message, hint);
  let tokens = 0;
  for (const lexeme of new Lexer().lex(file.text)) {
    tokens += 1;
    if (tokens > TOKENS_MAX) return refuse("too many values", `at most ${LIMIT.configNodesMax}`);
    if (lexeme.length > TOKEN_CHARS_MAX) {
      return refuse("text is too long", `at most ${TOKEN_CHARS_MAX} characters in one place`);
    }
    for (const token of parser.next(lexeme)) documents.push(...composer.next(token));
    if (documents.length > DOCUMENTS_MAX) {
      return refuse("too many documents", "give each document its own file and --config");
    }
    if (parser.stack.length > PARSER_DEPTH_MAX) return refuse("nested too deeply", "flatten it");
  }
  for (const token of parser.end()) documents.push(...composer.next(token));
  documents.push(...composer.end(true, file.text.length));
  return { documents, lines };
}

function place(file: string, lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset);
  return { file, line: Math.max(line, 1), col: Math.max(col, 1) };
}

/** The library's message without its excerpt. */
function formatSyntax(error: YAMLParseError): string {
  const first = error.message.split("\n")[0] ?? "";
  return `not valid YAML: ${first.replace(/ at line \d+, column \d+:?$/, "").slice(0, 200)}`;
}

/** `null` if it is not valid YAML, after reporting its errors. An empty file is an empty map. */
export function locate(file: SourceText, problems: Problems): Tree | null {
  const start: Place = { file: file.name, line: 1, col: 1 };
  const text = file.text.startsWith("\uFEFF") ? file.text.slice(1) : file.text;
  if (text.length > LIMIT.configBytesMax) {
    const hint = `at most ${LIMIT.configBytesMax / 1024 / 1024} MiB`;
    return problems.error(start, "", "limit", "the file is too large", hint);
  }
  const parsed = parseBounded({ name: file.name, text }, problems);
  if (parsed === null) return null;
  const { documents, lines } = parsed;
  const at = (offset: number) => place(file.name, lines, offset);
  const errors = documents.flatMap((document) => document.errors).slice(0, SYNTAX_ERRORS_MAX);
  for (const error of errors) {
    problems.error(at(error.pos[0]), "", "syntax", formatSyntax(error));
  }
  if (errors.length > 0) return null;
  const filled = documents.filter(({ contents }) => {
    return contents !== null && !(isScalar(contents) && contents.value === null);
  });
  const [first, second] = filled;
  if (first === undefined) return { kind: "map", path: "", at: start, entries: [] };
  const tree = growTree(first, text, at, problems);
  if (tree === null || hasRetiredForm(tree, problems)) return null;
  if (second !== undefined) {
    const offset = second.contents?.range[0] ?? 0;
    const hint = "give each document its own file and --config";
    return problems.error(at(offset), "", "syntax", "a second document in one file", hint);
  }
  return tree;
}

/** `apiVersion`/`kind` documents were an early format. */
function hasRetiredForm(tree: Tree, problems: Problems): boolean {
  if (tree.kind !== "map") return false;
  const entry = tree.entries.find((one) => one.key === "apiVersion");
  if (entry === undefined) return false;
  const message = "apiVersion/kind documents are a retired format";
  const hint = `run navarch config convert ${entry.at.file}`;
  problems.error(entry.at, "apiVersion", "retired_format", message, hint);
  return true;
}
