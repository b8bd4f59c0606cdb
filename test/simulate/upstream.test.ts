/**
 * Two scenarios that upstream ships, in our own words with its targets, times and assertions
 * (NavarchProject/navarch, `scenarios/gpu-failure.yaml` and `scenarios/xid-classification.yaml`).
 * They disagree about what a GPU's health is: one wants a node whose card is off the bus to have
 * healthy health, the other one whose card needs a reset not to. Both pass under one setting.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readScenario } from "../../simulator/scenario/read.ts";
import type { SEMANTICS } from "../../simulator/run/check.ts";
import { judge } from "./judge.ts";

setDefaultTimeout(60_000);

const machine = (id: string, zone: string): string =>
  `{id: ${id}, provider: gcp, region: us-central1, zone: us-central1-${zone}, ` +
  `instance_type: a3-highgpu-8g, gpu_count: 8, gpu_type: "NVIDIA H100 80GB HBM3"}`;

const GPU_FAILURE = (health: string): string => `
name: gpu-failure
fleet: [${machine("node-1", "a")}, ${machine("node-2", "b")}]
events:
  - {at: 0s, action: start_fleet}
  - {at: 3s, action: log, params: {log_message: two machines}}
  - at: 5s
    action: inject_failure
    target: node-1
    params: {failure_type: xid_error, xid_code: 79, gpu_index: 3, message: a card is gone}
  - at: 12s
    action: wait_for_status
    target: node-1
    params: {expected_status: unhealthy, timeout: 15s}
  - {at: 18s, action: log, params: {log_message: nothing repairs it}}
assertions:
  - {type: node_status, target: node-2, expected: active}
  - {type: node_status, target: node-1, expected: unhealthy}
  - {type: health_status, target: node-1, expected: ${health}}
`;

const XID_CLASSIFICATION = `
name: xid-classification
fleet: [${machine("node-fatal", "a")}, ${machine("node-recoverable", "b")}]
events:
  - {at: 0s, action: start_fleet}
  - at: 3s
    action: inject_failure
    target: node-fatal
    params: {failure_type: xid_error, xid_code: 48, gpu_index: 0}
  - at: 6s
    action: inject_failure
    target: node-recoverable
    params: {failure_type: xid_error, xid_code: 31, gpu_index: 2}
  - at: 12s
    action: wait_for_status
    target: node-fatal
    params: {expected_status: unhealthy, timeout: 10s}
  - {at: 15s, action: recover_failure, target: node-recoverable, params: {failure_type: xid_error}}
  - at: 20s
    action: wait_for_status
    target: node-recoverable
    params: {expected_status: active, timeout: 10s}
  - {at: 22s, action: log, params: {log_message: one out and one in}}
assertions:
  - {type: health_status, target: node-fatal, expected: unhealthy}
  - {type: health_status, target: node-recoverable, expected: healthy}
`;

async function failures(text: string, semantics: (typeof SEMANTICS)[number]): Promise<string[]> {
  const { scenario, problems } = readScenario({ name: "upstream", text });
  if (scenario === null) throw new Error(JSON.stringify(problems));
  return judge(scenario, semantics);
}

test("both pass under --health-semantics upstream", async () => {
  expect(await failures(GPU_FAILURE("healthy"), "upstream")).toEqual([]);
  expect(await failures(XID_CLASSIFICATION, "upstream")).toEqual([]);
});

test("under no other setting do both, because a dead GPU is not healthy to this product", async () => {
  expect(await failures(GPU_FAILURE("healthy"), "held")).toHaveLength(1);
  expect(await failures(GPU_FAILURE("unhealthy"), "held")).toEqual([]);
  expect(await failures(XID_CLASSIFICATION, "held")).toEqual([]);
  expect(await failures(XID_CLASSIFICATION, "last-report")).toHaveLength(1);
});
