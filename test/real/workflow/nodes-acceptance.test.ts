/**
 * Virtual nodes by the compiled program, in the guide root, on a real API server with KWOK: the
 * command lines that an operator copies, and how long and how much memory they take.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import { buildStale, cleanEnv, NAVARCH } from "../../fixture/plane/plane.ts";
import { binaryPath, whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster, type Ran } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
const missingHelm = missing ?? (await whyNoCluster(["helm"]));
if (missing !== null) console.error(`SKIPPED: virtual nodes of the compiled program: ${missing}`);
else if (missingHelm !== null) console.error(`SKIPPED: the seed's helm line: ${missingHelm}`);

const GUIDE = join(ROOT, "deploy/guide/knavigator");

let cluster: Cluster;
let folder = "";

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  folder = mkdtempSync(join(tmpdir(), "navarch-nodes-"));
  cluster = await openCluster({ stages: "shipped" });
}, 300_000);
afterAll(async () => {
  if (missing !== null) return;
  rmSync(folder, { recursive: true, force: true });
  expect(await cluster.close()).toEqual([]);
}, 60_000);

const RUN_MS_MAX = 120_000;

type Measured = Ran & { ms: number; mib: number };

/** A command line of the guide root, with the test cluster as the caller's. */
async function run(...command: string[]): Promise<Measured> {
  const startedMs = performance.now();
  const programs = [binaryPath("kubectl"), ...(missingHelm === null ? [binaryPath("helm")] : [])];
  const path = [...programs.map(dirname), "/usr/bin", "/bin"].join(":");
  const child = Bun.spawn(command, {
    cwd: GUIDE,
    env: cleanEnv({ HOME: folder, KUBECONFIG: cluster.kubeconfig(), PATH: path }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: RUN_MS_MAX,
  });
  let kib = 0;
  const look = setInterval(() => (kib = Math.max(kib, peakOf(child.pid))), 20);
  const ends = [child.stdout, child.stderr];
  const [out = "", err = ""] = await Promise.all(ends.map((end) => new Response(end).text()));
  const code = await child.exited;
  clearInterval(look);
  return { code, out, err, ms: performance.now() - startedMs, mib: kib / 1_024 };
}

/** KiB. The kernel's `ru_maxrss` of a child counts what its parent had before `exec`. */
function peakOf(pid: number): number {
  try {
    return Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0; // It has ended.
  }
}

const navarch = (...args: string[]): Promise<Measured> => run(NAVARCH, ...args);

type Node = {
  metadata: { name: string; uid: string; labels: Labels; annotations: Labels };
  spec: { unschedulable?: boolean; providerID: string };
  status: {
    capacity: Labels;
    allocatable: Labels;
    conditions: { type: string; status: string; reason: string; message: string }[];
  };
};
type Labels = Record<string, string>;

async function nodes(): Promise<Node[]> {
  const { items } = await cluster.json<{ items: Node[] }>(
    "/api/v1/nodes?labelSelector=type%3Dkwok",
  );
  return items;
}

const isReady = ({ status }: Node): boolean =>
  status.conditions.some(({ type, status: now }) => type === "Ready" && now === "True");

/** What an operator wrote of a node, without what the server and helm add. */
function written({ metadata, spec, status }: Node) {
  const { labels, annotations } = metadata;
  const own = (map: Labels) =>
    Object.fromEntries(Object.entries(map).filter(([key]) => !/helm|managed-by/i.test(key)));
  const conditions = status.conditions.map(({ type, status: now, reason, message }) => {
    return { type, status: now, reason, message };
  });
  const { capacity, allocatable } = status;
  const { name } = metadata;
  const meta = { name, labels: own(labels), annotations: own(annotations) };
  return { ...meta, providerID: spec.providerID, capacity, allocatable, conditions };
}

const PRESETS = `
name: presets
tasks:
- id: c
  type: Configure
  params:
    nodes:
    - {type: dgxa100.40g, count: 1}
    - {type: dgxa100.80g, count: 1, conditions: [{type: KernelDeadlock, status: "False", reason: KernelHasNoDeadlock, message: "kernel: no deadlock"}]}
    - {type: dgxh100.80g, count: 1, labels: {nvidia.com/gpu.count: 8}}
    - {type: cpu.x86, count: 1, resources: {hugepages-1Gi: 0, hugepages-2Mi: 0, pods: 110, cpu: 48, memory: 196692052Ki, ephemeral-storage: 2537570228Ki}}
    timeout: 1m
`;

const TABLE = `cpu.x86\t48\t196692052Ki\t-\t-\t2537570228Ki\t110
dgxa100.40g\t256\t1Ti\t8\t16\t15Ti\t110
dgxa100.80g\t256\t2Ti\t8\t16\t30Ti\t110
dgxh100.80g\t224\t2Ti\t8\t16\t30Ti\t110`;

const VALUES = "charts/virtual-nodes/values-example.yaml";

describe.skipIf(missing !== null)("virtual nodes of the compiled program", () => {
  test("W35 W39 A3: the preset table, stable names, and Ready for more than a minute", async () => {
    const file = join(folder, "n.yml");
    writeFileSync(file, PRESETS);
    const first = await navarch("sim", "-workflow", file);
    expect([first.code, first.err]).toEqual([0, expect.not.stringContaining("warning")]);
    const made = await nodes();
    const rows = made.map(({ metadata, status }) => {
      expect(status.allocatable).toEqual(status.capacity);
      const { cpu, memory, pods, ...rest } = status.capacity;
      const [gpus, nics] = [rest["nvidia.com/gpu"] ?? "-", rest["nvidia.com/mlnxnics"] ?? "-"];
      const type = metadata.name.split("-")[1];
      return [type, cpu, memory, gpus, nics, rest["ephemeral-storage"], pods].join("\t");
    });
    expect(rows.sort().join("\n")).toBe(TABLE);
    expect((await navarch("sim", "-workflow", file)).code).toBe(0);
    const uids = (list: Node[]) => list.map(({ metadata }) => metadata.uid).sort();
    expect(uids(await nodes())).toEqual(uids(made));
    await Bun.sleep(62_000);
    expect((await nodes()).map(isReady)).toEqual([true, true, true, true]);
  }, 150_000);

  test("W32 A10: selectors cordon five of twelve nodes", async () => {
    const file = "resources/benchmarks/nwtopo/workflows/config-nodes.yaml";
    const { code, err } = await navarch("sim", "-workflow", file);
    expect([code, err]).toEqual([0, expect.stringContaining("2 tasks completed")]);
    const made = await nodes();
    expect(made.length).toBe(12);
    expect(made.filter(({ spec }) => spec.unschedulable === true).length).toBe(5);
    expect((await navarch("sim", "nodes", "delete")).out).toBe("12 virtual nodes deleted\n");
  }, 60_000);

  test("W38 A11: 700 nodes within 60 s and 200 MiB", async () => {
    const file = "resources/benchmarks/scaling/workflows/config-nodes.yaml";
    const { code, ms, mib } = await navarch("sim", "-workflow", file);
    console.error(`700 nodes in ${(ms / 1_000).toFixed(1)} s, ${Math.round(mib)} MiB resident`);
    expect(code).toBe(0);
    expect((await nodes()).filter(isReady).length).toBe(700);
    expect(ms).toBeLessThan(60_000);
    expect(mib).toBeGreaterThan(20);
    expect(mib).toBeLessThan(200);
    expect((await navarch("sim", "nodes", "delete")).out).toBe("700 virtual nodes deleted\n");
  }, 120_000);

  test("W8 W31: an interrupt in the middle of Configure leaves nothing that it made", async () => {
    const file = join(folder, "many.yml");
    const nodes2000 = "nodes: [{type: dgxh100.80g, count: 2000}], timeout: 1m";
    writeFileSync(file, `tasks: [{id: many, type: Configure, params: {${nodes2000}}}]`);
    await navarch("sim", "nodes", "apply", "-f", VALUES);
    const before = (await nodes()).map(({ metadata }) => metadata.name);
    const line = `"${NAVARCH}" sim -cleanup -workflow "${file}" & P=$!; sleep 1.5; kill -INT $P; wait $P`;
    const { code, err } = await run("bash", "-m", "-c", line);
    expect([code, err]).toEqual([130, expect.stringMatching(/Cleanup: \d+ objects? removed/)]);
    const left = (await nodes()).map(({ metadata }) => metadata.name);
    expect(left.filter((name) => !before.includes(name))).toEqual([]);
    await navarch("sim", "nodes", "delete");
  }, 120_000);

  test.skipIf(missingHelm !== null)(
    "W38 W44: the seed's lines make the nodes of `nodes apply`",
    async () => {
      const stage = await run("kubectl", "apply", "-f", "charts/overrides/kwok/pod-complete.yml");
      expect([stage.code, stage.out]).toEqual([0, expect.stringContaining("pod-complete")]);
      const helm = "helm upgrade --install virtual-nodes charts/virtual-nodes -f";
      const installed = await run(...helm.split(" "), VALUES);
      expect([installed.code, installed.out]).toEqual([0, expect.stringContaining("deployed")]);
      const byHelm = (await nodes()).map(written);
      expect(byHelm.length).toBe(4);
      const again = await navarch("sim", "nodes", "apply", "-f", VALUES);
      expect(again.out).toBe("4 virtual nodes: 0 created, 4 kept, 0 patched, 0 deleted\n");
      expect((await run("helm", "uninstall", "virtual-nodes")).code).toBe(0);
      expect(await nodes()).toEqual([]);
      const applied = await navarch("sim", "nodes", "apply", "-f", VALUES);
      expect(applied.out).toBe("4 virtual nodes: 4 created, 0 kept, 0 patched, 0 deleted\n");
      expect((await nodes()).map(written)).toEqual(byHelm);
    },
    60_000,
  );

  test("W34 W37: the seed's entries show what the file says, byte for byte", async () => {
    await navarch("sim", "nodes", "apply", "-f", VALUES);
    const made = await nodes();
    const cpu = made.find(({ metadata }) => metadata.name.includes("cpu.x86"));
    const shown = Object.entries(cpu?.status.capacity ?? {}).map(([key, one]) => `${key}: ${one}`);
    const text = readFileSync(join(GUIDE, VALUES), "utf8");
    expect(shown.length).toBe(6);
    for (const line of shown) expect(text).toContain(`      ${line}\n`);
    const dgx = made.find(({ metadata }) => metadata.name.includes("dgxa100.80g"));
    expect(dgx?.metadata.labels).toMatchObject({
      "nvidia.com/gpu.count": "8",
      "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
    });
    expect(dgx?.status.conditions).toContainEqual(
      expect.objectContaining({
        type: "KernelDeadlock",
        status: "False",
        reason: "KernelHasNoDeadlock",
        message: "kernel has no deadlock",
      }),
    );
  }, 30_000);

  test("W38: list shows the set, and delete ends it", async () => {
    const { code, out } = await navarch("sim", "nodes", "list");
    expect(code).toBe(0);
    const rows = out.split("\n").map((line) => line.split(/\s+/).slice(1, 4).join(" "));
    const [cpu, dgx] = ["cpu.x86 Ready -", "dgxa100.80g Ready 8"];
    expect(rows).toEqual(["Type Status GPUs", cpu, cpu, dgx, dgx, ""]);
    expect((await navarch("sim", "nodes", "delete")).out).toBe("4 virtual nodes deleted\n");
    expect((await navarch("sim", "nodes", "list")).out).toBe("No virtual nodes found\n");
  }, 30_000);

  test.each([
    [[], 2, "expected apply, list or delete"],
    [["aply"], 2, 'unknown verb "aply"; expected apply, list or delete: did you mean "apply"?'],
    [["apply"], 2, "apply needs -f FILE"],
    [["list", "-f", "x"], 2, "list takes no -f"],
    [["apply", "-f", "/none"], 1, "error: /none: "],
    [["list", "-kubectx", "nosuch"], 1, 'no kubecontext "nosuch"'],
    [
      ["delete", "-timout", "1s"],
      2,
      "flag provided but not defined: -timout (did you mean -timeout",
    ],
  ])("W38: sim nodes %p exits with %d", async (args, code, words) => {
    const ended = await navarch("sim", "nodes", ...args);
    expect([ended.code, ended.err.trim().split("\n").at(-1)]).toEqual([
      code,
      expect.stringContaining(words),
    ]);
  });

  test.each([
    ["nods: []", 'unknown key "nods": did you mean "nodes"?'],
    ["nodes: [{type: a}]", "nodes[0]: must specify count"],
    ["nodes: [{type: dgxh100.80g, count: 1, resources: {cpu: 1}}]", "resource cpu is preset"],
    ["nodes: [", "not valid YAML"],
    ["[]", 'expected a map with the key "nodes"'],
  ])("W38: a file with %s is refused with its path", async (text, words) => {
    const file = join(folder, "bad.yaml");
    writeFileSync(file, text);
    const { code, err } = await navarch("sim", "nodes", "apply", "-f", file);
    expect([code, err]).toEqual([1, expect.stringContaining(`error: ${file}: `)]);
    expect(err).toContain(words);
  });

  test("W36: a type without resources is a warning that names the nearest preset", async () => {
    const file = join(folder, "near.yaml");
    writeFileSync(file, "nodes: [{type: dgxh100.80gb, count: 0}]");
    const { code, err } = await navarch("sim", "nodes", "apply", "-f", file);
    expect([code, err]).toEqual([
      0,
      "warning: nodes[0]: type dgxh100.80gb has no resources, so its nodes only hold pods; " +
        "did you mean dgxh100.80g?\n",
    ]);
  });
});
