import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { printLabels, printTable } from "./table.ts";

const PLAIN = { color: false, columns: null };

describe("printTable()", () => {
  test("puts two spaces between columns and a dash into empty cells", () => {
    const rows = [
      ["a", "", "x"],
      ["bbb", "2", ""],
    ];
    expect(printTable(["ID", "Num", "End"], rows, PLAIN)).toBe(
      "ID   Num  End\na    -    x\nbbb  2    -\n",
    );
  });

  test("takes the escape sequences out of cells", () => {
    const text = printTable(["ID"], [["\u001b[2Jgpu\n\u009b1m"]], PLAIN);
    expect(text).toBe("ID\n?[2Jgpu ?1m\n");
  });

  test("counts wide characters as two columns", () => {
    expect(printTable(["A", "B"], [["日本", "x"]], PLAIN)).toBe("A     B\n日本  x\n");
  });

  test("shortens the widest column to fit a terminal, and never without one", () => {
    const row = ["short", "a very long reason that does not fit"];
    const fitted = printTable(["ID", "Reason"], [row], { color: false, columns: 24 });
    expect(fitted).toBe("ID     Reason\nshort  a very long reas…\n");
    expect(printTable(["ID", "Reason"], [row], PLAIN)).toContain("does not fit");
  });

  test("fits or has nothing left to give, whatever the cells", () => {
    const cell = fc.string({ maxLength: 60 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, cell, cell)),
        fc.integer({ min: 1, max: 90 }),
        (rows, n) => {
          const text = printTable(["One", "Two", "Three"], rows, { color: false, columns: n });
          const widths = text
            .trimEnd()
            .split("\n")
            .map((line) => Bun.stringWidth(line));
          expect(Math.max(...widths)).toBeLessThanOrEqual(Math.max(n, 3 * 8 + 4));
          expect(text.match(/\n/g)).toHaveLength(rows.length + 1);
        },
      ),
    );
  });

  test("colours whole cells that mean something, without moving a column", () => {
    const rows = [["gpu-1", "Unhealthy", "x"]];
    const text = printTable(["ID", "Health", "Z"], rows, { color: true, columns: null });
    expect(text).toContain("\u001b[31mUnhealthy\u001b[0m  x");
    expect(Bun.stripANSI(text)).toBe(printTable(["ID", "Health", "Z"], rows, PLAIN));
  });
});

test("printLabels() lines up values", () => {
  expect(
    printLabels(
      [
        ["A", "1"],
        ["Long", ""],
      ],
      PLAIN,
    ),
  ).toBe("A:     1\nLong:  -\n");
});
