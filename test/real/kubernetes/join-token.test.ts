/**
 * Joining a real cluster: what kubeadm itself set up, a token that the product's own account makes
 * with the shipped option and nothing more, and kubeadm again on the side of the machine, as the
 * template calls it, up to the point where a kubelet would start.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join as joinPath } from "node:path";
import { KUBERNETES_JOIN_COMMANDS } from "../../../bootstrap/builtin/kubernetes-join.ts";
import { parseTemplate } from "../../../bootstrap/template/parse.ts";
import { formatTemplate } from "../../../bootstrap/template/print.ts";
import { readConfig } from "../../../reconciler/config/read.ts";
import { JOIN_GROUP } from "../../../reconciler/kubernetes/join-token.ts";
import { openKubernetes } from "../../../reconciler/kubernetes/open.ts";
import type {
  Join,
  JoinPass,
  SchedulerCluster,
} from "../../../reconciler/core/kubernetes/scheduler.ts";
import type { NodeId, PoolName } from "../../../schema/id.ts";
import { cleanEnv, until } from "../../fixture/plane/plane.ts";
import { PRODUCT } from "./access.ts";
import { binaryPath, CLUSTER_BINARIES, whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";

const missing = await whyNoCluster([...CLUSTER_BINARIES, "kubeadm"]);
if (missing !== null) console.error(`SKIPPED: joining a real cluster: ${missing}`);

test("a cluster and kubeadm are here to join with", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

const OPTION = joinPath(import.meta.dir, "../../../deploy/overlay/cluster-join/cluster-join.yaml");
const WISH = { node: "n1" as NodeId, pool: "a100" as PoolName, lastsMs: 3_600_000 };

let cluster: Cluster;
let skewMs = 0;

const CLOCK = {
  wallMs: () => Date.now() + skewMs,
  monoMs: () => performance.now(),
  after: (ms: number, work: () => void) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

/** As the control plane has it, with its account. */
async function openSide(): Promise<SchedulerCluster> {
  const kubeconfig = JSON.stringify(cluster.kubeconfig("product"));
  const text = `kubernetes: {enabled: true, kubeconfig: ${kubeconfig}}\npools: []\n`;
  const { config } = readConfig([{ name: "f", text }]);
  if (config === null) throw new Error("no configuration");
  const opened = await openKubernetes(config.kubernetes, {
    env: {},
    clock: CLOCK,
    random: () => 0.5,
    draw: (count) => crypto.getRandomValues(new Uint8Array(count)),
    fleet: "f1",
    log: () => undefined,
    instance: "test",
    count: () => undefined,
    marked: () => undefined,
  });
  if (opened.kind !== "ok" || opened.scheduler.cluster === null) throw new Error("no cluster");
  return opened.scheduler.cluster;
}

async function kubeadm(script: string): Promise<{ code: number; said: string }> {
  const path = `${joinPath(binaryPath("kubeadm"), "..")}:${process.env["PATH"] ?? ""}`;
  const child = Bun.spawn(["/bin/sh", "-eu"], {
    cwd: cluster.folder,
    env: cleanEnv({ HOME: cluster.folder, PATH: path, TMPDIR: cluster.folder }),
    stdin: Buffer.from(script),
    stdout: "pipe",
    stderr: "pipe",
    timeout: 60_000,
  });
  const ends = [child.stdout, child.stderr].map((end) => new Response(end).text());
  const said = (await Promise.all(ends)).join("");
  return { code: await child.exited, said };
}

/** What `kubeadm init` leaves in a cluster for machines that come later; it is told no secrets. */
async function setUpByKubeadm(): Promise<void> {
  const file = joinPath(cluster.folder, "init.yaml");
  const head = "apiVersion: kubeadm.k8s.io/v1beta4\nkind:";
  const init = `${head} InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 10.0.0.1}\n`;
  const whole = `${head} ClusterConfiguration\nkubernetesVersion: v1.37.1\n`;
  writeFileSync(file, `${init}---\n${whole}`);
  const flags = `--config init.yaml --kubeconfig ${cluster.kubeconfig("admin")}`;
  for (const phase of ["upload-config kubeadm", "upload-config kubelet", "bootstrap-token"]) {
    const done = await kubeadm(`kubeadm init phase ${phase} ${flags} 2>&1`);
    // After its ConfigMap that one marks the Node of the control plane, and here is none.
    if (done.code !== 0 && phase !== "upload-config kubelet") throw new Error(done.said);
  }
}

