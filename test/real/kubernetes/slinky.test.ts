/**
 * Slinky's contract on a real API server, without its operator: the compiled control plane, a Node
 * with pods of a NodeSet, and a watch that sees each state of the Node as an operator does. The
 * conditions of the pods are set here, as the operator sets them.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { parseReason } from "../../../reconciler/core/slurm/reason.ts";
import type { NodeView } from "../../../schema/api.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { injectXid } from "../../fixture/cloud/inject.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { Joined, type KubeObject } from "./joined.ts";

const missing = await whyNoCluster();
const CRDS = readFileSync(join(import.meta.dir, "../../fixture/slinky/crd.yaml"), "utf8");
const KEY = "nodeset.slinky.slurm.net/node-cordon-reason";
const SLINKY = "/apis/slinky.slurm.net/v1beta1/namespaces/default";
const PODS = "/api/v1/namespaces/default/pods";

test("a Kubernetes API server is here to show a NodeSet on", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

describe.skipIf(missing !== null)("Slinky on a real server", () => {
  let cluster: Cluster;
  let joined: Joined;
  let nodes: NodeView[];
  let owner: object;

  beforeAll(async () => {
    await buildStale();
    // Without KWOK the states of pods are this test's.
    cluster = await openCluster({ parts: { scheduler: false, kwok: false } });
    const how = { user: "admin" as const, stdin: CRDS };
    expect(await cluster.kubectlWith(how, "apply", "-f", "-")).toMatchObject({ code: 0, err: "" });
    owner = await until("the kinds are served", 20_000, async () => {
      const body = {
        apiVersion: "slinky.slurm.net/v1beta1",
        kind: "NodeSet",
        metadata: { name: "gpu" },
      };
      const answer = await cluster.request(`${SLINKY}/nodesets`, { method: "POST", body });
      if (!answer.ok) return null;
      const { metadata } = (await answer.json()) as KubeObject;
      const { apiVersion, kind } = body;
      return { apiVersion, kind, name: "gpu", uid: metadata.uid, controller: true };
    });
    joined = new Joined(cluster, { size: 4, more: WIDE });
    nodes = await joined.start(4);
  }, 600_000);
  afterAll(async () => {
    await joined?.close();
    await cluster?.close();
  }, 120_000);

  const nameOf = (index: number): string => nodes[index]?.kubernetes_node ?? "";

  async function put(name: string, node: string, states: string): Promise<void> {
    const labels = { app: "slurmd" };
    await cluster.json(PODS, {
      body: {
        ...{ apiVersion: "v1", kind: "Pod" },
        metadata: { name, labels, ownerReferences: [owner] },
        spec: { nodeName: node, containers: [{ name: "slurmd", image: "slurmd" }] },
      },
    });
    await show(name, states);
  }

  async function show(name: string, states: string): Promise<void> {
    const isTrue = states.split(" ");
    const types = ["Idle", "Allocated", "Mixed", "Completing", "Drain", "Down"];
    const conditions = types.map((type) => ({
      type: `SlurmNodeState${type}`,
      status: isTrue.includes(type) ? "True" : "False",
    }));
    const body = { status: { phase: "Running", conditions } };
    const contentType = "application/merge-patch+json";
    await cluster.json(`${PODS}/${name}/status`, { method: "PATCH", contentType, body });
  }

  /** Each state of the Node that a client sees: has it the reason, and is it cordoned? */
  async function watchNode(name: string): Promise<{ seen: Set<string>; end: () => void }> {
    const seen = new Set<string>();
    const ended = new AbortController();
    const { metadata } = await cluster.json<{ metadata: { resourceVersion: string } }>(
      "/api/v1/nodes",
    );
    const query = `watch=true&fieldSelector=metadata.name%3D${name}&resourceVersion=${metadata.resourceVersion}`;
    const answer = await cluster.request(`/api/v1/nodes?${query}`);
    void (async () => {
      let text = "";
      for await (const chunk of answer.body ?? []) {
        if (ended.signal.aborted) return;
        text += Buffer.from(chunk).toString();
        const lines = text.split("\n");
        text = lines.pop() ?? "";
        for (const line of lines) {
          const { object } = JSON.parse(line) as { object: KubeObject };
          const has = object.metadata.annotations?.[KEY] !== undefined;
          seen.add(`${has} ${object.spec.unschedulable === true}`);
        }
      }
    })().catch(() => undefined);
    return { seen, end: () => ended.abort() };
  }

  const hurt = (index: number): void => {
    const id = (nodes[index]?.instance_id ?? "") as InstanceId;
    injectXid(joined.plane.cloudDir, id, { xid: 79, message: "Xid 79 for a test" });
  };
  const node = async (index: number): Promise<KubeObject | null> => joined.node(nameOf(index));
  const marked = (index: number): Promise<KubeObject> =>
    until("it is cordoned", 30_000, async () => {
      const object = await node(index);
      return object?.spec.unschedulable === true ? object : null;
    });
  const waitOf = async (index: number): Promise<string> => {
    const path = `/nodes/${nodes[index]?.node_id}/explain`;
    return JSON.stringify(await joined.plane.get<object>(path));
  };
  const removals = (): string[] =>
    joined
      .asked()
      .filter(({ verb, objectRef }) => {
        const isEviction = objectRef?.subresource === "eviction";
        return objectRef?.resource === "pods" && (isEviction || verb === "delete");
      })
      .map(({ objectRef }) => objectRef?.name ?? "");

  test("A13, S48: the reason is on the Node no later than the cordon", async () => {
    await put("slurm-a", nameOf(0), "Allocated");
    await put("slurm-b", nameOf(0), "Mixed Completing");
    const { seen, end } = await watchNode(nameOf(0));
    hurt(0);
    const object = await marked(0);
    const reason = object.metadata.annotations?.[KEY] ?? "";
    expect(parseReason(`slurm-operator: ${reason}`)).toMatchObject({ code: "XID79" });
    expect(reason).toContain(object.metadata.annotations?.["navarch.dev/session"] ?? "none");
    await Bun.sleep(1_000);
    expect([...seen].sort()).not.toContain("false true");
    expect([...seen]).toContain("true true");
    end();
  }, 60_000);

  test("A13, S49: nothing ends while Slurm works in a pod, and no pod of Slurm is evicted", async () => {
    const isAlive = (): boolean => {
      const { live } = joined.plane.reality();
      return live.some(({ id }) => (id as string) === nodes[0]?.instance_id);
    };
    await until("the drain waits for Slurm", 30_000, async () =>
      (await waitOf(0)).includes("Slurm runs jobs in") ? true : null,
    );
    await show("slurm-a", "Idle Drain");
    await Bun.sleep(8_000);
    expect(isAlive()).toBe(true);
    expect(await waitOf(0)).toContain("Slurm runs jobs in it");
    // Idle is not drained: a job may start in between.
    await show("slurm-b", "Idle");
    await until("it waits for the drain", 20_000, async () =>
      (await waitOf(0)).includes("Slurm has not drained it yet") ? true : null,
    );
    await Bun.sleep(8_000);
    expect(isAlive()).toBe(true);
    await show("slurm-b", "Idle Drain");
    await until("its machine ends", 120_000, async () => (isAlive() ? null : true));
    expect(removals().filter((name) => name.startsWith("slurm-"))).toEqual([]);
  }, 260_000);

  test("S49: the Node goes once Slurm shows no job on the machine that is gone", async () => {
    await show("slurm-a", "Allocated Drain");
    await until("its removal waits", 120_000, async () =>
      (await waitOf(0)).includes("Slurm still shows jobs there") ? true : null,
    );
    expect(await node(0)).not.toBeNull();
    await show("slurm-a", "Down Drain");
    await until("its Node is removed", 120_000, async () =>
      (await node(0)) === null ? true : null,
    );
  }, 300_000);

  test("S48: another's reason stays, and none is written where Slurm drained first", async () => {
    const own = "kernel update";
    const named = await cluster.kubectl("annotate", "node", nameOf(1), `${KEY}=${own}`);
    expect(named.code).toBe(0);
    await put("slurm-c", nameOf(1), "Allocated");
    await put("slurm-d", nameOf(2), "Allocated Drain");
    await Bun.sleep(1_000);
    for (const index of [1, 2]) hurt(index);
    expect((await marked(1)).metadata.annotations?.[KEY]).toBe(own);
    expect((await marked(2)).metadata.annotations ?? {}).not.toHaveProperty([KEY]);
  }, 90_000);

  test("S50: the page's tenant applies, and its people reach their own namespace alone", async () => {
    const page = readFileSync(join(import.meta.dir, "../../../docs/slinky.md"), "utf8");
    const stdin = /```yaml\n(apiVersion: v1\nkind: Namespace.*?)```/s.exec(page)?.[1] ?? "";
    const applied = await cluster.kubectlWith({ user: "admin", stdin }, "apply", "-f", "-");
    expect(applied).toMatchObject({ code: 0, err: "" });
    expect(applied.out).toContain("nodeset.slinky.slurm.net/gpu created");
    const canI = async (...words: string[]): Promise<string> => {
      const as = ["--as=ann", "--as-group=team-a"];
      return (await cluster.kubectl("auth", "can-i", ...words, ...as)).out.trim();
    };
    const answers = new Map<string, string>();
    for (const asked of [
      "create nodesets.slinky.slurm.net -n team-a",
      "create nodesets.slinky.slurm.net -n default",
      "get pods -n team-a",
      "get secrets -n team-a",
      "patch nodes",
    ]) {
      answers.set(asked, await canI(...asked.split(" ")));
    }
    expect([...answers.values()]).toEqual(["yes", "no", "yes", "no", "no"]);
  }, 60_000);

  test("S48: the release takes back the reason that is ours, and leaves a changed one", async () => {
    const id = nodes[3]?.node_id ?? "";
    const order = (verb: string) =>
      joined.plane.fetch(`/api/v1/nodes/${id}/${verb}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ reason: "look at it" }),
      });
    await put("slurm-e", nameOf(3), "Allocated");
    for (const own of [true, false]) {
      await order("cordon");
      const reason = (await marked(3)).metadata.annotations?.[KEY] ?? "";
      expect(reason).toStartWith("navarch:");
      if (!own) await cluster.kubectl("annotate", "--overwrite", "node", nameOf(3), `${KEY}=mine`);
      await order("uncordon");
      const object = await until("it is released", 30_000, async () => {
        const one = await node(3);
        return one !== null && one.spec.unschedulable !== true ? one : null;
      });
      expect(object.metadata.annotations?.[KEY]).toBe(own ? undefined : "mine");
    }
  }, 120_000);
});

const WIDE = `safety:
  breaker: { enabled: false }
  budgets:
    isolate: { pool: 100%, domain: 100%, fleet: 100% }
    drain: { pool: 100%, domain: 100%, fleet: 100% }
    replace: { pool: 100%, domain: 100%, fleet: 100% }
`;
