/**
 * A GPU that fell off the bus before the agent started is in no list of the machine: only the pool
 * knows of it. The production agent and control plane, from the number in the configuration to the
 * end of the machine.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { simulate } from "./run.ts";

setDefaultTimeout(60_000);

const story = (gpus: string, wait: string) => `name: seven-of-eight
providers:
  gcp: {type: fake}
pools:
  - name: train
    provider: gcp
    region: r
    zones: [r-a]
    instance_type: t${gpus}
    scaling: {min_nodes: 2, max_nodes: 3}
    health: {unhealthy_threshold: 2, auto_replace: true, max_unavailable: 1}
fleet:
  - {id: node-1, provider: gcp, region: r, zone: r-a, instance_type: t, gpu_count: 8, pool: train}
  - {id: node-2, provider: gcp, region: r, zone: r-a, instance_type: t, gpu_count: 7, pool: train}
events:
  - {at: 0s, action: start_fleet}
  - ${wait}
`;
const REPLACED =
  "{at: 1m, action: wait_for_status, target: node-2, params: " +
  "{expected_event: node.terminated, timeout: 5m}}";

test("a pool that says how many GPUs its nodes have gives back the one that has fewer", async () => {
  const order = "[node.unhealthy, node.failed, node.terminated]";
  const ran = await simulate(
    `${story("\n    gpus: 8", REPLACED)}assertions:
  - {type: event_order, target: node-2, expected: ${order}}
  - {type: node_status, target: node-1, expected: active}
`,
  );
  expect(ran.report.errors ?? [ran.err]).toEqual([]);
  expect([ran.exit, ran.report.outcome]).toEqual([0, "passed"]);
  expect(ran.events).toContain("7 GPUs present, 8 expected (pool)");
  // The machine that takes its place is as short here, and neither was ever taken for healthy.
  const verified = ran.events.split("\n").filter((line) => line.includes('"node.verified"'));
  expect(verified).toHaveLength(1);
});

test("one that says nothing expects what each node shows", async () => {
  const ran = await simulate(
    `${story("", "{at: 20m, action: log, params: {log_message: nothing happened}}")}assertions:
  - {type: terminations, expected: ==0}
  - {type: node_status, target: node-2, expected: active}
`,
  );
  expect([ran.exit, ran.report.outcome, ran.report.errors]).toEqual([0, "passed", []]);
});
