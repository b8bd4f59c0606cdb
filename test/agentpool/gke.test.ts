/**
 * A11: a cluster of GKE on loopback. Google's token endpoint and its `container` API are stand-ins;
 * the API server is one behind real TLS. The same path to a real API server, and Google's own
 * document as a judge, are in test/real/agentpool/gke.test.ts.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openGkeTransport } from "../../reconciler/agentpool/gke.ts";
import { openClient } from "../../reconciler/kubernetes/client.ts";
import { serveGke } from "../fixture/cloud/gke-server.ts";
import { serveTokens } from "../fixture/cloud/gce-token.ts";
import { openAuthority } from "../real/kubernetes/certificate.ts";

const SETTINGS = { project: "p1", location: "europe-west4", clusterName: "gpu" };
const NAME = "projects/p1/locations/europe-west4/clusters/gpu";
const POOLS = "/apis/velda.io/v1/agentpools";
const HOUR_MS = 3_600_000;

const folder = mkdtempSync(join(tmpdir(), "navarch-gke-"));
afterAll(() => rmSync(folder, { recursive: true }));
const opened: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.stop();
});

const authority = openAuthority("cluster", Date.now());
const stranger = openAuthority("stranger", Date.now());

/** An API server that holds one pool; `under` signs its certificate. */
function serveKubernetes(isValid: (token: string) => boolean, under = authority) {
  const { certificate: cert, key } = under.issue({ name: "kube", hosts: ["127.0.0.1"] });
  const tokens: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    tls: { cert, key },
    fetch(request) {
      const token = request.headers.get("authorization")?.slice("Bearer ".length) ?? "";
      tokens.push(token);
      if (!isValid(token)) {
        const status = { kind: "Status", apiVersion: "v1", code: 401, reason: "Unauthorized" };
        return Response.json(status, { status: 401 });
      }
      const items = [{ metadata: { namespace: "default", name: "shell", uid: "u1" } }];
      return Response.json({ apiVersion: "velda.io/v1", kind: "AgentPoolList", items });
    },
  });
  const host = `127.0.0.1:${server.port}`;
  return { host, tokens, stop: () => server.stop(true) };
}

function openTest({ under = authority } = {}) {
  let now = Date.now();
  const clock = { wallMs: () => now, monoMs: () => now, after: () => () => {} };
  const desk = serveTokens({ wallMs: () => now, subject: "login" });
  const kube = serveKubernetes(desk.isValid, under);
  const ports = { authority: authority.certificate, isValid: desk.isValid };
  const google = serveGke({ name: NAME, endpoint: kube.host, ...ports });
  opened.push(desk, kube, google);
  const env = {
    HOME: folder,
    GCE_METADATA_HOST: desk.host,
    CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER: `${google.url}/`,
  };
  const open = (more: Record<string, string> = {}, settings = SETTINGS) =>
    openGkeTransport(settings, { ...env, ...more }, { clock });
  return { desk, kube, google, open, step: (ms: number) => (now += ms) };
}

const REAL = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after: (ms: number, work: () => void) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

async function use(answer: Awaited<ReturnType<typeof openGkeTransport>>) {
  if (answer.kind !== "ok") throw new Error(answer.message);
  const { transport, warnings } = answer;
  const api = openClient(transport, { clock: REAL, count: () => {}, userAgent: "test" });
  opened.push({ stop: async () => api.close() });
  const list = () =>
    api.call({ verb: "list", path: POOLS, timeoutMs: 5_000, lane: "read" }).then((got) => got);
  return { transport, warnings, list };
}

const names = { kind: "ok", body: { items: [{ metadata: { name: "shell" } }] } };

test("A11: V11: pools are seen at the address that the container API tells", async () => {
  const { google, kube, open } = openTest();
  const { list, transport, warnings } = await use(await open());
  expect(await list()).toMatchObject(names);
  expect(transport.name).toBe("gke p1/europe-west4/gpu");
  expect(warnings).toEqual([]);
  expect(google.calls).toEqual([`GET /v1/${NAME}`]);
  expect(kube.tokens).toEqual(["metadata-1"]);
});

