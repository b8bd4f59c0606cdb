/** Fleets, start-ups and chaos are reproducible and stay within their bounds. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { openStreams } from "../engine/random.ts";
import { openChaos } from "./chaos.ts";
import type { Fault } from "./fault.ts";
import { allNodes, generateFleet } from "./generate.ts";
import { readScenario } from "./read.ts";
import { recoverableBy } from "./recoverable.ts";
import type { Chaos, FleetGen, SimNode, Startup, Stress } from "./scenario.ts";
import { CASCADE_SCOPES } from "./scenario.ts";
import { planStartup } from "./startup.ts";

const recoverable = recoverableBy();

function stressOf(rows: string, gen = ""): Stress {
  const text = `name: t
stress:
  fleet_gen:
    total_nodes: 200
    templates:
      - {name: big, weight: 3, gpu_count: 8}
      - {name: small, weight: 1, gpu_count: 4}
${gen}
  chaos:
    enabled: true
${rows}
`;
  const { scenario, problems } = readScenario({ name: "s", text });
  if (scenario?.stress === null || scenario === null) throw new Error(JSON.stringify(problems));
  return scenario.stress;
}
const indent = (...rows: string[]) => rows.map((row) => `    ${row}`).join("\n");
function genOf(stress: Stress): FleetGen {
  if (stress.fleetGen === null) throw new Error("no fleet");
  return stress.fleetGen;
}
function chaosOf(stress: Stress): Chaos {
  if (stress.chaos === null) throw new Error("no chaos");
  return stress.chaos;
}

type Ran = { nodes: SimNode[]; faults: Fault[] };

/** All machines from the start; `next` is called as often as a runner would. */
function runChaos(stress: Stress, seed: number, forMs: number): Ran {
  const streams = openStreams(seed);
  const nodes = generateFleet(genOf(stress), streams.fleet);
  const engine = openChaos({ chaos: chaosOf(stress), streams, recoverable, originMs: 0 });
  for (const node of nodes) engine.join(0, node);
  engine.start(0);
  const faults: Fault[] = [];
  for (let at = engine.nextAtMs(); at !== null && at <= forMs; at = engine.nextAtMs()) {
    faults.push(...engine.next(at));
  }
  return { nodes, faults };
}
type Injection = Extract<Fault, { kind: "inject" }>;
const injections = (faults: readonly Fault[]): Injection[] =>
  faults.filter((fault) => fault.kind === "inject");
const seeds = fc.integer({ min: 1, max: 1e9 });
const MINUTE = 60_000;

describe("generateFleet()", () => {
  const gen = genOf(stressOf(indent("failure_rate: 0")));

  test("names machines by provider, region, template and index, and labels them", () => {
    const nodes = generateFleet(gen, openStreams(1).fleet);
    expect(nodes.length).toBe(200);
    for (const [index, node] of nodes.entries()) {
      const { template } = node.labels;
      const digits = String(index).padStart(4, "0");
      expect(node.id).toBe(`${node.provider}-${node.region}-${template}-${digits}`);
      expect(node.labels).toEqual({
        template: template ?? "",
        generated: "true",
        index: String(index),
      });
      expect(node.zone.startsWith(`${node.region}-`)).toBe(true);
      expect(node.gpuCount).toBe(template === "big" ? 8 : 4);
    }
    const types = new Set(nodes.map((node) => `${node.provider} ${node.instanceType}`));
    expect([...types].sort()).toEqual([
      "aws p4d.24xlarge",
      "aws p5.48xlarge",
      "gcp a3-highgpu-4g",
      "gcp a3-highgpu-8g",
      "lambda gpu_4x_h100",
      "lambda gpu_8x_h100",
    ]);
  });

  test("puts at most eight of one provider and zone into a rack", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const racks = Map.groupBy(generateFleet(gen, openStreams(seed).fleet), (n) => n.rack);
        for (const rack of racks.values()) {
          expect(rack.length).toBeLessThanOrEqual(8);
          expect(new Set(rack.map((n) => `${n.provider} ${n.zone}`)).size).toBe(1);
        }
      }),
      { numRuns: 20 },
    );
  });

  test("makes the same bytes of the same seed", () => {
    const bytes = (seed: number) => JSON.stringify(generateFleet(gen, openStreams(seed).fleet));
    expect(bytes(5)).toBe(bytes(5));
    expect(bytes(5)).not.toBe(bytes(6));
  });

  test("places generated machines in the only pool", () => {
    const { scenario } = readScenario({
      name: "s",
      text: "name: t\nstress: {fleet_gen: {total_nodes: 3, templates: [{name: a, weight: 1, gpu_count: 1}]}}",
    });
    if (scenario === null) throw new Error("unsound");
    const nodes = allNodes(scenario, openStreams(1).fleet);
    expect(nodes.map((node) => node.pool)).toEqual(["sim", "sim", "sim"]);
  });
});

