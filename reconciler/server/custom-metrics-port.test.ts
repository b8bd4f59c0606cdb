import { afterEach, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import type { Config } from "../../schema/config.ts";
import type { QueueDepth } from "../../schema/console/queue.ts";
import type { KubeAnswer, KubeApi, KubeRequest } from "../kubernetes/api.ts";
import { issue, makeAuthority, type KeyPair } from "../security/tls/certificate.ts";
import { type CustomMetricsPort, openCustomMetrics } from "./custom-metrics-port.ts";

const HOUR = 3_600_000;
const span = { fromMs: Date.now() - 2 * HOUR, untilMs: Date.now() + HOUR };
const FRONT = makeAuthority({ name: "front", ...span });
const OTHER = makeAuthority({ name: "other", ...span });
const proxy = issue(FRONT, { name: "front-proxy-client", ...span });
const HOST = "nm.kai-ml.svc";

const ROOT = "/apis/custom.metrics.k8s.io/v1beta2";
const VALUES = `${ROOT}/namespaces/kai-ml/pods/*/coordinator_queue_depth`;

const opened: { port: CustomMetricsPort | null; folder: string }[] = [];
afterEach(async () => {
  for (const { port, folder } of opened.splice(0)) {
    await port?.stop();
    rmSync(folder, { recursive: true });
  }
});

const pod = (name: string, phase = "Running", more: object = {}) => ({
  metadata: { name, uid: name, resourceVersion: "1", ...more },
  status: { phase },
});

const DATA = {
  "requestheader-client-ca-file": FRONT.certificate,
  "requestheader-allowed-names": '["front-proxy-client"]',
  "requestheader-username-headers": '["X-Remote-User"]',
};

/** An API server with the objects that are read, and every call. */
function cluster() {
  const state = {
    data: DATA as Record<string, string> | null,
    service: { namespace: "kai-ml", name: "nm" },
    pods: [pod("a"), pod("b"), pod("c")] as unknown[],
    caBundle: undefined as string | undefined,
    calls: [] as KubeRequest[],
  };
  const ok = (body: unknown): KubeAnswer => ({ kind: "ok", status: 200, body });
  const api: KubeApi = {
    async call(request) {
      state.calls.push(request);
      const { path, verb } = request;
      if (path.endsWith("/extension-apiserver-authentication")) {
        if (state.data === null) return { kind: "lost", message: "no answer" };
        return ok({ data: state.data });
      }
      if (path.includes("/apiservices/")) {
        const { body } = request as { body: { value: string }[] };
        if (verb === "patch") state.caBundle = body[1]?.value;
        const { service, caBundle } = state;
        return ok({ metadata: { resourceVersion: "5" }, spec: { service, caBundle } });
      }
      return ok({ items: state.pods, metadata: { resourceVersion: "7" } });
    },
    watch: () => Promise.resolve({ kind: "ended" }),
    close: () => undefined,
  };
  return { state, api };
}

const depth: QueueDepth[] = [
  { class: "interactive", priority: "medium", pool: "", tasks: 10 },
  { class: "batch", priority: "high", pool: "gpu", tasks: 15 },
];

async function open(from = cluster(), { dryRun = false, isOpen = true } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "navarch-custom-"));
  const clock = new VirtualClock();
  const logged: string[] = [];
  const free = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port: number } = free;
  free.stop(true);
  const customMetrics = { port: number, service: "kai-ml/nm" };
  const table = { depth: async () => depth, meanMs: async () => 12_345 };
  // Certificates are judged by the machine's clock.
  const wall = { ...clockOf(clock), wallMs: () => Date.now() };
  const port = openCustomMetrics(
    { server: { customMetrics, host: "127.0.0.1", port: 1 } } as Config,
    {
      ...{
        api: from.api,
        options: { dryRun },
        state: folder,
        identity: { fleetId: "f" },
        first: null,
      },
      ...{ clock: wall, store: { taskTable: () => table } },
      log: (_level, message, fields) => logged.push(`${message}: ${JSON.stringify(fields ?? {})}`),
    },
  );
  opened.push({ port, folder });
  if (isOpen) await until(() => port?.port() === number);
  const ca = (): string => readFileSync(join(folder, "custom-metrics/ca.pem"), "utf8");
  const ask = (path: string, more: Asking = {}) => askAt(number, ca(), path, more);
  return { ...from, clock, logged, port, ask, number, ca };
}

