/**
 * What `kubectl logs` of the compiled control plane tells an operator on a real API server: a
 * permission that is taken away and given back, the repair from the fault to the replacement, and
 * an uncordon by hand.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { injectXid } from "../../fixture/cloud/inject.ts";
import type { NodeView } from "../../../schema/api.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { PRODUCT } from "./access.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { Joined } from "./joined.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: the log beside a real API server: ${missing}`);

const ACCOUNT = `system:serviceaccount:${PRODUCT.namespace}:${PRODUCT.name}`;
const BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

type Line = { level: string; msg: string; node?: string; kube_node?: string; reason?: string } & {
  [key: string]: unknown;
};

let cluster: Cluster;
let joined: Joined;

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
  const more = "safety: { breaker: { enabled: false } }";
  joined = new Joined(cluster, { size: 3, more });
  await joined.start(3);
}, 600_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await joined.close()).toEqual([]);
  expect(await cluster.close()).toEqual([]);
}, 60_000);

function lines(): Line[] {
  const all = joined.plane.log().split("\n");
  return all.flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as Line] : []));
}

const about = (node: NodeView & { name: string }): Line[] =>
  lines().filter((line) => line.node === node.node_id || line.kube_node === node.name);

function fault(node: NodeView): void {
  const message = "Xid 79 for a test";
  injectXid(joined.plane.cloudDir, (node.instance_id ?? "") as InstanceId, { xid: 79, message });
}

async function nextNode(): Promise<NodeView & { name: string }> {
  const [node] = await joined.plane.serving();
  if (node === undefined || node.kubernetes_node === null) throw new Error("nobody serves");
  return { ...node, name: node.kubernetes_node };
}

const logs = (what: string, ms: number, look: (line: Line) => boolean): Promise<Line> =>
  until(`the log says: ${what}`, ms, () => lines().find(look) ?? null);

describe.skipIf(missing !== null)("the log", () => {
  test("tells of a permission that was taken away, of its return and of the repair", async () => {
    const node = await nextNode();
    const binding = (await cluster.json(`${BINDINGS}/${PRODUCT.role}`)) as Record<string, unknown>;
    const gone = await cluster.kubectl("delete", "clusterrolebinding", PRODUCT.role);
    expect(gone).toMatchObject({ code: 0, err: "" });
    // The authorizer learns of it by a watch of its own.
    await Bun.sleep(1_000);
    fault(node);
    const refused = await logs("the cordon is refused", 30_000, ({ event }) => {
      return event === "kube.refused";
    });
    expect(refused).toMatchObject({ level: "error", node: node.node_id, kube_node: node.name });
    expect(refused.reason).toContain("forbidden");
    expect(String(refused["advice"])).toContain("deploy/11-role.yaml");
    const denied = await logs("a permission is denied", 30_000, ({ msg }) =>
      msg.includes("denies"),
    );
    expect(denied).toMatchObject({ level: "error", account: ACCOUNT });
    await Bun.sleep(20_000);
    const permissions = lines().flatMap((line) =>
      line.msg === "Kubernetes denies a permission" ? [String(line["permission"])] : [],
    );
    expect(new Set(permissions).size).toBe(permissions.length);
    const again = { metadata: { name: PRODUCT.role } };
    const body = { ...binding, ...again };
    await cluster.json(BINDINGS, { method: "POST", body });
    await logs("it is accepted again", 60_000, ({ msg }) => msg === "Kubernetes accepts it again");
    await logs("it is cordoned", 120_000, ({ msg, node: id }) => {
      return msg === "node cordoned" && id === node.node_id;
    });
    await logs("it is replaced", 120_000, ({ msg }) => msg === "node replaced");
    await logs("its Node is gone", 120_000, ({ msg }) => msg === "Node object removed");
    const story = about(node).map(({ msg }) => msg);
    for (const step of [
      "node unhealthy",
      "node cordoned",
      "drain started",
      "drain ended",
      "machine terminated",
      "node replaced",
      "Node object removed",
    ]) {
      expect([step, story.filter((one) => one === step).length]).toEqual([step, 1]);
    }
    const repair = about(node).slice(about(node).findIndex(({ msg }) => msg === "node unhealthy"));
    for (const line of repair.filter(({ event }) => event !== undefined)) {
      expect(line).toMatchObject({ node: node.node_id, kube_node: node.name });
      expect(line.reason).not.toBe("");
    }
  }, 480_000);

  test("tells of an uncordon by hand that calls a repair off", async () => {
    const node = await nextNode();
    fault(node);
    await logs("it is cordoned", 30_000, ({ msg, node: id }) => {
      return msg === "node cordoned" && id === node.node_id;
    });
    const done = await cluster.kubectl("uncordon", node.name);
    expect(done.code).toBe(0);
    const seen = await logs("the uncordon", 30_000, ({ msg, node: id }) => {
      return msg === "Node uncordoned by hand" && id === node.node_id;
    });
    expect(seen).toMatchObject({ level: "warn", kube_node: node.name });
    expect(seen.reason).toContain("the repair is cancelled");
    const broken = await logs("the hardware is broken", 10_000, ({ event }) => {
      return event === "kube.uncordoned_broken";
    });
    expect(broken).toMatchObject({ level: "error", node: node.node_id, kube_node: node.name });
  }, 120_000);

  test("names no Node object as a node", () => {
    expect(lines().filter(({ node }) => node?.startsWith("gpu-") === true)).toEqual([]);
    expect(lines().filter(({ kube_node: name }) => name?.startsWith("gpu-") === false)).toEqual([]);
  });
});
