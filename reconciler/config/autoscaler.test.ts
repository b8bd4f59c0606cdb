/** Sources from outside, free slots, and windows by cron: what is read, refused and warned of. */
import { describe, expect, test } from "bun:test";
import type { Autoscaler } from "../../schema/config.ts";
import { convertConfig } from "./convert.ts";
import { formatProblem } from "./problem.ts";
import { readConfig } from "./read.ts";

function readWith(autoscaler: string) {
  const text = `providers: { fake: {} }
server: { address: "a:1" }
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 0, max_nodes: 9, autoscaler: ${autoscaler} }
`;
  return readConfig([{ name: "f", text }]);
}
const problemsOf = (autoscaler: string): string =>
  readWith(autoscaler).problems.map(formatProblem).join("\n");
function autoscalerOf(autoscaler: string): Autoscaler | null | undefined {
  const { config, problems } = readWith(autoscaler);
  if (config === null) throw new Error(problems.map(formatProblem).join("\n"));
  return config.pools[0]?.scaling.autoscaler;
}

const PROMETHEUS = 'source: prometheus, url: "http://p:9090", query: "sum(x)"';

test.each([
  ["{ type: composite, autoscalers: [{ type: queue }, null] }", "autoscalers[1]"],
  ["{ type: scheduled, schedule: [null] }", "schedule[0]"],
])("an entry of a list that is empty is refused: %s", (autoscaler, path) => {
  expect(problemsOf(autoscaler)).toContain(`${path}: expected a mapping, found nothing`);
});

describe("external", () => {
  test("each source, with its defaults", () => {
    expect(autoscalerOf(`{ type: external, ${PROMETHEUS}, target_per_node: 8 }`)).toMatchObject({
      source: "prometheus",
      targetPerNode: 8,
      timeoutMs: 10_000,
      intervalMs: 30_000,
      expiryMs: null,
    });
    const http =
      '{ type: external, source: http, url: "https://d/x/", pointer: /a/0, token_file: /t }';
    const whole = { url: "https://d/x/", pointer: "/a/0", tokenFile: "/t" };
    expect(autoscalerOf(http)).toMatchObject(whole);
    const command = '{ type: external, source: command, command: "/opt/demand --pool p" }';
    expect(autoscalerOf(command)).toMatchObject({ command: "/opt/demand --pool p" });
  });

  test.each([
    ["{ type: external }", "source: required (one of prometheus, http, command)"],
    ["{ type: external, source: prometheus }", "autoscaler.url: required"],
    ["{ type: external, source: prometheus }", "autoscaler.query: required"],
    ['{ type: external, source: http, url: "http://h" }', "autoscaler.pointer: required"],
    ["{ type: external, source: command }", "autoscaler.command: required"],
    [`{ type: external, ${PROMETHEUS}, pointer: /a }`, "pointer: is no key of source prometheus"],
    [
      "{ type: external, source: command, command: /c, token_file: /t }",
      "token_file: is no key of source command",
    ],
    [`{ type: external, ${PROMETHEUS}, token_env: A, token_file: /t }`, "there are two tokens"],
    [`{ type: external, ${PROMETHEUS}, username: ada }`, "username: has no password"],
    [`{ type: external, ${PROMETHEUS}, target_per_node: 0 }`, "target_per_node"],
    ['{ type: external, source: http, url: "ftp://h", pointer: /a }', "not an absolute URL"],
    ['{ type: external, source: http, url: "http://u:p@h", pointer: /a }', "must not hold a user"],
    ['{ type: external, source: http, url: "http://h", pointer: a }', "not a JSON Pointer"],
    ["{ type: external, source: command, command: demand }", "absolute path of a program"],
    [`{ type: external, ${PROMETHEUS}, jobs_per_node: 8 }`, "it belongs to queue"],
  ])("%s", (autoscaler, problem) => expect(problemsOf(autoscaler)).toContain(problem));

  test("warns of readings that expire before the next one", () => {
    const text = problemsOf(`{ type: external, ${PROMETHEUS}, interval: 1m, expiry: 1m }`);
    expect(text).toContain("expiry: warning: a reading is unknown before the next: interval is 1m");
    expect(problemsOf(`{ type: external, ${PROMETHEUS}, interval: 1m, expiry: 2m }`)).toBe("");
  });
});

