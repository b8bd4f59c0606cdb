/** Fleet tasks against a control plane and an API server in memory, in virtual time. */
import { afterEach, expect, test } from "bun:test";
import { openTaskRun } from "../../../test/world/task-run.ts";
import type { MachineFault } from "../../../schema/machine-fault.ts";
import { seeded } from "../../engine/random.ts";
import type { Fleet, FleetNode } from "../fleet.ts";

const node = (id: string, more: Partial<FleetNode> = {}): FleetNode => {
  const well = { phase: "serving", isHealthy: true, isCordoned: false };
  return { id, pool: "train", kubernetesNode: `k-${id}`, ...well, ...more };
};

class TestFleet implements Fleet {
  list: FleetNode[] = ["a", "b", "c", "d"].map((id) => node(id));
  hurt: [string, MachineFault | null][] = [];
  replacedCount = 0;
  /** Milliseconds back that were asked for. */
  backMs: number[] = [];
  page = "";
  problem: string | null = null;
  failsOn = "";
  #answer<T>(value: T) {
    const message = this.problem;
    const answer =
      message === null ? { ok: true as const, value } : { ok: false as const, message };
    return Promise.resolve(answer);
  }
  nodes = () => this.#answer(this.list);
  inject = (name: string, fault: MachineFault | null) => {
    if (name === this.failsOn) {
      return Promise.resolve({ ok: false as const, message: `node ${name}: simulation is off` });
    }
    this.hurt.push([name, fault]);
    return this.#answer(null);
  };
  replaced = (_: string, ms: number) => {
    this.backMs.push(ms);
    return this.#answer(this.replacedCount);
  };
  waits = () =>
    this.#answer([{ node: "a", pool: "train", reason: "the pool's budget for drains is used" }]);
  metrics = () => this.#answer(this.page);
}

const open = (seed = 1) => {
  const fleet = new TestFleet();
  return { fleet, ...openTaskRun({ fleet, random: seeded(seed) }) };
};

test("W56: InjectFault picks by the seed among healthy serving nodes, and names and keeps them", async () => {
  const at = open(3);
  at.fleet.list.push(
    node("sick", { isHealthy: false }),
    node("booting", { phase: "booting" }),
    node("held", { isCordoned: true }),
    node("other", { pool: "infer" }),
  );
  const params = { pool: "train", pick: 2, fault: { xid: 79, gpu: 3 } };
  expect(await at.perform("InjectFault", "hurt", params)).toBeNull();
  const names = at.fleet.hurt.map(([name]) => name);
  expect(new Set(names).size).toBe(2);
  expect(names.every((name) => "abcd".includes(name))).toBe(true);
  expect(at.fleet.hurt[0]?.[1]).toEqual({ kind: "xid", code: 79, gpu: 3 });
  expect(at.run.state.nodes("hurt")).toEqual(names.map((name) => `k-${name}`));
  const line = `info: InjectFault/hurt: inject XID 79 on GPU 3 into ${names.join(", ")}`;
  expect(at.said).toContain(line);
  const again = open(3);
  await again.perform("InjectFault", "hurt", { ...params, fault: { xid: 79, gpu: 3 } });
  expect(again.fleet.hurt).toEqual(at.fleet.hurt);
  const seeds = [1, 2, 3, 4, 5, 6, 7, 8].map(async (seed) => {
    const one = open(seed);
    await one.perform("InjectFault", "hurt", params);
    return one.fleet.hurt.map(([name]) => name).join("");
  });
  expect(new Set(await Promise.all(seeds)).size).toBeGreaterThan(2);
});

test("W56: InjectFault clears the nodes of an earlier task, or of a pool", async () => {
  const at = open();
  const every = { pool: "train", pick: 2, fault: { thermal: true } };
  await at.perform("InjectFault", "hurt", every);
  const names = at.fleet.hurt.map(([name]) => name).sort();
  at.fleet.list = at.fleet.list.map((one) => ({ ...one, isHealthy: false, isCordoned: true }));
  at.fleet.hurt = [];
  expect(await at.perform("InjectFault", "heal", { refTaskId: "hurt", clear: true })).toBeNull();
  expect(at.fleet.hurt).toEqual(names.map((name) => [name, null]));
  at.fleet.hurt = [];
  expect(await at.perform("InjectFault", "all", { pool: "train", clear: true })).toBeNull();
  expect(at.fleet.hurt).toHaveLength(4);
});

