/**
 * A14: the compiled control plane with a pool of virtual nodes on a real cluster, a GPU that is
 * lost on purpose, and the workflow that waits until the node is replaced. W56: with simulation off
 * the same workflow is refused, and nothing is hurt.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SIM_FAULTS } from "../../../reconciler/provider/kwok/sim-fault.ts";
import { PROCESS_FILE } from "../../../reconciler/provider/kwok/agent-setting.ts";
import { buildStale, cleanEnv, NAVARCH, Plane, until } from "../../fixture/plane/plane.ts";
import { PRODUCT_RULES } from "../kubernetes/access.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: losing a GPU of a virtual node: ${missing}`);

test("a Kubernetes API server is here to lose a GPU at", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

setDefaultTimeout(240_000);
const GUIDE = join(import.meta.dir, "../../../deploy/guide/knavigator");
const FILE = "resources/workflows/fleet/lose-a-gpu.yml";
const folder = mkdtempSync(join(tmpdir(), "navarch-lose-"));
/** What the provider's account needs besides the product's own role. */
const CREATE = { apiGroups: [""], resources: ["nodes"], verbs: ["create"] };

const yaml = (enabled: boolean): string => `
server: { address: "127.0.0.1:0" }
simulation: { enabled: ${enabled} }
kubernetes: { enabled: true }
providers:
  kwok: {}
pools:
  - name: train
    provider: kwok
    instance_type: dgxh100.80g
    scaling: { min_nodes: 4, max_nodes: 8 }
`;

let cluster: Cluster;
let plane: Plane;

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster({ productRules: [...PRODUCT_RULES, CREATE], tell: () => {} });
  plane = new Plane(yaml(false), { KUBECONFIG: cluster.kubeconfig("product") });
  await plane.start(60_000);
  await plane.waitServing(4, 120_000);
}, 240_000);

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
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

async function sim(...args: string[]): Promise<{ code: number; err: string }> {
  const child = Bun.spawn([NAVARCH, "sim", ...args], {
    cwd: GUIDE,
    env: cleanEnv({
      HOME: folder,
      KUBECONFIG: cluster.kubeconfig("admin"),
      NAVARCH_SERVER: plane.url,
      NAVARCH_AUTH_TOKEN: plane.adminToken,
    }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 120_000,
  });
  const err = await new Response(child.stderr).text();
  return { code: await child.exited, err };
}

type NodeList = { items: { metadata: { annotations: Record<string, string> }; spec: object }[] };
const kubeNodes = async () =>
  (await cluster.json<NodeList>("/api/v1/nodes?labelSelector=type%3Dkwok")).items;

if (missing === null) {
  test("W56: with simulation off the workflow is refused, and nothing is hurt", async () => {
    const report = join(folder, "off.xml");
    const { code, err } = await sim("-workflow", FILE, "-report", report);
    expect([code, err]).toEqual([1, expect.stringContaining("simulation is off")] as never);
    expect(err.trimEnd().split("\n").at(-1)).toContain("InjectFault/hurt: node ");
    expect(readFileSync(report, "utf8")).toContain('tests="3" failures="1"');
    const nodes = await kubeNodes();
    expect(nodes).toHaveLength(4);
    for (const { metadata, spec } of nodes) {
      expect(metadata.annotations[SIM_FAULTS]).toBeUndefined();
      expect(spec).not.toHaveProperty("unschedulable");
    }
    const kinds = (await plane.events()).map(({ kind }) => kind);
    expect(kinds.filter((kind) => /simulation|cordoned|unhealthy/.test(kind))).toEqual([]);
  });

  test("A14, W56: a lost GPU is cordoned and replaced while a workflow watches", async () => {
    writeFileSync(plane.config, readFileSync(plane.config, "utf8").replace("false", "true"));
    const reload = await plane.fetch("/api/v1/config/reload", { method: "POST", body: "{}" });
    expect(reload.status).toBe(200);
    const report = join(folder, "on.xml");
    const startedMs = performance.now();
    const { code, err } = await sim("-workflow", FILE, "-report", report, "-seed", "7");
    console.error(`lose-a-gpu: ${Math.round(performance.now() - startedMs)} ms`);
    expect([code, err]).toEqual([0, expect.stringContaining("3 tasks completed")] as never);
    expect(readFileSync(report, "utf8")).toContain('tests="3" failures="0"');
    const events = await plane.events();
    const count = (kind: string) => events.filter((event) => event.kind === kind).length;
    expect([count("simulation.fault"), count("node.replaced")]).toEqual([1, 1]);
    // Four were bought at first, and one for the lost.
    expect(count("node.requested")).toBe(5);
    expect(await plane.waitServing(4)).toHaveLength(4);
    expect(await kubeNodes()).toHaveLength(4);
  });
}