describe("windows by cron", () => {
  const scheduled = (...windows: string[]): string => {
    const list = windows.map((window) => `{ ${window}, min_nodes: 1, max_nodes: 5 }`).join(", ");
    return `{ type: scheduled, timezone: Europe/Oslo, schedule: [${list}] }`;
  };

  test("an expression and a duration instead of days and hours", () => {
    expect(autoscalerOf(scheduled('cron: "0 22 * * fri", duration: 10h'))).toMatchObject({
      schedule: [{ cron: "0 22 * * fri", durationMs: 36_000_000, days: [] }],
    });
  });

  test.each([
    ['cron: "0 8 * * *"', "schedule[0].duration: required"],
    ["duration: 8h", "schedule[0].cron: required"],
    ['cron: "0 8 * *", duration: 8h', "expected five fields"],
    ['cron: "0 0 30 2 *", duration: 8h', "no date matches it"],
    ['cron: "0 8 * * *", duration: 8h, start_hour: 8', "remove start_hour or cron"],
    ['cron: "0 8 * * *", duration: 8h, days: [mon]', "remove days or cron"],
    ['cron: "0 8 * * *", duration: 30s', "duration"],
  ])("%s", (window, problem) => expect(problemsOf(scheduled(window))).toContain(problem));

  test("warns of windows that are open together: the earlier one counts", () => {
    const day = 'cron: "0 8 * * mon-fri", duration: 10h';
    const evening = 'cron: "0 18 * * *", duration: 4h';
    expect(problemsOf(scheduled(day, evening))).toBe("");
    const early = 'cron: "0 17 * * *", duration: 4h';
    expect(problemsOf(scheduled(day, early))).toContain(
      "schedule: warning: 0 17 * * * for 4h overlaps 0 8 * * mon-fri for 10h",
    );
    const hours = "start_hour: 12, end_hour: 13, days: [wed]";
    expect(problemsOf(scheduled(hours, day))).toContain("overlaps 12:00–13:00");
    // Windows of hours are laid over each other on purpose since the first version.
    expect(problemsOf(scheduled("start_hour: 8, end_hour: 20", hours))).toBe("");
  });
});

describe("idle", () => {
  test("its keys are those of the pools of workers", () => {
    expect(autoscalerOf("{ type: idle }")).toEqual({
      type: "idle",
      minIdle: 1,
      maxIdle: null,
      slotsPerNode: 1,
      idleDecayMs: 60_000,
    });
    const text = "{ type: idle, min_idle: 2, max_idle: 4, slots_per_node: 2, idle_decay: 5m }";
    expect(autoscalerOf(text)).toMatchObject({ minIdle: 2, maxIdle: 4, idleDecayMs: 300_000 });
  });

  test.each([
    ["{ type: idle, min_idle: 10 }", "10 nodes are more than max_nodes 9"],
    ["{ type: idle, min_idle: 3, max_idle: 2 }", "max_idle 2 is below min_idle 3"],
  ])("%s is warned of", (text, warning) => expect(problemsOf(text)).toContain(warning));
});

test("what is printed is read as the same", () => {
  const all = [
    `{ type: external, ${PROMETHEUS}, target_per_node: 8, expiry: 5m }`,
    "{ type: idle, max_idle: 3 }",
    '{ type: scheduled, schedule: [{ cron: "0 8 * * 1", duration: 9h, min_nodes: 1, max_nodes: 2 }] }',
    "{ type: predictive, horizon: 15m }",
  ];
  for (const one of all) {
    const { config } = readWith(one);
    if (config === null) throw new Error(one);
    const text = convertConfig(config, "list");
    const again = readConfig([{ name: "f", text }]);
    expect(again.config?.pools[0]?.scaling.autoscaler).toEqual(
      config.pools[0]?.scaling.autoscaler as never,
    );
  }
});