test("W56: InjectFault selects by labels of Nodes", async () => {
  const at = open();
  const labels = { rack: "r1" };
  at.server.put("/api/v1/nodes/k-b", { metadata: { labels } });
  at.server.put("/api/v1/nodes/k-c", { metadata: { labels: { rack: "r2" } } });
  const params = { selectors: [labels], fault: { lost: true } };
  expect(await at.perform("InjectFault", "t", params)).toBeNull();
  expect(at.fleet.hurt).toEqual([["b", { kind: "lost", gpu: 0 }]]);
});

test.each<[string, unknown, string]>([
  ["no place", { fault: { xid: 79 } }, "must specify one of 'selectors', 'pool' and 'refTaskId'"],
  ["two places", { pool: "a", refTaskId: "b", clear: true }, "must specify one of"],
  ["no fault", { pool: "train" }, "must specify one 'fault' (xid, ecc, thermal, nvlink or lost)"],
  ["two faults", { pool: "train", fault: { xid: 79, ecc: true } }, "must specify one 'fault'"],
  ["both", { pool: "train", fault: { ecc: true }, clear: true }, "exclude each other"],
  ["false", { pool: "train", fault: { ecc: false } }, "fault.ecc: expected true"],
  ["a code", { pool: "train", fault: { xid: 1000 } }, "failed to parse parameters: fault.xid: "],
  [
    "a GPU",
    { pool: "train", fault: { xid: 79, gpu: 64 } },
    "failed to parse parameters: fault.gpu: ",
  ],
  ["a key", { pool: "train", fault: { xids: 79 } }, "failed to parse parameters: fault: "],
  ["empty", { selectors: [{}], fault: { ecc: true } }, "selectors.0: expected a label or more"],
  [
    "none",
    { pool: "train", pick: 0, fault: { ecc: true } },
    "cannot pick 0 of 4 healthy serving nodes in pool train: expected 1 to 4",
  ],
  [
    "too many",
    { pool: "train", pick: 5, fault: { ecc: true } },
    "cannot pick 5 of 4 healthy serving nodes in pool train: expected 1 to 4",
  ],
  [
    "a pool",
    { pool: "trains", fault: { ecc: true } },
    'cannot pick 1 of 0 healthy serving nodes in pool trains (did you mean "train"?)',
  ],
  [
    "another pool",
    { pool: "inference", fault: { ecc: true } },
    "cannot pick 1 of 0 healthy serving nodes in pool inference (pools with nodes: train)",
  ],
  ["a task", { refTaskId: "never", clear: true }, "unreferenced task ID never"],
])("W56: InjectFault refuses: %s", async (_name, params, message) => {
  const at = open();
  const said = await at.perform("InjectFault", "t", params);
  expect(said).toStartWith("InjectFault/t: ");
  expect(said).toContain(message);
  expect(at.fleet.hurt).toEqual([]);
});

test("W56: InjectFault says whom it hurt before it failed, and why nothing is hurt", async () => {
  const at = open();
  at.fleet.list = [node("a"), node("b")];
  at.fleet.failsOn = "b";
  const params = { pool: "train", pick: 2, fault: { ecc: true } };
  const said = await at.perform("InjectFault", "t", params);
  expect(said).toContain("InjectFault/t: node b: simulation is off");
  if (at.fleet.hurt.length > 0) expect(said).toEndWith("(done before: a)");
  const none = openTaskRun();
  expect(await none.perform("InjectFault", "t", params)).toBe("InjectFault/t: no control plane");
});

const cordoned = { spec: { unschedulable: true } };

