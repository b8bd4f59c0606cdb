/**
 * A11 on a real API server: Google's stand-ins hand out the cluster's own authority and tokens that
 * the server made and verifies. The stand-in of the `container` API, and what is asked of it, are
 * held to Google's discovery document.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openGkeTransport } from "../../../reconciler/agentpool/gke.ts";
import { openClient } from "../../../reconciler/kubernetes/client.ts";
import { REAL_CLOCK } from "../../../reconciler/kubernetes/connect.ts";
import type { Exchange } from "../../fixture/cloud/gce-server.ts";
import { serveGke } from "../../fixture/cloud/gke-server.ts";
import { documentsOrSkip, Judge } from "../cloud/gce/discovery.ts";
import { PRODUCT_RULES } from "../kubernetes/access.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { openAuthority } from "../kubernetes/certificate.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: GKE's path to a real API server: ${missing}`);
const documents = documentsOrSkip();

const SETTINGS = { project: "p1", location: "europe-west4-b", clusterName: "gpu" };
const NAME = "projects/p1/locations/europe-west4-b/clusters/gpu";
const HOUR_MS = 3_600_000;

const CRD = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "agentpools.velda.io" },
  spec: {
    group: "velda.io",
    scope: "Namespaced",
    names: { kind: "AgentPool", plural: "agentpools", singular: "agentpool" },
    versions: [
      {
        ...{ name: "v1", served: true, storage: true },
        schema: {
          openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
        },
      },
    ],
  },
};
const POOL = {
  ...{ apiVersion: "velda.io/v1", kind: "AgentPool" },
  ...{ metadata: { name: "shell" }, spec: {} },
};
const POOLS = "/apis/velda.io/v1/agentpools";

let cluster: Cluster;

beforeAll(async () => {
  if (missing !== null) return;
  const parts = { controllers: false, scheduler: false, kwok: false };
  const pools = { apiGroups: ["velda.io"], resources: ["agentpools"], verbs: ["list", "watch"] };
  cluster = await openCluster({ parts, tell: () => {}, productRules: [...PRODUCT_RULES, pools] });
  for (const object of [CRD, POOL]) {
    const how = { user: "admin" as const, stdin: JSON.stringify(object) };
    for (let i = 0; ; i += 1) {
      const ran = await cluster.kubectlWith(how, "apply", "-f", "-");
      if (ran.code === 0) break;
      if (i === 50) throw new Error(ran.err);
      await Bun.sleep(200);
    }
  }
}, 120_000);
afterAll(async () => {
  if (missing === null) expect(await cluster.close()).toEqual([]);
}, 30_000);

/** The metadata server, whose tokens the API server made. */
function serveMetadata() {
  const issued: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch() {
      const token = await cluster.token();
      issued.push(token);
      return Response.json({ access_token: token, expires_in: 3_600, token_type: "Bearer" });
    },
  });
  return { host: `127.0.0.1:${server.port}`, issued, stop: () => server.stop(true) };
}

describe.if(missing === null)("A11 on a real API server", () => {
  const open = async (authority: string) => {
    const metadata = serveMetadata();
    const seen: Exchange[] = [];
    const endpoint = new URL(cluster.url).host;
    const isValid = (token: string) => metadata.issued.includes(token);
    const observe = (one: Exchange) => seen.push(one);
    const google = serveGke({ name: NAME, endpoint, authority, isValid, observe });
    let pastMs = 0;
    const clock = { ...REAL_CLOCK, monoMs: () => performance.now() + pastMs };
    const env = {
      GCE_METADATA_HOST: metadata.host,
      CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER: google.url,
      CLOUDSDK_CONFIG: "/none",
    };
    const opened = await openGkeTransport(SETTINGS, env, { clock });
    if (opened.kind !== "ok") throw new Error(opened.message);
    const ports = { clock: REAL_CLOCK, count: () => {}, userAgent: "navarch/test" };
    const api = openClient(opened.transport, ports);
    const list = () => api.call({ verb: "list", path: POOLS, timeoutMs: 5_000, lane: "read" });
    const close = async () => {
      api.close();
      await Promise.all([metadata.stop(), google.stop()]);
    };
    return { metadata, seen, list, close, step: (ms: number) => (pastMs += ms) };
  };

  test("A11: V11: pools are listed, and the token is renewed before it expires", async () => {
    const authority = readFileSync(join(cluster.folder, "ca.crt"), "utf8");
    const { metadata, seen, list, close, step } = await open(authority);
    const found = { kind: "ok", body: { items: [{ metadata: { name: "shell" } }] } };
    expect(await list()).toMatchObject(found);
    expect(metadata.issued).toHaveLength(1);
    expect(seen.map(({ path, status }) => [path, status])).toEqual([[`/v1/${NAME}`, 200]]);
    step(HOUR_MS);
    expect(await list()).toMatchObject(found);
    expect(metadata.issued).toHaveLength(2);
    await close();
  });

  test("A11: V11: with another authority in the reply nothing is sent to the server", async () => {
    const { list, close } = await open(openAuthority("other", Date.now()).certificate);
    const got = await list();
    expect(got.kind === "lost" && got.message).toMatch(/certificate/i);
    await close();
  });
});

describe.if(documents !== null)("Google's discovery document", () => {
  const ask = async (spoil: (google: ReturnType<typeof serveGke>) => void) => {
    const seen: Exchange[] = [];

    const authority = openAuthority("c", Date.now()).certificate;
    const isValid = () => true;
    const observe = (one: Exchange) => seen.push(one);
    const google = serveGke({ name: NAME, endpoint: "192.0.2.7", authority, isValid, observe });
    spoil(google);
    const metadata = Bun.serve({
      ...{ port: 0, hostname: "127.0.0.1" },
      fetch: () => Response.json({ access_token: "t", expires_in: 60 }),
    });
    const env = {
      GCE_METADATA_HOST: `127.0.0.1:${metadata.port}`,
      CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER: google.url,
      CLOUDSDK_CONFIG: "/none",
    };
    const opened = await openGkeTransport(SETTINGS, env);
    await Promise.all([google.stop(), metadata.stop(true)]);
    const verdicts = seen.map((one) => new Judge(documents ?? []).judge(one));
    return { opened, verdicts };
  };

  test("V11: our request is one of the container API, and the stand-in's reply too", async () => {
    const method = "container.projects.locations.clusters.get";
    const good = await ask(() => {});
    expect(good.opened).toMatchObject({ kind: "ok", transport: { server: "https://192.0.2.7" } });
    expect(good.verdicts).toEqual([{ method, problems: [] }]);
    const conditions = [{ message: "no quota", canonicalCode: "RESOURCE_EXHAUSTED" }];
    const bad = await ask(({ cluster }) => Object.assign(cluster, { status: "ERROR", conditions }));
    expect(bad.opened).toMatchObject({ kind: "failed" });
    expect(bad.verdicts).toEqual([{ method, problems: [] }]);
  });

  test("the judge sees a state that no cluster has", async () => {
    const { verdicts } = await ask(({ cluster }) => (cluster.status = "ASLEEP"));
    expect(verdicts[0]?.problems[0]).toContain("ASLEEP is not allowed");
  });
});
