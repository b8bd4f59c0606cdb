/**
 * A8: 25 waiting tasks reach the guide's HorizontalPodAutoscaler through a real Prometheus with the
 * rules of the guide's tree and the real Prometheus Adapter, on a real API server with its
 * aggregation layer, the real controllers and the compiled program.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { HpaEvent, ServiceTimeline } from "../../../schema/console/hpa.ts";
import { ROOT } from "../../../build/product.ts";
import { navarch } from "../../cli/spawn.ts";
import { type KubeObject, parseObjects } from "../../deploy/object.ts";
import { findPrometheus } from "../../fixture/monitoring/prometheus.ts";
import { Plane, until } from "../../fixture/plane/plane.ts";
import { PRODUCT } from "../kubernetes/access.ts";
import { binaryPath, CLUSTER_BINARIES, whyNoCluster } from "../kubernetes/binary.ts";
import { openAuthority } from "../kubernetes/certificate.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";
import { freePorts } from "../kubernetes/part.ts";
import { CONTROLLERS } from "../kubernetes/server.ts";
import {
  findBarriers,
  findChromium,
  logIn,
  openChromium,
  openReader,
  overflowOf,
} from "./browser.ts";

const unbuilt = await whyNoCluster([...CLUSTER_BINARIES, "prometheus-adapter"]);
const prometheus = unbuilt === null ? findPrometheus("prometheus") : null;
const promtool = unbuilt === null ? findPrometheus("promtool") : null;
const missing =
  unbuilt ?? (prometheus === null ? "no prometheus, and it cannot be installed here" : null);
if (missing !== null) console.error(`SKIPPED: scaling pods by Prometheus Adapter: ${missing}`);
const chromium = missing === null ? findChromium() : null;
if (chromium === null) console.error("SKIPPED: Chromium is not here and cannot be installed");

test("an API server, Prometheus and its adapter are here to scale pods", () => {
  if (process.env["CI"] !== "true") return;
  expect([missing, promtool === null, chromium === null]).toEqual([null, false, false]);
});

setDefaultTimeout(60_000);
const PODS = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/kai-ml/pods/*";
const OF_WORKLOAD = "labelSelector=app%3Dcoordinator-service";
const DEPTH = `${PODS}/coordinator_queue_depth?${OF_WORKLOAD}`;
const TIME = `${PODS}/ml_processing_time_seconds?${OF_WORKLOAD}`;
const SERVICE = "prometheus-adapter";

let cluster: Cluster;
let plane: Plane;
let scrapePort = 0;
const children: Bun.Subprocess[] = [];
let discovery: Bun.Server<undefined> | null = null;
const folder = mkdtempSync(join(tmpdir(), "navarch-pod-scaling-"));
const front = openAuthority("front-proxy", Date.now());

const write = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};

function proxyFlags(): string[] {
  const proxy = front.issue({ name: "front-proxy-client" });
  return [
    "--enable-aggregator-routing=true",
    `--requestheader-client-ca-file=${write("front.crt", front.certificate)}`,
    "--requestheader-allowed-names=front-proxy-client",
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    `--proxy-client-cert-file=${write("proxy.crt", proxy.certificate)}`,
    `--proxy-client-key-file=${write("proxy.key", proxy.key)}`,
  ];
}

/** An API server sends nothing to a loopback address. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const found = all.find(({ family, internal }) => family === "IPv4" && !internal);
  if (found === undefined) throw new Error("this machine has no address but loopback");
  return found.address;
}

/** The adapter's chart makes these; here it runs outside of the cluster, so its Service has no pods. */
const adapterObjects = (port: number): object[] => {
  const metadata = { name: SERVICE, namespace: PRODUCT.namespace };
  return [
    {
      ...{ apiVersion: "v1", kind: "Service", metadata },
      spec: { ports: [{ name: "https", port: 443, targetPort: port }] },
    },
    {
      ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
      metadata: { ...metadata, labels: { "kubernetes.io/service-name": SERVICE } },
      ports: [{ name: "https", port, protocol: "TCP" }],
      endpoints: [{ addresses: [ownAddress()], conditions: { ready: true } }],
    },
    {
      ...{ apiVersion: "apiregistration.k8s.io/v1", kind: "APIService" },
      metadata: { name: "v1beta2.custom.metrics.k8s.io" },
      spec: {
        service: { ...metadata, port: 443 },
        ...{ group: "custom.metrics.k8s.io", version: "v1beta2" },
        ...{ groupPriorityMinimum: 100, versionPriority: 200, insecureSkipTLSVerify: true },
      },
    },
  ];
};

