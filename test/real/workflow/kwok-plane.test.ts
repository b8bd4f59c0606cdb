/**
 * W41 from the compiled binaries: a pool of virtual nodes on a real API server with scheduler and
 * KWOK. Its agents are one process; its faults enter through the agents; what Kubernetes does to a
 * node works on them as on real ones.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { navarch } from "../../cli/spawn.ts";
import { until } from "../../fixture/plane/plane.ts";
import { isAlive } from "../../fixture/ssh/job-fake.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { KwokGround, type Rise, rise } from "./kwok-ground.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: a pool of virtual nodes: ${missing}`);

test("a Kubernetes cluster is here for a pool of virtual nodes", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

setDefaultTimeout(120_000);
/** A tenth of what `npm run once -- kwok-fleet` proves. */
const NODES = 200;
/** With those of the pool `rebooting`. */
const ALL = NODES + 2;
let ground: KwokGround;
let found: Rise;

beforeAll(async () => {
  if (missing !== null) return;
  ground = await KwokGround.open(NODES, { isRebooting: true });
  found = await rise(ground, ALL, 180_000);
}, 600_000);

afterAll(async () => {
  if (missing === null) expect(await ground.close()).toEqual([]);
}, 120_000);

const run = (...words: string[]) =>
  navarch([...words, "-s", ground.plane.url], { NAVARCH_TOKEN: ground.plane.adminToken });

/** A Deployment whose pods run on this node alone. */
async function deploy(name: string, node: string, replicas: number): Promise<void> {
  const labels = { app: name };
  const container = { name: "c", image: "i", resources: { limits: { "nvidia.com/gpu": "1" } } };
  const nodeSelector = { "kubernetes.io/hostname": node };
  const pod = { terminationGracePeriodSeconds: 1, nodeSelector, containers: [container] };
  const template = { metadata: { labels }, spec: pod };
  const spec = { replicas, selector: { matchLabels: labels }, template };
  const path = "/apis/apps/v1/namespaces/default/deployments";
  await ground.cluster.json(path, { body: { metadata: { name }, spec } });
  await until("its pods run", 60_000, async () => {
    const pods = await podsOn(node);
    const isRunning = pods.every(({ status }) => status.phase === "Running");
    return (pods.length === replicas && isRunning) || null;
  });
}

/** The i-th serving node of a pool, by name. */
async function servingNode(i: number, pool = "train"): Promise<string> {
  const all = (await ground.plane.serving()).filter((node) => node.pool === pool);
  const names = all.map(({ node_id }) => node_id).sort();
  const name = names[i];
  if (name === undefined) throw new Error(`no node ${i} of ${names.length}`);
  return name;
}

type Pods = { items: { metadata: { name: string }; status: { phase: string } }[] };
const podsOn = async (node: string): Promise<Pods["items"]> => {
  const path = `/api/v1/pods?fieldSelector=spec.nodeName%3D${node}`;
  return (await ground.cluster.json<Pods>(path)).items;
};
type Spec = { spec: { unschedulable?: boolean } };
const isCordoned = async (node: string): Promise<boolean> => {
  return (await ground.cluster.json<Spec>(`/api/v1/nodes/${node}`)).spec.unschedulable === true;
};

