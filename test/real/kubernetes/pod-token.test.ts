/**
 * The token with which an agent's pod proves its Node, on a real cluster: made by TokenRequest,
 * bound to a pod, reviewed by the API server with the product's own account, from the compiled
 * control plane and agent. What is not exactly such a token ties nothing.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sign } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { simulatedPci } from "../../../reconciler/provider/fake/kernel-log.ts";
import type { ExplainView, KubernetesView } from "../../../schema/api.ts";
import { buildStale, cleanEnv, NAVARCH_NODE, Plane, until } from "../../fixture/plane/plane.ts";
import { PRODUCT, PRODUCT_RULES, type Rule } from "./access.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { type KubeObject, formatConfig } from "./joined.ts";
import { navarch, navarchJson } from "./navarch.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: pod tokens on a real API server: ${missing}`);

const NAMESPACE = "/api/v1/namespaces/navarch";
const ACCOUNT = "navarch-node-agent";

let cluster: Cluster;
let plane: Plane;

type Bound = { kind: string; name: string; uid: string };

async function issue(more: { account?: string; audience?: string; to?: Bound | null }) {
  const { account = ACCOUNT, audience = "navarch", to = null } = more;
  const boundObjectRef = to === null ? {} : { boundObjectRef: { apiVersion: "v1", ...to } };
  const spec = { audiences: [audience], expirationSeconds: 3_600, ...boundObjectRef };
  const path = `${NAMESPACE}/serviceaccounts/${account}/token`;
  const answer = await cluster.json<{ status: { token: string } }>(path, { body: { spec } });
  return answer.status.token;
}

/** A pod of the agents on that Node, as their DaemonSet makes it. */
async function addPod(node: string, account = ACCOUNT): Promise<Bound> {
  const name = `${account}-${node}`;
  const containers = [{ name: "node-agent", image: "navarch/node" }];
  const spec = { nodeName: node, serviceAccountName: account, containers };
  const pod = await cluster.json<KubeObject>(`${NAMESPACE}/pods`, {
    body: { metadata: { name }, spec: { ...spec, automountServiceAccountToken: false } },
  });
  return { kind: "Pod", name, uid: pod.metadata.uid };
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** The same token as the server itself would have made it two hours ago. */
function aged(token: string): string {
  const [head = "", body = ""] = token.split(".");
  const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as Record<string, number>;
  const past = Math.floor(Date.now() / 1_000) - 7_200;
  const text = `${head}.${part({ ...claims, iat: past, nbf: past, exp: past + 3_600 })}`;
  const key = readFileSync(join(cluster.folder, "token.key"), "utf8");
  const signature = sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" });
  return `${text}.${signature.toString("base64url")}`;
}

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
  await cluster.json("/api/v1/namespaces", { body: { metadata: { name: "navarch" } } });
  for (const name of [ACCOUNT, "other"]) {
    await cluster.json(`${NAMESPACE}/serviceaccounts`, { body: { metadata: { name } } });
  }
  await cluster.addNodes(10, { name: (i) => `gpu-${i + 1}` });
  plane = new Plane(formatConfig(cluster.kubeconfig("product"), { size: 0 }));
  await plane.start();
}, 300_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await plane.destroy()).toEqual([]);
  expect(await cluster.close()).toEqual([]);
}, 60_000);

const BOOT = "11111111-2222-4333-8444-555555555555";