const app = { app: "coordinator-service" };
const workload = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "coordinator-service", namespace: "kai-ml", labels: app },
  spec: {
    replicas: 2,
    selector: { matchLabels: app },
    template: {
      metadata: { labels: app, annotations: { "prometheus.io/scrape": "true" } },
      spec: { containers: [{ name: "c", image: "example.test/none" }] },
    },
  },
};

async function manifests(): Promise<KubeObject[]> {
  const account = `${PRODUCT.namespace}/${PRODUCT.name}`;
  const { code, out, err } = await navarch(["manifests", "console", "--account", account]);
  if (code !== 0) throw new Error(err);
  return parseObjects(out);
}

type Pod = {
  metadata: { name: string; namespace: string; annotations?: Record<string, string> };
};

/** Debian's Prometheus is built without Kubernetes: it is told the pods with the same labels. */
function startDiscovery(): string {
  discovery = Bun.serve({
    ...{ port: 0, hostname: "127.0.0.1" },
    async fetch() {
      const { out } = await cluster.kubectl("get", "pods", "-A", "-o", "json");
      const groups = (JSON.parse(out) as { items: Pod[] }).items.map(({ metadata }) => ({
        targets: ["127.0.0.1:1"],
        labels: {
          __meta_kubernetes_namespace: metadata.namespace,
          __meta_kubernetes_pod_name: metadata.name,
          __meta_kubernetes_pod_annotation_prometheus_io_scrape:
            metadata.annotations?.["prometheus.io/scrape"] ?? "",
        },
      }));
      return Response.json(groups);
    },
  });
  return discovery.url.href;
}

/** The page's job for annotated pods, and the guide's rules. */
function startPrometheus(port: number): void {
  const page = readFileSync(join(ROOT, "docs/queue.md"), "utf8");
  const [, block = ""] = /```yaml\n(scrape_configs:[^`]*)```/.exec(page) ?? [];
  const { scrape_configs: jobs } = Bun.YAML.parse(block) as { scrape_configs: object[] };
  const url = startDiscovery();
  const own = { job_name: "navarch", static_configs: [{ targets: [`127.0.0.1:${scrapePort}`] }] };
  const config = {
    global: { scrape_interval: "1s", evaluation_interval: "1s" },
    rule_files: [join(ROOT, "deploy/guide/kai/kubernetes/monitoring/prometheus-rules.yaml")],
    scrape_configs: [
      own,
      ...jobs.map((job) => ({
        ...{ ...job, scrape_timeout: "1s" },
        kubernetes_sd_configs: undefined,
        http_sd_configs: [{ url, refresh_interval: "1s" }],
      })),
    ],
  };
  start(prometheus ?? "", [
    `--config.file=${write("prometheus.json", JSON.stringify(config))}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
}

function startAdapter(port: number, prometheusPort: number, rules: string): void {
  const kubeconfig = cluster.kubeconfig("admin");
  start(binaryPath("prometheus-adapter"), [
    `--prometheus-url=http://127.0.0.1:${prometheusPort}`,
    `--config=${write("rules.yaml", rules)}`,
    ...[`--secure-port=${port}`, `--cert-dir=${join(folder, "cert")}`],
    ...["lister", "authentication", "authorization"].map(
      (of) => `--${of}-kubeconfig=${kubeconfig}`,
    ),
    "--metrics-relist-interval=2s",
  ]);
}

function start(program: string, flags: string[]): void {
  const log = Bun.file(join(folder, `${basename(program)}.log`));
  children.push(Bun.spawn([program, ...flags], { stdout: "ignore", stderr: log }));
}

async function apply(...objects: object[]): Promise<void> {
  const stdin = objects.map((each) => JSON.stringify(each)).join("\n---\n");
  const { code, err } = await cluster.kubectlWith({ user: "admin", stdin }, "apply", "-f", "-");
  expect([code, err]).toEqual([0, ""]);
}

