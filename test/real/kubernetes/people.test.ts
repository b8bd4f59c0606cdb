/**
 * People and the product on one Node, on a real cluster and from the compiled binary: whose cordon
 * is whose, a person's `kubectl uncordon` in the middle of a repair, what `navarch drain` says
 * before it drains and does when it drains, and hands off on demand.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { injectXid } from "../../fixture/cloud/inject.ts";
import type { NodeView, PodPlanView } from "../../../schema/api.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { buildStale, cleanEnv, until } from "../../fixture/plane/plane.ts";
import { binaryPath, whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { Joined } from "./joined.ts";
import { changesOf, navarch, navarchJson, podsOn } from "./navarch.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: people on a real API server: ${missing}`);

const FIXTURES = join(import.meta.dir, "../../navarch");

let cluster: Cluster;
let joined: Joined;
/** `k8s-worker-1` and so on, as the fixtures call them. */
const nodes = new Map<string, NodeView>();
const X = "k8s-worker-1";
const Y = "k8s-worker-2";
const Z = "k8s-worker-3";

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
  const nameOf = (instance: string): string => `k8s-worker-${instance.split("-").at(-1)}`;
  const more = "safety: { breaker: { enabled: false } }";
  joined = new Joined(cluster, { size: 3, nameOf, more });
  for (const node of await joined.start(3)) nodes.set(node.kubernetes_node ?? "", node);
}, 300_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await joined.close()).toEqual([]);
  expect(await cluster.close()).toEqual([]);
}, 60_000);

/** As a person, who is another account than the product and the tests. */
async function kubectl(...args: string[]): Promise<string> {
  const done = await cluster.kubectlAs("human", ...args);
  expect(done).toMatchObject({ code: 0, err: "" });
  return done.out;
}

async function order(...args: string[]): Promise<void> {
  const done = await navarch(joined.plane, ...args);
  expect({ args, ...done }).toMatchObject({ code: 0 });
}

const isOut = async (name: string): Promise<boolean> =>
  (await joined.node(name))?.spec.unschedulable === true;

const becomes = (name: string, out: boolean): Promise<true> =>
  until(`${name} is ${out ? "out" : "in"}`, 20_000, async () =>
    (await isOut(name)) === out ? true : null,
  );

/** What `navarch get` says, once it says that. */
const says = (name: string, words: RegExp): Promise<string> =>
  until(`get ${name} says ${words}`, 20_000, async () => {
    const { out } = await navarch(joined.plane, "get", name);
    return words.test(out) ? (/^Kubernetes: .*$/m.exec(out)?.[0] ?? "") : null;
  });

const marks = (name: string): string[] =>
  changesOf(joined.asked(), name).filter((one) => one.includes("navarch-cordon"));

function fault(name: string): void {
  const instance = (nodes.get(name)?.instance_id ?? "") as InstanceId;
  injectXid(joined.plane.cloudDir, instance, { xid: 79, message: "Xid 79 for a test" });
}

async function kinds(name: string): Promise<string[]> {
  const events = await joined.plane.events(`&node=${nodes.get(name)?.node_id}`);
  return events.map(({ kind }) => kind);
}

describe.skipIf(missing !== null)("whose cordon is whose", () => {
  test("a person's cordon is shown with who holds it, and is nobody else's", async () => {
    await kubectl("cordon", Y);
    expect(await says(Y, /held|cordoned|unschedulable/)).toContain("kubectl");
    await navarch(joined.plane, "explain", Y);
    expect(marks(Y)).toEqual([]);
    await kubectl("uncordon", Y);
    await says(Y, /, schedulable/);
  }, 60_000);

  test("navarch cordon and uncordon are mirrored", async () => {
    await order("cordon", Y, "--reason", "a test");
    await becomes(Y, true);
    await says(Y, /unschedulable/);
    await order("uncordon", Y);
    await becomes(Y, false);
    const annotations = (await joined.node(Y))?.metadata.annotations ?? {};
    expect(Object.keys(annotations).filter((key) => key.startsWith("navarch.dev/"))).toEqual([]);
  }, 60_000);

  test("kubectl cordon, navarch cordon, navarch uncordon: still cordoned", async () => {
    await kubectl("cordon", Y);
    await order("cordon", Y, "--reason", "a test");
    const count = marks(Y).length;
    await until("both hold it", 20_000, () => (marks(Y).length > count - 1 ? true : null));
    await until("the mark is on it", 20_000, async () => {
      const view = await navarchJson<NodeView>(joined.plane, "get", Y);
      return view.kubernetes?.marked === true ? true : null;
    });
    await says(Y, /kubectl/);
    await order("uncordon", Y);
    await until("the mark is off it", 20_000, async () => {
      const view = await navarchJson<NodeView>(joined.plane, "get", Y);
      return view.kubernetes?.marked === false ? true : null;
    });
    expect(await isOut(Y)).toBe(true);
    await kubectl("uncordon", Y);
    await becomes(Y, false);
  }, 60_000);
});