test("A11: V11: a token serves many calls, and another comes before it expires", async () => {
  const { desk, kube, open, step } = openTest();
  const { list } = await use(await open());
  await list();
  step(HOUR_MS - 300_000);
  await list();
  expect(desk.calls).toHaveLength(1);
  step(100_000);
  expect(await list()).toMatchObject(names);
  expect(kube.tokens).toEqual(["metadata-1", "metadata-1", "metadata-2"]);
  // Long after: nothing that expired is shown.
  step(5 * HOUR_MS);
  expect(await list()).toMatchObject(names);
  expect(kube.tokens.slice(3)).toEqual(["metadata-3"]);
});

test("V11: a token that the cluster refuses is replaced, and the call repeated", async () => {
  const { desk, kube, open } = openTest();
  const { list } = await use(await open());
  desk.revoke();
  expect(await list()).toMatchObject(names);
  expect(kube.tokens).toHaveLength(2);
});

test("V11: a token endpoint that is down costs nothing while the token lasts", async () => {
  const { desk, kube, open, step } = openTest();
  const { list } = await use(await open());
  const down = () => new Response("busy", { status: 503 });
  step(HOUR_MS - 120_000);
  desk.next = down();
  expect(await list()).toMatchObject(names);
  expect(await list()).toMatchObject(names);
  expect(desk.calls).toHaveLength(2);
  step(110_000);
  desk.next = down();
  expect(await list()).toMatchObject({ kind: "lost", message: expect.stringContaining("503") });
  expect(await list()).toMatchObject(names);
  expect(kube.tokens).toEqual(["metadata-1", "metadata-1", "metadata-2"]);
});

test("A11: V11: the authority of the reply is the only trust anchor", async () => {
  const { kube, open } = openTest({ under: stranger });
  const { list } = await use(await open());
  const got = await list();
  expect(got).toMatchObject({ kind: "lost" });
  expect(got.kind === "lost" && got.message).toMatch(/certificate/i);
  expect(kube.tokens).toEqual([]);
});

test("A11: V11: an authority that the whole machine trusts is none for the cluster", async () => {
  const { certificate: cert, key } = stranger.issue({ name: "kube", hosts: ["127.0.0.1"] });
  const files = { cert, key, own: authority.certificate, wide: stranger.certificate };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  const script = `
    import { readFileSync } from "node:fs";
    const read = (name) => readFileSync(${JSON.stringify(folder)} + "/" + name, "utf8");
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1",
      tls: { cert: read("cert"), key: read("key") }, fetch: () => new Response("in") });
    const url = "https://127.0.0.1:" + server.port;
    const say = (one) => one.then((answer) => answer.text(), (error) => error.code);
    const open = await say(fetch(url));
    const bound = await say(fetch(url, { tls: { ca: read("own") } }));
    console.log(JSON.stringify({ open, bound }));
    server.stop(true);
  `;
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, "wide") };
  const child = Bun.spawn([process.execPath, "-e", script], { env, stderr: "pipe" });
  const told = JSON.parse(await new Response(child.stdout).text());
  expect(told.open).toBe("in");
  expect(told.bound).toMatch(/CERT|ISSUER|VERIFY/);
});

test("V11: a cluster whose credentials were rotated is found again without a restart", async () => {
  const { desk, google, open, step, kube } = openTest();
  const { list, transport } = await use(await open());
  const moved = serveKubernetes(desk.isValid, stranger);
  opened.push(moved);
  google.cluster.endpoint = moved.host;
  const encoded = Buffer.from(stranger.certificate).toString("base64");
  google.cluster.masterAuth = { clusterCaCertificate: encoded };
  await list();
  expect(google.calls).toHaveLength(1);
  step(600_000);
  // In the background: the call itself goes the known way.
  await list();
  for (let i = 0; i < 100 && transport.server.endsWith(kube.host); i += 1) await Bun.sleep(10);
  expect(await list()).toMatchObject(names);
  expect(moved.tokens).toHaveLength(1);
  // An API that fails afterwards changes nothing, and is not asked at each call.
  google.next = new Response("no", { status: 500 });
  step(600_000);
  await list();
  await Bun.sleep(50);
  expect(await list()).toMatchObject(names);
  expect(google.calls).toHaveLength(3);
});

