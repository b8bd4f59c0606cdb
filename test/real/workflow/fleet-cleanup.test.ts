/**
 * W8, W9 with a control plane: SIGINT in the middle of the fleet tasks. The faults that the run
 * injected into simulated machines are cleared, and the machines stay as they were.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PROCESS_FILE } from "../../../reconciler/provider/kwok/agent-setting.ts";
import { SIM_FAULTS } from "../../../reconciler/provider/kwok/sim-fault.ts";
import { buildStale, Plane, until } from "../../fixture/plane/plane.ts";
import { PRODUCT_RULES } from "../kubernetes/access.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";
import { difference, startSim, takeStock, writeWorkflow } from "./process.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: interrupted fleet tasks: ${missing}`);

test("a Kubernetes API server is here to interrupt fleet tasks at", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

setDefaultTimeout(120_000);
const CREATE = { apiGroups: [""], resources: ["nodes"], verbs: ["create"] };
const CONFIG = `
server: { address: "127.0.0.1:0" }
simulation: { enabled: true }
kubernetes: { enabled: true }
providers:
  kwok: {}
pools:
  - name: train
    provider: kwok
    instance_type: dgxh100.80g
    scaling: { min_nodes: 4, max_nodes: 4 }
`;

let cluster: Cluster;
let plane: Plane;

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster({ productRules: [...PRODUCT_RULES, CREATE], tell: () => {} });
  plane = new Plane(CONFIG, { KUBECONFIG: cluster.kubeconfig("product") });
  await plane.start(60_000);
  await plane.waitServing(4, 120_000);
}, 300_000);

afterAll(async () => {
  if (missing !== null) return;
  await plane.stop();
  const note = join(plane.state, "cloud", "kwok", PROCESS_FILE);
  const { pid } = JSON.parse(readFileSync(note, "utf8")) as { pid: number };
  process.kill(pid, "SIGTERM");
  await until("the agents ended", 20_000, () =>
    Bun.spawnSync(["ps", "-p", String(pid)]).exitCode === 0 ? null : true,
  );
  expect([...(await plane.destroy()), ...(await cluster.close())]).toEqual([]);
}, 60_000);

type NodeList = { items: { metadata: { annotations: Record<string, string> } }[] };
const hurt = async (): Promise<number> => {
  const { items } = await cluster.json<NodeList>("/api/v1/nodes");
  return items.filter(({ metadata }) => metadata.annotations[SIM_FAULTS] !== undefined).length;
};

// XID 13 is an application's fault: it condemns no machine.
const INJECT = "{id: hurt, type: InjectFault, params: {pool: train, pick: 2, fault: {xid: 13}}}";
const CASES: [type: string, tasks: string[], at: string][] = [
  ["InjectFault", [INJECT], "InjectFault/hurt: inject"],
  [
    "CheckFleet",
    [INJECT, "{id: c, type: CheckFleet, params: {pool: train, replaced: 3, timeout: 1h}}"],
    "Starting task CheckFleet/c",
  ],
  [
    "CheckMetric",
    [
      INJECT,
      "{id: c, type: CheckMetric, params: {name: navarch_nosuch, op: '==', value: 1, timeout: 1h}}",
    ],
    "Starting task CheckMetric/c",
  ],
];

if (missing === null) {
  test.each(CASES)("W9: SIGINT in the middle of %s clears the faults", async (type, tasks, at) => {
    const before = await takeStock(cluster);
    const env = { NAVARCH_SERVER: plane.url, NAVARCH_AUTH_TOKEN: plane.adminToken };
    const path = writeWorkflow(`interrupt-${type}`, tasks);
    const sim = startSim(cluster, ["-workflow", path, "-cleanup"], { env });
    await sim.until(at);
    if (type !== "InjectFault") expect(await hurt()).toBe(2);
    sim.kill("SIGINT");
    const { code, err } = await sim.ended();
    expect(code).toBe(130);
    expect(err).toMatch(/Cleanup: fault of \S+ (cleared|left with its machine)/);
    expect(err).not.toContain("warning: cleanup");
    expect(await hurt()).toBe(0);
    expect(await difference(cluster, before)).toEqual([]);
  });
}
