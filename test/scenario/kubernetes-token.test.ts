/**
 * Agents of a DaemonSet behind a service mesh, which hides their addresses: the service-account
 * token of its pod ties each to its Node. A stolen one moves nothing, and an API server that does
 * not review tokens is named and keeps no report waiting.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { PodTokens } from "../../reconciler/security/join/pod-token.ts";
import { reviewPodToken } from "../../reconciler/kubernetes/token-review.ts";
import type { NodeId } from "../../schema/id.ts";
import { reportOf } from "../world/agent.ts";
import type { World } from "../world/world.ts";
import { openWorldApp } from "../world/app.ts";
import { clusterOf, isMarked, joined } from "../world/cluster.ts";
import { closeWorlds, told } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

const ACCOUNT = "navarch/navarch-node-agent";

/** A Node with a pod of the DaemonSet on it; the answer is that pod's token. */
function seed(w: World, name: string): string {
  const { kube } = clusterOf(w);
  const ready = [{ type: "Ready", status: "True" }];
  const allocatable = { "nvidia.com/gpu": "2" };
  kube.seed("nodes", { metadata: { name }, status: { conditions: ready, allocatable } });
  const pod = { namespace: "navarch", name: `agent-${name}` };
  kube.seed("pods", { metadata: pod, spec: { nodeName: name, containers: [] } });
  return kube.issueToken({ account: ACCOUNT, audience: "navarch", pod }, 86_400_000);
}

/** From now on these agents report, too, each with its own credential and the token it is given. */
function speak(w: World, tokens: ReadonlyMap<string, string>) {
  const app = openWorldApp(w);
  const { kube } = clusterOf(w);
  app.ports.pods = new PodTokens({
    review: (token) => reviewPodToken(kube, token, null),
    agent: (node) => w.reconciler.fleet().nodes.get(node)?.agent ?? null,
    clock: w.clock,
    log: () => undefined,
  });
  const say = async (name: string): Promise<void> => {
    const agent = w.agent(name);
    agent.pool = "p";
    const report = reportOf(name, agent, w.clock.wallMs());
    const { inventory } = report;
    if (inventory !== null && inventory !== undefined) inventory.capabilities = ["pod_token"];
    const more = inventory ? { pod_token: tokens.get(name) } : {};
    const credential = app.authority.issueNode(name as NodeId);
    const begun = w.clock.elapsedMs();
    const pending = app.app.request("/v1/agent/report", {
      method: "POST",
      headers: { authorization: `Bearer ${credential}` },
      body: JSON.stringify({ ...report, ...more }),
    });
    await w.clock.pass(5);
    const answer = await pending;
    expect([answer.status, w.clock.elapsedMs() - begun]).toEqual([202, 5]);
    const reply = (await answer.json()) as { ack_seq: number; want_inventory: boolean };
    agent.registered = !reply.want_inventory;
    agent.spool = agent.spool.filter(({ seq }) => seq > reply.ack_seq);
  };
  const report = w.report.bind(w);
  w.report = async () => {
    await report();
    for (const name of tokens.keys()) await say(name);
  };
  return app;
}

/** What is known of its Node; `null` also before it has registered. */
const kubeOf = (w: World, name: string) =>
  w.reconciler.fleet().nodes.get(name as NodeId)?.kube ?? null;

test("a pod's token ties its agent to the Node, and no other node's agent", async () => {
  const w = await joined(1);
  const [first, second] = [seed(w, "k1"), seed(w, "k2")];
  const app = speak(
    w,
    new Map([
      ["k1", first],
      ["k2", second],
      ["thief", first],
    ]),
  );
  await w.until(() => kubeOf(w, "k1") !== null && kubeOf(w, "k2") !== null, 120);
  for (const name of ["k1", "k2"]) {
    expect(w.node(name).kube).toMatchObject({ name, by: "token", proof: "token" });
  }
  for (const name of ["k1", "thief"]) w.xid(name, 79);
  await w.until(() => isMarked(clusterOf(w).node("k1")), 120);
  await w.live(60);
  expect(w.node("thief").health.verdict).toBe("unhealthy");
  expect(w.node("thief").kube).toBeNull();
  expect(w.node("thief").agent?.origin).toMatchObject({
    pod: null,
    tokenProblem: "its pod token is of Node k1",
  });
  expect(w.node("k1").kube).toMatchObject({ name: "k1", proof: "token" });
  expect(isMarked(clusterOf(w).node("k2"))).toBe(false);
  expect(told(w, "kube.unproven")).toEqual([]);
  const stored = JSON.stringify([w.nodes(), w.events, (await app.call("GET", "/v1/audit")).text]);
  for (const token of [first, second]) expect(stored).not.toContain(token);
});

test("a server that reviews no tokens is named, and its repair is found without a restart", async () => {
  const w = await joined(1);
  const { kube } = clusterOf(w);
  kube.denied.add("create tokenreviews");
  const tokens = new Map(["k1", "k2", "k3"].map((name) => [name, seed(w, name)]));
  const app = speak(w, tokens);
  await w.until(() => w.serving().length === 4, 120);
  w.xid("k2", 79);
  await w.live(120);
  expect(isMarked(clusterOf(w).node("k2"))).toBe(false);
  const { state } = (await app.call("GET", "/v1/nodes/k2/explain")).body;
  expect(String(state)).toContain(
    "as through a proxy or service mesh; its pod token cannot be checked: forbidden: " +
      "system:serviceaccount:navarch:navarch may not create tokenreviews.authentication.k8s.io " +
      "(checking on which Node the pod of an agent runs)",
  );
  const { alarms } = (await app.call("GET", "/v1/kubernetes")).body;
  expect(String(alarms)).toContain("create tokenreviews.authentication.k8s.io");
  expect(told(w, "kube.unproven").length).toBeGreaterThanOrEqual(3);
  // As a person applies the role.
  kube.denied.clear();
  await w.until(() => isMarked(clusterOf(w).node("k2")), 300);
  for (const name of tokens.keys()) await w.until(() => kubeOf(w, name) !== null, 120);
});

test("a tie that a token proved outlasts a server that reviews none any more", async () => {
  const w = await joined(1);
  speak(w, new Map([["k1", seed(w, "k1")]]));
  await w.until(() => kubeOf(w, "k1") !== null, 120);
  w.xid("k1", 79);
  await w.until(() => isMarked(clusterOf(w).node("k1")), 120);
  clusterOf(w).kube.denied.add("create tokenreviews");
  w.agent("k1").registered = false;
  await w.live(120);
  expect(w.node("k1").kube).toMatchObject({ absentSince: null, proof: "token" });
  expect(w.node("k1").agent?.origin).toMatchObject({ pod: { node: "k1" } });
  expect(isMarked(clusterOf(w).node("k1"))).toBe(true);
});
