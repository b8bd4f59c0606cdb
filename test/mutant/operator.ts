/**
 * Small faults in TypeScript source, generated from its syntax tree: a comparison one step off, a
 * condition that always holds, a call left out, a number ten times as large. Each is a span of the
 * text and what stands there instead. Nothing in types is changed, and no text, because a message
 * with another word is no fault that a test of behaviour should find. Pure.
 */
import { parseSync } from "oxc-parser";

export type Mutant = {
  /** Offsets into the source, in UTF-16 units. */
  start: number;
  end: number;
  operator: string;
  replacement: string;
  /** How `instrument` makes the choice at run time. */
  form: "expression" | "block" | "statement";
  /**
   * Name of the top-level constant in whose value the span lies, or `""` elsewhere at top level:
   * such code runs once, at import. `null` inside functions and classes.
   */
  constant: string | null;
};

/** A node of the ESTree form that `oxc-parser` yields. */
export type Tree = { type: string; start: number; end: number; [key: string]: unknown };

const isTree = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";

/** What a node holds under a key, if that is a node. */
export const childOf = (node: Tree, key: string): Tree | null => {
  const value = node[key];
  return isTree(value) ? value : null;
};

const textOf = (node: Tree, key: string): string => {
  const value = node[key];
  return typeof value === "string" ? value : "";
};

const listOf = (node: Tree, key: string): Tree[] => {
  const value = node[key];
  return Array.isArray(value) ? value.filter(isTree) : [];
};

/** The children of a node that are code: types and declarations of types are left out. */
export function childrenOf(node: Tree): [key: string, child: Tree][] {
  return Object.entries(node).flatMap(([key, value]): [string, Tree][] => {
    if (TYPES.has(key)) return [];
    const inner = Array.isArray(value) ? value.filter(isTree) : isTree(value) ? [value] : [];
    return inner.filter(isCode).map((child) => [key, child]);
  });
}

const TYPES = new Set(["typeAnnotation", "typeArguments", "typeParameters", "returnType"]);
const WRAPPERS = new Set(["TSAsExpression", "TSSatisfiesExpression", "TSNonNullExpression"]);
const isCode = ({ type }: Tree): boolean => !type.startsWith("TS") || WRAPPERS.has(type);

const FUNCTIONS = new Set([
  "FunctionDeclaration",
  "FunctionExpression",
  "ArrowFunctionExpression",
  "ClassDeclaration",
  "ClassExpression",
]);
const COMPARISONS: Readonly<Record<string, readonly string[]>> = {
  "<": ["<=", ">="],
  "<=": ["<", ">"],
  ">": [">=", "<="],
  ">=": [">", "<"],
  "===": [],
  "!==": [],
  in: [],
  instanceof: [],
};
const ARITHMETIC: Readonly<Record<string, string>> = { "+": "-", "-": "+", "*": "/", "/": "*" };
const LOGICAL: Readonly<Record<string, string>> = { "&&": "||", "||": "&&", "??": "&&" };
/** Methods whose call may be left out, so that what they are called on stands for the result. */
const DROPPED = new Set(["filter", "slice", "sort", "toSorted", "reverse", "toReversed", "trim"]);
const SWAPPED: Readonly<Record<string, string>> = {
  some: "every",
  every: "some",
  min: "max",
  max: "min",
  floor: "ceil",
  ceil: "floor",
  startsWith: "endsWith",
  endsWith: "startsWith",
};

export function parseTree(path: string, source: string): Tree {
  const { program, errors } = parseSync(path, source);
  const [error] = errors;
  if (error !== undefined) throw new Error(`${path} cannot be parsed: ${error.message}`);
  const tree: unknown = program;
  if (!isTree(tree)) throw new Error(`${path} has no syntax tree`);
  return tree;
}

/** Every mutant of one file, in the order of its nodes. */
export function generateMutants(path: string, source: string): Mutant[] {
  const found: Mutant[] = [];
  const visit = (node: Tree, key: string, parent: Tree, constant: string | null) => {
    if (SKIPPED.has(node.type) || isName(node, key, parent)) return;
    const add: Add = (operator, replacement, form = "expression", at = node) => {
      if (source.slice(at.start, at.end) === replacement) return;
      if (replacement === "true" && key === "test" && LOOPS.has(parent.type)) return;
      const { start, end } = at;
      found.push({ start, end, operator, replacement, form, constant });
    };
    judgeNode(node, parent, source, add);
    judgeCondition(node, key, parent, add);
    const within = FUNCTIONS.has(node.type) ? null : constant;
    for (const [inner, child] of childrenOf(node)) visit(child, inner, node, within);
  };
  const root = parseTree(path, source);
  for (const statement of listOf(root, "body")) {
    for (const [name, node] of topLevel(statement)) visit(node, "body", root, name);
  }
  return found;
}

/** The parts of a top-level statement, each with the name of the constant that it defines. */
function topLevel(statement: Tree): [name: string | null, node: Tree][] {
  if (statement.type.startsWith("Import") || !isCode(statement)) return [];
  const declared = childOf(statement, "declaration") ?? statement;
  if (!isCode(declared)) return [];
  if (FUNCTIONS.has(declared.type)) return [[null, declared]];
  if (declared.type !== "VariableDeclaration") return [["", statement]];
  return listOf(declared, "declarations").map((part) => {
    const id = childOf(part, "id");
    return [id?.type === "Identifier" ? textOf(id, "name") : "", part];
  });
}

