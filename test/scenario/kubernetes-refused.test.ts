/**
 * Admission webhooks and policies that refuse a cordon or an eviction: who refused and why stands
 * in `explain`, in `doctor`, on the objects, in a metric, and it ends when the refusal ends.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { policyDenied, webhookDenied, webhookFailed } from "../fixture/kubernetes/admission.ts";
import type { World } from "../world/world.ts";
import { openWorldApp } from "../world/app.ts";
import { clusterOf, isMarked, joined, nameOf, neverLeaving, objectOf } from "../world/cluster.ts";
import { closeWorlds, order, phaseOf, told } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

const first = (w: World): { id: string; name: string } => {
  const [id = ""] = w.serving();
  return { id, name: nameOf(w, id) };
};

type Shown = { reason: string; note: string; regarding: { kind: string; name: string } };
const eventsOf = (w: World, reason: string): Shown[] =>
  (clusterOf(w).kube.list("events") as unknown as Shown[]).filter((one) => one.reason === reason);

const POOL =
  "    health: { unhealthy_threshold: 1 }\n    drain: { timeout: 1h, fatal_timeout: 1h }\n";

describe("a cordon that is refused for good", () => {
  test.each([
    ["a policy", () => policyDenied("ticket", 'nodes "n"', "cordons need a ticket"), "ticket"],
    ["a webhook", () => webhookDenied("gate.example", 403, "change window"), "gate.example"],
    ["a webhook's 503", () => webhookDenied("gate.example", 503, "later"), "gate.example"],
    ["a dead webhook", () => webhookFailed("gate.example", "refused"), "gate.example"],
  ])("%s: is shown wherever somebody looks, and ends", async (_name, refusal, by) => {
    const w = await joined(3);
    const app = openWorldApp(w);
    const { id, name } = first(w);
    const { kube } = clusterOf(w);
    kube.admission = ({ path, lane }) =>
      lane === "cordon" && path.endsWith(`/${name}`) ? refusal() : null;
    w.xid(id, 79);
    await w.live(90);
    expect(objectOf(w, id).unschedulable).toBe(false);
    const explained = await app.call("GET", `/v1/nodes/${id}/explain`);
    expect(String(explained.body["state"])).toContain(by);
    const view = await app.call("GET", "/v1/kubernetes");
    expect(view.body["refused"]).toHaveLength(1);
    expect(String(view.body["refused"])).toContain(`cordon of Node ${name} (${id})`);
    const metrics = (await app.call("GET", "/metrics", undefined, null)).text;
    expect(metrics).toContain('navarch_kube_cordon_refused_nodes{pool="p"} 1');
    expect(eventsOf(w, "CordonRefused")).toMatchObject([{ regarding: { kind: "Node", name } }]);
    expect(eventsOf(w, "CordonRefused")[0]?.note).toContain(by);
    // Tried all the time, recorded seldom.
    await w.live(600);
    expect(told(w, "kube.refused").length).toBeLessThan(10);
    expect(told(w, "provider.error")).toEqual([]);
    kube.admission = () => null;
    await w.until(() => isMarked(objectOf(w, id)) || phaseOf(w, id) !== "suspect", 60);
    const after = await app.call("GET", "/v1/kubernetes");
    expect(after.body["refused"]).toHaveLength(0);
    const page = (await app.call("GET", "/metrics", undefined, null)).text;
    expect(page).toContain('navarch_kube_cordon_refused_nodes{pool="p"} 0');
  });

  test("a message that changes with each try fills no history", async () => {
    const w = await joined(2);
    const { id } = first(w);
    let tries = 0;
    clusterOf(w).kube.admission = ({ lane }) =>
      lane === "cordon" ? webhookDenied("gate.example", 403, `try ${++tries}`) : null;
    await order(w, id, "cordon");
    w.xid(id, 79);
    await w.live(3_600);
    expect(tries).toBeGreaterThan(12);
    expect(told(w, "kube.refused").length).toBeLessThan(38);
  });
});

describe("an eviction that admission refuses", () => {
  test.each([500, 503, 429, 403])("with %d: names the webhook and its message", async (code) => {
    const w = await joined(3, { pool: POOL });
    const app = openWorldApp(w);
    const { id, name } = first(w);
    const web = clusterOf(w).run({ name: "web", replicas: 9, perNode: 3, stopMs: 1_000 });
    await w.live(5);
    const { kube } = clusterOf(w);
    let isOpen = false;
    kube.admission = ({ path }) =>
      path.endsWith("/eviction") && !isOpen
        ? webhookDenied("gate.example", code, "checkpoint runs")
        : null;
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    await w.live(60);
    const said = "3 pods refused by admission webhook gate.example: checkpoint runs";
    const explained = await app.call("GET", `/v1/nodes/${id}/explain`);
    expect(String(explained.body["next"])).toContain(said);
    const view = await app.call("GET", "/v1/kubernetes");
    expect(String(view.body["blocked"])).toContain(`Node ${name}: ${said}`);
    expect(eventsOf(w, "DrainRefused")).toMatchObject([{ regarding: { kind: "Node", name } }]);
    expect(eventsOf(w, "DrainRefused")[0]?.note).toContain(said);
    const owners = eventsOf(w, "EvictionBlocked").map(({ regarding }) => regarding.name);
    expect(owners.sort()).toEqual(
      web
        .on(name)
        .map((pod) => pod.name)
        .sort(),
    );
    // As soon as it lets them go, they go.
    isOpen = true;
    await w.until(() => web.on(name).length === 0, 60);
  });

  test("a server that fails is named too, with what it says", async () => {
    const w = await joined(3, { pool: POOL });
    const app = openWorldApp(w);
    const { id } = first(w);
    neverLeaving(w, 3);
    const { kube } = clusterOf(w);
    kube.setFault({
      storms: [{ status: 500, probability: 1 }],
      concerns: ({ path }) => path.endsWith("/eviction"),
    });
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "draining", 60);
    await w.live(90);
    const explained = await app.call("GET", `/v1/nodes/${id}/explain`);
    expect(String(explained.body["next"])).toContain("etcdserver: no leader");
    expect(String(explained.body["next"])).not.toContain("yet to be asked");
    expect(eventsOf(w, "DrainFailing")).toHaveLength(1);
  });
});

describe("the Node of a machine that is gone", () => {
  test("is found by its name while it is there and for a while after, with who holds it", async () => {
    const w = await joined(3, { kube: "instance_manager: { retain_terminated: 20m }\n" });
    const app = openWorldApp(w);
    const { id, name } = first(w);
    const { kube } = clusterOf(w);
    const held = { metadata: { finalizers: ["example.test/volumes"] } };
    kube.person.edit("nodes", "", name, held);
    w.xid(id, 79);
    await w.until(() => phaseOf(w, id) === "gone", 300);
    await w.live(120);
    const why = "its deletion has begun and waits for the finalizer example.test/volumes";
    const explained = await app.call("GET", `/v1/nodes/${name}/explain`);
    expect(explained.body["subject"]).toBe(id as never);
    expect(String(explained.body["next"])).toContain(why);
    // Longer than a record is kept of a machine without an object.
    await w.live(1_800);
    const seen = await app.call("GET", `/v1/nodes/${name}`);
    expect(String(seen.body["kubernetes"]["stays"])).toBe(why);
    kube.person.edit("nodes", "", name, { metadata: { finalizers: null } });
    await w.live(1_000);
    expect((await app.call("GET", `/v1/nodes/${name}`)).status).toBe(200);
    await w.live(400);
    expect((await app.call("GET", `/v1/nodes/${name}`)).status).toBe(404);
  });

  test("that is no machine of the fleet is told apart from one that is not there", async () => {
    const w = await joined(2);
    const app = openWorldApp(w);
    clusterOf(w).kube.seed("nodes", { metadata: { name: "laptop" } });
    await w.live(5);
    const known = await app.call("GET", "/v1/nodes/laptop/explain");
    expect([known.status, known.text]).toEqual([404, expect.stringContaining("in the cluster")]);
    const unknown = await app.call("GET", "/v1/nodes/nobody/explain");
    expect(unknown.text).not.toContain("in the cluster");
  });
});

test.each([503, 404, 409])(
  "what a webhook (%d) keeps a Node from showing is said",
  async (code) => {
    const w = await joined(2);
    const app = openWorldApp(w);
    const { id, name } = first(w);
    const { kube } = clusterOf(w);
    kube.admission = ({ path }) =>
      path.endsWith(`/${name}/status`) ? webhookDenied("gate.example", code, "no status") : null;
    w.xid(id, 79);
    await w.live(30);
    const view = await app.call("GET", "/v1/kubernetes");
    expect(String(view.body["unshown"])).toContain(
      `${name}: refused by admission webhook gate.example: no status`,
    );
    kube.admission = () => null;
    await w.live(300);
    expect((await app.call("GET", "/v1/kubernetes")).body["unshown"]).toHaveLength(0);
  },
);