describe("planStartup()", () => {
  const plan = (startup: Partial<Startup>, count: number, seed = 1) =>
    planStartup(
      {
        pattern: "instant",
        durationMs: 0,
        batchSize: 100,
        jitterPercent: 0,
        coldStart: { kind: "none" },
        ...startup,
      },
      count,
      openStreams(seed).startup,
    );
  const launches = (startup: Partial<Startup>, count: number) =>
    plan(startup, count).map((one) => one.launchMs);

  test("follows each pattern", () => {
    expect(launches({}, 101).slice(-2)).toEqual([0, 100]);
    expect(launches({ pattern: "linear", durationMs: 4_000 }, 4)).toEqual([0, 1_000, 2_000, 3_000]);
    expect(launches({ pattern: "exponential", durationMs: 3_000 }, 7)).toEqual([
      0, 1_000, 1_000, 2_000, 2_000, 2_000, 2_000,
    ]);
    expect(launches({ pattern: "wave", durationMs: 3_000, batchSize: 2 }, 5)).toEqual([
      0, 0, 1_000, 1_000, 2_000,
    ]);
    expect(launches({ pattern: "linear", durationMs: 4_000 }, 0)).toEqual([]);
  });

  test("moves each gap by at most the jitter", () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 0, max: 100 }), (seed, jitterPercent) => {
        const starts = plan({ pattern: "linear", durationMs: 60_000, jitterPercent }, 60, seed);
        for (const [i, one] of starts.entries()) {
          const gap = one.launchMs - (starts[i - 1]?.launchMs ?? one.launchMs - 1_000);
          expect(Math.abs(gap - 1_000)).toBeLessThanOrEqual(10 * jitterPercent + 1);
        }
      }),
    );
  });

  test("overlaps cold starts and keeps them in their bounds", () => {
    const coldStart = {
      kind: "normal",
      meanMs: 45_000,
      stdDevMs: 20_000,
      minMs: 20_000,
      maxMs: 70_000,
    } as const;
    const starts = plan({ pattern: "linear", durationMs: 30_000, coldStart }, 100);
    const ends = starts.map((one) => one.launchMs + one.coldStartMs);
    expect(Math.max(...ends)).toBeLessThan(3 * MINUTE);
    for (const { coldStartMs } of starts) {
      expect(coldStartMs >= 20_000 && coldStartMs <= 70_000).toBe(true);
    }
    expect(new Set(starts.map((one) => one.coldStartMs)).size).toBeGreaterThan(50);
  });
});

