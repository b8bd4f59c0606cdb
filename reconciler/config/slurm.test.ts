/** What is wrong with the keys of Slurm is said at its key, with what to write. */
import { expect, test } from "bun:test";
import { formatProblem } from "./problem.ts";
import { readConfig } from "./read.ts";

const shape = "provider: fake, instance_type: t, scaling: { min_nodes: 0, max_nodes: 3 }";
const pool = (name: string, slurm: string): string =>
  `  - { name: ${name}, ${shape}, slurm: ${slurm} }\n`;

/** Errors without file and place. */
function said(pools: string, slurm = ""): string[] {
  const text = `providers: { fake: {} }\npools:\n${pools}${slurm}`;
  return readConfig([{ name: "f", text }])
    .problems.filter(({ severity }) => severity === "error")
    .map((problem) => formatProblem(problem).replace(/^f:[\d:]+ /, ""));
}
const section = (keys: string): string[] => said(pool("p", "{}"), `slurm: { ${keys} }\n`);

test("S19: a NodeName belongs to one slot of one pool", () => {
  const nodes = (list: string): string => `{ nodes: "${list}" }`;
  expect(said(pool("p", nodes("n[0-1],x")) + pool("q", nodes("n[2-3]")))).toEqual([]);
  expect(said(pool("p", nodes("n[0-1],n1")))).toEqual([
    "pools[0].slurm.nodes: n1 stands twice (give each name to one slot)",
  ]);
  expect(said(pool("p", nodes("n[0-1]")) + pool("q", nodes("n[1-2]")))).toEqual([
    "pools[1].slurm.nodes: n1 is a node of pool p too (give each name to one slot)",
  ]);
});

test("S19: an alias is one NodeName for one node", () => {
  expect(section("node_aliases: { n0: i-1, n1: i-2 }")).toEqual([]);
  const [range, twice] = section('node_aliases: { "n[0-1]": i-1, n2: i-2, n3: i-2 }');
  expect(range).toBe('slurm.node_aliases: "n[0-1]" is not a NodeName (one NodeName for each node)');
  expect(twice).toBe('slurm.node_aliases: "i-2" has two NodeNames: n2 and n3 (remove one of them)');
  expect(section("node_aliases: { n0: }")[0]).toContain('"n0" has no node');
});

test.each([
  ["transport: rest", "transport: rest needs the address of slurmrestd"],
  ["rest: 'https://user:hunter2@h:1/x'", "rest: expected unix:/path or http(s)://host:port ("],
  ["conf_server: 'a b'", "conf_server: expected host[:port] of slurmctld"],
  ["on_undrain: never", 'on_undrain: "never" is not one of the allowed values (allowed: cancel,'],
  ["polling: 30s", "polling: unknown field"],
])("a section with %s is refused", (keys, message) => {
  const [first = "", ...rest] = section(keys);
  expect(rest).toEqual([]);
  expect(first).toStartWith(`slurm.${message}`);
  expect(first).not.toContain("hunter2");
});

test.each(["ctl", "ctl:6817", "10.0.0.2:6817", "[fd00::1]:6817", "a:6817,b:6817"])(
  "slurmd takes its configuration from %s",
  (address) => expect(section(`conf_server: "${address}"`)).toEqual([]),
);

test("a pool's keys: its partition is one name, and power saving needs names", () => {
  const [partition = ""] = said(pool("p", "{ partition: 'a,b' }"));
  expect(partition).toStartWith("pools[0].slurm.partition: expected the name of one partition");
  const [bare = "", ...more] = said(pool("p", "{ power_save: true }"));
  expect(bare).toStartWith("pools[0].slurm.power_save: needs the pool's names");
  // What is wrong with the names is said once.
  const wrong = said(pool("p", '{ power_save: true, nodes: "n[0-" }'));
  expect([more, wrong.length]).toEqual([[], 1]);
});

test("S56: a StatefulSet of pods has its partition and bounds that agree", () => {
  const pods = (keys: string): string[] => section(`enabled: true, pods: { ${keys} }`);
  const own = "stateful_set: slurm-compute, partition: compute";
  expect(pods(`${own}, min_replicas: 2, max_replicas: 2`)).toEqual([]);
  expect(pods(`${own}, min_replicas: 3, max_replicas: 2`)).toEqual([
    "slurm.pods.max_replicas: 2 is below min_replicas, which is 3 (write as many or more)",
  ]);
  const [partition, most, ...more] = pods("stateful_set: slurm-compute");
  expect(partition).toStartWith("slurm.pods.partition: ");
  expect([most?.startsWith("slurm.pods.max_replicas: "), more]).toEqual([true, []]);
  expect(pods(`${own}, max_replicas: 1001`)).toHaveLength(1);
  expect(pods("max_replicas: 3")).toEqual([
    "slurm.pods.max_replicas: needs stateful_set (write stateful_set: slurm-compute)",
  ]);
  expect(pods("stateful_set: A/b, partition: p, max_replicas: 1")[0]).toContain(
    "name of an object",
  );
  expect(section(`pods: { ${own}, max_replicas: 2 }`)[0]).toContain("slurm.enabled is false");
});