test("W55: CheckNode waits until the nodes of a task had the state, though they go afterwards", async () => {
  const at = open();
  at.run.state.keepNodes("hurt", ["n1", "n2"]);
  for (const name of ["n1", "n2", "n3"]) at.server.put(`/api/v1/nodes/${name}`, {});
  at.clock.after(1_000, () => {
    at.server.put("/api/v1/nodes/n1", cordoned);
    at.server.remove("/api/v1/nodes/n1");
  });
  at.clock.after(3_000, () => void at.server.put("/api/v1/nodes/n2", cordoned));
  const params = { refTaskId: "hurt", state: cordoned, timeout: "10s" };
  expect(await at.perform("CheckNode", "seen", params)).toBeNull();
});

test("W55: CheckNode says what is missing when the time is over", async () => {
  const at = open();
  at.run.state.keepNodes("hurt", ["n1", "gone"]);
  at.server.put("/api/v1/nodes/n1", { spec: { unschedulable: false } });
  const params = { refTaskId: "hurt", state: cordoned };
  const missing =
    "verified 0 of 2 nodes, expected 2: state mismatch in node n1: spec.unschedulable: expected true, " +
    "found false [n1 gone]";
  expect(await at.perform("CheckNode", "t", params)).toBe(`CheckNode/t: ${missing}`);
  expect(await at.perform("CheckNode", "t", { ...params, timeout: "2s" })).toBe(
    `CheckNode/t: context deadline exceeded: ${missing}`,
  );
  at.run.state.keepNodes("one", ["gone"]);
  expect(await at.perform("CheckNode", "t", { refTaskId: "one", state: cordoned })).toContain(
    "state mismatch in node gone: it does not exist",
  );
});

test("W55: CheckNode counts selected nodes that have the state at one time", async () => {
  const at = open();
  const put = (name: string, labels: object, spec: object = {}) =>
    at.server.put(`/api/v1/nodes/${name}`, { metadata: { labels }, spec });
  put("a", { rack: "r1" }, cordoned.spec);
  put("b", { rack: "r1" });
  put("c", { rack: "r2" }, cordoned.spec);
  put("d", { rack: "r3" }, cordoned.spec);
  const check = (params: object) =>
    at.perform("CheckNode", "t", { selectors: [{ rack: "r1" }, { rack: "r2" }], ...params });
  expect(await check({ state: cordoned, count: 2 })).toBeNull();
  expect(await check({ state: cordoned, count: 3 })).toBe(
    "CheckNode/t: verified 2 of 3 nodes with rack=r1 or rack=r2, expected 3: " +
      "state mismatch in node b: spec.unschedulable: expected true, found nothing [b]",
  );
  expect(await check({ state: { spec: { unschedulable: null } }, count: 1 })).toBeNull();
  at.clock.after(1_000, () => void put("b", { rack: "r1" }, cordoned.spec));
  expect(await check({ state: cordoned, timeout: "5s" })).toBeNull();
  expect(await check({ selectors: [{ rack: "r9" }], state: cordoned, timeout: "1s" })).toBe(
    "CheckNode/t: context deadline exceeded: no node matches rack=r9",
  );
  expect(await check({ selectors: [{ rack: "r9" }], state: cordoned, count: 0 })).toBeNull();
});

test.each<[unknown, string]>([
  [{ state: {} }, "must specify either 'selectors' or 'refTaskId'"],
  [{ selectors: [{ a: 1 }], refTaskId: "t", state: {} }, "must specify either"],
  [{ refTaskId: "t" }, "missing parameter 'state'"],
  [{ refTaskId: "t", state: {}, timeout: 5 }, "failed to parse parameters: timeout: "],
  [{ refTaskId: "t", state: {}, count: -1 }, "failed to parse parameters: count: "],
  [{ refTaskId: "t", state: {} }, "unreferenced task ID t"],
])("W55: CheckNode refuses %j", async (params, message) => {
  expect(await open().perform("CheckNode", "t", params)).toContain(message);
});

