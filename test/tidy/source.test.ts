import { describe, expect, test } from "bun:test";
import { lineAt, parseSource } from "./source.ts";

const see = (text: string) => parseSource("a.ts", text);

describe("parseSource()", () => {
  test("keeps every view as long as the text, line by line", () => {
    const text = "/** A.\n b */\nconst a = `x\n${1}y`; // end\n";
    const { code, bare, comment } = see(text);
    for (const view of [code, bare, comment]) {
      expect(view.length).toBe(text.length);
      expect(view.split("\n").length).toBe(text.split("\n").length);
    }
  });

  test("takes strings out of the code and keeps them in the bare view", () => {
    const { code, bare } = see(`call("any \\" enum", 'it', x);`);
    expect(code).not.toMatch(/any|enum|it/);
    expect(code).toContain(", x);");
    expect(bare).toContain("enum");
  });

  test("takes comments out of both and keeps them in their own", () => {
    const { code, bare, comment } = see("a(); // any\n/* enum */ b();");
    expect(code).not.toMatch(/any|enum/);
    expect(bare).not.toMatch(/any|enum/);
    expect(comment).toMatch(/any[^]*enum/);
    expect(comment).not.toContain("a()");
  });

  test("does not take an address in a string for a comment", () => {
    const { code } = see(`const a = "http://x"; b();`);
    expect(code).toContain("b();");
  });

  test("sees the code inside a template, however deep, and none of its text", () => {
    const { code } = see("const a = `any ${f({ a: `enum ${deep} let` })} any`; after();");
    expect(code).not.toMatch(/any|enum|let/);
    expect(code).toContain("f({ a: ");
    expect(code).toContain("deep");
    expect(code).toContain("after();");
  });

  test("takes a regular expression for a string and a division for code", () => {
    expect(see("const a = /any['\"`]/.test(b); c();").code).toContain("c();");
    expect(see("const a = /any['\"`]/.test(b); c();").code).not.toContain("any");
    expect(see("const a = b / any / c;").code).toContain("any");
    expect(see("return /[/]any/;").code).not.toContain("any");
    expect(see("f(a) / any / 2").code).toContain("any");
  });

  test("reads a line such as a shell's as a comment only at the very start", () => {
    expect(see("#!/usr/bin/env bun\na();").comment).toContain("env bun");
    expect(see("class A { #!x }").comment.trim()).toBe("");
  });
});

describe("lineAt()", () => {
  test("counts from one", () => {
    const text = "a\nbb\nc";
    expect([0, 1, 2, 4, 5].map((offset) => lineAt(text, offset))).toEqual([1, 1, 2, 2, 3]);
  });
});
