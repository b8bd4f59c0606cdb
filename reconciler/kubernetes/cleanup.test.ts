import { beforeEach, describe, expect, test } from "bun:test";
import type { NodeId } from "../../schema/id.ts";
import { seedAgain, seedNode } from "../../test/fixture/kubernetes/node.ts";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import { Cleanup } from "./cleanup.ts";
import type { EndedNode } from "./cleanup.ts";
import { openFakeKube } from "../../simulator/cluster/fake.ts";
import type { FakeKube } from "../../simulator/cluster/fake.ts";
import { webhookDenied } from "../../test/fixture/kubernetes/admission.ts";
import { readNode } from "./read-node.ts";

const NAME = "gpu-17";
let clock: VirtualClock;
let kube: FakeKube;
let cleanup: Cleanup;
let uid: string;
let lines: string[];

beforeEach(() => {
  clock = new VirtualClock();
  kube = openFakeKube({ clock });
  uid = seedNode(kube, NAME).uid;
  lines = [];
  cleanup = open();
});

function open(): Cleanup {
  const log = (_level: string, line: string) => void lines.push(line);
  return new Cleanup({ api: kube, clock, random: () => 0.5, log });
}

const ended = (): EndedNode[] => [{ node: "n1" as NodeId, name: NAME, uid, pool: "a100" }];

/** As the loop does it: every second, with whatever is left. */
async function run(seconds: number, each: () => void = () => undefined): Promise<void> {
  for (let i = 0; i < seconds; i++) {
    each();
    cleanup.tend(ended());
    const rest = cleanup.rest();
    await clock.pass(1_000);
    await rest;
  }
}

const node = () => readNode(kube.get("nodes", "", NAME));

function renew(agoMs = 0): void {
  const renewTime = new Date(clock.wallMs() - agoMs).toISOString().replace("Z", "000Z");
  const lease = { metadata: { name: NAME, namespace: "kube-node-lease" }, spec: { renewTime } };
  if (kube.get("leases", "kube-node-lease", NAME) === undefined) kube.seed("leases", lease);
  else kube.person.edit("leases", "kube-node-lease", NAME, { spec: { renewTime } });
}

const seedPod = (name: string, more: object = {}): void => {
  kube.seed("pods", { metadata: { name, ...more }, spec: { nodeName: NAME } });
};
const SHOWN = { sub: "status" } as const;
const DAEMON = [
  { apiVersion: "apps/v1", kind: "DaemonSet", name: "d", uid: "d", controller: true },
];

