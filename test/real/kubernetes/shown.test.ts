/**
 * What a Node shows while others stand in the way, on a real cluster and from the compiled binary:
 * a policy that refuses the cordon, a person's hold in any spelling, and somebody who removes our
 * taint again and again.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { injectXid } from "../../fixture/cloud/inject.ts";
import type { ExplainView, NodeView } from "../../../schema/api.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { Joined, type KubeObject } from "./joined.ts";
import { navarch, navarchJson } from "./navarch.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: what Nodes show on a real API server: ${missing}`);

let cluster: Cluster;
let joined: Joined;
let nodes: NodeView[] = [];

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
  joined = new Joined(cluster, { size: 3 });
  nodes = await joined.start(3);
}, 300_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await joined.close()).toEqual([]);
  expect(await cluster.close()).toEqual([]);
}, 60_000);

const at = (i: number): NodeView => {
  const one = nodes[i];
  if (one === undefined) throw new Error(`there is no ${i}`);
  return one;
};
const nameOf = ({ kubernetes_node }: NodeView): string => kubernetes_node ?? "";
const fail = ({ instance_id }: NodeView): void =>
  void injectXid(joined.plane.cloudDir, (instance_id ?? "") as InstanceId, {
    xid: 79,
    message: "Xid 79 for a test",
  });

async function live(node: NodeView): Promise<KubeObject> {
  const found = await joined.node(nameOf(node));
  if (found === null) throw new Error(`there is no Node ${nameOf(node)}`);
  return found;
}

async function healthOf(node: NodeView): Promise<string | undefined> {
  const { status } = await live(node);
  return status?.conditions?.find(({ type }) => type === "GPUHealthy")?.status;
}

/** As `kubectl describe node` shows the condition `NavarchManaged`. */
async function managed(node: NodeView, reason: string): Promise<string> {
  return until(`NavarchManaged has reason ${reason}`, 20_000, async () => {
    const { out } = await cluster.kubectl("describe", "node", nameOf(node));
    const line = out.split("\n").find((one) => one.includes("NavarchManaged")) ?? "";
    return line.includes(` ${reason} `) ? line : null;
  });
}

async function reasonsOn(name: string): Promise<string[]> {
  const all = await cluster.json<{ items: { reason: string; regarding: { name: string } }[] }>(
    "/apis/events.k8s.io/v1/events",
  );
  return all.items.filter(({ regarding }) => regarding.name === name).map(({ reason }) => reason);
}

/** Refuses what a webhook of the platform might: any change that makes this Node unschedulable. */
const policyFor = (name: string): string => `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: no-cordon }
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - { apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [nodes] }
  validations:
  - expression: object.metadata.name != "${name}" || !has(object.spec.unschedulable) || !object.spec.unschedulable
    message: "cordons are closed today"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: { name: no-cordon }
spec: { policyName: no-cordon, validationActions: [Deny] }
`;

describe.skipIf(missing !== null)("a Node whose cordon is refused", () => {
  test("shows GPUHealthy=False all the same", async () => {
    const sick = at(0);
    await until("it is shown healthy", 10_000, async () =>
      (await healthOf(sick)) === "True" ? true : null,
    );
    const stdin = policyFor(nameOf(sick));
    const applied = await cluster.kubectlWith({ user: "admin", stdin }, "apply", "-f", "-");
    expect(applied).toMatchObject({ code: 0 });
    await until("the policy is in force", 20_000, async () => {
      const tried = await cluster.kubectl("cordon", nameOf(sick), "--dry-run=server");
      // kubectl exits with 0 all the same.
      return tried.err.includes("cordons are closed today") ? true : null;
    });
    fail(sick);
    await until("it is sick", 10_000, async () => {
      const { verdict } = await joined.plane.get<NodeView>(`/nodes/${sick.node_id}`);
      return verdict === "unhealthy" ? true : null;
    });
    await until("it is shown", 3_000, async () =>
      (await healthOf(sick)) === "False" ? true : null,
    );
    expect((await live(sick)).spec.unschedulable).toBeUndefined();
    expect(await managed(sick, "CordonRefused")).toContain("cordons are closed today");
    await cluster.kubectl("delete", "validatingadmissionpolicybinding", "no-cordon");
    await cluster.kubectl("delete", "validatingadmissionpolicy", "no-cordon");
  }, 60_000);
});

