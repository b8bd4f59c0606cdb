import { beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import type { NodeId, PoolName } from "../../schema/id.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { makeAuthority } from "../security/tls/certificate.ts";
import { openFakeKube } from "../../simulator/cluster/fake.ts";
import type { FakeKube } from "../../simulator/cluster/fake.ts";
import type { OwnWay } from "./join-cluster.ts";
import { serverOf } from "../core/address.ts";
import { JOIN_GROUP, type JoinPorts, openJoin } from "./join-token.ts";

const DAY_MS = 24 * 3_600_000;
const authority = (): string =>
  makeAuthority({ name: "cluster", fromMs: 0, untilMs: 400 * DAY_MS }).certificate;
const CA = authority();

/** By another program than ours, as kubeadm's documentation tells people to do it. */
async function pinOf(pem: string): Promise<string> {
  const input = new Response(pem);
  const der = await Bun.$`openssl x509 -pubkey -noout < ${input} | openssl pkey -pubin -outform der`
    .quiet()
    .arrayBuffer();
  return `sha256:${createHash("sha256").update(Buffer.from(der)).digest("hex")}`;
}

let clock: VirtualClock;
let kube: FakeKube;
const WISH = { node: "n1" as NodeId, pool: "a100" as PoolName, lastsMs: 3_600_000 };
const OWN: OwnWay = { server: "https://10.1.2.3:6443", isInCluster: false, ca: CA };

beforeEach(() => {
  clock = new VirtualClock();
  kube = openFakeKube({ clock });
});

function open(more: Partial<JoinPorts> & { way?: Partial<OwnWay> } = {}) {
  let drawn = 0;
  return openJoin({
    api: kube,
    wallMs: () => clock.wallMs(),
    // Every byte there is, those too that would not be fair.
    draw: (count) => Uint8Array.from({ length: count }, () => (255 - drawn++ * 7) & 255),
    fleet: "f1",
    server: null,
    own: async () => ({ ...OWN, ...more.way }),
    ...more,
  });
}

function seedInfo(server: string, ca: string): void {
  const encoded = Buffer.from(ca).toString("base64");
  const cluster = `{server: "${server}", certificate-authority-data: ${encoded}}`;
  kube.seed("namespaces", { metadata: { name: "kube-public" } });
  kube.seed("configmaps", {
    metadata: { name: "cluster-info", namespace: "kube-public" },
    data: {
      kubeconfig: `apiVersion: v1\nkind: Config\nclusters: [{name: "", cluster: ${cluster}}]`,
    },
  });
}

const secrets = () => kube.list("secrets", "kube-system");

describe("openJoin()", () => {
  test("makes a token as kubeadm makes it, and takes it away", async () => {
    const pass = await open()(WISH);
    if (pass.kind !== "ok") throw new Error(pass.message);
    expect(pass.token).toMatch(/^[a-z0-9]{6}\.[a-z0-9]{16}$/);
    expect(pass.server).toBe("https://10.1.2.3:6443");
    expect(pass.caHash).toBe(await pinOf(CA));
    const [id = "", secret = ""] = pass.token.split(".");
    expect(secrets()).toMatchObject([
      {
        metadata: { name: `bootstrap-token-${id}`, namespace: "kube-system" },
        type: "bootstrap.kubernetes.io/token",
        stringData: {
          description: "Navarch fleet f1, pool a100, node n1",
          "token-id": id,
          "token-secret": secret,
          expiration: new Date(clock.wallMs() + 3_600_000).toISOString().replace(".000Z", "Z"),
          "usage-bootstrap-authentication": "true",
          "usage-bootstrap-signing": "true",
          "auth-extra-groups": JOIN_GROUP,
        },
      },
    ]);
    await pass.end();
    expect(secrets()).toEqual([]);
    await pass.end();
  });

  test.each([
    [1_000, 15 * 60_000],
    [9 * DAY_MS, DAY_MS],
  ])("of a set-up of %i ms lasts %i ms", async (lastsMs, livesMs) => {
    await open()({ ...WISH, lastsMs });
    const expiration = new Date(clock.wallMs() + livesMs).toISOString().replace(".000Z", "Z");
    expect(secrets()).toMatchObject([{ stringData: { expiration } }]);
  });

  test("believes the configuration before the cluster, and the cluster before its own way", async () => {
    const other = authority();
    seedInfo("https://cluster.example.com", other);
    const hash = await pinOf(other);
    const said = await open()(WISH);
    expect(said).toMatchObject({ server: "https://cluster.example.com:443", caHash: hash });
    const named = await open({ server: "https://[fd00::1]:6443" })(WISH);
    expect(named).toMatchObject({ server: "https://[fd00::1]:6443", caHash: hash });
  });

  test.each([
    ["a pod's", { isInCluster: true }],
    ["the loopback's", { server: "https://127.0.0.1:6443" }],
    ["a service's", { server: "https://kubernetes.default.svc:443" }],
    ["an address with a path, which kubeadm cannot dial:", { server: "https://a.b/k8s/c-1" }],
  ])("hands %s own way to no machine", async (_what, way) => {
    const answer = await open({ way })(WISH);
    expect(answer).toMatchObject({ kind: "hindered" });
    expect(JSON.stringify(answer)).toContain("set kubernetes.join.server");
    expect(secrets()).toEqual([]);
    expect(await open({ way, server: "https://10.0.0.1:6443" })(WISH)).toMatchObject({
      kind: "ok",
    });
  });

  test.each([
    ["create secrets", "may not create secrets in namespace kube-system"],
    ["get configmaps", "may not get configmaps cluster-info in namespace kube-public"],
  ])("names the rule where the account may not %s", async (denied, message) => {
    kube.denied.add(denied);
    const answer = await open({ way: { isInCluster: true } })({ ...WISH });
    const named = await open({ server: "https://10.0.0.1:6443" })(WISH);
    const said = denied === "create secrets" ? named : answer;
    expect(said).toMatchObject({ kind: "hindered", message: expect.stringContaining(message) });
    expect(named.kind).toBe(denied === "create secrets" ? "hindered" : "ok");
  });

  test("says so where no certificate is known", async () => {
    for (const ca of [null, "no certificate"]) {
      const answer = await open({ way: { ca } })(WISH);
      expect(answer).toMatchObject({ message: expect.stringContaining("authority is not known") });
    }
    const unread = await open({ own: () => Promise.reject(new Error("/ca: EACCES")) })(WISH);
    expect(unread).toMatchObject({ message: expect.stringContaining("/ca: EACCES") });
  });

  test("says so where the server is away, and leaves nothing behind that it knows of", async () => {
    kube.setFault({ down: true });
    expect(await open()(WISH)).toMatchObject({ message: expect.stringContaining("is away") });
    kube.setFault({ down: false });
    // Written, and nobody heard of it.
    let lost = 0;
    const api: JoinPorts["api"] = {
      watch: kube.watch.bind(kube),
      close: () => undefined,
      async call(request) {
        const answer = await kube.call(request);
        if (request.verb !== "create") return answer;
        lost++;
        return { kind: "lost", message: "no answer" };
      },
    };
    const answer = await open({ api })(WISH);
    expect(answer).toMatchObject({ message: "the API server is away: no answer" });
    expect([lost, secrets()]).toEqual([1, []]);
  });

  test("takes another name where one is taken", async () => {
    const first = await open()(WISH);
    const second = await open()(WISH);
    expect([first.kind, second.kind]).toEqual(["ok", "ok"]);
    expect(secrets().length).toBe(2);
    const stuck = await open({ draw: (count) => new Uint8Array(count) })(WISH);
    expect(stuck.kind).toBe("ok");
    const again = await open({ draw: (count) => new Uint8Array(count) })(WISH);
    expect(again).toMatchObject({ kind: "hindered" });
  });
});

test.each([
  ["https://a.example.com", "https://a.example.com:443"],
  ["https://a.example.com:6443/", "https://a.example.com:6443"],
  ["http://a:6443", null],
  ["https://u:p@a:6443", null],
  ["https://a:6443/?q", null],
  ["a:6443", null],
  ["", null],
])("serverOf(%p) is %p", (text, server) => {
  expect(serverOf(text)).toBe(server);
});
