import { expect, test } from "bun:test";
import { REPORTS } from "./report.ts";
import type { RunReport } from "./run.ts";

const REPORT: RunReport = {
  status: "failed",
  message: 'w.yml: Sleep/b: a "<&>" \u0007 cause',
  startedAt: "2026-11-23T08:00:00.000Z",
  ms: 1_500,
  left: [],
  fleet: [],
  workflows: [
    {
      path: "w.yml",
      name: "first",
      description: "",
      ms: 1_500,
      tasks: [
        { id: "a", type: "Sleep", description: "", status: "passed", ms: 20, message: null },
        {
          id: "b",
          type: "Sleep",
          description: "",
          status: "failed",
          ms: 1_480,
          message: 'Sleep/b: a "<&>" \u0007 cause',
        },
        { id: "c", type: "Pause", description: "", status: "skipped", ms: 0, message: null },
      ],
    },
  ],
};

test("W15: a JUnit report counts tasks and holds the time of each", () => {
  expect(REPORTS.get(".xml")?.(REPORT)).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="3" failures="1" errors="0" skipped="1" time="1.500">
  <testsuite name="first" tests="3" failures="1" errors="0" skipped="1" time="1.500" timestamp="2026-11-23T08:00:00.000Z" file="w.yml">
    <testcase name="Sleep/a" classname="first" time="0.020"/>
    <testcase name="Sleep/b" classname="first" time="1.480"><failure message="Sleep/b: a &quot;&lt;&amp;&gt;&quot; \uFFFD cause"/></testcase>
    <testcase name="Pause/c" classname="first" time="0.000"><skipped/></testcase>
  </testsuite>
</testsuites>
`);
});

test("W15: a JSON report is the run as it was", () => {
  expect(JSON.parse(REPORTS.get(".json")?.(REPORT) ?? "")).toEqual(REPORT);
});

test("an HTML report shows the tasks, and the fleet over time", () => {
  const point = { nodes: 4, cordoned: 0, leaving: 0, replaced: 0 };
  const fleet = [
    { ...point, ms: 0, healthy: 4 },
    { ...point, ms: 1_000, healthy: 3, cordoned: 1 },
    { ...point, ms: 1_400, healthy: 4, replaced: 1 },
  ];
  const page = REPORTS.get(".html")?.({ ...REPORT, fleet }) ?? "";
  expect(page).toContain("<h1>first: failed</h1>");
  expect(page).toContain("Sleep/b: a &quot;&lt;&amp;&gt;&quot;");
  expect(page).toContain("cordoned 0</text>");
  expect(page).toContain("replaced 1</text>");
  // Four lines of three points each: a step to the side and one up or down.
  expect(page.match(/<path d="M/g)?.length).toBe(4);
  expect(page).not.toContain("NaN");
  expect(REPORTS.get(".html")?.(REPORT)).not.toContain("<svg");
});

test.each([
  [1, [0, 1]],
  [6, [0, 2, 4, 6]],
  [1_000, [0, 250, 500, 750, 1_000]],
])("levels of a picture of %p nodes are whole and at equal distances", (nodes, levels) => {
  const fleet = [{ ms: 0, nodes, healthy: 0, cordoned: 0, leaving: 0, replaced: nodes }];
  const page = REPORTS.get(".html")?.({ ...REPORT, fleet }) ?? "";
  const labels = [...page.matchAll(/dominant-baseline="middle">(\d+)</g)].map(([, n]) => Number(n));
  expect(labels).toEqual(levels);
});
