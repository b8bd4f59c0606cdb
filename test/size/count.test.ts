/** What counts as size, and what does not. */
import { expect, test } from "bun:test";
import { countSource, isProduct, roomOf, sizeOf } from "./count.ts";

const used = countSource(
  "schema/used.ts",
  "/** A comment\n * of two lines. */\nexport const ONE = 1; // more\n\nexport type Two = 2;\nexport const NEVER = 3;\n",
);
const users = ["cli/a.ts", "cli/b.ts"].map((path) =>
  countSource(path, 'import { ONE } from "../schema/used.ts";\nconsole.log(ONE);\n'),
);
const whole = countSource("agent/all.ts", 'export * from "./one.ts";\n');

test("lines are those that hold code, and layout moves no node", () => {
  expect(used.lines).toBe(3);
  expect(countSource("a.ts", "f(1,\n2)").nodes).toBe(countSource("a.ts", "f(1, 2);").nodes);
});

test("an export has as many users as files that import it", () => {
  const user = countSource("cli/c.ts", 'import type { Two } from "../schema/used.ts";');
  const size = sizeOf([used, ...users, user]).get("schema");
  expect(size).toMatchObject({ files: 1, oneUser: 1, noUser: 1 });
});

test("a file that passes another on uses all of it", () => {
  const one = countSource("agent/one.ts", "export const A = 1;\nexport const B = 2;");
  expect(sizeOf([whole, one]).get("agent")).toMatchObject({ oneUser: 2 });
});

test("tests are no product, and reconciler's rooms count apart", () => {
  expect(isProduct("cli/main.test.ts")).toBe(false);
  expect(isProduct("test/once/list.ts")).toBe(false);
  expect(roomOf("reconciler/core/fleet.ts")).toBe("reconciler/core");
  expect(roomOf("reconciler/fleet.ts")).toBe("reconciler");
});