describe.skipIf(missing !== null)("navarch drain", () => {
  test("--dry-run says of each pod whether it stays and why, as kubectl would do", async () => {
    const applied = await cluster.kubectl("apply", "-f", join(FIXTURES, "drain-pods.yaml"));
    expect(applied.err).toBe("");
    await until("the pods are on it", 60_000, async () => {
      const pods = await podsOn(cluster, X);
      return pods.length >= 6 && pods.every(({ status }) => status?.phase === "Running")
        ? true
        : null;
    });
    const { out } = await navarch(joined.plane, "drain", X, "--dry-run");
    const { pods } = await navarchJson<{ pods: PodPlanView[] }>(
      joined.plane,
      "drain",
      X,
      "--dry-run",
    );
    for (const { name, verdict, why } of pods) {
      expect(out).toContain(name);
      expect(["keep", "evict", "wait", "blocked"]).toContain(verdict);
      expect(why).not.toBe("");
    }
    const ours = pods.map(({ name, verdict }) => `${name}\t${verdict}`).sort();
    const theirs = Bun.spawnSync([join(FIXTURES, "kubectl-drain-plan.sh"), X], {
      env: cleanEnv({ KUBECONFIG: cluster.kubeconfig("admin"), KUBECTL: binaryPath("kubectl") }),
    });
    expect(theirs.stdout.toString().trim().split("\n").sort()).toEqual(ours);
    expect(await isOut(X)).toBe(false);
    expect(marks(X)).toEqual([]);
  }, 90_000);

  test("--wait empties the node and comes back", async () => {
    const done = await navarch(joined.plane, "drain", X, "--wait", "--reason", "a test");
    expect(done).toMatchObject({ code: 0 });
    expect(done.err).toContain("drained");
    expect(await isOut(X)).toBe(true);
    const left = (await podsOn(cluster, X)).map(({ metadata }) => metadata.name);
    expect(left.filter((name) => !/^(ds-|mirror-)/.test(name))).toEqual([]);
    expect(left.length).toBe(2);
    await navarch(joined.plane, "explain", X);
    await order("uncordon", X);
    await becomes(X, false);
  }, 90_000);
});

/** Nobody would start it again, so a drain leaves it to people and waits. */
const ALONE = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "alone", namespace: "default" },
  spec: { nodeName: Y, containers: [{ name: "c", image: "i" }] },
};

describe.skipIf(missing !== null)("a person in the middle of a repair", () => {
  test("navarch.dev/hold: nothing is done to the node, and it says so", async () => {
    await kubectl("annotate", "node", Z, "navarch.dev/hold=true");
    await says(Z, /hold/);
    const before = marks(Z).length;
    fault(Z);
    await until("it is sick", 20_000, async () =>
      (await kinds(Z)).includes("node.unhealthy") ? true : null,
    );
    const why = await until("explain says so", 20_000, async () => {
      const { out } = await navarch(joined.plane, "explain", Z);
      return out.includes("navarch.dev/hold") ? out : null;
    });
    expect(why).toContain("Next: wait");
    // Longer than a mark takes.
    await Bun.sleep(3_000);
    expect(marks(Z).length).toBe(before);
    expect(await isOut(Z)).toBe(false);
    await kubectl("annotate", "node", Z, "navarch.dev/hold-");
    await becomes(Z, true);
    await until("it is replaced", 60_000, async () =>
      (await kinds(Z)).includes("node.replaced") ? true : null,
    );
  }, 120_000);

  test("kubectl uncordon calls the repair off, and stays so", async () => {
    const stdin = JSON.stringify(ALONE);
    const done = await cluster.kubectlWith({ user: "human", stdin }, "apply", "-f", "-");
    expect(done).toMatchObject({ code: 0 });
    fault(Y);
    await until("its drain waits for a person", 60_000, async () => {
      const { out } = await navarch(joined.plane, "explain", Y);
      return out.includes("default/alone") ? true : null;
    });
    await says(Y, /unschedulable/);
    const before = marks(Y).length;
    await kubectl("uncordon", Y);
    await until("it is called off", 20_000, async () =>
      (await kinds(Y)).includes("kube.uncordoned") ? true : null,
    );
    const view = await until("it serves", 20_000, async () => {
      const one = await navarchJson<NodeView>(joined.plane, "get", Y);
      return one.phase === "serving" ? one : null;
    });
    expect(view.session_id).toBeNull();
    await navarch(joined.plane, "get", Y);
    await navarch(joined.plane, "explain", Y);
    // The evidence is still there: three more activations and health checks.
    await Bun.sleep(3_000);
    expect(await isOut(Y)).toBe(false);
    // Our annotations are taken away, with a second try after a lost race; no mark is written.
    expect(marks(Y).length).toBeLessThanOrEqual(before + 2);
    const { annotations } = (await joined.node(Y))?.metadata ?? {};
    expect(Object.keys(annotations ?? {})).not.toContain("navarch.dev/session");
    const pod = (await podsOn(cluster, Y)).find(({ metadata }) => metadata.name === "alone");
    expect(pod?.metadata.deletionTimestamp).toBeUndefined();
  }, 120_000);
});
