/**
 * The compiled control plane buys at CoreWeave: a NodePool on a real API server becomes a Node, the
 * DaemonSet's agent on it and the purchase are one node, and a dead GPU ends that pool and buys
 * another.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeView } from "../../../schema/api.ts";
import { buildStale, cleanEnv, NAVARCH_NODE, Plane, until } from "../../fixture/plane/plane.ts";
import { PRODUCT_RULES } from "./access.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { COREWEAVE_RULES, CoreweaveCloud } from "./coreweave-cloud.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: buying at CoreWeave: ${missing}`);

test("a Kubernetes API server is here to buy at", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

const formatConfig = (kubeconfig: string, pool = "train"): string => `
server:
  address: 127.0.0.1:0
  heartbeat_interval: 500ms
  heartbeat_timeout: 4s
  health_check_interval: 1s
  autoscale_interval: 1s
providers:
  cw: { type: coreweave, kubeconfig: ${kubeconfig} }
kubernetes:
  enabled: true
  kubeconfig: ${kubeconfig}
pools:
  - name: ${pool}
    provider: cw
    instance_type: h100-8x
    scaling: { min_nodes: 1, max_nodes: 2 }
    health: { unhealthy_threshold: 1, auto_replace: true }
`;

let cluster: Cluster;
let cloud: CoreweaveCloud;
let plane: Plane;
const agents: Bun.Subprocess[] = [];
let isOver = false;
let running: Promise<void> = Promise.resolve();

/** As CoreWeave's controller does, again and again. */
async function run(): Promise<void> {
  for (; !isOver; await Bun.sleep(100)) await cloud.settle();
}

/** As the DaemonSet starts it on its Node. */
function startAgent(node: string): string {
  const folder = plane.state;
  const log = join(folder, `${node}.kmsg`);
  writeFileSync(log, "");
  const flags = [
    ...["--server", plane.url, "--auth-token-file", join(folder, "admin.token")],
    ...["--node-id", node, "--fake-gpus", "8"],
    ...["--kernel-log", log, "--spool", join(folder, `${node}.spool`)],
  ];
  const child = Bun.spawn([NAVARCH_NODE, ...flags], {
    env: cleanEnv({ HOME: folder }),
    stdin: "ignore",
    stdout: Bun.file(join(folder, `${node}.out`)),
    stderr: Bun.file(join(folder, `${node}.err`)),
  });
  agents.push(child);
  return log;
}

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  const parts = { controllers: false, scheduler: false, kwok: false };
  const productRules = [...PRODUCT_RULES, ...COREWEAVE_RULES];
  cluster = await openCluster({ parts, productRules, tell: () => {} });
  cloud = await CoreweaveCloud.install(cluster);
  cloud.bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  plane = new Plane(formatConfig(cluster.kubeconfig("product")));
  await plane.start();
  running = run();
}, 300_000);

afterAll(async () => {
  if (missing !== null) return;
  isOver = true;
  await running;
  for (const agent of agents) agent.kill("SIGKILL");
  await Promise.all(agents.map(({ exited }) => exited));
  await plane.stop();
  expect(await cluster.close()).toEqual([]);
}, 60_000);

const nodeOfPool = async (): Promise<string | null> => {
  const [first] = (await cloud.nodes()).values();
  return first?.[0]?.metadata.name ?? null;
};

describe.skipIf(missing !== null)("a pool of CoreWeave's", () => {
  test("is one node with its DaemonSet's agent, and a dead GPU replaces the pool", async () => {
    const name = await until("a pool has its Node", 60_000, nodeOfPool);
    const [bought] = await cloud.pools();
    const kernelLog = startAgent(name);
    const isOne = (nodes: NodeView[]) => nodes.length === 1 && nodes[0]?.phase === "serving";
    const [node] = await until("purchase and agent are one node", 60_000, async () => {
      const nodes = await plane.nodes();
      return isOne(nodes) ? nodes : null;
    });
    const { name: pool, uid } = bought?.metadata ?? { name: "", uid: "" };
    expect(node).toMatchObject({
      node_id: pool,
      instance_id: `nodepool/${pool}/${uid}`,
      kubernetes_node: name,
      provider: "cw",
    });
    expect(node?.kubernetes?.matched_by).toBe("ip");
    const line = "4,1,1,-;NVRM: Xid (PCI:0000:18:00): 79, pid=1, GPU has fallen off the bus.\n";
    writeFileSync(kernelLog, line);
    const next = await until("the pool is replaced", 90_000, async () => {
      const pools = await cloud.pools();
      return pools.length === 1 && pools[0]?.metadata.uid !== uid ? pools : null;
    });
    expect(next[0]?.metadata.name).not.toBe(pool);
    expect(next[0]?.spec).toMatchObject({ instanceType: "gd-8xh100ib-i128", targetNodes: 1 });
    const kinds = (await plane.events(`&node=${pool}`)).map(({ kind }) => kind);
    expect(kinds).toContain("node.unhealthy");
    await until("the old node is gone", 60_000, async () => {
      const nodes = await plane.nodes();
      return nodes.some(({ node_id }) => node_id === pool) ? null : true;
    });
  }, 240_000);

  test("that cannot be delivered is ended, and says why", async () => {
    cloud.shortage = "CWInsufficientCapacity";
    // The machines of a pool of the same name would hold it, as those of a lost state.
    const starved = new Plane(formatConfig(cluster.kubeconfig("product"), "starved"));
    const own = async () => {
      const pools = await cloud.pools();
      return pools.filter(({ metadata }) => metadata.name.startsWith(`${fleet}-`));
    };
    let fleet = "";
    try {
      await starved.start();
      const identity = readFileSync(join(starved.state, "identity.json"), "utf8");
      fleet = (JSON.parse(identity) as { fleetId: string }).fleetId;
      const [asked] = await until("a pool is asked for", 60_000, async () => {
        const pools = await own();
        return pools.length > 0 ? pools : null;
      });
      await until("it is ended", 90_000, async () => {
        const pools = await own();
        return pools.some(({ metadata }) => metadata.uid === asked?.metadata.uid) ? null : true;
      });
      const said = (await starved.events()).map(({ message }) => message).join("\n");
      expect(said).toContain("CWInsufficientCapacity: no Node for");
    } finally {
      cloud.shortage = null;
      await starved.stop();
    }
  }, 200_000);
});
