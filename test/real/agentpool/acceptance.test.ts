/** The acceptance blocks of AgentPools on a real API server, with compiled programs. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { POD_ACT } from "../kubernetes/kwok.ts";
import { PoolBed } from "./bed.ts";

const missing = await whyNoCluster();

test("a Kubernetes API server is here to serve AgentPools on", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

describe.skipIf(missing !== null)("AgentPools on a real server", () => {
  let bed: PoolBed;
  let failingSince = 0;
  /** The claim that is left of A4. */
  let held = "";
  beforeAll(async () => {
    await buildStale();
    bed = await PoolBed.open();
  }, 600_000);
  afterAll(() => bed?.close(), 120_000);

  test("A2: the seed's YAML blocks end with 3, 1 and 1 workers", async () => {
    await bed.applyFile("seed");
    await bed.waitPods("cpu-pool", 3);
    await bed.waitPods("gpu-pool", 1);
    await bed.waitPods("shell", 1);
    const { minReplicas, killUnknownAfterSecond, defaultSlotsPerAgent } = (await bed.pool("shell"))
      .spec.autoscaler;
    expect([minReplicas, killUnknownAfterSecond, defaultSlotsPerAgent]).toEqual([0, 300, 1]);
    expect(await bed.count("group=velda-agent")).toBe(5);
    expect(await bed.count("app=velda-agent,pool=gpu-pool")).toBe(1);
    expect(await bed.count("navarch.dev/pool")).toBe(0);
    const [head = ""] = (await bed.kubectl("get", "ap")).split("\n");
    expect(head.trim().split(/\s+/)).toEqual(["NAME", "AGE"]);
    await until("shell tells its story", 20_000, async () => {
      const told = await bed.kubectl("describe", "agentpool", "shell");
      return /Events:\s+Type/.test(told) ? true : null;
    });
  }, 120_000);

  test("A4: T1 of the oracle, with agents that join by their pod's token", async () => {
    await bed.applyFile("t1.yaml");
    await bed.waitPods("t1", 2);
    await bed.join("t1");
    const claims: string[] = [];
    for (const workers of [2, 3, 4, 5, 5]) {
      claims.push((await bed.claim("t1")).id);
      await bed.waitPods("t1", workers);
      await bed.join("t1");
    }
    const { id: queued } = await bed.claim("t1");
    expect((await bed.claimOf(queued)).state).toBe("queued");
    expect(await bed.pods("t1")).toHaveLength(5);
    await until("the pool is at its maximum", 5_000, async () => {
      return (await bed.condition("t1", "AtMax"))?.status === "True" ? true : null;
    });
    await bed.release(queued);
    for (const id of claims.slice(0, 4)) await bed.release(id);
    held = claims[4] ?? "";
    await bed.waitPods("t1", 4, 5_000);
    await bed.patch("t1", { idleDecaySecond: 1 });
    await bed.waitPods("t1", 2);
  }, 240_000);

  test("V38: the pool has a Warning event for the key of its file that is ignored", async () => {
    type Events = { items: { type: string; reason: string; message: string }[] };
    const field = "involvedObject.name=t1,reason=ConfigIgnored";
    const found = await until("the event is there", 10_000, async () => {
      const text = await bed.kubectl("get", "events", "--field-selector", field, "-o", "json");
      return (JSON.parse(text) as Events).items[0] ?? null;
    });
    expect(found.type).toBe("Warning");
    expect(found.message).toMatch(/^sandbox_config in the velda.yaml of t1-.* is ignored: /);
  }, 30_000);

  test("A12: a worker whose GPU fails takes no claim, goes, and is replaced", async () => {
    // A worker with a claim would wait for its end (V36).
    const { worker } = await bed.claimOf(held);
    const names = (await bed.pods("t1")).map(({ metadata }) => metadata.name);
    const name = names.find((pod) => pod !== worker);
    if (name === undefined) throw new Error("t1 has no idle worker");
    const isGone = (pod: string) =>
      until(`${pod} is gone`, 30_000, async () => {
        const left = await bed.pods("t1");
        return left.some(({ metadata }) => metadata.name === pod) ? null : true;
      });
    // A real agent's machine is not Navarch's to hurt: the fault is in its kernel log.
    const inject = ["sim", "inject", "--xid", "79", "--node"];
    const refused = await bed.navarch(...inject, name);
    expect(refused.code).not.toBe(0);
    expect(refused.err).toContain(`node ${name} is a worker of AgentPool default/t1, whose agent`);
    bed.failGpu(name);
    await isGone(name);
    await bed.waitPods("t1", 2);
    await bed.join("t1", [], 2);
    const made = (await bed.pods("t1")).map(({ metadata }) => metadata.name);
    const simulated = made.find((pod) => bed.isSimulated(pod)) ?? "none";
    const injected = await bed.navarch(...inject, simulated, "--gpu", "1");
    expect([injected.code, injected.err]).toEqual([0, ""]);
    await isGone(simulated);
    await bed.waitPods("t1", 2);
    await bed.join("t1");
    // Pods that fail at once, judged at the end of this file.
    await bed.apply(FAILING);
    failingSince = performance.now();
  }, 120_000);

  test("A5: a control plane that is killed creates and deletes nothing when it is back", async () => {
    const before = await bed.uids("t1");
    await bed.plane.kill();
    await bed.plane.start();
    await Bun.sleep(8_000);
    expect(await bed.uids("t1")).toEqual(before);
    const audit = await bed.plane.fetch("/api/admin/audit?kind=Pod&since=boot");
    const rows = (await audit.json()) as { name: string }[];
    // The pool whose pods fail goes on.
    expect(rows.filter(({ name }) => name.startsWith("t1-"))).toEqual([]);
    expect((await bed.condition("t1", "Gated"))?.status).toBe("False");
  }, 120_000);

  test("A6: a pod with the pool's labels and owner that no agent joins goes after its time", async () => {
    await bed.patch("t1", { killUnknownAfterSecond: 5 });
    await bed.script("rogue.sh", "t1");
    await Bun.sleep(3_000);
    const rogue = () => bed.cluster.request("/api/v1/namespaces/default/pods/rogue");
    expect((await rogue()).status).toBe(200);
    await until("the rogue is gone", 15_000, async () => ((await rogue()).ok ? null : true));
    expect(await bed.pods("t1")).toHaveLength(2);
  }, 60_000);

  test("A7: a change acts at once, an annotation does nothing, a deletion ends the pods", async () => {
    await bed.patch("shell", { minIdle: 3, maxIdle: 4 });
    await bed.waitPods("shell", 3, 10_000);
    const before = await bed.uids("shell");
    await bed.kubectl("annotate", "ap", "shell", "x=y");
    await Bun.sleep(2_000);
    expect(await bed.uids("shell")).toEqual(before);
    await bed.kubectl("delete", "ap", "cpu-pool", "--wait", "--timeout=30s");
    expect(await bed.count("navarch.dev/agentpool=cpu-pool")).toBe(0);
    expect(await bed.uids("shell")).toEqual(before);
  }, 90_000);

  test("A8: pools with equal labels leave each other's pods alone", async () => {
    await bed.applyFile("twins.yaml");
    await bed.waitPods("twin-a", 2);
    await bed.waitPods("twin-b", 2);
    const before = [...(await bed.uids("twin-a")), ...(await bed.uids("twin-b"))];
    await Bun.sleep(15_000);
    expect([...(await bed.uids("twin-a")), ...(await bed.uids("twin-b"))]).toEqual(before);
  }, 90_000);

  test("A9: a refused creation is shown with its reason, and tried again within a minute", async () => {
    await bed.applyFile("deny-pods.yaml");
    await Bun.sleep(2_000);
    await bed.patch("shell", { minIdle: 4 });
    const blocked = await until("the block is shown", 20_000, async () => {
      const condition = await bed.condition("shell", "ScaleUpBlocked");
      return condition?.status === "True" ? condition : null;
    });
    expect(blocked.reason).toBe("AdmissionDenied");
    expect(blocked.message).toContain("no further workers of the pool shell");
    await bed.kubectl("delete", "-f", `${import.meta.dir}/../../agentpool/deny-pods.yaml`);
    await bed.waitPods("shell", 4, 90_000);
  }, 180_000);

  test("A13: a pool whose pods fail at once is no hot loop", async () => {
    await Bun.sleep(Math.max(0, 180_000 - (performance.now() - failingSince)));
    const text = await (await bed.plane.fetch("/metrics")).text();
    const writes = [
      ...text.matchAll(/^navarch_kube_writes_total\{[^}]*pool="failing".*} (\d+)$/gm),
    ];
    const sum = writes.reduce((all, [, count]) => all + Number(count), 0);
    expect(sum).toBeGreaterThan(0);
    expect(sum).toBeLessThan(180);
    const { events } = await bed.get<{ events: unknown[] }>("/events?limit=1000");
    expect(events.length).toBeLessThan(200);
  }, 240_000);
});

/** Each pod ends as soon as it ran. */
const FAILING = JSON.stringify({
  ...{ apiVersion: "velda.io/v1", kind: "AgentPool" },
  metadata: { name: "failing", namespace: "default" },
  spec: {
    autoscaler: { minReplicas: 2, minIdle: 2, maxIdle: 4, maxReplicas: 20 },
    template: {
      metadata: { labels: { app: "failing" }, annotations: { [POD_ACT.completes]: "true" } },
      spec: { containers: [{ name: "agent", image: "agent" }] },
    },
  },
});