describe("openChaos()", () => {
  test("lets failures arrive as often as Poisson allows", () => {
    const stress = stressOf(indent("failure_rate: 3000"));
    fc.assert(
      fc.property(seeds, (seed) => {
        const wanted = 3_000 * 0.2 * 5;
        const count = injections(runChaos(stress, seed, 5 * MINUTE).faults).length;
        expect(Math.abs(count - wanted)).toBeLessThan(4 * Math.sqrt(wanted));
      }),
      { numRuns: 15 },
    );
  });

  test("follows the number of live machines", () => {
    const stress = stressOf(indent("failure_rate: 3000"));
    const streams = openStreams(3);
    const nodes = generateFleet(genOf(stress), streams.fleet);
    const engine = openChaos({ chaos: chaosOf(stress), streams, recoverable, originMs: 0 });
    engine.start(0);
    expect(engine.nextAtMs()).toBeNull();
    for (const node of nodes) engine.join(MINUTE, node);
    const before = engine.next(2 * MINUTE).length;
    for (const node of nodes.slice(0, 180)) engine.leave(2 * MINUTE, node.id);
    const after = engine.next(3 * MINUTE);
    const left = new Set(nodes.slice(180).map((node) => node.id));
    expect(Math.abs(before - 600)).toBeLessThan(4 * Math.sqrt(600));
    expect(Math.abs(after.length - 60)).toBeLessThan(4 * Math.sqrt(60));
    for (const fault of injections(after)) expect(left.has(fault.node)).toBe(true);
  });

  test("hits GPUs that the machine has, with temperatures of the list", () => {
    const types = "[{type: xid_error, weight: 1}, {type: temperature, weight: 1}]";
    const stress = stressOf(indent("failure_rate: 2000", `failure_types: ${types}`));
    const { nodes, faults } = runChaos(stress, 4, 5 * MINUTE);
    const counts = new Map(nodes.map((node) => [node.id, node.gpuCount]));
    for (const { node, failure } of injections(faults)) {
      expect(failure.gpuIndex).toBeGreaterThanOrEqual(0);
      expect(failure.gpuIndex).toBeLessThan(counts.get(node) ?? 0);
      if (failure.type === "temperature") {
        expect([85, 90, 95]).toContain(failure.temperature ?? 0);
      }
    }
  });

  test("spreads inside the scope, at most once to each, no further than allowed", () => {
    fc.assert(
      fc.property(
        seeds,
        fc.constantFrom(...CASCADE_SCOPES),
        fc.integer({ min: 0, max: 10 }),
        fc.integer({ min: 1, max: 5 }),
        (seed, scope, tenths, depth) => {
          const cascading = `{enabled: true, probability: 1, max_depth: ${depth}, scope: ${scope}, max_affected_percent: ${tenths / 10}}`;
          const stress = stressOf(indent(`cascading: ${cascading}`));
          const streams = openStreams(seed);
          const nodes = generateFleet(genOf(stress), streams.fleet);
          const engine = openChaos({ chaos: chaosOf(stress), streams, recoverable, originMs: 0 });
          for (const node of nodes) engine.join(0, node);
          const root = nodes[seed % nodes.length];
          if (root === undefined) throw new Error("no node");
          const failure = { type: "network", xidCode: null, gpuIndex: -1 } as const;
          engine.provoke(0, root.id, { ...failure, message: null, temperature: null });
          const hit = injections(engine.next(60 * MINUTE));
          const ids = hit.map((one) => one.node);
          const key = (n: SimNode) => (scope === "random" ? "" : n[scope]);
          const around = nodes.filter((n) => key(n) === key(root));
          expect(new Set([...ids, root.id]).size).toBe(ids.length + 1);
          expect(ids.length).toBeLessThanOrEqual(Math.floor((around.length * tenths) / 10));
          for (const one of hit) {
            expect(around.some((n) => n.id === one.node)).toBe(true);
            expect(one.depth >= 1 && one.depth <= depth).toBe(true);
            expect(one.cause).toBe("cascade");
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test("ends failures one by one, after their time, and only recoverable ones", () => {
    const rows = indent(
      "failure_rate: 2000",
      "xid_distribution: {31: 1, 79: 1}",
      "recovery: {enabled: true, probability: 1, mean_time: 15s, std_dev: 10s}",
    );
    const { faults } = runChaos(stressOf(rows), 6, 3 * MINUTE);
    const born = new Map(injections(faults).map((one) => [one.failure.id, one]));
    const ends = faults.filter((fault) => fault.kind === "recover");
    const early = injections(faults).filter((one) => one.atMs < MINUTE);
    for (const end of ends) {
      const start = born.get(end.failure.id);
      expect(end.atMs - (start?.atMs ?? 0)).toBeGreaterThanOrEqual(10_000);
      expect(end.node).toBe(start?.node ?? "");
      expect(end.failure.xidCode).toBe(31);
    }
    expect(new Set(ends.map((end) => end.failure.id)).size).toBe(ends.length);
    const ended = new Set(ends.map((end) => end.failure.id));
    for (const one of early) expect(ended.has(one.failure.id)).toBe(one.failure.xidCode === 31);
  });

  test("takes from the policy what is recoverable", () => {
    const xidIs = (xidCode: number) =>
      recoverable({ type: "xid_error", xidCode, gpuIndex: 0, message: null, temperature: null });
    expect([13, 31, 32, 43, 45, 63, 92, 94].filter((code) => !xidIs(code))).toEqual([]);
    expect([48, 62, 64, 79, 95, 119].filter(xidIs)).toEqual([]);
  });

  test("lets an outage hit exactly its machines and end only its own", () => {
    for (const scope of ["zone", "region", "provider"] as const) {
      const probe = generateFleet(genOf(stressOf(indent("failure_rate: 0"))), openStreams(8).fleet);
      const target = probe[0]?.[scope] ?? "";
      const rows = indent(
        "failure_rate: 500",
        `scheduled_outages: [{name: o, start_time: 1m, duration: 2m, scope: ${scope}, target: ${target}, failure_type: xid_error}]`,
      );
      const { nodes, faults } = runChaos(stressOf(rows), 8, 10 * MINUTE);
      const wanted = nodes.filter((node) => node[scope] === target).map((node) => node.id);
      const own = injections(faults).filter((one) => one.cause === "outage");
      expect(own.map((one) => one.node).sort()).toEqual(wanted.sort());
      expect(own.every((one) => one.failure.xidCode === 79 && one.atMs === MINUTE)).toBe(true);
      const ended = faults.filter((fault) => fault.kind === "recover").map((f) => f.failure.id);
      expect(ended.sort()).toEqual(own.map((one) => one.failure.id).sort());
      const marks = faults.filter((f) => f.kind === "outage_start" || f.kind === "outage_end");
      expect(marks.map((mark) => mark.atMs)).toEqual([MINUTE, 3 * MINUTE]);
    }
  });

  test("lets an outage of a percentage hit that share", () => {
    const rows = indent(
      "scheduled_outages: [{duration: 1m, scope: percentage, target: 15, failure_type: network}]",
    );
    expect(injections(runChaos(stressOf(rows), 9, MINUTE).faults).length).toBe(30);
  });

  test("answers a trigger inside the scope, after its delay, and not an answer", () => {
    for (const scope of ["same_node", "same_rack", "same_zone", "random"] as const) {
      const rows = indent(
        "failure_rate: 200",
        "xid_distribution: {74: 1}",
        `correlated_failures: [{trigger: "74", response: xid_error, probability: 1, delay: 2s, scope: ${scope}}]`,
      );
      const { nodes, faults } = runChaos(stressOf(rows), 10, 10 * MINUTE);
      const byId = new Map(nodes.map((node) => [node.id, node]));
      const roots = injections(faults).filter((one) => one.cause === "chaos");
      const answers = injections(faults).filter((one) => one.cause === "correlated");
      expect(answers.length).toBeGreaterThan(roots.length / 2);
      expect(answers.length).toBeLessThanOrEqual(roots.length);
      for (const answer of answers) {
        const causes = roots.filter((root) => root.atMs === answer.atMs - 2_000);
        const here = byId.get(answer.node);
        const isNear = causes.some((root) => {
          const there = byId.get(root.node);
          if (scope === "same_node") return root.node === answer.node;
          if (root.node === answer.node) return false;
          if (scope === "same_rack") return there?.rack === here?.rack;
          return scope === "random" || there?.zone === here?.zone;
        });
        expect(isNear).toBe(true);
      }
    }
  });

  test("gives the same bytes of the same seed, however often it is asked", () => {
    const rows = indent(
      "failure_rate: 500",
      "failure_types: [{type: xid_error, weight: 2}, {type: network, weight: 1}]",
      "cascading: {enabled: true, probability: 0.5, max_delay: 4s, scope: zone}",
      "recovery: {enabled: true, probability: 0.5, mean_time: 30s}",
      "correlated_failures: [{trigger: network, response: temperature, probability: 0.5, scope: random}]",
    );
    const stress = stressOf(rows);
    const bytes = (seed: number) => JSON.stringify(runChaos(stress, seed, 5 * MINUTE).faults);
    expect(bytes(11)).toBe(bytes(11));
    expect(bytes(11)).not.toBe(bytes(12));
    const streams = openStreams(11);
    const nodes = generateFleet(genOf(stress), streams.fleet);
    const engine = openChaos({ chaos: chaosOf(stress), streams, recoverable, originMs: 0 });
    for (const node of nodes) engine.join(0, node);
    engine.start(0);
    expect(JSON.stringify(engine.next(5 * MINUTE))).toBe(bytes(11));
  });

  test("orders faults by time, and stops when told to", () => {
    const rows = indent(
      "failure_rate: 1000",
      "cascading: {enabled: true, probability: 1, scope: random, max_delay: 30s}",
    );
    const { faults } = runChaos(stressOf(rows), 13, MINUTE);
    const times = faults.map((fault) => fault.atMs);
    expect(times).toEqual(times.slice().sort((a, b) => a - b));
    const streams = openStreams(13);
    const engine = openChaos({
      chaos: chaosOf(stressOf(rows)),
      streams,
      recoverable,
      originMs: 0,
    });
    for (const node of generateFleet(genOf(stressOf(rows)), streams.fleet)) engine.join(0, node);
    engine.start(0);
    engine.next(MINUTE);
    engine.stop();
    expect(injections(engine.next(60 * MINUTE))).toEqual([]);
  });
});
