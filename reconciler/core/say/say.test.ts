/** Codes and their sentences: what a wait is made of, and what no two families may share. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSync, Visitor } from "oxc-parser";
import { type Cause, sayCause } from "./cause.ts";
import { sayWait, type WaitCause } from "./wait.ts";

const LOSS = { code: "not_listed", id: "i-1" } as const;

describe("sayWait()", () => {
  test.each<[WaitCause, string]>([
    [
      { code: "agent_silent", id: "i-1", state: "running" },
      "instance i-1 is running, its agent is silent",
    ],
    [{ code: "operation", id: "op-1", kind: null, said: null }, "op-1"],
    [{ code: "operation", id: "op-1", kind: "drain", said: "slow" }, "drain is in progress: slow"],
    [
      {
        code: "but",
        why: LOSS,
        veto: { code: "but", why: { code: "smaller" }, veto: { code: "no_slot" } },
      },
      "the cloud no longer lists instance i-1, but its pool became smaller, but no slot to fill",
    ],
    [
      {
        code: "barred",
        bars: [
          { code: "no_provider", provider: "a" },
          { code: "no_provider", provider: "a" },
        ],
      },
      "a: no such provider",
    ],
  ])("%j", (why, said) => {
    expect(sayWait(why)).toBe(said);
  });
});

describe("sayCause()", () => {
  test.each<[Cause, string]>([
    [{ code: "evidence", because: "XID 79", more: 0 }, "XID 79"],
    [{ code: "evidence", because: "XID 79", more: 2 }, "XID 79 (and 2 that follow from it)"],
    [{ code: "replaced", by: "n", isSuspect: false }, "n is verified and takes its place"],
  ])("%j", (cause, said) => {
    expect(sayCause(cause)).toBe(said);
  });
});

/** A table that is spread into another one, or a code that both have, would hide a sentence. */
test.each([
  ["wait.ts", ["hold.ts", "limit.ts", "wait.ts"]],
  ["cause.ts", ["cause.ts", "loss.ts"]],
])("the tables that %s unites have no code in common", (of, files) => {
  const tables = new Map(files.flatMap((file) => [...tablesIn(file)]));
  const united = tables.get(of === "wait.ts" ? "WAIT" : "CAUSE");
  const codes = united?.spread.flatMap((name) => codesOf(name, tables)) ?? [];
  const seen = new Map<string, string>();
  const twice: string[] = [];
  for (const [code, table] of codes) {
    const other = seen.get(code);
    if (other !== undefined && other !== table) twice.push(`${code}: ${other}, ${table}`);
    seen.set(code, table);
  }
  expect(codes.length).toBeGreaterThan(50);
  expect(twice).toEqual([]);
});

type Table = { own: string[]; spread: string[] };

/** A code and the table that has it. */
function codesOf(name: string, tables: Map<string, Table>): [string, string][] {
  const table = tables.get(name);
  if (table === undefined) throw new Error(`no table ${name}`);
  const own = table.own.map((code): [string, string] => [code, name]);
  return [...own, ...table.spread.flatMap((one) => codesOf(one, tables))];
}

function tablesIn(file: string): Map<string, Table> {
  const found = new Map<string, Table>();
  const text = readFileSync(join(import.meta.dir, file), "utf8");
  new Visitor({
    VariableDeclarator({ id, init }) {
      if (id.type !== "Identifier" || init?.type !== "ObjectExpression") return;
      // A picked sentence, as in `too_dear: BAR.too_dear`, is the same one.
      const own = init.properties.flatMap((one) => {
        if (one.type !== "Property" || one.key.type !== "Identifier") return [];
        return one.value.type === "MemberExpression" ? [] : [one.key.name];
      });
      const spread = init.properties.flatMap((one) => {
        return one.type === "SpreadElement" && one.argument.type === "Identifier"
          ? [one.argument.name]
          : [];
      });
      found.set(id.name, { own, spread });
    },
  }).visit(parseSync(file, text).program);
  return found;
}
