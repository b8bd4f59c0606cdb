/**
 * Other programs that delete Nodes, and pods that ask them not to: `explain` names both, and a drain
 * leaves such pods until its deadline, as it leaves those that ask Navarch itself.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { openWorldApp } from "../world/app.ts";
import { clusterOf, joined, kubeWrongs, nameOf, pass } from "../world/cluster.ts";
import { closeWorlds, counts, instanceOf, lives, order, phaseOf } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(60_000);

const KARPENTER = "karpenter.sh/do-not-disrupt";
const SAFE = "cluster-autoscaler.kubernetes.io/safe-to-evict";

test("another deleter is named in explain, until its taint is gone", async () => {
  const w = await joined(2, { kube: "  not_ready_after: 10m\n" });
  const app = openWorldApp(w);
  const [id = ""] = w.serving();
  const { kube } = clusterOf(w);
  const state = async () =>
    String((await app.call("GET", `/v1/nodes/${id}/explain`)).body["state"]);
  const taint = (taints: object[]): void =>
    void kube.person.edit("nodes", "", nameOf(w, id), { spec: { taints } });
  expect(await state()).not.toContain("taint");
  taint([{ key: "ToBeDeletedByClusterAutoscaler", value: "1", effect: "NoSchedule" }]);
  await w.live(5);
  expect(await state()).toContain(
    "cluster-autoscaler deletes it (taint ToBeDeletedByClusterAutoscaler)",
  );
  const how = { manager: "kubelet", sub: "status" } as const;
  const conditions = [{ type: "Ready", status: "Unknown", reason: "" }];
  kube.person.edit("nodes", "", nameOf(w, id), { status: { conditions } }, how);
  // Its kubelet ends before its machine does: that is no fault to repair.
  await pass(w, 900);
  expect(counts(w)).toEqual({ live: 2, ended: 0, asks: 2 });
  expect(phaseOf(w, id)).toBe("serving");
  taint([]);
  await w.live(5);
  expect(await state()).not.toContain("taint");
});

test.each([
  [KARPENTER, "true"],
  [SAFE, "false"],
])("a pod with %s: %s is not evicted, and explain names that", async (key, value) => {
  const w = await joined(2);
  const app = openWorldApp(w);
  const job = clusterOf(w).run({ name: "train", replicas: 2, annotations: { [key]: value } });
  const [id = ""] = w.serving();
  const name = nameOf(w, id);
  await w.until(() => job.on(name).length > 0, 60);
  await order(w, id, "drain");
  await w.until(() => phaseOf(w, id) === "draining", 60);
  await w.live(120);
  expect(job.on(name)).toHaveLength(1);
  const { body } = await app.call("GET", `/v1/nodes/${id}/explain`);
  expect(String(body["next"])).toContain(`${key}: ${value}`);
  expect(kubeWrongs(w)).toEqual([]);
});

test("a repair of a dead GPU cuts such a pod off at its deadline", async () => {
  const w = await joined(2);
  const job = clusterOf(w).run({
    name: "train",
    replicas: 2,
    annotations: { [KARPENTER]: "true" },
  });
  const [id = ""] = w.serving();
  const machine = instanceOf(w, id);
  await w.until(() => job.on(nameOf(w, id)).length > 0, 60);
  w.xid(id, 79);
  await pass(w, 540);
  expect(lives(w, machine)).toBe(true);
  expect(job.on(nameOf(w, id))).toHaveLength(1);
  await w.until(() => !lives(w, machine), 900);
  expect(counts(w).ended).toBe(1);
});
