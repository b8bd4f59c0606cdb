/**
 * Every key of the scenario format: its default, its value when given, and the message for a wrong
 * one.
 */
import { describe, expect, test } from "bun:test";
import { readScenario } from "./read.ts";
import type { Scenario } from "./scenario.ts";

const read = (text: string) => readScenario({ name: "s.yaml", text });
function sound(text: string): Scenario {
  const { scenario, problems } = read(text);
  if (scenario === null) throw new Error(JSON.stringify(problems, null, 1));
  return scenario;
}
/** `path: message (hint)` of every error or warning. */
function said(text: string, severity: "error" | "warning" = "error"): string[] {
  const { problems } = read(text);
  return problems
    .filter((one) => one.severity === severity)
    .map(({ path, message, hint }) => `${path}: ${message}${hint === null ? "" : ` (${hint})`}`);
}

const NODE = "name: t\nfleet: [{id: n1, gpu_count: 8}]\n";
const event = (row: string) => `${NODE}events:\n  - {${row}}\n`;
const stress = (rows: string) =>
  `name: t\nstress:\n  fleet_gen: {total_nodes: 4, templates: [{name: a, weight: 1, gpu_count: 4}]}\n${rows
    .split("\n")
    .map((row) => `  ${row}`)
    .join("\n")}\n`;
const gen = (rows: string) =>
  `name: t\nstress: {fleet_gen: {total_nodes: 4, templates: [{name: a, weight: 1, gpu_count: 4}], ${rows}}}\n`;
const chaos = (rows: string) => stress(`chaos: {enabled: true, ${rows}}`);

/** A look at one figure of a file without the key and of one with it. */
type Row = [
  key: string,
  bare: string,
  given: string,
  look: (s: Scenario) => unknown,
  unknown,
  unknown,
];
const first = (s: Scenario) => s.fleet[0];
const step = (s: Scenario) => s.events[0];
const sim = (s: Scenario) => s.stress;
const fleetGen = (s: Scenario) => s.stress?.fleetGen;
const storm = (s: Scenario) => s.stress?.chaos;
const node = (row: string) => `name: t\nfleet: [{id: n1, ${row}}]\n`;
const inject = (row: string) =>
  event(`action: inject_failure, target: n1, params: {failure_type: temperature${row}}`);
const command = (row: string) =>
  event(`action: issue_command, target: n1, params: {command_type: drain${row}}`);
const wait = (row: string) =>
  event(`action: wait_for_status, target: n1, params: {expected_status: active${row}}`);
const outage = (row: string) =>
  chaos(`scheduled_outages: [{duration: 1m, failure_type: network, ${row}}]`);
const correlated = (row: string) =>
  chaos(`correlated_failures: [{trigger: 74, response: network${row}}]`);
const cascade = (row: string) => chaos(`cascading: {enabled: true${row}}`);
const recovery = (row: string) => chaos(`recovery: {enabled: true${row}}`);
const start = (row: string) => gen(`startup: {${row}}`);