test("W56: CheckFleet waits for its figures, and counts replacements from the workflow's start", async () => {
  const at = open();
  await at.clock.pass(7_000);
  at.fleet.list.push(node("e", { isCordoned: true, phase: "draining" }));
  at.clock.after(4_000, () => (at.fleet.replacedCount = 1));
  const params = { pool: "train", replaced: 1, healthy: 4, cordoned: 1, timeout: "30s" };
  expect(await at.perform("CheckFleet", "t", params)).toBeNull();
  expect(at.fleet.backMs[0]).toBeGreaterThanOrEqual(7_000);
  expect(at.clock.monoMs()).toBeLessThan(13_000);
});

test("W56: CheckFleet says each figure and what the nodes wait for", async () => {
  const at = open();
  at.fleet.list.pop();
  const params = { pool: "train", replaced: 1, healthy: 4, timeout: "2s" };
  expect(await at.perform("CheckFleet", "t", params)).toBe(
    "CheckFleet/t: context deadline exceeded: pool train: healthy is 3, expected 4; " +
      "replaced is 0, expected 1; node a waits: the pool's budget for drains is used",
  );
  expect(await at.perform("CheckFleet", "t", { pool: "trin", healthy: 1 })).toContain(
    'pool trin has no node (did you mean "train"?): healthy is 0, expected 1',
  );
  at.fleet.problem = "http://127.0.0.1:1: cannot connect";
  expect(await at.perform("CheckFleet", "t", params)).toBe(
    "CheckFleet/t: context deadline exceeded: http://127.0.0.1:1: cannot connect",
  );
  expect(await at.perform("CheckFleet", "t", { healthy: 1 })).toContain("missing parameter 'pool'");
  expect(await at.perform("CheckFleet", "t", { pool: "p" })).toContain(
    "missing parameters 'healthy', 'cordoned' and/or 'replaced'",
  );
});

const servers: ReturnType<typeof Bun.serve>[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) void server.stop(true);
});

test("W55: CheckMetric compares one series of a page", async () => {
  const at = open();
  at.fleet.page = 'up 1\nnodes{pool="train",rack="1"} 3\nnodes{pool="infer"} 2\nodd NaN\n';
  const check = (params: object) =>
    at.perform("CheckMetric", "t", { value: 3, op: "==", ...params });
  expect(await check({ name: "nodes", labels: { pool: "train", rack: 1 } })).toBeNull();
  expect(await check({ name: "nodes", labels: { pool: "train" }, op: ">", value: 3 })).toBe(
    'CheckMetric/t: nodes{pool="train"} is 3, expected > 3',
  );
  expect(await check({ name: "nodes" })).toContain("2 series match, one is needed");
  expect(await check({ name: "nodes", labels: { pool: "x" } })).toContain(
    'no such series; there is nodes{pool="train",rack="1"}',
  );
  expect(await check({ name: "node" })).toContain('no such metric (did you mean "nodes"?)');
  expect(await check({ name: "odd" })).toContain("the value is NaN");
  at.clock.after(2_000, () => (at.fleet.page = "up 3\n"));
  expect(await check({ name: "up", timeout: "5s" })).toBeNull();
  expect(await check({ name: "up", value: 4, timeout: "1s" })).toBe(
    "CheckMetric/t: context deadline exceeded: up is 3, expected == 4",
  );
});

test.each<[object, string]>([
  [{}, "must specify either 'query' or 'name'"],
  [{ query: "up", name: "up" }, "must specify either 'query' or 'name'"],
  [{ query: "up" }, "must specify 'url' of a Prometheus with 'query'"],
  [{ query: "up", labels: { a: 1 }, url: "http://x" }, "'labels' belong to 'name'"],
  [{ name: "up", url: "file:///etc/passwd" }, "url: expected http:// or https://"],
  [{ name: "up", op: "=" }, "invalid metric operation =; supported: ==, !=, >, >=, <, <="],
  [{ name: "up", op: "constructor" }, "invalid metric operation constructor"],
  [{ name: "up", value: "x" }, "failed to parse parameters: value: "],
  [{ name: "up", value: null }, "missing parameters 'op' and 'value'"],
])("W55: CheckMetric refuses %j", async (params, message) => {
  const given = { op: "==", value: 1, ...params };
  expect(await open().perform("CheckMetric", "t", given)).toContain(message);
});