/** The shipped option, for the account that the tests of the cluster use. */
async function grant(): Promise<void> {
  const { namespace, name } = PRODUCT;
  const stdin = readFileSync(OPTION, "utf8")
    .replaceAll(
      "name: navarch-control-plane\n  namespace: navarch\n",
      `name: ${name}\n  namespace: ${namespace}\n`,
    )
    .replace("navarch:navarch-control-plane", `${namespace}:${name}`);
  const done = await cluster.kubectlWith({ user: "admin", stdin }, "apply", "-f", "-");
  expect(done).toMatchObject({ code: 0, err: "" });
}

async function pass(join: Join | null, desired = WISH): Promise<JoinPass> {
  const made = await join?.(desired);
  if (made?.kind !== "ok") throw new Error(made?.message ?? "nobody lets machines join");
  return made;
}

/** Who the server takes the bearer for; `null` = nobody. */
async function whoIs(token: string): Promise<{ username: string; groups: string[] } | null> {
  const answer = await fetch(`${cluster.url}/apis/authentication.k8s.io/v1/selfsubjectreviews`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" }),
    tls: { ca: cluster.authority },
  });
  if (answer.status === 401) return null;
  type Review = { status: { userInfo: { username: string; groups: string[] } } };
  return ((await answer.json()) as Review).status.userInfo;
}

const secretOf = ({ token }: JoinPass): string =>
  `/api/v1/namespaces/kube-system/secrets/bootstrap-token-${token.split(".")[0] ?? ""}`;

/** The template's last command, in which kubeadm stops before it changes this computer. */
function joinScript(made: JoinPass): string {
  const parsed = parseTemplate(KUBERNETES_JOIN_COMMANDS[2] ?? "");
  if (!parsed.ok) throw new Error(parsed.message);
  const { server, token, caHash } = made;
  const more = { Pool: "a100", Provider: "metal", Region: "eu", InstanceID: "i-1" };
  const script = formatTemplate(parsed.template, {
    ...more,
    KubernetesServer: server,
    KubernetesJoinToken: token,
    KubernetesCAHash: caHash,
  });
  const only = "kubeadm join phase preflight --ignore-preflight-errors=all --config";
  return (
    script
      .replace("kubeadm join --config", only)
      // Whatever this computer is itself a part of.
      .replaceAll("/etc/kubernetes/", "nowhere/")
      .replace(/^systemctl .*$/m, "")
  );
}