const ROWS: Row[] = [
  ["description", NODE, `${NODE}description: d\n`, (s) => s.description, null, "d"],
  ["fleet.provider", node(""), node("provider: aws"), (s) => first(s)?.provider, "gcp", "aws"],
  ["fleet.region", node(""), node("region: r"), (s) => first(s)?.region, "us-central1", "r"],
  ["fleet.zone", node("region: r"), node("zone: z"), (s) => first(s)?.zone, "r-a", "z"],
  [
    "fleet.instance_type",
    node(""),
    node("instance_type: x"),
    (s) => first(s)?.instanceType,
    "generic-gpu",
    "x",
  ],
  ["fleet.gpu_count", node(""), node("gpu_count: 4"), (s) => first(s)?.gpuCount, 8, 4],
  [
    "fleet.gpu_type",
    node(""),
    node("gpu_type: g"),
    (s) => first(s)?.gpuType,
    "NVIDIA H100 80GB HBM3",
    "g",
  ],
  ["fleet.labels", node(""), node("labels: {a: 1}"), (s) => first(s)?.labels, {}, { a: "1" }],
  ["fleet.rack", node(""), node("rack: r"), (s) => first(s)?.rack, "gcp/us-central1-a/r0", "r"],
  ["fleet.pool", node(""), node("pool: sim"), (s) => first(s)?.pool, "sim", "sim"],
  [
    "events.at",
    event("action: wait"),
    event("action: wait, at: 1m"),
    (s) => step(s)?.atMs,
    0,
    60_000,
  ],
  [
    "params.gpu_index",
    inject(""),
    inject(", gpu_index: -1"),
    (s) => step(s),
    expect.objectContaining({ failure: expect.objectContaining({ gpuIndex: 0 }) }),
    expect.objectContaining({ failure: expect.objectContaining({ gpuIndex: -1 }) }),
  ],
  [
    "params.message",
    inject(""),
    inject(", message: m"),
    (s) => step(s),
    expect.objectContaining({ failure: expect.objectContaining({ message: null }) }),
    expect.objectContaining({ failure: expect.objectContaining({ message: "m" }) }),
  ],
  [
    "params.temperature",
    inject(""),
    inject(", temperature: 88"),
    (s) => step(s),
    expect.objectContaining({ failure: expect.objectContaining({ temperature: 95 }) }),
    expect.objectContaining({ failure: expect.objectContaining({ temperature: 88 }) }),
  ],
  [
    "params.xid_code",
    event("action: inject_failure, target: n1, params: {failure_type: xid_error}"),
    event("action: inject_failure, target: n1, params: {failure_type: xid_error, xid_code: 31}"),
    (s) => step(s),
    expect.objectContaining({ failure: expect.objectContaining({ xidCode: 79 }) }),
    expect.objectContaining({ failure: expect.objectContaining({ xidCode: 31 }) }),
  ],
  [
    "recover.failure_type",
    event("action: recover_failure, target: n1"),
    event("action: recover_failure, target: n1, params: {failure_type: network}"),
    (s) => step(s),
    expect.objectContaining({ type: null }),
    expect.objectContaining({ type: "network" }),
  ],
  [
    "command_args",
    command(""),
    command(", command_args: {reason: r, timeout: 90s, force: true, other: 1}"),
    (s) => step(s),
    expect.objectContaining({ reason: null, timeoutMs: null, force: false, args: {} }),
    expect.objectContaining({ reason: "r", timeoutMs: 90_000, force: true, args: { other: "1" } }),
  ],
  [
    "wait.timeout",
    wait(""),
    wait(", timeout: 5s"),
    (s) => step(s),
    expect.objectContaining({ timeoutMs: 30_000 }),
    expect.objectContaining({ timeoutMs: 5_000 }),
  ],
  [
    "wait.expected_health",
    wait(""),
    wait(", expected_health: degraded"),
    (s) => step(s),
    expect.objectContaining({ health: null }),
    expect.objectContaining({ health: "degraded" }),
  ],
  [
    "wait.expected_event",
    wait(""),
    wait(", expected_event: cordoned"),
    (s) => step(s),
    expect.objectContaining({ event: null }),
    expect.objectContaining({ event: "node.cordoned" }),
  ],
  [
    "log_message",
    event("action: log"),
    event('action: log, params: {log_message: "a: b"}'),
    (s) => step(s),
    expect.objectContaining({ message: "" }),
    expect.objectContaining({ message: "a: b" }),
  ],
  [
    "fault.rate",
    event("action: provider_fault, target: gcp, params: {kind: auth}"),
    event("action: provider_fault, target: gcp, params: {kind: auth, rate: 0.5, duration: 1m}"),
    (s) => step(s),
    expect.objectContaining({ fault: { kind: "auth", rate: 1, durationMs: null } }),
    expect.objectContaining({ fault: { kind: "auth", rate: 0.5, durationMs: 60_000 } }),
  ],
  [
    "stress.duration",
    stress(""),
    stress("duration: 1h"),
    (s) => sim(s)?.durationMs,
    600_000,
    3_600_000,
  ],
  [
    "stress.metrics_interval",
    stress(""),
    stress("metrics_interval: 1s"),
    (s) => sim(s)?.metricsIntervalMs,
    5_000,
    1_000,
  ],
  ["stress.seed", stress(""), stress("seed: 9"), (s) => sim(s)?.seed, 0, 9],
  ["stress.time_scale", stress(""), stress("time_scale: 4.0"), (s) => sim(s)?.timeScale, 1, 4],
  [
    "stress.report_file",
    stress(""),
    stress("report_file: a"),
    (s) => sim(s)?.reportFile,
    null,
    "a",
  ],
  [
    "stress.html_report_file",
    stress(""),
    stress("html_report_file: a"),
    (s) => sim(s)?.htmlReportFile,
    null,
    "a",
  ],
  ["stress.log_file", stress(""), stress("log_file: a"), (s) => sim(s)?.logFile, null, "a"],
  [
    "stress.thresholds",
    stress(""),
    stress("thresholds: {detection_p99: 20s}"),
    (s) => sim(s)?.thresholds.map((t) => [t.name, t.bound.max]),
    [],
    [["detection_p99", 20_000]],
  ],
  [
    "templates.gpu_type",
    gen(""),
    "name: t\nstress: {fleet_gen: {total_nodes: 1, templates: [{name: a, weight: 1, gpu_count: 4, gpu_type: g, instance_type: i, labels: {l: 1}, price_per_hour: 2.5}]}}",
    (s) => fleetGen(s)?.templates[0],
    expect.objectContaining({
      gpuType: "NVIDIA H100 80GB HBM3",
      instanceType: null,
      labels: {},
      pricePerHour: null,
    }),
    expect.objectContaining({
      gpuType: "g",
      instanceType: "i",
      labels: { l: "1" },
      pricePerHour: 2.5,
    }),
  ],
  [
    "fleet_gen.providers",
    gen(""),
    gen("providers: {b: 1, a: 2.5}"),
    (s) => fleetGen(s)?.providers.map((p) => [p.name, p.weight]),
    [
      ["aws", 35],
      ["gcp", 50],
      ["lambda", 15],
    ],
    [
      ["a", 2.5],
      ["b", 1],
    ],
  ],
  [
    "fleet_gen.regions",
    gen(""),
    gen("regions: {x: 1}"),
    (s) => fleetGen(s)?.regions.map((p) => `${p.name} ${p.weight}`),
    ["asia-east1 10", "europe-west1 15", "us-central1 30", "us-east1 25", "us-west1 20"],
    ["x 1"],
  ],
  [
    "fleet_gen.zones",
    gen("regions: {x: 1}"),
    gen("regions: {x: 1}, zones: {x: [q]}"),
    (s) => fleetGen(s)?.zones,
    { x: ["x-a", "x-b", "x-c", "x-d"] },
    { x: ["q"] },
  ],
  [
    "startup",
    gen(""),
    start("pattern: wave"),
    (s) => fleetGen(s)?.startup,
    {
      pattern: "linear",
      durationMs: 30_000,
      batchSize: 100,
      jitterPercent: 10,
      coldStart: { kind: "none" },
    },
    {
      pattern: "wave",
      durationMs: 300_000,
      batchSize: 100,
      jitterPercent: 0,
      coldStart: { kind: "none" },
    },
  ],
  [
    "startup.duration",
    start("pattern: exponential"),
    start("duration: 5s"),
    (s) => fleetGen(s)?.startup.durationMs,
    120_000,
    5_000,
  ],
  [
    "startup.batch_size",
    start("pattern: wave"),
    start("batch_size: 7"),
    (s) => fleetGen(s)?.startup.batchSize,
    100,
    7,
  ],
  [
    "startup.jitter_percent",
    start("pattern: linear"),
    start("jitter_percent: 3"),
    (s) => fleetGen(s)?.startup.jitterPercent,
    0,
    3,
  ],
  [
    "startup.cold_start_min",
    start("cold_start_max: 9s"),
    start("cold_start_min: 2s, cold_start_max: 9s"),
    (s) => fleetGen(s)?.startup.coldStart,
    { kind: "uniform", minMs: 0, maxMs: 9_000 },
    { kind: "uniform", minMs: 2_000, maxMs: 9_000 },
  ],
  [
    "startup.cold_start_mean",
    start("cold_start_min: 2s"),
    start("cold_start_mean: 5s, cold_start_stddev: 1s, cold_start_min: 2s"),
    (s) => fleetGen(s)?.startup.coldStart,
    { kind: "uniform", minMs: 2_000, maxMs: 2_000 },
    { kind: "normal", meanMs: 5_000, stdDevMs: 1_000, minMs: 2_000, maxMs: null },
  ],
  ["chaos.enabled", stress("chaos: {}"), chaos(""), (s) => storm(s)?.enabled, false, true],
  [
    "chaos.failure_rate",
    chaos(""),
    chaos("failure_rate: 10.5"),
    (s) => storm(s)?.failureRate,
    0,
    10.5,
  ],
  [
    "chaos.xid_distribution",
    chaos(""),
    chaos("xid_distribution: {79: 2, 13: 1}"),
    (s) =>
      storm(s)
        ?.xids.map((x) => `${x.code}:${x.weight}`)
        .join(" "),
    "13:1 31:1 32:1 43:1 45:1 48:1 63:1 64:1 74:1 79:1 92:1 94:1 95:1",
    "13:1 79:2",
  ],
  [
    "chaos.failure_types",
    chaos(""),
    chaos("failure_types: [{type: network, weight: 2}]"),
    (s) => storm(s)?.failureTypes,
    [{ type: "xid_error", weight: 1 }],
    [{ type: "network", weight: 2 }],
  ],
  [
    "cascading.enabled",
    chaos("cascading: {probability: 1}"),
    cascade(""),
    (s) => storm(s)?.cascading,
    null,
    {
      probability: 1,
      maxDepth: 3,
      minDelayMs: 0,
      maxDelayMs: 1_000,
      scope: "random",
      maxAffected: 0.1,
    },
  ],
  [
    "cascading.*",
    cascade(""),
    cascade(
      ", probability: 0.5, max_depth: 5, min_delay: 1s, max_delay: 2s, scope: rack, max_affected_percent: 0.3",
    ),
    (s) => storm(s)?.cascading?.scope,
    "random",
    "rack",
  ],
  [
    "recovery.enabled",
    chaos("recovery: {probability: 1}"),
    recovery(", mean_time: 2m"),
    (s) => storm(s)?.recovery,
    null,
    {
      probability: 1,
      meanTimeMs: 120_000,
      stdDevMs: 30_000,
      replaceFatal: false,
      replaceColdStartMs: 0,
    },
  ],
  [
    "recovery.std_dev",
    recovery(", mean_time: 40s"),
    recovery(", mean_time: 40s, std_dev: 1s"),
    (s) => storm(s)?.recovery?.stdDevMs,
    10_000,
    1_000,
  ],
  [
    "recovery.replace_fatal",
    recovery(""),
    recovery(", replace_fatal: true, replace_cold_start: 45s"),
    (s) => [s.config.pools[0]?.health.autoReplace, storm(s)?.recovery?.replaceColdStartMs],
    [false, 0],
    [true, 45_000],
  ],
  [
    "outages.start_time",
    outage("scope: zone, target: us-east1-a"),
    outage("scope: percentage, target: 10, name: n, start_time: 3m"),
    (s) => storm(s)?.outages[0],
    {
      name: "outage-1",
      startMs: 0,
      durationMs: 60_000,
      failureType: "network",
      scope: "zone",
      target: "us-east1-a",
    },
    {
      name: "n",
      startMs: 180_000,
      durationMs: 60_000,
      failureType: "network",
      scope: "percentage",
      percent: 10,
    },
  ],
  [
    "correlated",
    correlated(""),
    correlated(", name: n, probability: 0.4, delay: 2s, scope: same_rack"),
    (s) => storm(s)?.correlated[0],
    {
      name: "correlated-1",
      trigger: { xidCode: 74 },
      response: "network",
      probability: 1,
      delayMs: 0,
      scope: "same_node",
    },
    {
      name: "n",
      trigger: { xidCode: 74 },
      response: "network",
      probability: 0.4,
      delayMs: 2_000,
      scope: "same_rack",
    },
  ],
];

