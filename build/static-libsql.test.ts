import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "./product.ts";
import { addonOf, fixChoice } from "./static-libsql.ts";

describe("addonOf()", () => {
  test("names the glibc addon of each target", () => {
    expect(addonOf("bun-linux-x64")).toBe("linux-x64-gnu");
    expect(addonOf("bun-linux-arm64")).toBe("linux-arm64-gnu");
  });

  test("refuses a target that the project does not ship", () => {
    expect(() => addonOf("bun-windows-x64")).toThrow("bun-windows-x64");
    expect(() => addonOf("bun-linux-x64-musl")).toThrow("expected bun-linux-x64");
  });
});

describe("fixChoice()", () => {
  test("fits both entries of the installed libsql", async () => {
    for (const entry of ["index.js", "promise.js"]) {
      const path = join(ROOT, "node_modules/libsql", entry);
      const fixed = fixChoice(await Bun.file(path).text(), "linux-x64-gnu", path);
      expect(fixed).toContain('require("embedded:@libsql/linux-x64-gnu/index.node")');
      expect(fixed).not.toContain("currentTarget()");
    }
  });

  test("fails on a layout it does not know", () => {
    expect(() => fixChoice("const native = load();", "linux-x64-gnu", "index.js")).toThrow(
      "index.js: libsql no longer",
    );
  });
});