describe.skipIf(missing !== null)("joining a cluster that kubeadm has set up", () => {
  let side: SchedulerCluster;

  beforeAll(async () => {
    cluster = await openCluster({
      parts: { scheduler: false, kwok: false },
      flags: {
        apiserver: ["--enable-bootstrap-token-auth"],
        controllers: ["--controllers=bootstrap-signer-controller,token-cleaner-controller"],
      },
    });
    await setUpByKubeadm();
    side = await openSide();
  }, 180_000);
  afterAll(async () => {
    expect(await cluster.close()).toEqual([]);
  }, 30_000);

  test("without the right: what is missing is named, by the answer and by doctor", async () => {
    const refused = await side.join?.(WISH);
    expect(refused).toMatchObject({ kind: "hindered" });
    expect(JSON.stringify(refused)).toContain("get configmaps cluster-info in namespace");
    expect(await side.missing(false)).toMatchObject({ kind: "ok", rules: [], account: null });
    const { rules = [] } = { ...(await side.missing(true)) } as { rules?: string[] };
    expect(rules.map((rule) => rule.replace(/ \(.*/, ""))).toEqual([
      "create secrets in namespace kube-system",
      "delete secrets in namespace kube-system",
      "get configmaps cluster-info in namespace kube-public",
    ]);
  });

  test("with the shipped option: a token that is a joining node's, until it is taken away", async () => {
    await grant();
    await until("doctor finds nothing missing", 20_000, async () => {
      const answer = await side.missing(true);
      return answer.kind === "ok" && answer.rules.length === 0 ? true : null;
    });
    const made = await pass(side.join);
    expect(made.server).toBe(cluster.url);
    const who = await until("the server knows the token", 10_000, () => whoIs(made.token));
    expect(who.username).toBe(`system:bootstrap:${made.token.split(".")[0]}`);
    expect(who.groups).toContain(JOIN_GROUP);
    await made.end();
    expect((await cluster.request(secretOf(made))).status).toBe(404);
    // It believes what it has looked up for ten seconds more.
    await until("the server knows it no more", 30_000, async () =>
      (await whoIs(made.token)) === null ? true : null,
    );
  }, 60_000);

  test("one that nobody takes away, the cluster removes when it expires", async () => {
    // The least that a token lasts is 15 minutes: so made by a clock that is nearly as much slow.
    skewMs = -(15 * 60_000 - 4_000);
    const made = await pass(side.join, { ...WISH, lastsMs: 0 });
    skewMs = 0;
    expect((await cluster.request(secretOf(made))).status).toBe(200);
    await until("the cluster has removed it", 30_000, async () =>
      (await cluster.request(secretOf(made))).status === 404 ? true : null,
    );
    await made.end();
  }, 60_000);

  test("kubeadm, as the template calls it, finds the cluster and is let in", async () => {
    const made = await pass(side.join);
    const done = await kubeadm(joinScript(made));
    expect(done.said).toContain('Reading configuration from the "kubeadm-config" ConfigMap');
    expect([done.code, done.said]).toEqual([0, expect.not.stringContaining(made.token)]);
    // What it read there, it read as the token's user.
    const user = `system:bootstrap:${made.token.split(".")[0]}`;
    const read = cluster.audit().filter((one) => one.user.username === user);
    expect(read.map(({ objectRef }) => objectRef?.name)).toContain("kubeadm-config");
    // No proxy was installed here, and kubeadm goes on without it.
    const failed = read.filter(({ responseStatus }) => (responseStatus?.code ?? 0) >= 400);
    expect(new Set(failed.map(({ objectRef }) => objectRef?.name))).toEqual(
      new Set(["kube-proxy"]),
    );
    const wrong = { ...made, caHash: `sha256:${"0".repeat(64)}` };
    const refused = await kubeadm(joinScript(wrong));
    expect(refused.code).not.toBe(0);
    expect(refused.said).toContain("pinned");
    await made.end();
  }, 120_000);

  test("the policy keeps every other secret from the account", async () => {
    const warned = await until("the types are checked", 30_000, async () => {
      type Checked = { status?: { typeChecking?: { expressionWarnings?: unknown[] } } };
      const at = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
      const found = await cluster.json<Checked>(`${at}/navarch-join-tokens.navarch.navarch`);
      return found.status?.typeChecking ?? null;
    });
    expect(warned.expressionWarnings ?? []).toEqual([]);
    const path = "/api/v1/namespaces/kube-system/secrets";
    const token = (name: string, groups: string) => ({
      metadata: { name },
      type: "bootstrap.kubernetes.io/token",
      stringData: { "auth-extra-groups": groups },
    });
    const account = {
      metadata: {
        name: "bootstrap-token-aaaaaa",
        annotations: { "kubernetes.io/service-account.name": "default" },
      },
      type: "kubernetes.io/service-account-token",
    };
    const status = async (body: unknown): Promise<number> =>
      (await cluster.request(path, { as: "product", body })).status;
    await until("the policy is in use", 30_000, async () =>
      (await status({ ...account, metadata: { ...account.metadata, name: "other" } })) === 422
        ? true
        : null,
    );
    expect(await status(account)).toBe(422);
    expect(await status(token("other", JOIN_GROUP))).toBe(422);
    expect(await status(token("bootstrap-token-aaaaaa", "system:bootstrappers:other"))).toBe(422);
    await cluster.json(path, { body: { metadata: { name: "theirs" }, type: "Opaque" } });
    const del = { as: "product", method: "DELETE" } as const;
    expect((await cluster.request(`${path}/theirs`, del)).status).toBe(422);
    expect((await cluster.request(path, { as: "product" })).status).toBe(403);
  }, 90_000);
});
