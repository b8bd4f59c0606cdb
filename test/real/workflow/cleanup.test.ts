/**
 * W6, W8, W9 on a real API server. SIGINT in the middle of each task type, and a failure at task 7,
 * leave nothing that the run created and everything that was there before.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";
import { difference, startSim, takeStock, writeWorkflow } from "./process.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: interrupted workflows on a cluster: ${missing}`);

test("a Kubernetes API server is here to interrupt workflows at", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

const WORKFLOWS = `${import.meta.dir}/../../workflows`;
const TEMPLATES = `${WORKFLOWS}/template`;

/** The controllers put a configmap into each namespace. */
const ROOT_CA = 1;

/** One of each kind that is there before is named too: it must stay as it is. */
const CONFIGURED = `{id: configure, type: Configure, params: {timeout: 1m, nodes: [{type: dgxa100.40g, count: COUNT}],
    namespaces: [{name: sim-own, op: create}, {name: sim-before, op: create}],
    configmaps: [{name: own, namespace: sim-before, op: create, data: {a: 1}}],
    priorityClasses: [{name: sim-own, value: 7, op: create}, {name: sim-before, value: 5, op: create}]}}`;
const configured = (count: number): string => CONFIGURED.replace("COUNT", String(count));

type Case = {
  type: string;
  tasks: string[];
  /** Its log where the task is in its middle. */
  at: string;
  /** More time after that line. */
  ms?: number;
  /** Calls a second: slow enough to be met in the middle. */
  qps?: number;
};

const register = (id: string, file: string, more = ""): string =>
  `{id: ${id}, type: RegisterObj, params: {template: ${TEMPLATES}/${file}, nameFormat: "${id}-{{._ENUM_}}"${more}}}`;
const submit = (id: string, of: string, count: number, params: string): string =>
  `{id: ${id}, type: SubmitObj, params: {refTaskId: ${of}, count: ${count}, params: ${params}}}`;
/** Configmaps that are there while the task runs. */
const CONFIGMAPS = [register("cm", "configmap.yml"), submit("cms", "cm", 5, "{sim: x}")];

const CASES: Case[] = [
  {
    type: "RegisterObj",
    tasks: [...CONFIGMAPS, register("r", "many-kinds.yml")],
    at: "Starting task RegisterObj/r",
    ms: 200,
    qps: 3,
  },
  {
    type: "SubmitObj",
    tasks: [register("cm", "configmap.yml"), submit("cms", "cm", 200, "{sim: x}")],
    at: "Starting task SubmitObj/cms",
    ms: 1_000,
    qps: 60,
  },
  {
    type: "UpdateObj",
    tasks: [
      register("cm", "configmap.yml"),
      submit("cms", "cm", 100, "{sim: x}"),
      "{id: u, type: UpdateObj, params: {refTaskId: cms, state: {metadata: {labels: {sim: y}}}}}",
    ],
    at: "Starting task UpdateObj/u",
    ms: 600,
    qps: 60,
  },
  {
    type: "CheckObj",
    tasks: [
      ...CONFIGMAPS,
      "{id: c, type: CheckObj, params: {refTaskId: cms, state: {metadata: {labels: {sim: never}}}, timeout: 1h}}",
    ],
    at: "Starting task CheckObj/c",
  },
  {
    type: "CheckPod",
    tasks: [
      configured(2),
      register(
        "jobs",
        "job.yml",
        `, podNameFormat: "{{._NAME_}}-[0-9]-.*", podCount: "{{.workers}}"`,
      ),
      submit("job", "jobs", 2, "{namespace: sim-own, workers: 2}"),
      // Two of four fit on two nodes of eight GPUs.
      "{id: p, type: CheckPod, params: {refTaskId: job, status: Running, timeout: 1h}}",
    ],
    at: "Starting task CheckPod/p",
    ms: 3_000,
  },
  {
    type: "CheckConfigmap",
    tasks: [
      ...CONFIGMAPS,
      "{id: c, type: CheckConfigmap, params: {name: before, namespace: sim-before, data: {a: 1}, op: equal}}",
    ],
    at: "Starting task CheckConfigmap/c",
    ms: 50,
    qps: 3,
  },
  {
    type: "CheckNode",
    tasks: [
      configured(3),
      "{id: c, type: CheckNode, params: {selectors: [{type: kwok}], state: {spec: {unschedulable: true}}, timeout: 1h}}",
    ],
    at: "Starting task CheckNode/c",
  },
  {
    type: "DeleteObj",
    tasks: [
      register("cm", "configmap.yml"),
      submit("cms", "cm", 100, "{sim: x}"),
      "{id: d, type: DeleteObj, params: {refTaskId: cms}}",
    ],
    at: "Starting task DeleteObj/d",
    ms: 600,
    qps: 60,
  },
  {
    type: "Sleep",
    tasks: [configured(5), "{id: s, type: Sleep, params: {timeout: 1h}}"],
    at: "Starting task Sleep/s",
  },
  {
    type: "Pause",
    tasks: [configured(5), "{id: p, type: Pause}"],
    at: "Starting task Pause/p",
  },
  {
    type: "Configure",
    tasks: [configured(300)],
    at: "Starting task Configure/configure",
    ms: 1_500,
    qps: 60,
  },
  {
    type: "UpdateNodes",
    tasks: [
      configured(100),
      "{id: u, type: UpdateNodes, params: {selectors: [{type: kwok}], state: {spec: {unschedulable: true}, metadata: {labels: {sim: x}}}}}",
    ],
    at: "Starting task UpdateNodes/u",
    ms: 600,
    qps: 60,
  },
];

