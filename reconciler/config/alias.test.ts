/** Every accepted spelling means the same as its canonical key, for any value. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readConfig } from "./read.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Row = { name: string; canonical: string[]; alias: string[]; values: fc.Arbitrary<Json> };

const nodes = fc.integer({ min: 1, max: 50 });
const lengths = fc.integer({ min: 1, max: 5_000 }).map((s) => `${s}s`);
const names = fc.array(fc.constantFrom("ops", "ci", "team-a"), { minLength: 1, maxLength: 3 });
const queue: fc.Arbitrary<Json> = nodes.map((n) => ({ type: "queue", jobs_per_node: n }));
const reactive = ["pools", "0", "scaling", "autoscaler"];

/** Every accepted spelling. */
const ROWS: Row[] = [
  row("min_nodes", "pools.0.scaling.min_nodes", "pools.0.min_nodes", fc.constant(1)),
  row("max_nodes", "pools.0.scaling.max_nodes", "pools.0.max_nodes", nodes),
  row("cooldown", "pools.0.scaling.cooldown_period", "pools.0.cooldown", lengths),
  row("cooldown_period", "pools.0.scaling.cooldown_period", "pools.0.cooldown_period", lengths),
  row("autoscaling", "pools.0.scaling.autoscaler", "pools.0.autoscaling", queue),
  row("autoscaler", "pools.0.scaling.autoscaler", "pools.0.autoscaler", queue),
  row(
    "unhealthy_after",
    "pools.0.health.unhealthy_threshold",
    "pools.0.health.unhealthy_after",
    nodes,
  ),
  row("ssh_key_names", "pools.0.ssh_keys", "pools.0.ssh_key_names", names),
  row(
    "health_policy",
    "server.health_policy_path",
    "server.health_policy",
    fc.constantFrom("/a", "b"),
  ),
  row("metrics_auth", "server.auth.metrics_auth", "server.metrics_auth", fc.boolean()),
  row("allow_anonymous", "server.auth.allow_anonymous", "server.allow_anonymous", fc.boolean()),
  row("defaults ssh_key_names", "defaults.ssh_keys", "defaults.ssh_key_names", names),
  row("global ssh_key_names", "global.ssh_keys", "global.ssh_key_names", names),
  row(
    "defaults unhealthy_threshold",
    "defaults.health.unhealthy_threshold",
    "defaults.unhealthy_threshold",
    nodes,
  ),
  row(
    "defaults auto_replace",
    "defaults.health.auto_replace",
    "defaults.auto_replace",
    fc.boolean(),
  ),
  {
    name: "scale_up_at",
    canonical: [...reactive, "scale_up_threshold"],
    alias: [...reactive, "scale_up_at"],
    values: fc.integer({ min: 50, max: 100 }),
  },
  {
    name: "scale_down_at",
    canonical: [...reactive, "scale_down_threshold"],
    alias: [...reactive, "scale_down_at"],
    values: fc.double({ min: 0, max: 40, noNaN: true }).map((n) => Math.round(n * 10) / 10),
  },
];

function row(name: string, canonical: string, alias: string, values: fc.Arbitrary<Json>): Row {
  return { name, canonical: canonical.split("."), alias: alias.split("."), values };
}

/** A configuration that is complete, with values set at paths; JSON is YAML. */
function text(sets: [string[], Json][]): string {
  const scaling: { [key: string]: Json } = { min_nodes: 1, max_nodes: 60 };
  const root: Json = {
    pools: [{ name: "p", provider: "fake", instance_type: "t", scaling }],
  };
  const pathOf = (path: string[]) => path.join(".");
  // A key that is set by an alias must not be there in its canonical spelling.
  for (const [path] of sets) {
    const key = path.at(-1) ?? "";
    if (pathOf(path) === `pools.0.${key}`) delete scaling[key];
    if (/scale_(up|down)/.test(key)) scaling["autoscaler"] = { type: "reactive" };
  }
  for (const [path, value] of sets) put(root, path, value);
  return JSON.stringify(root);
}

function put(at: Json, [key = "", ...rest]: string[], value: Json): void {
  if (at === null || typeof at !== "object") throw new Error("no place");
  const map = at as { [key: string]: Json };
  if (rest.length === 0) map[key] = value;
  else put((map[key] ??= {}), rest, value);
}

function read(sets: [string[], Json][]) {
  return readConfig([{ name: "f", text: text(sets) }]);
}

describe("readConfig() spellings", () => {
  for (const { name, canonical, alias, values } of ROWS) {
    test(`reads ${name} as its canonical key`, () => {
      fc.assert(
        fc.property(values, (value) => {
          const [one, other] = [read([[canonical, value]]), read([[alias, value]])];
          expect(one.config).not.toBeNull();
          expect(other.config).toEqual(one.config);
          const both = read([
            [canonical, value],
            [alias, value],
          ]);
          if (name === "min_nodes" || name === "max_nodes") return;
          expect(both.config).toEqual(one.config);
          expect(both.problems.some((problem) => problem.code === "alias_repeat")).toBe(true);
        }),
        { numRuns: 20 },
      );
    });
  }

  test("refuses two spellings that say different things, naming both places", () => {
    const lines =
      "pools:\n  p:\n    provider: fake\n    instance_type: t\n    max_nodes: 3\n" +
      "    scaling:\n      min_nodes: 0\n      max_nodes: 4\n";
    const { config, problems } = readConfig([{ name: "f", text: lines }]);
    expect(config).toBeNull();
    expect(problems.find((problem) => problem.code === "alias_conflict")).toMatchObject({
      line: 5,
      col: 5,
      path: "pools.p.max_nodes",
      message: "contradicts pools.p.scaling.max_nodes at line 8, which is the same setting",
    });
  });

  test("compares durations by length and lists by their items", () => {
    const answer = read([
      [["pools", "0", "scaling", "cooldown_period"], "90s"],
      [["pools", "0", "cooldown"], "1m30s"],
      [
        ["pools", "0", "ssh_keys"],
        ["a", "b"],
      ],
      [
        ["pools", "0", "ssh_key_names"],
        ["a", "b"],
      ],
    ]);
    expect(answer.problems.map((problem) => problem.severity)).not.toContain("error");
  });

  test("rewrites autoscalers inside autoscalers, and their windows", () => {
    const of = (up: string, list: string, start: string, end: string) => ({
      type: "composite",
      [list]: [
        {
          type: "scheduled",
          schedule: [{ [start]: 1, [end]: 2, min_nodes: 0, max_nodes: 1 }],
          fallback: { type: "reactive", [up]: 70 },
        },
      ],
    });
    const path = ["pools", "0", "scaling", "autoscaler"];
    const canonical = of("scale_up_threshold", "autoscalers", "start_hour", "end_hour");
    const other = of("scale_up_at", "strategies", "start", "end");
    const [one, two] = [read([[path, canonical]]), read([[path, other]])];
    expect(one.config).not.toBeNull();
    expect(two.config).toEqual(one.config);
  });
});