describe.skipIf(missing !== null)("W41: a pool of virtual nodes", () => {
  test("W41: is bought and serves in time, within the memory of a control plane", () => {
    // Of a run beside others; the proof has the limits.
    expect(found.servingS).toBeLessThan(120);
    expect(found.planeMibMax).toBeLessThan(512);
  });

  test("W41: each node is matched with its Node by its provider id", async () => {
    const nodes = await ground.plane.serving();
    const matched = new Set(nodes.map(({ kubernetes }) => kubernetes?.matched_by));
    expect([...matched]).toEqual(["provider_id"]);
    const [first] = nodes;
    expect(first?.instance_id).toStartWith(`virtual/${first?.node_id}/`);
    expect(first?.kubernetes_node).toBe(first?.node_id ?? "");
  });

  test("credentials lie in files of this user alone, and in no annotation", async () => {
    const folder = join(ground.folder, "agent");
    const folders = readdirSync(folder);
    expect(folders).toHaveLength(ALL);
    const [first = ""] = folders;
    const file = join(folder, first, "token");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const secret = readFileSync(file, "utf8").trim();
    expect(secret.length).toBeGreaterThan(20);
    expect(JSON.stringify(await ground.kubeNodes())).not.toContain(secret);
    const log = readFileSync(join(ground.folder, "agents.log"), "utf8");
    expect(log).not.toContain(secret);
  });

  test("a lost GPU: pods run on until they are evicted, and another node comes", async () => {
    const sick = await servingNode(0);
    await deploy("work", sick, 2);
    await ground.inject(sick, { id: "x", atMs: Date.now(), kind: "lost", gpu: 3 });
    await until("it is cordoned", 30_000, async () => (await isCordoned(sick)) || null);
    await until("it is empty and gone", 60_000, async () => {
      const path = `/api/v1/nodes/${sick}`;
      return (await ground.cluster.request(path)).status === 404 || null;
    });
    expect(await podsOn(sick)).toEqual([]);
    const events = (await ground.plane.events()).filter(({ node_id }) => node_id === sick);
    const findings = events.filter(({ kind }) => kind === "node.finding");
    expect(findings.some(({ message }) => message.startsWith("XID 79 on GPU 3"))).toBe(true);
    await until("another one serves", 60_000, async () => {
      const names = (await ground.plane.serving()).map(({ node_id }) => node_id);
      return (names.length === ALL && !names.includes(sick)) || null;
    });
    const folders = readdirSync(join(ground.folder, "agent"));
    expect(folders).toHaveLength(ALL);
  });

  test("a pool that reboots first: its provider reboots, and the node serves again", async () => {
    const sick = await servingNode(0, "rebooting");
    const bootsOf = async (): Promise<number> => {
      const nodes = await ground.kubeNodes();
      const node = nodes.find(({ metadata }) => metadata.name === sick);
      const text = node?.metadata.annotations["navarch.dev/boot"] ?? '{"count":1}';
      return (JSON.parse(text) as { count: number }).count;
    };
    await ground.inject(sick, { id: "l", atMs: Date.now(), kind: "lost", gpu: 0 });
    await until("it has booted and serves", 110_000, async () => {
      const now = await ground.node(sick);
      return ((await bootsOf()) === 2 && now?.phase === "serving") || null;
    });
    expect(await isCordoned(sick)).toBe(false);
  });

  test("a person's cordon, its end, and a drain", async () => {
    const name = await servingNode(2);
    expect((await run("cordon", name, "--reason", "look")).code).toBe(0);
    await until("it is cordoned", 30_000, async () => (await isCordoned(name)) || null);
    expect((await run("uncordon", name)).code).toBe(0);
    await until("it is not", 30_000, async () => !(await isCordoned(name)) || null);
    await deploy("leaving", name, 1);
    expect((await run("drain", name, "--reason", "look")).code).toBe(0);
    await until("its pod is gone", 60_000, async () => {
      return (await podsOn(name)).length === 0 || null;
    });
  });

  test("a Node that a person deletes is a machine that is gone, with its agent", async () => {
    const name = await servingNode(5);
    const count = (): number => readdirSync(join(ground.folder, "agent")).length;
    const before = count();
    await ground.cluster.request(`/api/v1/nodes/${name}`, { method: "DELETE" });
    await until("its agent is gone", 20_000, () => count() < before || null);
    await until("the control plane has noticed", 110_000, async () => {
      const events = await ground.plane.events();
      return events.some((one) => one.node_id === name && one.kind === "kube.lost") || null;
    });
  });

  test("a killed process of agents is started again, with the same boots", async () => {
    const before = ground.agents();
    const boots = ground.boots();
    const serving = new Set((await ground.plane.serving()).map(({ node_id }) => node_id));
    expect(boots.size).toBeGreaterThanOrEqual(NODES);
    process.kill(before?.pid ?? 0, "SIGKILL");
    await until("another process runs them", 60_000, () => {
      const now = ground.agents();
      return (now !== null && now.pid !== before?.pid && now.agents > NODES / 2) || null;
    });
    const { last_heartbeat: first } = (await ground.node([...serving][0] ?? "")) ?? {};
    await until("they have reported again", 60_000, async () => {
      return (await ground.node([...serving][0] ?? ""))?.last_heartbeat !== first || null;
    });
    const after = ground.boots();
    for (const node of serving) expect([node, after.get(node)]).toEqual([node, boots.get(node)]);
  });

  test("the process outlives the control plane, whose successor starts no other", async () => {
    const before = ground.agents();
    await ground.plane.kill();
    await ground.plane.start(60_000);
    await Bun.sleep(5_000);
    expect(ground.agents()?.pid).toBe(before?.pid);
    const again = await navarch(["sim", "agents", "--state-dir", ground.folder]);
    expect([again.code, existsSync(`/proc/${before?.pid}`)]).toEqual([73, true]);
    expect(again.err).toContain("another process runs the agents");
  });

  test("a process whose folder was emptied ends, and another one follows", async () => {
    const before = ground.agents()?.pid ?? 0;
    rmSync(join(ground.folder, "agents.json"));
    rmSync(join(ground.folder, "agents.lock"));
    await until("it has ended", 30_000, () => !isAlive(String(before)) || null);
    await until("another one runs", 60_000, () => {
      const now = ground.agents();
      return (now !== null && now.pid !== before && now.agents > NODES / 2) || null;
    });
  });
});