describe.skipIf(missing !== null)("a person's taint under a key of ours", () => {
  test("on a healthy Node is removed, and an Event says so", async () => {
    const name = nameOf(at(1));
    await cluster.kubectl("taint", "node", name, "navarch.dev/unhealthy=true:NoSchedule");
    await until("it is removed", 10_000, async () => {
      const { spec } = await live(at(1));
      const taints = (spec as { taints?: { key: string }[] }).taints ?? [];
      return taints.some(({ key }) => key === "navarch.dev/unhealthy") ? null : true;
    });
    await until("an Event names the taint and what to use", 10_000, async () => {
      const { out } = await cluster.kubectl("describe", "node", name);
      return /TaintRemoved .*taint navarch.dev\/unhealthy removed.*kubectl cordon/.test(out)
        ? true
        : null;
    });
  }, 60_000);
});

describe.skipIf(missing !== null)("navarch.dev/hold on a pod", () => {
  test("has no effect, which the pod and doctor say", async () => {
    const node = nameOf(at(1));
    const [pod] = await cluster.addPods(1, {
      name: () => "held",
      node: () => node,
      annotations: { "navarch.dev/hold": "true" },
    });
    const said = "navarch.dev/hold on pod default/held has no effect: it counts on the Node alone";
    await until("an Event on the pod", 10_000, async () => {
      const { out } = await cluster.kubectl("describe", "pod", "held");
      return out.includes("HoldIgnored") && out.includes(said) ? true : null;
    });
    const found = await navarch(joined.plane, "doctor", "kubernetes");
    expect(found.out).toContain("hold ignored");
    expect(found.out).toContain(said);
    expect(pod?.metadata.name).toBe("held");
    await cluster.kubectl("delete", "pod", "held", "--grace-period=0", "--force");
    await until("it is said no more", 10_000, async () => {
      const later = await navarch(joined.plane, "doctor", "kubernetes");
      return later.out.includes("hold ignored") ? null : true;
    });
  }, 60_000);
});

describe.skipIf(missing !== null)("navarch.dev/hold", () => {
  test("holds as a label that says Yes, and as an annotation that nobody understands", async () => {
    const { plane } = joined;
    const [labelled, annotated] = [at(1), at(2)];
    await cluster.kubectl("label", "node", nameOf(labelled), "navarch.dev/hold=Yes");
    await cluster.kubectl("annotate", "node", nameOf(annotated), "navarch.dev/hold=until friday");
    await until("both are seen", 10_000, async () => {
      const seen = await plane.nodes();
      const held = seen.filter(({ kubernetes }) => kubernetes?.hold === true);
      return held.length === 2 ? true : null;
    });
    for (const one of [labelled, annotated]) fail(one);
    for (const one of [labelled, annotated]) {
      await until("it is shown", 10_000, async () =>
        (await healthOf(one)) === "False" ? true : null,
      );
    }
    // Longer than a replacement takes to be begun.
    await Bun.sleep(6_000);
    const alive = plane.reality().live.map(({ id }) => id as string);
    for (const one of [labelled, annotated]) {
      expect((await live(one)).spec.unschedulable).toBeUndefined();
      expect(alive).toContain(one.instance_id ?? "");
    }
    expect(await managed(labelled, "OnHold")).toContain("navarch.dev/hold is set on Node");
    const why = await navarchJson<ExplainView>(plane, "explain", nameOf(annotated));
    expect(`${why.state} ${why.next ?? ""}`).toContain('navarch.dev/hold="until friday"');
    await until("an event names it", 10_000, async () =>
      (await reasonsOn(nameOf(annotated))).includes("HoldUnclear") ? true : null,
    );
    const off = ["--overwrite", "navarch.dev/hold=off"];
    await cluster.kubectl("annotate", "node", nameOf(annotated), ...off);
    await until("it is replaced", 60_000, async () => {
      const events = await plane.events(`&node=${annotated.node_id}`);
      return events.some(({ kind }) => kind === "node.replaced") ? true : null;
    });
    expect(plane.reality().live.map(({ id }) => id as string)).toContain(
      labelled.instance_id ?? "",
    );
  }, 120_000);
});
