/** The bundled scenarios are valid, complete, and have their documented sizes. */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { readScenario } from "../scenario/read.ts";
import { summarize } from "../scenario/summary.ts";
import { POD_KINDS } from "../scenario/table.ts";
import {
  ACTIONS,
  API_FAULTS,
  COMMANDS,
  FAILURE_TYPES,
  KUBE_FAULTS,
  KUBECTL,
  PLANE_DEEDS,
} from "../scenario/action.ts";
import { MEASURES } from "../scenario/scenario.ts";
import { BUNDLED, findBundled } from "./catalog.ts";

const MINUTE = 60_000;

test("BUNDLED has every file of the folder, each once", () => {
  const files = readdirSync(import.meta.dir).filter((name) => name.endsWith(".yaml"));
  const names = BUNDLED.map((one) => `${one.name}.yaml`);
  expect(names.slice().sort()).toEqual(files.sort());
});

test.each(BUNDLED.map((one) => [one.name, one.text]))("%s is sound", (name, text) => {
  const { scenario, problems } = readScenario({ name, text });
  expect(problems.filter((one) => one.severity !== "note")).toEqual([]);
  expect(scenario?.description?.length ?? 0).toBeGreaterThan(20);
  const checks = (scenario?.assertions.length ?? 0) + (scenario?.stress?.thresholds.length ?? 0);
  expect(checks).toBeGreaterThan(0);
});

describe("upstream's names", () => {
  const ROWS: [
    path: string,
    name: string,
    nodes: number,
    ms: number,
    rate: number | null,
    seed: number,
  ][] = [
    ["scenarios/basic-fleet.yaml", "basic-fleet", 3, 10_000, null, 0],
    ["scenarios/cordon-drain.yaml", "cordon-drain", 2, 12_000, null, 0],
    ["scenarios/gpu-failure.yaml", "gpu-failure", 2, 18_000, null, 0],
    ["scenarios/xid-classification.yaml", "xid-classification", 2, 22_000, null, 0],
    ["scenarios/stress/quick-test.yaml", "quick-stress-test", 50, MINUTE, 200, 42],
    ["scenarios/stress/high-failure-test.yaml", "high-failure-test", 20, 30_000, 500, 123],
    [
      "scenarios/stress/xid-comprehensive.yaml",
      "xid-comprehensive-test",
      500,
      15 * MINUTE,
      30,
      99_999,
    ],
    [
      "scenarios/stress/1000-node-chaos.yaml",
      "1000-node-chaos-test",
      1000,
      10 * MINUTE,
      10,
      12_345,
    ],
    [
      "scenarios/stress/cascading-failures.yaml",
      "cascading-failure-test",
      2000,
      20 * MINUTE,
      5,
      777,
    ],
    [
      "scenarios/stress/5000-node-extreme.yaml",
      "5000-node-extreme-stress",
      5000,
      30 * MINUTE,
      50,
      54_321,
    ],
  ];
  test.each(ROWS)("%s", (path, name, nodes, durationMs, failureRate, seed) => {
    const found = findBundled(path);
    const { scenario } = readScenario({ name: path, text: found?.text ?? "" });
    if (scenario === null) throw new Error(`${path} is unsound`);
    expect(summarize(scenario)).toMatchObject({ name, nodes, durationMs, failureRate, seed });
  });
});

test("BUNDLED shows every action, command, fault, failure and measure at least once", () => {
  const scenarios = BUNDLED.flatMap((one) => readScenario(one).scenario ?? []);
  const events = scenarios.flatMap((one) => one.events);
  const seen = new Set<string>();
  for (const event of events) {
    seen.add(event.action);
    if (event.action === "issue_command") seen.add(event.command);
    if (event.action === "inject_failure") seen.add(event.failure.type);
    if (event.action === "provider_fault") seen.add(event.fault.kind);
    if (event.action === "control_plane") seen.add(event.step);
    if (event.action === "api_fault") seen.add(`api ${event.fault.kind}`);
    if (event.action === "kubectl") seen.add(`kubectl ${event.step}`);
  }
  for (const { type } of scenarios.flatMap((one) => one.assertions)) seen.add(type);
  for (const one of scenarios) for (const { kind } of one.cluster?.pods ?? []) seen.add(kind);
  const assertions = ["node_status", "health_status", "node_count", "event_order", "metric"];
  const cluster = [
    ...["kube_node", "pods", ...POD_KINDS],
    ...KUBE_FAULTS.map((kind) => `api ${kind}`),
    ...KUBECTL.map((step) => `kubectl ${step}`),
  ];
  const wanted = [
    ACTIONS,
    COMMANDS,
    FAILURE_TYPES,
    API_FAULTS,
    PLANE_DEEDS,
    MEASURES,
    assertions,
    cluster,
  ];
  expect(wanted.flat().filter((word) => !seen.has(word))).toEqual([]);
});
