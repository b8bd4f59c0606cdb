/**
 * Uncordons by others on a real API server, from the compiled binary: a person's, of hardware that
 * is certainly broken, and a program's that lifts each cordon again. What the server records of who
 * did it is in `metadata.managedFields`: a removal alone leaves nothing there.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { injectXid } from "../../fixture/cloud/inject.ts";
import type { InstanceId } from "../../../schema/id.ts";
import type { NodeView } from "../../../schema/api.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { Joined } from "./joined.ts";
import { navarch } from "./navarch.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: uncordons on a real API server: ${missing}`);

let cluster: Cluster;
let joined: Joined;

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
  const more = "safety: { breaker: { enabled: false } }";
  joined = new Joined(cluster, { size: 2, more, kubernetes: "  uncordon_review: 6s" });
  await joined.start(2);
}, 600_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await joined.close()).toEqual([]);
  expect(await cluster.close()).toEqual([]);
}, 60_000);

async function pick(at: number): Promise<NodeView & { name: string }> {
  const node = (await joined.plane.serving())[at];
  if (node === undefined || node.kubernetes_node === null) throw new Error("nobody serves");
  return { ...node, name: node.kubernetes_node };
}

const isOut = async (name: string): Promise<boolean> =>
  (await joined.node(name))?.spec.unschedulable === true;

const becomes = (name: string, out: boolean): Promise<true> =>
  until(`${name} is ${out ? "out" : "in"}`, 30_000, async () =>
    (await isOut(name)) === out ? true : null,
  );

const count = async (node: NodeView, kind: string): Promise<number> => {
  const events = await joined.plane.events(`&node=${node.node_id}`);
  return events.filter((event) => event.kind === kind).length;
};

describe.skipIf(missing !== null)("an uncordon by others", () => {
  test("by a program, again and again: it is recognised, and named by its field manager", async () => {
    const node = await pick(1);
    for (let turn = 1; turn <= 3; turn++) {
      expect((await navarch(joined.plane, "cordon", node.name)).code).toBe(0);
      await becomes(node.name, true);
      await until("the mark is known", 20_000, async () => {
        const view = await joined.plane.get<NodeView>(`/nodes/${node.node_id}`);
        return view.kubernetes?.marked === true ? true : null;
      });
      // As a controller does that notes when it acted.
      await cluster.json(`/api/v1/nodes/${node.name}`, {
        method: "PATCH",
        as: "human",
        contentType: "application/merge-patch+json",
        headers: { "User-Agent": "node-janitor/1.0 (linux/amd64)" },
        body: {
          metadata: { annotations: { "janitor.example/turn": String(turn) } },
          spec: { unschedulable: null },
        },
      });
      await until("it is seen", 20_000, async () =>
        (await count(node, "kube.uncordoned")) === turn ? true : null,
      );
    }
    // The server dates a write to the second: whoever wrote in the second of our mark is named too.
    const said = new RegExp(
      `Node ${node.name} was uncordoned 3 times within 1 min by ([\\w-]+ or )?node-janitor`,
    );
    const { out } = await navarch(joined.plane, "explain", node.name);
    expect(out).toMatch(said);
    expect((await navarch(joined.plane, "doctor", "kubernetes")).out).toMatch(said);
    await until("the Node shows it", 20_000, async () => {
      const shown = await cluster.kubectl("describe", "node", node.name);
      return /UncordonLoop.*node-janitor/.test(shown.out) ? true : null;
    });
  }, 180_000);

  test("of hardware that is broken: honoured, loud, and brought up again", async () => {
    const node = await pick(0);
    // Nobody would start it again, so that the drain waits for people.
    await cluster.addPods(1, { name: () => "alone", node: () => node.name });
    const message = "Xid 79 for a test";
    const id = (node.instance_id ?? "") as InstanceId;
    injectXid(joined.plane.cloudDir, id, { xid: 79, message });
    await becomes(node.name, true);
    await until("it drains", 30_000, async () => {
      const view = await joined.plane.get<NodeView>(`/nodes/${node.node_id}`);
      return view.phase === "draining" ? true : null;
    });
    await until("the pod's owner is told when it is deleted", 20_000, async () => {
      const { out } = await cluster.kubectl("describe", "pod", "alone");
      const said =
        /EvictionBlocked .*this pod is not evicted: it has no controller .*Deleted at .* UTC unless/;
      return said.test(out) ? true : null;
    });
    const done = await cluster.kubectlAs("human", "uncordon", node.name);
    expect(done.code).toBe(0);
    await until("it is told", 20_000, async () =>
      (await count(node, "kube.uncordoned_broken")) > 0 ? true : null,
    );
    expect(await isOut(node.name)).toBe(false);
    const page = await (await fetch(`${joined.plane.url}/metrics`)).text();
    expect(page).toContain('navarch_kube_uncordoned_broken_nodes{pool="gpus"} 1');
    const said = `Node ${node.name} was uncordoned in Kubernetes by hand although its hardware`;
    expect((await navarch(joined.plane, "doctor", "kubernetes")).out).toContain(said);
    await until("the condition says so", 20_000, async () => {
      const { out } = await cluster.kubectl("describe", "node", node.name);
      const line = out.split("\n").find((one) => one.includes("NavarchManaged")) ?? "";
      return / RepairCalledOff .*uncordoned in Kubernetes by hand at .*navarch replace/.test(line)
        ? true
        : null;
    });
    await until("nothing of the repair is left on it", 20_000, async () => {
      const { annotations = {} } = (await joined.node(node.name))?.metadata ?? {};
      const ours = ["session", "reason", "cordon-preexisting"].map((one) => `navarch.dev/${one}`);
      return ours.some((key) => key in annotations) ? null : true;
    });
    await until("it is brought up again, on the Node too", 40_000, async () => {
      const shown = await cluster.kubectl("describe", "node", node.name);
      return /Warning +BrokenNodeUncordoned.*reminder: /.test(shown.out) ? true : null;
    });
    expect(await isOut(node.name)).toBe(false);
    expect(await count(node, "kube.uncordon_loop")).toBe(0);
    // What the Event advises, from somebody with kubectl alone.
    const { out } = await navarch(joined.plane, "explain", node.name);
    expect(out).toContain("its repair was cancelled: uncordoned in Kubernetes by hand at ");
    expect(out).toContain(`\`kubectl cordon ${node.name}\` or \`navarch replace `);
    expect((await cluster.kubectlAs("human", "cordon", node.name)).code).toBe(0);
    await until("its repair resumes", 30_000, async () => {
      const view = await joined.plane.get<NodeView>(`/nodes/${node.node_id}`);
      return view.phase === "draining" && view.kubernetes?.marked === true ? true : null;
    });
    const { metadata } = (await joined.node(node.name)) ?? {};
    expect(metadata?.annotations?.["navarch.dev/cordon-preexisting"]).toBe("true");
    const later = await (await fetch(`${joined.plane.url}/metrics`)).text();
    expect(later).toContain('navarch_kube_uncordoned_broken_nodes{pool="gpus"} 0');
  }, 180_000);
});