const clockOf = (clock: VirtualClock) => ({
  monoMs: () => clock.monoMs(),
  after: (ms: number, work: () => void) => clock.after(ms, work),
});

async function until(isThere: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !isThere(); i++) await Bun.sleep(10);
  expect(isThere()).toBe(true);
}

type Asking = { pair?: KeyPair | null; headers?: string; method?: string };

/** `null`: the handshake was refused. The server's name and authority are verified. */
function askAt(
  port: number,
  ca: string,
  path: string,
  { pair = proxy, headers = "X-Remote-User: hpa", method = "GET" }: Asking,
): Promise<{ status: number; body: Record<string, never> } | null> {
  return new Promise((resolve) => {
    const shown = pair === null ? {} : { cert: pair.certificate, key: pair.key };
    const socket = connect({ host: "127.0.0.1", port, servername: HOST, ca, ...shown });
    let text = "";
    const head = `${method} ${path} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n${headers}`;
    socket.on("secureConnect", () => socket.write(`${head}\r\n\r\n`));
    socket.on("data", (chunk) => (text += String(chunk)));
    socket.on("error", () => resolve(null));
    socket.on("close", () => {
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0);
      const body = /\{.*\}/s.exec(text)?.[0] ?? "{}";
      resolve(status === 0 ? null : { status, body: JSON.parse(body) as Record<string, never> });
    });
  });
}

const valuesOf = (answer: Awaited<ReturnType<typeof askAt>>): string[] =>
  ((answer?.body["items"] ?? []) as { value: string }[]).map(({ value }) => value);

test("C60: the API server's front proxy discovers the metrics and reads the shared depth", async () => {
  const { ask, state } = await open();
  expect(await ask("/apis")).toMatchObject({ status: 200, body: { kind: "APIGroupList" } });
  expect(await ask("/apis/custom.metrics.k8s.io")).toMatchObject({ body: { kind: "APIGroup" } });
  expect((await ask(ROOT))?.body["resources"] as unknown).toMatchObject([
    { name: "pods/coordinator_queue_depth", namespaced: true, verbs: ["get"] },
    { name: "pods/ml_processing_time_seconds" },
  ]);
  const found = await ask(`${VALUES}?labelSelector=app%3Dweb`);
  expect(found).toMatchObject({
    status: 200,
    body: { kind: "MetricValueList", apiVersion: "custom.metrics.k8s.io/v1beta2" },
  });
  // 25 tasks on three pods.
  expect(valuesOf(found)).toEqual(["8334m", "8333m", "8333m"]);
  const listed = state.calls.find(({ path }) => path === "/api/v1/namespaces/kai-ml/pods");
  expect(listed?.query).toMatchObject({ labelSelector: "app=web" });
  expect(valuesOf(await ask(`${VALUES}?metricLabelSelector=class%3Dbatch`))).toEqual([
    ...["5", "5", "5"],
  ]);
  // A mean is no share.
  const mean = await ask(`${ROOT}/namespaces/kai-ml/pods/%2A/ml_processing_time_seconds`);
  expect(valuesOf(mean)).toEqual(["12345m", "12345m", "12345m"]);
  expect(valuesOf(await ask(VALUES.replace("*", "b")))).toEqual(["25"]);
  for (const path of ["/openapi/v2", "/", "/metrics", `${ROOT}/namespaces/kai-ml/pods/*/other`]) {
    expect([path, await ask(path)]).toMatchObject([path, { status: 404, body: { code: 404 } }]);
  }
  expect(await ask(`${VALUES}?metricLabelSelector=(`)).toMatchObject({ status: 400 });
});