test.each(ROWS)("readScenario() reads %s", (_key, bare, given, look, absent, present) => {
  expect(look(sound(bare))).toEqual(absent);
  expect(look(sound(given))).toEqual(present);
});

describe("readScenario() refuses", () => {
  const WRONG: [text: string, errors: string[]][] = [
    ["fleet: [{id: a}]", ["name: required"]],
    [
      "name: t",
      [
        "fleet: there are no nodes (list nodes under fleet, or describe them under stress.fleet_gen)",
      ],
    ],
    ["name: t\nfleet: [{id: a}, {id: a}]", ['fleet[1].id: "a" already used at line 2']],
    ["name: t\nfleet: [{provider: a}]", ["fleet[0].id: required"]],
    ["name: t\nfleet: [{id: a, gpu_count: 0}]", ["fleet[0].gpu_count: must be at least 1"]],
    ["name: t\nfleet: [{id: a, pool: b}]", ['fleet[0].pool: unknown pool "b" (one of sim)']],
    [
      "name: t\nfleet: [{id: a, regoin: b}]",
      ['fleet[0].regoin: unknown field (did you mean "region"?)'],
    ],
    [`${NODE}strss: {}`, ['strss: unknown field (did you mean "stress"?)']],
    [
      event("action: inject_failure, target: n2, params: {failure_type: network}"),
      ['events[0].target: unknown node "n2" (did you mean "n1"?)'],
    ],
    [
      event(
        "action: inject_failure, target: n1, params: {failure_type: xid_error, xid_code: 79, gpu_index: 8}",
      ),
      ["events[0].params.gpu_index: there is no GPU 8 (n1 has 8, numbered from 0)"],
    ],
    [
      event("action: inject_failure, target: n1, xid_code: 79, params: {failure_type: network}"),
      ["events[0].xid_code: belongs under params (move it)"],
    ],
    [
      event("action: log, params: {xid_code: 79}"),
      ["events[0].params.xid_code: is no parameter of log (of inject_failure)"],
    ],
    [
      event("action: start_fleet, target: n1"),
      ["events[0].target: start_fleet takes no target (leave it out)"],
    ],
    [event("action: wait, at: 5"), ["events[0].at: 5 has no unit (write 5s)"]],
    [
      event("action: control_plane, params: {do: pause}"),
      ["events[0].params.duration: required (a paused control plane must go on some time)"],
    ],
    [
      event("action: provider_fault, target: gpc, params: {kind: auth}"),
      ['events[0].target: unknown provider "gpc" (did you mean "gcp"?)'],
    ],
    [
      `${NODE}assertions: [{target: n1, expected: actve}]`,
      ['assertions[0].expected: unknown status "actve" (did you mean "active"?)'],
    ],
    [
      `${NODE}assertions: [{type: health_status, target: n1, expected: sick}]`,
      ['assertions[0].expected: unknown health "sick" (allowed: healthy, degraded, unhealthy)'],
    ],
    [
      `${NODE}assertions: [{type: node_cuont, target: n1}]`,
      ['assertions[0].type: unknown assertion type "node_cuont" (did you mean "node_count"?)'],
    ],
    [
      `${NODE}assertions: [{type: node_count, expected: many}]`,
      ['assertions[0].expected: "many" is not a bound (write 5, ==5, >=5, <=5 or 3..9)'],
    ],
    [
      stress("thresholds: {detection_p98: 20s}"),
      ['stress.thresholds.detection_p98: unknown threshold (did you mean "detection_p99"?)'],
    ],
    [
      "name: t\nstress: {fleet_gen: {templates: []}}",
      [
        "stress.fleet_gen.total_nodes: required (how many nodes to make)",
        "stress.fleet_gen.templates: needs at least one template",
      ],
    ],
    [
      "name: t\nstress: {fleet_gen: {total_nodes: 100001, templates: [{name: a, weight: 0, gpu_count: 1}]}}",
      [
        "stress.fleet_gen.total_nodes: must be at most 100000",
        "stress.fleet_gen.templates[0].weight: must be above 0",
      ],
    ],
    [
      start("pattern: waves"),
      [
        'stress.fleet_gen.startup.pattern: "waves" is not one of the allowed values (allowed: instant, linear, exponential, wave; did you mean "wave"?)',
      ],
    ],
    [chaos("failure_rate: -1"), ["stress.chaos.failure_rate: must not be negative"]],
    [cascade(", probability: 1.5"), ["stress.chaos.cascading.probability: must be at most 1"]],
    [
      correlated(", trigger: x").replace("trigger: 74, ", ""),
      [
        'stress.chaos.correlated_failures[0].trigger: "x" is neither an XID code nor a failure type (an XID code or a failure type)',
      ],
    ],
    [
      `${NODE}pools: [{name: p, provider: gcp, instance_type: i, scaling: {min_nodes: 5, max_nodes: 3}}]`,
      ["pools[0].scaling: min_nodes 5 is above max_nodes 3"],
    ],
  ];
  test.each(WRONG)("%s", (text, errors) => {
    expect(said(text)).toEqual(errors);
  });
});