beforeAll(async () => {
  if (missing !== null) return;
  const [own = 0, prometheusPort = 0, adapterPort = 0] = freePorts(3);
  scrapePort = own;
  const controllers = [...CONTROLLERS, "horizontal-pod-autoscaler-controller"].join(",");
  cluster = await openCluster({
    flags: { apiserver: proxyFlags(), controllers: [`--controllers=${controllers}`] },
  });
  await cluster.addNodes(2);
  const objects = (await manifests()) as (KubeObject & { data?: Record<string, string> })[];
  await apply(...objects);
  await apply(...adapterObjects(adapterPort), workload);
  const rules = objects.find(({ metadata }) => metadata.name === "coordinator-adapter-rules");
  plane = new Plane(`
server:
  address: 0.0.0.0:0
  metrics_port: ${scrapePort}
kubernetes: { enabled: true, kubeconfig: ${cluster.kubeconfig("product")} }
pools: []
`);
  await plane.start();
  startPrometheus(prometheusPort);
  startAdapter(adapterPort, prometheusPort, rules?.data?.["config.yaml"] ?? "");
  for (let i = 0; i < 10; i++) {
    for (const name of ["interactive", "batch"]) await submit(name, "medium");
  }
  for (let i = 0; i < 5; i++) await submit("maintenance", "low");
}, 300_000);

afterAll(async () => {
  for (const child of children) child.kill();
  await Promise.all(children.map(({ exited }) => exited));
  await discovery?.stop(true);
  rmSync(folder, { recursive: true });
  if (missing === null)
    expect([...(await plane.destroy()), ...(await cluster.close())]).toEqual([]);
}, 60_000);

async function submit(name: string, priority: string): Promise<void> {
  const body = JSON.stringify({ class: name, priority, type: "noop", hold: true });
  const { status } = await plane.fetch("/api/queue/tasks", { method: "POST", body });
  expect(status).toBe(201);
}

const GAUGES = [
  ...["coordinator_queue_depth", "coordinator_queue_processing_rate"],
  ...["ml_processing_time_seconds", "ml_processing_backlog_seconds"],
  ...["db_connection_utilization", "db_connection_wait_time", "kai_coordinator_queue_depth"],
];

test.skipIf(missing !== null)("A8a: the metrics port counts 25 tasks, in valid text", async () => {
  const page = await (await fetch(`http://127.0.0.1:${scrapePort}/metrics`)).text();
  const lines = page.split("\n").filter((line) => line.startsWith("coordinator_queue_depth"));
  const sum = lines.reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);
  expect(sum).toBe(25);
  for (const name of GAUGES) expect(page).toContain(`# TYPE ${name} gauge`);
  if (promtool === null) return;
  const check = Bun.spawn([promtool, "check", "metrics"], {
    ...{ stdin: Buffer.from(page), stdout: "pipe", stderr: "pipe" },
  });
  const told = await new Response(check.stderr).text();
  await check.exited;
  // It also has opinions on names, which are the guide's; a page that it cannot parse is an error.
  expect(told).not.toContain("error while linting");
});

type Values = { items: { value: string; describedObject: { name: string } }[] };
const amount = (value: string): number =>
  value.endsWith("m") ? Number(value.slice(0, -1)) / 1_000 : Number(value);

async function sumOf(path: string): Promise<{ pods: number; sum: number }> {
  const { code, out, err } = await cluster.kubectl("get", "--raw", path);
  if (code !== 0) throw new Error(err);
  const { items } = JSON.parse(out) as Values;
  return { pods: items.length, sum: items.reduce((sum, { value }) => sum + amount(value), 0) };
}

test.skipIf(missing !== null)(
  "A8b, C59: the adapter's rules give the metrics of the autoscaler",
  async () => {
    const found = await until("the metric is aggregated", 90_000, async () => {
      const now = await sumOf(DEPTH);
      return now.pods > 1 ? now : null;
    });
    expect(found.sum).toBeCloseTo(25, 2);
    expect(await until("the mean is aggregated", 30_000, () => sumOf(TIME))).toEqual({
      ...{ pods: found.pods, sum: 0 },
    });
  },
);

