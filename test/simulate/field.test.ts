/**
 * No field of a scenario is read and then ignored: each has a shipped scenario that fails without
 * it. A part of them is tried at a desk, all of them by the lane `scenario`; that none is missing from the
 * table is always checked.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { BUNDLED } from "../../simulator/bundle/catalog.ts";
import { ELSEWHERE, FIELDS, ignore } from "./ignored.ts";
import { bundled, judge } from "./judge.ts";
import { fleetYaml, simulate } from "./run.ts";

setDefaultTimeout(120_000);

const IS_LANE = process.env["NAVARCH_LANE"] === "scenario";
/** Every so many'th field is tried at a desk. */
const SHARE = 6;

/** Every path of every shipped scenario; the values of records that the file names are one path. */
function pathsOf(value: unknown, path: string, found: Set<string>): void {
  if (OPAQUE.test(path)) found.add(path);
  else if (Array.isArray(value)) {
    for (const one of value) {
      const tag = path === "events" ? one.action : path === "assertions" ? one.type : null;
      pathsOf(one, tag === null ? `${path}[]` : `${path}:${String(tag)}`, found);
    }
  } else if (value !== null && typeof value === "object") {
    for (const [key, one] of Object.entries(value)) {
      pathsOf(one, path === "" ? key : `${path}.${key}`, found);
    }
  } else found.add(path);
}

/** Taken as a whole: what is in them is named by the file, or is read by the product. */
const OPAQUE =
  /(check\.target|labels|annotations|zones|args|bound|expected|trigger|coldStart|^config|^policy)$/;
/** What says where and as what a thing was read, not what it is. */
const INCIDENTAL = /\.line$|^events:\w+\.(action|atMs)$|^assertions:\w+\.(type|target(\.\w+)?)$/;

test("FIELDS covers every field of the format", () => {
  const found = new Set<string>();
  for (const { name } of BUNDLED) pathsOf(bundled(name), "", found);
  const covered = [...FIELDS.map(({ path }) => path), ...Object.keys(ELSEWHERE)];
  // A section that is absent stands in the path itself; one that is elsewhere is so as a whole.
  const isCovered = (path: string): boolean =>
    covered.some((one) => path === one || one.startsWith(`${path}.`)) ||
    Object.keys(ELSEWHERE).some((one) => path.startsWith(`${one}.`));
  const missing = [...found].filter((path) => !INCIDENTAL.test(path) && !isCovered(path));
  expect(missing).toEqual([]);
  for (const path of covered) {
    const isReal = [...found].some((one) => one.startsWith(path) || path.startsWith(one));
    expect([path, isReal || path.startsWith("events[]") || path.startsWith("config")]).toEqual([
      path,
      true,
    ]);
  }
});

describe("a field that is ignored is missed:", () => {
  for (const [at, field] of FIELDS.entries()) {
    if (!IS_LANE && at % SHARE !== 0) continue;
    test(`${field.path} by ${field.scenario}`, async () => {
      expect(await judge(ignore(bundled(field.scenario), field))).not.toEqual([]);
    });
  }
});

describe("what no verdict can depend on:", () => {
  test("reports go to the files that are named, from the working directory", async () => {
    const { exit, folder } = await simulate("feature-report-files");
    expect(exit).toBe(0);
    for (const file of ["sim-report.json", "sim-report.html", "sim-report.log"]) {
      expect(existsSync(join(dirname(folder), file))).toBe(true);
    }
  });

  test("the message of a failure is what the kernel says", async () => {
    const { report } = await simulate(
      fleetYaml(
        1,
        `events:
  - { at: 0s, action: start_fleet }
  - { at: 5s, action: inject_failure, target: node-1,
      params: { failure_type: xid_error, xid_code: 79, message: a word of its own } }
  - { at: 10s, action: wait }
`,
      ),
    );
    const [node] = report.nodes;
    expect(node?.events.some(({ message }) => message.includes("a word of its own"))).toBe(true);
  });

  test("a log is printed", async () => {
    const { out } = await simulate(
      fleetYaml(1, "events: [{ at: 0s, action: log, params: { log_message: hear hear } }]\n"),
    );
    expect(out).toContain("hear hear");
  });
});

test("runs leave nothing in the repository's root", () => {
  const root = dirname(dirname(import.meta.dir));
  expect(readFileSync(join(root, ".gitignore"), "utf8")).toContain("sim-runs/");
  for (const file of ["sim-report.json", "sim-report.html", "sim-report.log", "sim-runs"]) {
    expect([file, existsSync(join(root, file))]).toEqual([file, false]);
  }
});