test("V11: a user's login and a file named by the environment are credentials too", async () => {
  const { desk, kube, open } = openTest();
  const path = join(folder, "user.json");
  const login = { client_id: "c", client_secret: "s", refresh_token: "login" };
  const file = { type: "authorized_user", ...login, token_uri: `${desk.url}/token` };
  writeFileSync(path, JSON.stringify(file));
  const { list } = await use(await open({ GOOGLE_APPLICATION_CREDENTIALS: path }));
  expect(await list()).toMatchObject(names);
  expect(kube.tokens).toEqual(["user-1"]);
});

const error = (code: number, status: string, message: string, reason = "X") =>
  Response.json({ error: { code, status, message, details: [{ reason }] } }, { status: code });

type Part = ReturnType<typeof openTest>;
const wrong: [string, (part: Part) => void, RegExp][] = [
  [
    "no such cluster",
    ({ google }) => (google.next = error(404, "NOT_FOUND", "Not found: projects/p1/…/gpu.")),
    /^projects\/p1\/.*\/gpu: HTTP 404: Not found.*\(check gke\.project, gke\.location and/,
  ],
  [
    "no permission",
    ({ google }) => (google.next = error(403, "PERMISSION_DENIED", "no container.clusters.get")),
    /HTTP 403: no container\.clusters\.get \(grant roles\/container\.developer/,
  ],
  [
    "a project in which the API is off",
    ({ google }) => (google.next = error(403, "PERMISSION_DENIED", "off", "SERVICE_DISABLED")),
    /\(enable container\.googleapis\.com in the project\)/,
  ],
  [
    "a redirect",
    ({ google }) => (google.next = Response.redirect("http://127.0.0.1:1/", 302)),
    /HTTP 302 \(a redirect is not followed/,
  ],
  ["a page", ({ google }) => (google.next = new Response("<html>")), /describes no cluster/],
  [
    "a cluster that is being created",
    ({ google }) => (google.cluster.status = "PROVISIONING"),
    /the cluster is PROVISIONING, not RUNNING$/,
  ],
  [
    "a cluster that failed",
    ({ google }) =>
      Object.assign(google.cluster, { status: "ERROR", conditions: [{ message: "no quota" }] }),
    /the cluster is ERROR, not RUNNING \(no quota\)$/,
  ],
  ["no endpoint", ({ google }) => delete google.cluster.endpoint, /has no endpoint yet/],
  [
    "an endpoint that is an address",
    ({ google }) => (google.cluster.endpoint = "10.0.0.1/@192.0.2.1"),
    /endpoint: expected a host/,
  ],
  ["no authority", ({ google }) => (google.cluster.masterAuth = {}), /cannot be verified/],
  [
    "an authority that is none",
    ({ google }) => (google.cluster.masterAuth = { clusterCaCertificate: "AAAA" }),
    /cannot be verified/,
  ],
  ["no token", ({ desk }) => (desk.next = new Response("no", { status: 404 })), /metadata server/],
  ["no API", ({ google }) => void google.stop(), /^projects\/p1\/.*: 127\.0\.0\.1:\d+: /],
];

describe("V11: what is wrong is named", () => {
  test.each(wrong)("%s", async (_what, spoil, expected) => {
    const part = openTest();
    spoil(part);
    const answer = await part.open();
    expect(answer).toMatchObject({ kind: "failed", message: expect.stringMatching(expected) });
    expect(JSON.stringify(answer)).not.toContain("metadata-1");
    expect(part.kube.tokens).toEqual([]);
  });

  test("names that would lead to another address", async () => {
    const { google, open } = openTest();
    for (const odd of [{ project: "p1/x" }, { location: "../a" }, { clusterName: "c?x=" }]) {
      const answer = await open({}, { ...SETTINGS, ...odd });
      expect(answer).toMatchObject({ kind: "failed", message: expect.stringMatching(/^gke\./) });
    }
    const bare = { CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER: "http://192.0.2.1" };
    expect(await open(bare)).toMatchObject({ kind: "failed" });
    expect(google.calls).toEqual([]);
  });

  test("a cluster that Google upgrades or complains about serves", async () => {
    const { google, open } = openTest();
    google.cluster.status = "RECONCILING";
    expect(await open()).toMatchObject({ kind: "ok", warnings: [] });
    google.cluster.status = "DEGRADED";
    google.cluster.conditions = [{ message: "CA expires" }];
    const warnings = [`${NAME}: the cluster is DEGRADED (CA expires)`];
    expect(await open()).toMatchObject({ kind: "ok", warnings });
  });
});