test.skipIf(missing !== null)(
  "A8c, C63: three replicas are set, and the event says why",
  async () => {
    const replicas = ["-n", "kai-ml", "get", "deploy", "coordinator-service"];
    await until("three replicas are wanted", 180_000, async () => {
      const { out } = await cluster.kubectl(...replicas, "-o=jsonpath={.spec.replicas}");
      if (Number(out) >= 3) return true;
      const about = ["-n", "kai-ml", "get", "hpa", "coordinator-service-hpa"];
      throw new Error((await cluster.kubectl(...about, "-o=jsonpath={.status}")).out);
    });
    const event = await until("the event is told", 60_000, async () => {
      const answer = await plane.fetch("/api/hpa-events/kai-ml%2Fcoordinator-service");
      const { events } = (await answer.json()) as { events: HpaEvent[] };
      return events.find(({ kind }) => kind === "scale-up") ?? null;
    });
    expect(event).toMatchObject({
      ...{ namespace: "kai-ml", service: "coordinator-service", hpa: "coordinator-service-hpa" },
      ...{ fromReplicas: 2, toReplicas: 3 },
      trigger: { type: "Pods", metric: "coordinator_queue_depth", threshold: 10 },
    });
    // 25 tasks on three pods.
    const shared = await until("the new pod has its part", 30_000, async () => {
      const now = await sumOf(DEPTH);
      return now.pods === 3 ? now : null;
    });
    expect(shared.sum).toBeCloseTo(25, 2);
  },
  300_000,
);

test.skipIf(missing !== null)("C64: the timeline and the metrics show the scaling", async () => {
  const answer = await plane.fetch("/api/hpa-events/kai-ml%2Fcoordinator-service/timeline");
  const { autoscalers, events, queue } = (await answer.json()) as ServiceTimeline;
  expect(autoscalers.map(({ hpa }) => hpa)).toEqual(["coordinator-service-hpa"]);
  const samples = autoscalers[0]?.samples ?? [];
  const wanted = samples.map(({ desiredReplicas }) => desiredReplicas);
  expect([wanted.includes(2), wanted.at(-1)]).toEqual([true, 3]);
  expect(samples.at(-1)).toMatchObject({ minReplicas: 2, maxReplicas: 10 });
  expect(events.map(({ kind }) => kind)).toContain("scale-up");
  expect(queue.at(-1)?.depth).toEqual({ high: 0, medium: 20, low: 5, batch: 0 });
  const page = await (await fetch(`http://127.0.0.1:${scrapePort}/metrics`)).text();
  const of = 'namespace="kai-ml",hpa="coordinator-service-hpa",service="coordinator-service"';
  expect(page).toContain(`navarch_hpa_replicas{${of},state="desired"} 3`);
  expect(page).toMatch(/navarch_hpa_metric_ratio\{.*metric="coordinator_queue_depth"\} [\d.]+/);
});

test.skipIf(missing !== null || chromium === null)(
  "C64: the page draws replicas, metrics and depth, without barrier or width",
  async () => {
    const browser = await openChromium(chromium ?? "");
    try {
      for (const setting of [{ width: 1_280 }, { width: 375, dark: true }]) {
        const reader = await openReader(browser, plane.url, { ...setting, still: true });
        await logIn(reader, plane.adminToken, "/autoscaling");
        await reader.page.getByRole("link", { name: "kai-ml/coordinator-service" }).click();
        await reader.page.locator(".chart canvas").nth(2).waitFor();
        const names = await reader.page.locator(".u-legend .u-label").allInnerTexts();
        for (const name of ["wanted", "at most", "coordinator_queue_depth (Pods)", "medium"]) {
          expect(names).toContain(name);
        }
        expect(await findBarriers(reader)).toEqual([]);
        expect(await overflowOf(reader)).toBe(0);
        expect(reader.problems).toEqual([]);
        const shots = process.env["NAVARCH_SHOTS"];
        if (shots !== undefined) {
          const path = `${shots}/autoscaling-${setting.width}.png`;
          await reader.page.screenshot({ path, fullPage: true });
        }
        await reader.context.close();
      }
    } finally {
      await browser.close();
    }
  },
  120_000,
);