test("C60: whoever is not the front proxy is refused", async () => {
  const { ask } = await open();
  const of = (authority: KeyPair, more: object = {}): KeyPair =>
    issue(authority, { name: "front-proxy-client", ...span, ...more });
  const expired = of(FRONT, { untilMs: Date.now() - HOUR });
  const server = of(FRONT, { hosts: ["front-proxy-client"] });
  for (const pair of [null, of(OTHER), expired, server])
    expect(await ask("/apis", { pair })).toBeNull();
  // Of the right authority, under another name.
  for (const name of ["admin", "front-proxy-client2", "x, CN=front-proxy-client"]) {
    const pair = of(FRONT, { name });
    expect([name, await ask("/apis", { pair })]).toMatchObject([name, { status: 401 }]);
  }
  expect(await ask("/apis", { headers: "X-Other: hpa" })).toMatchObject({ status: 401 });
  expect(await ask("/apis", { headers: "X-Remote-User:" })).toMatchObject({ status: 401 });
  expect(await ask(VALUES, { method: "POST" })).toMatchObject({ status: 405 });
  expect(await ask("/apis")).toMatchObject({ status: 200 });
});

test("C60: the authority goes into the APIService that names our Service, once", async () => {
  const { state, ca, clock } = await open();
  const patches = () => state.calls.filter(({ verb }) => verb === "patch");
  await until(() => state.caBundle !== undefined);
  expect(Buffer.from(state.caBundle ?? "", "base64").toString()).toBe(ca());
  expect(patches()[0]?.body).toMatchObject([{ op: "test", value: "5" }, { op: "add" }]);
  const reads = state.calls.length;
  await clock.pass(61_000);
  await until(() => state.calls.length >= reads + 2);
  expect(patches()).toHaveLength(1);
  expect(new X509Certificate(ca()).ca).toBe(true);
});

test("C60: another's APIService is left alone, and a dry run writes nothing", async () => {
  const from = cluster();
  from.state.service = { namespace: "monitoring", name: "prometheus-adapter" };
  const { logged, ask } = await open(from);
  await until(() => logged.some((line) => line.includes("monitoring/prometheus-adapter")));
  const dry = await open(cluster(), { dryRun: true });
  expect(await dry.ask("/apis")).toMatchObject({ status: 200 });
  expect(await ask("/apis")).toMatchObject({ status: 200 });
  for (const { calls } of [from.state, dry.state]) {
    expect(calls.filter(({ verb }) => verb === "patch")).toEqual([]);
  }
});

test("C60: without a front proxy nothing listens, and one that changes is followed", async () => {
  const from = cluster();
  from.state.data = null;
  const { clock, logged, port, ask, state } = await open(from, { isOpen: false });
  const tries = [null, {}, { ...DATA, "requestheader-allowed-names": "" }];
  for (const data of [...tries, { ...DATA, "requestheader-client-ca-file": "no PEM" }]) {
    state.data = data;
    const calls = state.calls.length;
    await clock.pass(11_000);
    await until(() => state.calls.length > calls);
    await Bun.sleep(20);
    expect(port?.port()).toBeNull();
  }
  expect(logged).toHaveLength(3);
  state.data = DATA;
  await clock.pass(11_000);
  await until(() => port?.port() !== null);
  expect(await ask("/apis")).toMatchObject({ status: 200 });
  state.data = { ...DATA, "requestheader-client-ca-file": OTHER.certificate };
  await clock.pass(61_000);
  await until(() => logged.filter((line) => line.startsWith("custom metrics:")).length === 2);
  expect(await ask("/apis")).toBeNull();
  const pair = issue(OTHER, { name: "front-proxy-client", ...span });
  expect(await ask("/apis", { pair })).toMatchObject({ status: 200 });
});
