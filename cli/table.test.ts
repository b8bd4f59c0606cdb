import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatLabels, formatTable } from "./table.ts";

const PLAIN = { color: false, columns: null };

describe("formatTable()", () => {
  test("puts two spaces between columns and a dash into empty cells", () => {
    const rows = [
      ["a", "", "x"],
      ["bbb", "2", ""],
    ];
    expect(formatTable(["ID", "Num", "End"], rows, PLAIN)).toBe(
      "ID   Num  End\na    -    x\nbbb  2    -\n",
    );
  });

  test("takes the escape sequences out of cells", () => {
    const text = formatTable(["ID"], [["\u001b[2Jgpu\n\u009b1m"]], PLAIN);
    expect(text).toBe("ID\n?[2Jgpu ?1m\n");
  });

  test("counts wide characters as two columns", () => {
    expect(formatTable(["A", "B"], [["日本", "x"]], PLAIN)).toBe("A     B\n日本  x\n");
  });

  const LIST = ["Node ID", "Region", "Zone", "Instance Type", "Status", "Health", "Last Heartbeat"];
  const node = (end: string, region = "us-central1", health = "Healthy") => [
    `training-h100-pool-${end}`,
    region,
    `${region}-a`,
    "a3-highgpu-8g",
    "Active",
    health,
    "12s ago",
  ];
  const fit = (head: string[], rows: string[][], columns = 80) =>
    formatTable(head, rows, { color: false, columns });

  test("cuts names in the middle and never a state or a time", () => {
    const text = fit(LIST, [node("0001"), node("0002", "eu-west1", "Unhealthy")], 66);
    expect(text).toContain("0001  ");
    expect(text).toContain("0002  ");
    expect(text).toContain("Unhealthy  12s ago");
    expect(text).toMatch(/^training…ol-0001/m);
  });

  test("says once, after the table, what is the same in all rows", () => {
    const text = fit(LIST, [node("0001"), node("0002", "us-central1", "Unhealthy")], 66);
    expect(text).toEndWith("\nIn every row: Region us-central1, Zone us-central1-a\n");
    expect(text.split("\n")[0]).not.toContain("Region");
    expect(fit(LIST, [node("0001")], 200)).not.toContain("In every row");
  });

  test("wraps a sentence in its column, or below its row where that is too narrow", () => {
    const row = ["gpu-1", "the cloud has no capacity for this type in this zone"];
    expect(fit(["ID", "Reason"], [row], 40)).toBe(
      "ID     Reason\ngpu-1  the cloud has no capacity for\n       this type in this zone\n",
    );
    const [id, ...rest] = node("0001");
    const text = fit([...LIST, "Reason"], [[id ?? "", ...rest, row[1] ?? ""]], 60);
    expect(text).toContain("\n    the cloud has no capacity for this type in this zone\n");
    expect(formatTable(["ID", "Reason"], [row], PLAIN)).toContain("for this type in this zone\n");
  });

  test("fits, whatever the cells", () => {
    const cell = fc.string({ maxLength: 60 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, cell, cell)),
        fc.integer({ min: 1, max: 90 }),
        (rows, n) => {
          const text = formatTable(["One", "Two", "Three"], rows, { color: false, columns: n });
          const widths = text
            .trimEnd()
            .split("\n")
            .map((line) => Bun.stringWidth(line));
          expect(Math.max(...widths)).toBeLessThanOrEqual(n);
          expect(text.match(/\n/g)?.length).toBeGreaterThan(rows.length);
        },
      ),
    );
  });

  test("colours whole cells that mean something, without moving a column", () => {
    const rows = [["gpu-1", "Unhealthy", "x"]];
    const text = formatTable(["ID", "Health", "Z"], rows, { color: true, columns: null });
    expect(text).toContain("\u001b[31mUnhealthy\u001b[0m  x");
    expect(Bun.stripANSI(text)).toBe(formatTable(["ID", "Health", "Z"], rows, PLAIN));
  });
});

test("formatLabels() lines up values", () => {
  expect(
    formatLabels(
      [
        ["A", "1"],
        ["Long", ""],
      ],
      PLAIN,
    ),
  ).toBe("A:     1\nLong:  -\n");
});