describe.skipIf(missing !== null)("navarch sim on a cluster", () => {
  let cluster: Cluster;
  let before: string[];

  beforeAll(async () => {
    cluster = await openCluster();
    await cluster.addNodes(2);
    for (const words of [
      ["create", "namespace", "sim-before"],
      ["-n", "sim-before", "create", "configmap", "before", "--from-literal=a=1"],
      ["create", "priorityclass", "sim-before", "--value=5"],
    ]) {
      expect(await cluster.kubectl(...words)).toMatchObject({ code: 0 });
    }
    await Bun.sleep(2_000);
    before = await takeStock(cluster);
  }, 120_000);
  afterAll(() => cluster?.close());

  test.each(CASES.map((one) => [one.type, one] as const))(
    "W9: in the middle of %s",
    async (_, { type, tasks, at, ms = 300, qps }) => {
      const pace = qps === undefined ? [] : ["-kube-api-qps", String(qps), "-kube-api-burst=1"];
      const path = writeWorkflow(`interrupt-${type}`, tasks);
      const sim = startSim(cluster, ["-workflow", path, "-cleanup", ...pace]);
      await sim.until(at);
      await Bun.sleep(ms);
      const middle = await takeStock(cluster);
      sim.kill("SIGINT");
      const { code, err, last } = await sim.ended();
      expect({ code, last }).toEqual({ code: 130, last: expect.stringContaining("interrupted") });
      expect(last).toStartWith(`error: ${path}: ${type}/`);
      expect(err).not.toContain("warning: cleanup");
      expect(await difference(cluster, before)).toEqual([]);
      // Otherwise the interrupt came before anything was made, or after all was.
      expect(middle.length).toBeGreaterThan(before.length);
    },
    120_000,
  );

  test("A8: files of one run share what they register, and are cleaned up after once", async () => {
    const files = "{config-nodes.yaml,config-job.yaml,run-test.yaml}";
    const sim = startSim(cluster, ["-cleanup", "-workflow", `${WORKFLOWS}/multi/${files}`]);
    const { code, err } = await sim.ended();
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining("Cleanup: 6 objects") });
    expect(err.match(/Cleanup: .* removed/g)).toHaveLength(1);
    expect(await difference(cluster, before)).toEqual([]);
  }, 90_000);

  test("A9: an interrupt removes the configmaps, and the status is 130", async () => {
    const sim = startSim(cluster, ["-cleanup", "-workflow", `${WORKFLOWS}/submit-then-sleep.yml`]);
    await sim.until("Starting task Sleep/sleep");
    const label = ["get", "cm", "-n", "default", "-l", "sim=interrupt", "--no-headers"];
    expect((await cluster.kubectl(...label)).out.trim().split("\n")).toHaveLength(3);
    sim.kill("SIGINT");
    expect((await sim.ended()).code).toBe(130);
    expect((await cluster.kubectl(...label)).out).toBe("");
    expect(await difference(cluster, before)).toEqual([]);
  }, 60_000);

  const SEVEN = [
    configured(5),
    ...[2, 3, 4, 5, 6].map((i) => `{id: t${i}, type: Sleep, params: {timeout: 1ms}}`),
    "{id: t7, type: Configure, params: {timeout: 30s, configmaps: [{name: a, namespace: nosuch, op: create}]}}",
    "{id: t8, type: Sleep, params: {timeout: 1h}}",
  ];

  test("W6, W9: a failure at task 7 ends with 1, is the last line, and is cleaned up after", async () => {
    const path = writeWorkflow("seven", SEVEN);
    const sim = startSim(cluster, ["-workflow", path, "-cleanup"]);
    const { code, err, last } = await sim.ended();
    expect(code).toBe(1);
    expect(last).toStartWith(`error: ${path}: Configure/t7: `);
    expect(last).toContain('namespaces "nosuch" not found');
    expect(err).toContain("Cleanup: 8 objects removed");
    expect(err).not.toContain("t8");
    expect(await difference(cluster, before)).toEqual([]);
  }, 60_000);

  test("W8: without -cleanup nothing is removed; W8: nodes stay with -cleanup.nodes=false", async () => {
    const path = writeWorkflow("stays", [configured(5)]);
    expect(await startSim(cluster, ["-workflow", path]).ended()).toMatchObject({ code: 0 });
    // A controller adds the configmap of the CA to the new namespace in its own time.
    const kept = await until("all is there", 10_000, async () => {
      const stock = await takeStock(cluster);
      return stock.length >= before.length + 8 + ROOT_CA ? stock : null;
    });
    expect(kept.length).toBe(before.length + 8 + ROOT_CA);
    // What another run made is not this run's to remove.
    const again = await startSim(cluster, ["-workflow", path, "-cleanup"]).ended();
    expect([again.code, again.err]).toEqual([0, expect.not.stringContaining("Cleanup:")]);
    expect(await takeStock(cluster)).toEqual(kept);
    for (const words of [
      ["node", "-l", "type=kwok"],
      ["namespace", "sim-own"],
      ["priorityclass", "sim-own"],
      ["-n", "sim-before", "configmap", "own"],
    ]) {
      expect(await cluster.kubectl("delete", ...words)).toMatchObject({ code: 0 });
    }
    expect(await difference(cluster, before)).toEqual([]);
    const part = await startSim(cluster, [
      "-workflow",
      path,
      "-cleanup",
      "-cleanup.nodes=false",
    ]).ended();
    expect(part.code).toBe(0);
    const nodes = (await takeStock(cluster)).filter((one) => one.includes("/nodes /virtual-"));
    expect(nodes).toHaveLength(5);
    await cluster.kubectl("delete", "node", "-l", "type=kwok");
    expect(await difference(cluster, before)).toEqual([]);
  }, 90_000);

  test("W8: a dry run reads templates and kinds, and writes nothing", async () => {
    const good = [configured(3), register("r", "many-kinds.yml"), submit("s", "r", 2, "{}")];
    const dry = (name: string, tasks: string[]) =>
      startSim(cluster, ["-dry-run", "-workflow", writeWorkflow(name, tasks)]).ended();
    expect(await dry("dry", good)).toMatchObject({ code: 0 });
    const bad = await dry("dry-bad", [...good, submit("t", "x", 1, "{}")]);
    expect([bad.code, bad.last]).toEqual([1, expect.stringContaining("unreferenced task ID x")]);
    const late = await dry("dry-late", [
      ...good,
      "{id: c, type: DeleteObj, params: {refTaskId: y}}",
    ]);
    expect(late.last).toContain("DeleteObj/c: unreferenced task ID y; SubmitObj tasks that ran: s");
    expect(await takeStock(cluster)).toEqual(before);
  }, 60_000);

  test("W9: an interrupt in the middle of a new value leaves a priority class", async () => {
    const task =
      "{id: c, type: Configure, params: {timeout: 1m, priorityClasses: [{name: sim-before, value: VALUE, op: create}]}}";
    const set = (value: number) =>
      writeWorkflow(`value-${value}`, [task.replace("VALUE", String(value))]);
    const slow = ["-cleanup", "-v", "4", "-kube-api-qps=2", "-kube-api-burst=1"];
    const sim = startSim(cluster, ["-workflow", set(9), ...slow]);
    await sim.until("DELETE /apis/scheduling.k8s.io/v1/priorityclasses/sim-before: 200");
    sim.kill("SIGINT");
    expect((await sim.ended()).code).toBe(130);
    const now = await cluster.kubectl(
      "get",
      "priorityclass",
      "sim-before",
      "-o",
      "jsonpath={.value}",
    );
    expect(now).toMatchObject({ code: 0, out: "9" });
    // Back to what the other tests compare with; its UID is another.
    await startSim(cluster, ["-workflow", set(5)]).ended();
    before = await takeStock(cluster);
  }, 60_000);

  test("W3: -seed repeats the names that a run draws", async () => {
    const drawn = `{id: r, type: RegisterObj, params: {template: ${TEMPLATES}/drawn.yml}}`;
    const path = writeWorkflow("drawn", [
      drawn,
      "{id: s, type: SubmitObj, params: {refTaskId: r}}",
    ]);
    const names = async (...seed: string[]) => {
      const args = ["-workflow", path, "-cleanup", "-v", "4", ...seed];
      const { code, err } = await startSim(cluster, args).ended();
      expect(code).toBe(0);
      return err.match(/configmap default\/drawn-\w+ created/g);
    };
    const [first, again, other, random] = [
      await names("-seed", "7"),
      await names("-seed=7"),
      await names("-seed=8"),
      await names(),
    ];
    expect(first).toEqual(again);
    expect(new Set([first, other, random].map(String)).size).toBe(3);
    expect(await difference(cluster, before)).toEqual([]);
  }, 60_000);

  test("W9: a second signal ends at once and names what is left", async () => {
    const path = writeWorkflow("twice", [
      configured(40),
      "{id: s, type: Sleep, params: {timeout: 1h}}",
    ]);
    const sim = startSim(cluster, [
      "-workflow",
      path,
      "-cleanup",
      "-kube-api-qps=20",
      "-kube-api-burst=1",
    ]);
    await sim.until("Starting task Sleep/s");
    sim.kill("SIGINT");
    await sim.until("Cleanup: 43 objects to remove");
    await Bun.sleep(300);
    sim.kill("SIGTERM");
    const { code, last } = await sim.ended();
    expect(code).toBe(143);
    expect(last).toMatch(/^error: interrupted again; left behind: .* and \d+ more$/);
    await cluster.kubectl("delete", "node", "-l", "type=kwok");
    await cluster.kubectl(
      "delete",
      "namespace/sim-own",
      "priorityclass/sim-own",
      "--ignore-not-found",
    );
    await cluster.kubectl("-n", "sim-before", "delete", "configmap", "own", "--ignore-not-found");
    expect(await difference(cluster, before)).toEqual([]);
  }, 90_000);

  test("W6: an account without rights is told what it lacks", async () => {
    const path = writeWorkflow("rights", [configured(1)]);
    const { code, last } = await startSim(cluster, ["-workflow", path], {
      user: "product",
    }).ended();
    expect(code).toBe(1);
    expect(last).toStartWith(`error: ${path}: Configure/configure: `);
    expect(last).toContain("cannot");
    expect(await difference(cluster, before)).toEqual([]);
  }, 60_000);

  test("W9: an API server that goes away in the middle: the run fails, and cleanup waits for it", async () => {
    const tasks = [configured(3), "{id: s, type: Sleep, params: {timeout: 3s}}"];
    const late =
      "{id: late, type: Configure, params: {timeout: 2s, namespaces: [{name: sim-late, op: create}]}}";
    const path = writeWorkflow("away", [...tasks, late]);
    const sim = startSim(cluster, ["-workflow", path, "-cleanup"]);
    await sim.until("Starting task Sleep/s");
    await cluster.stopApiserver();
    await sim.until("warning: cleanup: the API server does not serve");
    await cluster.startApiserver();
    const { code, last } = await sim.ended();
    expect(code).toBe(1);
    expect(last).toStartWith(`error: ${path}: Configure/late: `);
    expect(await difference(cluster, before)).toEqual([]);
  }, 120_000);
});
