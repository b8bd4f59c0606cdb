import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fleetYaml, simulate, withoutWall } from "./run.ts";

// A run is seconds of work; a loaded machine makes more of it.
setDefaultTimeout(60_000);

const START = "events:\n  - { at: 0s, action: start_fleet }\n";
const ACTIVE = "{ expected_status: active }";

describe("simulate run", () => {
  test("a fleet that starts passes, and leaves the whole run directory", async () => {
    const ran = await simulate(
      fleetYaml(
        3,
        `${START}  - { at: 1s, action: wait_for_status, target: node-3, params: ${ACTIVE} }
assertions:
  - { type: node_status, target: node-1, expected: active }
  - { type: node_count, target: all, expected: ==3 }
  - { type: metric, target: 'navarch_nodes{status="active"}', expected: ==3 }
`,
      ),
    );
    expect(ran.err).toBe("");
    expect(ran.exit).toBe(0);
    expect(ran.report.outcome).toBe("passed");
    expect(ran.report.summary.nodes_started).toBe(3);
    expect(ran.report.summary.max_latency_ms).toBeGreaterThan(0);
    const files = ["scenario.yaml", "report.html", "config.json", "metrics.prom"];
    for (const file of [...files, "logs/node-1.log", "logs/control-plane.log"]) {
      expect(existsSync(join(ran.folder, file))).toBe(true);
    }
  });

  test("node_count is enforced", async () => {
    const ran = await simulate(
      fleetYaml(
        2,
        `${START}  - { at: 5s, action: wait }
assertions: [{ type: node_count, target: all, expected: 3 }]
`,
      ),
    );
    expect(ran.exit).toBe(8);
    expect(ran.report.assertions).toMatchObject([{ passed: false, actual: "2" }]);
  });

  test("a wait that ends without its status fails the run", async () => {
    const ran = await simulate(
      fleetYaml(
        1,
        `${START}  - { at: 1s, action: wait_for_status, target: node-1,
      params: { expected_status: terminated, timeout: 3s } }
`,
      ),
    );
    expect(ran.exit).toBe(8);
    expect(ran.report.errors[0]).toContain("terminated not reached");
  });

  test("a threshold of the command line fails the run", async () => {
    const text = fleetYaml(1, `${START}  - { at: 5s, action: wait }\n`);
    const ran = await simulate(text, "--fail-on", "nodes_started>=2");
    expect(ran.exit).toBe(8);
    expect(ran.report.thresholds).toMatchObject([{ name: "nodes_started", passed: false }]);
  });

  test("a bad file is exit 2 and runs nothing", async () => {
    const ran = await simulate("name: x\nfleat: []\n");
    expect(ran.exit).toBe(2);
    expect(ran.err).toContain("fleat");
    expect(ran.events).toBe("");
  });

  test("what agents do not look for is missed, whatever was injected", async () => {
    const story = `${START}  - { at: 20s, action: inject_failure, target: node-1,
      params: { failure_type: temperature, temperature: 95 } }
  - { at: 2m, action: wait }
`;
    const blind = await simulate(
      fleetYaml(1, `server: { health_check_interval: 1h, sample_interval: 10m }\n${story}`),
    );
    expect(blind.report.summary).toMatchObject({ total_failures: 1, detected: 0, undetected: 1 });
    const seeing = await simulate(fleetYaml(1, story));
    expect(seeing.report.summary).toMatchObject({ detected: 1, undetected: 0 });
    expect(seeing.report.summary.detection_ms.max).toBeLessThanOrEqual(5_100);
  });

  test("two failures of one node end apart", async () => {
    const hot = (type: string): string =>
      `action: inject_failure, target: node-1, params: { failure_type: ${type} }`;
    const ran = await simulate(
      fleetYaml(
        1,
        `${START}  - { at: 10s, ${hot("temperature")} }
  - { at: 10s, ${hot("power_error")} }
  - { at: 30s, action: recover_failure, target: node-1, params: { failure_type: temperature } }
  - { at: 90s, action: assert, target: node-1,
      params: { assertion_type: health_status, expected_status: degraded } }
  - { at: 90s, action: recover_failure, target: node-1 }
  - { at: 90s, action: wait_for_status, target: node-1,
      params: { expected_health: healthy, timeout: 60s } }
`,
      ),
    );
    expect(ran.report.errors).toEqual([]);
    expect(ran.report.summary.total_recoveries).toBe(2);
  });

  test("a fault of a provider that has ended ends no newer one", async () => {
    const ran = await simulate(`name: t
providers: { gcp: { type: fake } }
pools: [{ name: p, provider: gcp, region: r, instance_type: t, scaling: { min_nodes: 1, max_nodes: 1 } }]
events:
  - { at: 0s, action: provider_fault, target: gcp, params: { kind: quota, duration: 1m } }
  - { at: 0s, action: start_fleet }
  - { at: 30s, action: provider_fault, target: gcp, params: { kind: quota, duration: 30m } }
  - { at: 25m, action: assert, target: "pool:p",
      params: { assertion_type: node_count, expected: ==0 } }
`);
    expect([ran.exit, ran.report.errors]).toEqual([0, []]);
  });

  test("the page names nothing outside itself", async () => {
    const ran = await simulate(fleetYaml(1, `${START}  - { at: 15s, action: wait }\n`));
    const page = readFileSync(join(ran.folder, "report.html"), "utf8");
    expect(page).toContain("uPlot");
    expect(page).not.toMatch(/<(?:script|img|iframe)[^>]*\ssrc=|<link\b|@import|url\(\s*["']?http/);
    expect(page).toContain("default-src 'none'");
  });
});

const CHAOS = `name: chaos
stress:
  duration: 2m
  seed: 7
  fleet_gen:
    total_nodes: 20
    templates: [{ name: h100, weight: 1, gpu_count: 2 }]
    startup: { pattern: linear, duration: 5s }
  chaos:
    enabled: true
    failure_rate: 400
    recovery: { enabled: true, probability: 0.8, mean_time: 20s }
`;

describe("determinism", () => {
  test("one file, seed and build make one event log and one report", async () => {
    const [one, other] = [await simulate(CHAOS), await simulate(CHAOS)];
    expect(one.report.summary.total_failures).toBeGreaterThan(3);
    expect(other.events).toBe(one.events);
    expect(withoutWall(other.report)).toEqual(withoutWall(one.report));
    const third = await simulate(CHAOS, "--seed", "8");
    expect(third.events).not.toBe(one.events);
  });

  test("machines that are put aside change nothing that the product does", async () => {
    const [aside, whole] = [await simulate(CHAOS), await simulate(CHAOS, "--whole")];
    const lines = (text: string): string[] => text.trim().split("\n").sort();
    expect(lines(aside.events)).toEqual(lines(whole.events));
  });
});