/** As an agent registers: over loopback, so that its address proves nothing. */
async function register(name: string, token: string | null, as = plane.adminToken): Promise<void> {
  const answer = await fetch(`${plane.url}/v1/agent/report`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${as}` },
    body: JSON.stringify({
      ...{ version: 1, node_id: name, boot_id: BOOT, stream: `stream-${name}` },
      ...{ agent_version: "0.1.0", simulated: false, sent_at: new Date().toISOString() },
      inventory: { hostname: name, gpus: [], capabilities: ["pod_token"] },
      ...(token === null ? {} : { pod_token: token }),
    }),
  });
  expect({ status: answer.status, text: await answer.text() }).toMatchObject({ status: 202 });
}

const tieOf = async (name: string) =>
  (await plane.nodes()).find(({ node_id }) => node_id === name)?.kubernetes ?? null;
const stateOf = async (name: string): Promise<string> =>
  String((await navarchJson<ExplainView>(plane, "explain", name)).state);

/** Reports until the control plane says of the node what is expected. */
const says = (name: string, text: string): Promise<true> =>
  until(`${name}: ${text}`, 20_000, async () => {
    await beat(name);
    return (await stateOf(name)).includes(text) ? true : null;
  });

/** A heartbeat; true where the control plane asks the agent to register again. */
async function beat(name: string): Promise<boolean> {
  const answer = await fetch(`${plane.url}/v1/agent/report`, {
    method: "POST",
    headers: { authorization: `Bearer ${plane.adminToken}` },
    body: JSON.stringify({
      ...{ version: 1, node_id: name, boot_id: BOOT, stream: `stream-${name}` },
      ...{ agent_version: "0.1.0", simulated: false, sent_at: new Date().toISOString() },
    }),
  });
  const reply = (await answer.json()) as { want_inventory?: boolean };
  return reply.want_inventory === true;
}

describe.skipIf(missing !== null)("a pod's token", () => {
  test("ties the real agent that was given it, and its Node shows the agent's fault", async () => {
    const path = join(plane.state, "pod-token");
    writeFileSync(path, await issue({ to: await addPod("gpu-1") }), { mode: 0o600 });
    const log = join(plane.state, "kernel.log");
    writeFileSync(log, "");
    const child = Bun.spawn(
      [
        ...[NAVARCH_NODE, `--server=${plane.url}`, "--node-id=gpu-1", "--fake-gpus=2"],
        ...[`--auth-token-file=${join(plane.state, "admin.token")}`, `--kernel-log=${log}`],
        ...[`--spool=${join(plane.state, "gpu-1")}`, "--log-level=debug"],
      ],
      {
        env: cleanEnv({ NAVARCH_POD_TOKEN_FILE: path }),
        stdin: "ignore",
        stdout: "ignore",
        stderr: "pipe",
      },
    );
    const said = new Response(child.stderr).text();
    try {
      const tie = await until("it is tied", 30_000, () => tieOf("gpu-1"));
      expect(tie).toMatchObject({ name: "gpu-1", matched_by: "token" });
      const fault = `NVRM: Xid (PCI:${simulatedPci(0)}): 79, GPU has fallen off the bus.`;
      const [uptime = ""] = readFileSync("/proc/uptime", "utf8").split(" ");
      writeFileSync(log, `4,1,${Math.round(Number(uptime) * 1e6)},-;${fault}\n`);
      await until("its Node is cordoned", 30_000, async () => {
        const { spec } = await cluster.json<KubeObject>("/api/v1/nodes/gpu-1");
        return spec.unschedulable === true ? true : null;
      });
    } finally {
      child.kill();
      await child.exited;
    }
    const signature = readFileSync(path, "utf8").split(".")[2] ?? "";
    expect(signature.length).toBeGreaterThan(40);
    expect(await said).not.toContain(signature);
    const kept = JSON.stringify([await plane.nodes(), await plane.events(), plane.log()]);
    expect(kept).not.toContain(signature);
  }, 120_000);

  const bad: [string, string, () => Promise<string>, string][] = [
    [
      "for another audience",
      "gpu-2",
      async () => issue({ to: await addPod("gpu-2"), audience: "https://kubernetes.default.svc" }),
      "is not accepted by the API server: ",
    ],
    [
      "that has expired",
      "gpu-3",
      async () => aged(await issue({ to: await addPod("gpu-3") })),
      "is not accepted by the API server: ",
    ],
    [
      "of another service account",
      "gpu-4",
      async () => issue({ account: "other", to: await addPod("gpu-4", "other") }),
      "is of system:serviceaccount:navarch:other, not of service account navarch/navarch-node-agent",
    ],
    ["of no pod", "gpu-5", () => issue({}), "is bound to no pod"],
    ["of a pod that is gone", "gpu-6", ofGonePod, "is not accepted by the API server: "],
    ["of a Node without a pod", "gpu-7", ofNode, "is bound to no pod"],
    [
      "of a pod on another Node",
      "gpu-8",
      async () => issue({ to: await addPod("gpu-9") }),
      "is of Node gpu-9",
    ],
  ];

  test.each(bad)(
    "%s ties nothing, and explain says why",
    async (_what, name, make, why) => {
      await register(name, await make());
      await says(name, `its pod token ${why}`);
      if (process.env["TELL"] === "1") console.log(await stateOf(name));
      // Longer than a tie takes.
      await Bun.sleep(1_500);
      expect(await tieOf(name)).toBeNull();
      const { alarms } = await plane.get<KubernetesView>("/kubernetes");
      expect(alarms.join("\n")).toContain(`${name}: no proof`);
    },
    60_000,
  );

  test("is taken after a bad one, once the agent registers again", async () => {
    await register("gpu-5", await issue({ to: await addPod("gpu-5") }));
    await until("it is tied", 20_000, async () => {
      await beat("gpu-5");
      return tieOf("gpu-5");
    });
  }, 60_000);

  test("cannot be reviewed without the permission, and is once that is granted", async () => {
    const role = `/apis/rbac.authorization.k8s.io/v1/clusterroles/${PRODUCT.role}`;
    const grant = async (rules: readonly Rule[]): Promise<void> => {
      const contentType = "application/merge-patch+json";
      await cluster.json(role, { method: "PATCH", contentType, body: { rules } });
    };
    await grant(PRODUCT_RULES.filter(({ resources }) => !resources.includes("tokenreviews")));
    const rule = "create tokenreviews.authentication.k8s.io";
    await until("doctor misses it", 20_000, async () => {
      const { out } = await navarch(plane, "doctor", "kubernetes");
      return out.includes(rule) ? true : null;
    });
    const token = await issue({ to: await addPod("gpu-10") });
    await register("gpu-10", token);
    await says(
      "gpu-10",
      `forbidden: system:serviceaccount:${PRODUCT.namespace}:${PRODUCT.name} may not ${rule}`,
    );
    expect(await tieOf("gpu-10")).toBeNull();
    await grant(PRODUCT_RULES);
    await until("it is tied", 60_000, async () => {
      if (await beat("gpu-10")) await register("gpu-10", token);
      return tieOf("gpu-10");
    });
  }, 120_000);
});

async function ofGonePod(): Promise<string> {
  const { name, ...pod } = await addPod("gpu-6");
  const token = await issue({ to: { name, ...pod } });
  await cluster.json(`${NAMESPACE}/pods/${name}?gracePeriodSeconds=0`, { method: "DELETE" });
  // The server's copy of pods is a moment behind, and a review that passed counts for 10 s there.
  await Bun.sleep(1_000);
  return token;
}

async function ofNode(): Promise<string> {
  const { metadata } = await cluster.json<KubeObject>("/api/v1/nodes/gpu-7");
  return issue({ to: { kind: "Node", name: "gpu-7", uid: metadata.uid } });
}