describe("Cleanup", () => {
  test("names the finalizer that holds the object, and goes on when it is gone", async () => {
    kube.person.edit("nodes", "", NAME, { metadata: { finalizers: ["example.test/volumes"] } });
    await run(30);
    expect(node()?.deletion).toMatchObject({ finalizers: ["example.test/volumes"] });
    const why = "its deletion has begun and waits for the finalizer example.test/volumes";
    expect(cleanup.reason(uid)).toBe(why);
    expect(cleanup.troubles()).toEqual([`${NAME}: ${why}`]);
    const asked = kube.asked.get("delete nodes");
    await run(300);
    expect(kube.asked.get("delete nodes")).toBe(asked ?? 0);
    expect(lines.filter((line) => line.includes("remains"))).toHaveLength(1);
    kube.person.edit("nodes", "", NAME, { metadata: { finalizers: null } });
    await run(60);
    expect(node()).toBeNull();
  });

  test("S49: waits while Slurm shows jobs there, and not for ever", async () => {
    const owner = {
      apiVersion: "slinky.slurm.net/v1beta1",
      kind: "NodeSet",
      name: "gpu",
      uid: "g",
    };
    const work = (type: string) => ({
      phase: "Running",
      conditions: [{ type: `SlurmNodeState${type}`, status: "True" }],
    });
    const more = { ownerReferences: [{ ...owner, controller: true }] };
    seedPod("slurm", more);
    kube.person.edit("pods", "default", "slurm", { status: work("Mixed") }, SHOWN);
    await run(300);
    expect(cleanup.reason(uid)).toBe("Slurm still shows jobs there, in pods: 1");
    expect(node()?.taints ?? null).toEqual([]);
    const other = seedNode(kube, "gpu-18");
    kube.person.edit("pods", "default", "slurm", { status: work("Down") }, SHOWN);
    await run(10);
    expect(node()).toBeNull();
    // Without its operator the state stays.
    uid = other.uid;
    kube.seed("pods", { metadata: { name: "again", ...more }, spec: { nodeName: "gpu-18" } });
    kube.person.edit("pods", "default", "again", { status: work("Allocated") }, SHOWN);
    const target = [{ node: "n2" as NodeId, name: "gpu-18", uid, pool: null }];
    for (let i = 0; i < 900; i++) {
      cleanup.tend(target);
      await clock.pass(1_000);
      await cleanup.rest();
    }
    expect(kube.get("nodes", "", "gpu-18")).toBeUndefined();
  });

  test("says for what it waits: a kubelet that renews, pods, a webhook that refuses", async () => {
    expect(cleanup.reason(uid)).toBeNull();
    renew();
    await run(2);
    expect(cleanup.reason(uid)).toContain("lease has not been still for long enough");
    await run(60, renew);
    expect(cleanup.reason(uid)).toContain(`the kubelet of ${NAME} renews its lease`);
    seedPod("web");
    await run(60);
    expect(cleanup.reason(uid)).toContain("pods that are bound to it have not ended: 1");
    kube.admission = ({ verb }) => (verb === "delete" ? webhookDenied("gate", 409, "no") : null);
    await run(200);
    expect(cleanup.reason(uid)).toContain("refused by admission webhook gate: no");
    expect(node()).not.toBeNull();
    kube.admission = () => null;
    await run(300);
    expect(node()).toBeNull();
  });

  test("deletes an empty Node without a lease, by its UID", async () => {
    await run(2);
    expect([node(), cleanup.doubts(), cleanup.troubles()]).toEqual([null, [], []]);
    const before = kube.asked.get("delete nodes");
    await run(30);
    expect(kube.asked.get("delete nodes")).toBe(before ?? -1);
  });

  test("waits until a lease is old and has stood still", async () => {
    renew(10_000);
    await run(25);
    expect(node()).not.toBeNull();
    await run(20);
    expect([node(), cleanup.doubts()]).toEqual([null, []]);
  });

  test("deletes after twenty seconds where the lease is old already", async () => {
    renew(3_600_000);
    await run(15);
    expect(node()).not.toBeNull();
    await run(8);
    expect(node()).toBeNull();
  });

  test("stops, and says so, while the kubelet speaks, by whatever clock", async () => {
    for (const agoMs of [0, 300_000, -300_000]) {
      cleanup = open();
      lines = [];
      let second = 0;
      await run(90, () => {
        if (second++ % 10 === 0) renew(agoMs);
      });
      expect(node()).not.toBeNull();
      expect(cleanup.doubts()).toEqual([
        `the cloud says that n1 is gone, and the kubelet of ${NAME} renews its lease`,
      ]);
      expect(lines).toHaveLength(1);
    }
    // It falls silent: then it is gone indeed.
    await run(90);
    expect([node(), cleanup.doubts()]).toEqual([null, []]);
  });

  test("does not delete without the second witness", async () => {
    kube.denied.add("get leases");
    await run(60);
    expect(node()).not.toBeNull();
    expect(cleanup.troubles()[0]).toContain(
      "may not get leases.coordination.k8s.io in namespace kube-node-lease",
    );
    kube.denied.delete("get leases");
    await run(120);
    expect(node()).toBeNull();
  });

  test("lets pods go by the out-of-service taint first", async () => {
    kube.cluster.setKubelet(NAME, false);
    seedPod("train");
    await run(3);
    expect(node()?.taints.map(({ key, value, effect }) => [key, value, effect])).toEqual([
      ["node.kubernetes.io/out-of-service", "nodeshutdown", "NoExecute"],
    ]);
    // The garbage collector of pods acts on the taint.
    await run(40);
    expect([kube.list("pods").length, node()]).toEqual([0, null]);
  });

  test("waits for pods no longer than two minutes, and not for a DaemonSet's", async () => {
    seedPod("stuck", { finalizers: ["example.test/keep"] });
    await run(100);
    expect(node()).not.toBeNull();
    await run(40);
    expect(node()).toBeNull();
    uid = seedNode(kube, NAME).uid;
    kube.person.edit("pods", "default", "stuck", { metadata: { finalizers: null } });
    cleanup = open();
    seedPod("daemon", { ownerReferences: DAEMON });
    await run(2);
    expect(node()).toBeNull();
  });

  test("takes the taint back when the kubelet speaks after all", async () => {
    renew(3_600_000);
    seedPod("stuck", { finalizers: ["example.test/keep"] });
    kube.person.taint(NAME, { key: "example.test/own", effect: "NoSchedule" });
    await run(30);
    expect(node()?.taints).toHaveLength(2);
    let second = 0;
    await run(60, () => {
      if (second++ % 10 === 0) renew();
    });
    expect(cleanup.doubts()).toHaveLength(1);
    expect(node()?.taints.map(({ key }) => key)).toEqual(["example.test/own"]);
    // It falls silent: then its pods are let go once more, and it goes.
    await run(60);
    expect(node()?.taints).toHaveLength(2);
    await run(150);
    expect(node()).toBeNull();
  });

  test("never touches another object of the name", async () => {
    const old = uid;
    const fresh = seedAgain(kube, NAME);
    await run(90);
    expect(node()).toMatchObject({ uid: fresh.uid, taints: [] });
    expect(uid).toBe(old);
    expect(kube.asked.get("delete nodes")).toBeUndefined();
  });

  test("is refused by the server if the object changes on its way", async () => {
    cleanup.tend(ended());
    // The deletion carries the UID, so what comes between the read and it is safe.
    kube.setFault({ latencyMs: 10 });
    const fresh = { uid: "" };
    const rest = cleanup.rest();
    await clock.pass(1);
    fresh.uid = seedAgain(kube, NAME).uid;
    await clock.pass(1_000);
    await rest;
    expect(node()?.uid).toBe(fresh.uid);
  });

  test("forgets a Node that is not told any more", async () => {
    renew();
    await run(5);
    cleanup.tend([]);
    await clock.pass(120_000);
    expect(node()).not.toBeNull();
  });

  test("backs off from a refusal and goes on when it may", async () => {
    kube.denied.add("delete nodes");
    await run(120);
    expect(kube.asked.get("delete nodes")).toBeLessThanOrEqual(7);
    expect(lines).toHaveLength(1);
    kube.denied.delete("delete nodes");
    await run(300);
    expect([node(), cleanup.troubles()]).toEqual([null, []]);
  });
});
