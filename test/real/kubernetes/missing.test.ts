/**
 * The Node of a healthy machine is deleted on a real API server, seen from the compiled binary:
 * nothing is bought for it, `doctor`, `explain` and the metrics name it with the time of its
 * deletion, and all of it ends when a kubelet registers it again.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { Joined } from "./joined.ts";
import { navarch } from "./navarch.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: a deleted Node on a real API server: ${missing}`);

let cluster: Cluster;
let joined: Joined;

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
  joined = new Joined(cluster, { size: 2, kubernetes: "  ready_timeout: 3s" });
  await joined.start(2);
}, 600_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await joined.close()).toEqual([]);
  expect(await cluster.close()).toEqual([]);
}, 60_000);

const gauge = async (): Promise<string> => {
  const page = await (await fetch(`${joined.plane.url}/metrics`)).text();
  return /^navarch_kube_missing_nodes\{pool="gpus"\} (\d+)$/m.exec(page)?.[1] ?? "";
};
const doctor = async (): Promise<string> =>
  (await navarch(joined.plane, "doctor", "kubernetes")).out;

describe.skipIf(missing !== null)("a Node that someone deleted", () => {
  test("of a healthy machine is named until it is registered again", async () => {
    const [node] = await joined.plane.serving();
    const name = node?.kubernetes_node ?? "";
    const id = node?.node_id ?? "";
    expect(await gauge()).toBe("0");
    expect(await doctor()).toContain("2 of 2 nodes have a Node object");
    const before = new Date(Math.floor(Date.now() / 1_000) * 1_000).toISOString();
    expect((await cluster.kubectlAs("human", "delete", "node", name)).code).toBe(0);
    await until("it is counted", 20_000, async () => ((await gauge()) === "1" ? true : null));
    const out = await doctor();
    expect(out).toContain("1 of 2 nodes have a Node object");
    const since = new RegExp(`${id}: Node ${name} since (\\S+)`).exec(out)?.[1] ?? "";
    expect(since >= before).toBe(true);
    expect(out).toContain(`navarch replace ${id}`);
    const explained = (await navarch(joined.plane, "explain", name)).out;
    expect(explained).toContain(`Node ${name} is no longer in Kubernetes since ${since}\n`);
    expect(explained).toContain("Next: wait (human): Node ");
    await until("people are told", 20_000, async () => {
      const events = await joined.plane.events(`&node=${id}`);
      return events.some((event) => event.message.includes("is missing in Kubernetes")) || null;
    });
    expect(joined.plane.reality().live).toHaveLength(2);
    // As its kubelet does when it starts.
    await cluster.addNodes(1, {
      name: () => name,
      providerId: () => `navarch://fake/local/${node?.instance_id ?? ""}`,
    });
    await until("nothing is missing", 20_000, async () => ((await gauge()) === "0" ? true : null));
    expect(await doctor()).toContain("2 of 2 nodes have a Node object");
  }, 120_000);
});