describe("readScenario() warns", () => {
  test("of a percentage where a fraction belongs, and reads it as one", () => {
    const text = cascade(", max_affected_percent: 15");
    expect(said(text, "warning")).toEqual([
      "stress.chaos.cascading.max_affected_percent: is a fraction; 15 is read as 15 % (write 0.15)",
    ]);
    expect(storm(sound(text))?.cascading?.maxAffected).toBe(0.15);
  });

  test("of outages that hit nobody, and of unknown XIDs", () => {
    expect(said(outage("scope: zone, target: us-east1-z"), "warning")[0]).toContain(
      'no node of the fleet is in zone "us-east1-z"',
    );
    expect(said(chaos("xid_distribution: {9999: 1}"), "warning")[0]).toContain("no catalogue");
  });
});

test("readScenario() sorts events by time and keeps the order of one time", () => {
  const rows = ["2s, b", "1s, a", "2s, c", "0s, z"].map((row) => {
    const [at, message] = row.split(", ");
    return `  - {at: ${at}, action: log, params: {log_message: ${message}}}`;
  });
  const events = sound(`${NODE}events:\n${rows.join("\n")}\n`).events;
  expect(events.map((one) => (one.action === "log" ? one.message : ""))).toEqual([
    "z",
    "a",
    "b",
    "c",
  ]);
});