type Add = (operator: string, replacement: string, form?: Mutant["form"], at?: Tree) => void;

/** Templates and `new Error(…)` are not left out: what the product says is part of it. */
const SKIPPED = new Set(["ImportDeclaration", "ImportExpression"]);

/** A name rather than a value: a key, a member, what is assigned to. */
function isName(node: Tree, key: string, parent: Tree): boolean {
  if (parent["computed"] !== true && (key === "property" || key === "key")) return true;
  if (key === "id" || key === "params" || key === "label") return node.type === "Identifier";
  return key === "left" && parent.type === "AssignmentExpression";
}

function judgeNode(node: Tree, parent: Tree, source: string, add: Add): void {
  const text = (part: Tree | null) => (part === null ? "" : source.slice(part.start, part.end));
  switch (node.type) {
    case "BinaryExpression":
      return judgeBinary(node, text, add);
    case "LogicalExpression":
      return judgeLogical(node, text, add);
    case "UnaryExpression":
      if (node["operator"] === "!") add("negation", text(childOf(node, "argument")));
      return;
    case "Literal":
      return judgeLiteral(node, parent, add);
    case "ArrayExpression":
      if (listOf(node, "elements").length > 0) add("array", "[]");
      return;
    case "BlockStatement":
      if (listOf(node, "body").length > 0) add("block", "{}", "block");
      return;
    case "ExpressionStatement":
      return judgeStatement(node, add);
    case "ChainExpression":
      return add(
        "chain",
        text(node)
          .replace(/\?\.(?=[[(])/g, "")
          .replaceAll("?.", "."),
      );
    case "CallExpression":
      // Within `a?.b.c()` a part cannot be replaced without breaking the chain.
      if (parent.type !== "ChainExpression" && !text(node).includes("?."))
        judgeCall(node, text, add);
      return;
  }
}

/** A test that is neither a comparison nor a logical expression: those have their own. */
function judgeCondition(node: Tree, key: string, parent: Tree, add: Add): void {
  if (key !== "test" || node.type === "BinaryExpression" || node.type === "LogicalExpression")
    return;
  if (!LOOPS.has(parent.type) && !BRANCHES.has(parent.type)) return;
  add("condition", "false");
  add("condition", "true");
}

const BRANCHES = new Set(["IfStatement", "ConditionalExpression"]);
/** A loop whose test always holds never ends: nothing is learned from waiting for it. */
const LOOPS = new Set(["WhileStatement", "DoWhileStatement", "ForStatement"]);

type Text = (part: Tree | null) => string;

function judgeBinary(node: Tree, text: Text, add: Add): void {
  const operator = textOf(node, "operator");
  const [left, right] = [childOf(node, "left"), childOf(node, "right")];
  const swap = (other: string) => `${text(left)} ${other} ${text(right)}`;
  if (Object.hasOwn(COMPARISONS, operator)) {
    for (const other of COMPARISONS[operator] ?? []) add("comparison", swap(other));
    add("condition", "true");
    add("condition", "false");
  }
  const other = ARITHMETIC[operator];
  const isText = [left, right].some(
    (part) => part?.type === "TemplateLiteral" || typeof part?.["value"] === "string",
  );
  if (other !== undefined && !isText) add("arithmetic", swap(other));
  if (operator === "%") add("arithmetic", swap("*"));
}

function judgeLogical(node: Tree, text: Text, add: Add): void {
  const operator = textOf(node, "operator");
  const [left, right] = [childOf(node, "left"), childOf(node, "right")];
  const other = LOGICAL[operator];
  // A fallback to nothing stands for a lookup that the types cannot see to succeed.
  const isEmpty = /^(?:\[\]|""|null|0|false|\{\})$/.test(text(right));
  if (other === undefined || (operator === "??" && isEmpty)) return;
  add("logical", `(${text(left)}) ${other} (${text(right)})`);
  if (operator === "??") return;
  add("condition", "true");
  add("condition", "false");
}

function judgeLiteral(node: Tree, parent: Tree, add: Add): void {
  const value = node["value"];
  if (typeof value === "boolean") add("boolean", String(!value));
  if (typeof value !== "number" || parent.type === "TSLiteralType") return;
  if (value === 0) return add("number", "1");
  add("number", "0");
  add("number", String(value < 3 ? value + 1 : value * 10));
  if (value >= 1_000) add("number", String(value / 1_000));
}

/** A statement that is one call: the effect is left out. */
function judgeStatement(node: Tree, add: Add): void {
  const inner = childOf(node, "expression");
  const call = inner?.type === "AwaitExpression" ? childOf(inner, "argument") : inner;
  if (inner === null || inner.type === "Literal") return;
  if (call?.type === "CallExpression" || inner.type === "AssignmentExpression")
    add("statement", "void 0", "statement", inner);
}

function judgeCall(node: Tree, text: Text, add: Add): void {
  const callee = childOf(node, "callee");
  if (callee?.type !== "MemberExpression" || callee["computed"] === true) return;
  const [object, property] = [childOf(callee, "object"), childOf(callee, "property")];
  if (object === null || property === null || callee["optional"] === true) return;
  const name = textOf(property, "name");
  if (DROPPED.has(name)) add("method", text(object));
  const other = Object.hasOwn(SWAPPED, name) ? SWAPPED[name] : undefined;
  if (other === undefined) return;
  const rest = text(node).slice(property.end - node.start);
  add("method", `${text(object)}.${other}${rest}`);
}
