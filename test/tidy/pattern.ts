/**
 * The native patterns of the rooms that read text which a node, a tenant, a cloud, a job or a file
 * supplies. A pattern that backtracks more than in proportion to its text stops a process for as
 * long as the sender likes, so each is proven linear by recheck's automaton, or is in the record
 * with what bounds its text.
 */
import { check } from "recheck";
import { Visitor } from "oxc-parser";
import type { Expression, TemplateLiteral } from "oxc-parser";
import { unreachable } from "../../schema/unreachable.ts";
import { isTest, lineAt } from "./source.ts";
import type { Source } from "./source.ts";

const ROOMS = /^(?:agent|bootstrap|cli|health|reconciler|schema|simulator\/workflow)\//;

/** `key` is `/pattern/flags`, or the source text of a pattern that is made while it runs. */
export type Pattern = { key: string; path: string; line: number; pattern: string | null };

export type PatternRecord = {
  /** Proven by the checker, so that a run need not prove them again. */
  linear: string[];
  /** Not proven, with what bounds the text that they see. */
  bounded: Record<string, string>;
  /** Neither proven nor bounded: empty, and stays so. */
  open: string[];
};

export function patternsIn({ path, text, parsed }: Source): Pattern[] {
  if (!ROOMS.test(path) || isTest(path)) return [];
  const found: Pattern[] = [];
  const constants = new Map<string, Expression>();
  const add = (start: number, pattern: string | null, flags: string, own: string): void => {
    const key = pattern === null ? own : `/${pattern}/${flags}`;
    found.push({ key, path, line: lineAt(text, start), pattern });
  };
  new Visitor({
    VariableDeclarator({ id, init }) {
      if (id.type === "Identifier" && init !== null) constants.set(id.name, init);
    },
  }).visit(parsed.program);
  new Visitor({
    Literal(node) {
      if ("regex" in node) add(node.start, node.regex.pattern, node.regex.flags, "");
    },
    NewExpression({ callee, arguments: [first, second], start, end }) {
      if (callee.type !== "Identifier" || callee.name !== "RegExp" || first === undefined) return;
      const made = first.type === "SpreadElement" ? null : textOf(first, constants);
      const flags = second === undefined ? "" : textOf(second as Expression, constants);
      add(start, flags === null ? null : made, flags ?? "", `${path}: ${text.slice(start, end)}`);
    },
  }).visit(parsed.program);
  return found;
}

/** The text of an expression that is the same in each run; `null` = made while it runs. */
function textOf(node: Expression, constants: ReadonlyMap<string, Expression>): string | null {
  const of = (one: Expression): string | null => textOf(one, constants);
  switch (node.type) {
    case "Literal":
      return "regex" in node ? node.regex.pattern : String(node.value);
    case "Identifier": {
      const init = constants.get(node.name);
      return init === undefined ? null : of(init);
    }
    case "MemberExpression": {
      const isSource = !node.computed && node.property.type === "Identifier";
      return isSource && node.property.name === "source" ? of(node.object as Expression) : null;
    }
    case "BinaryExpression": {
      const [left, right] = [of(node.left as Expression), of(node.right)];
      return left === null || right === null ? null : left + right;
    }
    case "TemplateLiteral":
      return joined(node, of, "cooked");
    case "TaggedTemplateExpression":
      return joined(node.quasi, of, "raw");
    default:
      return null;
  }
}

function joined(
  { quasis, expressions }: TemplateLiteral,
  of: (one: Expression) => string | null,
  how: "cooked" | "raw",
): string | null {
  let text = "";
  for (const [index, { value }] of quasis.entries()) {
    text += value[how] ?? "";
    const expression = expressions[index];
    if (expression === undefined) continue;
    const part = of(expression);
    if (part === null) return null;
    text += part;
  }
  return text;
}

/** `null` = proven linear; else what the checker says. */
export async function judgePattern(key: string, timeoutMs: number): Promise<string | null> {
  const end = key.lastIndexOf("/");
  const [pattern, flags] = [key.slice(1, end), key.slice(end + 1)];
  const judged = await check(pattern, flags, { checker: "automaton", timeout: timeoutMs });
  switch (judged.status) {
    case "safe":
      return null;
    case "vulnerable":
      return `${judged.complexity.summary}, as with ${judged.attack.pattern.slice(0, 120)}`;
    case "unknown":
      return `not proven: ${judged.error.kind}`;
    default:
      return unreachable(judged);
  }
}

/** What is neither in the record nor proven now, and what the record excuses without need. */
export async function judgePatterns(
  patterns: readonly Pattern[],
  record: PatternRecord,
  timeoutMs: number,
): Promise<string[]> {
  const known = new Set([...record.linear, ...Object.keys(record.bounded), ...record.open]);
  const here = new Set(patterns.map(({ key }) => key));
  const excused = [...Object.keys(record.bounded), ...record.open];
  const problems = excused.filter((key) => !here.has(key)).map((key) => `gone: ${key}`);
  for (const { key, path, line, pattern } of patterns) {
    if (known.has(key)) continue;
    const why = pattern === null ? "is made while it runs" : await judgePattern(key, timeoutMs);
    if (why !== null) problems.push(`${path}:${line}: ${key}: ${why}`);
  }
  return problems;
}