test("readScenario() tells line and column of the scenario in the product's own sections", () => {
  const policy =
    "policy:\n  rules:\n    - name: a\n      condition: event.foo(\n      result: healthy\n";
  const pools = "pools:\n  - name: p\n    provider: gcp\n    instanc_type: x\n";
  const { problems } = read(`${NODE}${policy}${pools}`);
  const errors = problems.filter((one) => one.severity === "error");
  const places = errors.map(({ line, path }) => `${line} ${path}`);
  expect(places).toContain("6 policy.rules[0].condition");
  expect(places).toContain("11 pools[0].instanc_type");
});

test("readScenario() reads sections that cannot be cut by lines", () => {
  const flow = `{name: t, pools: [{name: p, provider: gcp, region: r, instance_type: i, scaling: {min_nodes: 0, max_nodes: 3}}], server: {address: "127.0.0.1:1", heartbeat_interval: 7s}, fleet: [{id: a}]}`;
  const scenario = sound(flow);
  expect(scenario.fleet[0]?.pool).toBe("p");
  expect(scenario.config.server.heartbeatIntervalMs).toBe(7_000);
  const anchored = `name: t\nfleet: [{id: a, instance_type: &i box}]\npools: [{name: p, provider: gcp, region: r, instance_type: *i, scaling: {min_nodes: 0, max_nodes: 3}}]\n`;
  expect(sound(anchored).config.pools[0]?.instanceType).toBe("box");
});

test("readScenario() gives a file without pools one implicit pool that buys nothing", () => {
  const scenario = sound(NODE);
  expect(scenario.implicitPool).toBe(true);
  const [pool] = scenario.config.pools;
  expect([pool?.name, pool?.scaling.autoscaler, pool?.scaling.minNodes]).toEqual([
    "sim",
    null,
    0,
  ] as never);
});
