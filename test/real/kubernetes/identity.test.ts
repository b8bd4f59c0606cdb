/**
 * Which machine is which Node, on a real cluster and from the compiled binary: agents that register
 * under the Node's name, Nodes that are known by firmware or address, two Nodes that claim one
 * machine, and a machine that somebody else deleted (docs/reference/kubernetes.md).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { instanceFolder } from "../../../reconciler/provider/fake/process.ts";
import { injectXid } from "../../fixture/cloud/inject.ts";
import { openFakeProvider } from "../../../reconciler/provider/fake/fake.ts";
import type { ExplainView, KubernetesView, NodeView, SafetyView } from "../../../schema/api.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { buildStale, NAVARCH_NODE, Plane, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { Joined, formatConfig } from "./joined.ts";
import { changesOf, navarch, navarchJson } from "./navarch.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: identity on a real API server: ${missing}`);

/**
 * An agent as the guide's DaemonSet runs it: `--node-id=$(NODE_NAME)` and the token that all share.
 */
const asDaemonSet = (token: string): string => `#!/bin/sh
n=$#
while [ $n -gt 0 ]; do
  case $1 in
    --node-id) set -- "$@" --node-id "gpu-$NAVARCH_INSTANCE_ID"; shift 2; n=$((n - 2)) ;;
    --auth-token-file) set -- "$@" --auth-token-file ${token}; shift 2; n=$((n - 2)) ;;
    *) set -- "$@" "$1"; shift; n=$((n - 1)) ;;
  esac
done
exec ${NAVARCH_NODE} "$@"
`;

/** A machine on which nothing reports; the test does, in its place. */
const SILENT = "#!/bin/sh\nexec sleep 600\n";

/** The plane's machines run this in place of the agent. */
function runAgents(plane: Plane, script: string): void {
  const path = join(plane.state, "agent.sh");
  writeFileSync(path, script);
  chmodSync(path, 0o700);
  const text = readFileSync(plane.config, "utf8");
  writeFileSync(plane.config, text.replace("fake: { ", `fake: { agent_path: ${path}, `));
}

let cluster: Cluster;
let joined: Joined;
let nodes: NodeView[] = [];
let isOver = false;
let telling: Promise<void> = Promise.resolve();

/** What a kubelet reads on its machine and puts on its Node: which boot this is. */
async function tellBoots(): Promise<void> {
  const told = new Set<string>();
  for (; !isOver; await Bun.sleep(50)) {
    for (const { id } of joined.plane.reality().live) {
      const file = join(instanceFolder(joined.plane.cloudDir, id), "boot-id");
      if (told.has(id) || !existsSync(file)) continue;
      const bootID = readFileSync(file, "utf8").trim();
      const answer = await cluster.request(`/api/v1/nodes/gpu-${id}/status`, {
        method: "PATCH",
        contentType: "application/strategic-merge-patch+json",
        body: { status: { nodeInfo: { bootID } } },
      });
      if (answer.ok) told.add(id);
      await answer.body?.cancel();
    }
  }
}

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
  joined = new Joined(cluster, { size: 3 });
  runAgents(joined.plane, asDaemonSet(join(joined.plane.state, "admin.token")));
  telling = tellBoots();
  nodes = await joined.start(3);
}, 300_000);
afterAll(async () => {
  if (missing !== null) return;
  isOver = true;
  await telling;
  expect(await joined.close()).toEqual([]);
  expect(await cluster.close()).toEqual([]);
}, 60_000);

const at = <T>(list: readonly T[], i: number): T => {
  const one = list[i];
  if (one === undefined) throw new Error(`there is no ${i}`);
  return one;
};

describe.skipIf(missing !== null)("agents that register under the Node's name", () => {
  test("are one record with the instance", async () => {
    const ids = nodes.map(({ node_id }) => node_id).sort();
    // An agent that spoke before its Node was seen had a record of its own until then.
    const all = await until("each machine is one record", 10_000, async () => {
      const seen = await joined.plane.nodes();
      return seen.length === ids.length ? seen : null;
    });
    expect(all.map(({ node_id }) => node_id).sort()).toEqual(ids);
    for (const node of all) {
      expect(node.kubernetes_node).toBe(`gpu-${node.instance_id}`);
      expect(node.kubernetes?.matched_by).toBe("provider_id");
      expect(node.agent_version).not.toBeNull();
    }
  });

  test("every command takes either name", async () => {
    const { plane } = joined;
    const node = at(nodes, 0);
    const name = node.kubernetes_node ?? "";
    for (const given of [node.node_id, name, node.instance_id ?? ""]) {
      const seen = await navarchJson<NodeView>(plane, "get", given);
      expect(seen.node_id).toBe(node.node_id);
      const why = await navarchJson<ExplainView>(plane, "explain", given);
      expect(why.subject).toContain(node.node_id);
      for (const order of ["cordon", "uncordon", "drain", "uncordon"]) {
        const { code, err } = await navarch(plane, order, given, "--reason", "a test");
        expect({ order, given, code, err }).toMatchObject({ code: 0, err: "" });
        const isHeld = order !== "uncordon";
        await until(`${order} ${given} is on the Node`, 10_000, async () =>
          ((await joined.node(name))?.spec.unschedulable === true) === isHeld ? true : null,
        );
      }
    }
    await navarch(plane, "get", name);
    await navarch(plane, "explain", name);
  }, 60_000);
});

const addNode = (body: object): Promise<unknown> =>
  cluster.json("/api/v1/nodes", { method: "POST", body });

describe.skipIf(missing !== null)("a machine that somebody else deleted", () => {
  test("is lost, no hardware failure, and its place is filled again", async () => {
    const { plane } = joined;
    const gone = at(nodes, 2);
    const before = await navarchJson<SafetyView>(plane, "safety");
    const { fleetId } = JSON.parse(readFileSync(join(plane.state, "identity.json"), "utf8")) as {
      fleetId: string;
    };
    const console = await openFakeProvider({
      name: "fake",
      stateDir: plane.cloudDir,
      settings: {},
      fleetId,
      agents: "none",
      random: () => Math.random(),
      serverUrl: () => "",
      clock: { wallMs: () => Date.now(), after: (ms, work) => void setTimeout(work, ms) },
    });
    expect(console.deleteInstance((gone.instance_id ?? "") as InstanceId)).toBeTruthy();
    await console.close();
    // As a cloud's node controller does, once the instance is gone.
    await cluster.kubectl("delete", "node", gone.kubernetes_node ?? "");
    const events = await until("it is lost", 60_000, async () => {
      const all = await plane.events(`&node=${gone.node_id}`);
      return all.some(({ kind }) => kind === "instance.lost") ? all : null;
    });
    await until("its place is filled", 60_000, async () => {
      const serving = await plane.serving();
      const is = serving.length === 3 && serving.every((one) => one.node_id !== gone.node_id);
      return is ? true : null;
    });
    await navarch(plane, "events", "--node", gone.node_id);
    await navarch(plane, "explain", gone.node_id);
    expect(events.map(({ kind }) => kind)).not.toContain("node.unhealthy");
    const after = await navarchJson<SafetyView>(plane, "safety");
    expect(after.lemons.count).toBe(before.lemons.count);
    expect(after.breakers).toEqual([]);
    expect(after.failure_rate).toBeLessThanOrEqual(before.failure_rate);
    expect(await joined.node(gone.kubernetes_node ?? "")).toBeNull();
  }, 120_000);
});

describe.skipIf(missing !== null)("two Nodes with one providerID", () => {
  test("nothing is done to either, doctor says so, and it ends when one of them goes", async () => {
    const { plane } = joined;
    const sick = at(nodes, 1);
    const name = sick.kubernetes_node ?? "";
    const instance = sick.instance_id ?? "";
    await addNode({
      metadata: { name: "twin" },
      spec: { providerID: `navarch://fake/local/${instance}` },
    });
    await until("the alarm", 10_000, async () => {
      const { alarms } = await plane.get<KubernetesView>("/kubernetes");
      return alarms.some((one) => one.includes("twin")) ? true : null;
    });
    const { code, out } = await navarch(plane, "doctor", "kubernetes");
    expect(code).toBe(1);
    expect(out).toContain(name);
    expect(out).toContain("nothing is done to these nodes");
    const before = changesOf(joined.asked(), name).length;
    injectXid(plane.cloudDir, instance as InstanceId, { xid: 79, message: "Xid 79 for a test" });
    await until("it is sick", 20_000, async () => {
      const { verdict } = await plane.get<NodeView>(`/nodes/${sick.node_id}`);
      return verdict === "unhealthy" ? true : null;
    });
    // Longer than a replacement takes to be begun.
    await Bun.sleep(8_000);
    // A condition on the object is a word for people, and no act.
    const acts = changesOf(joined.asked(), name).slice(before);
    expect(acts.filter((one) => one !== "patch nodes/status")).toEqual([]);
    expect(changesOf(joined.asked(), "twin")).toEqual([]);
    expect(plane.reality().live.map(({ id }) => id as string)).toContain(instance);
    const why = await navarch(plane, "explain", sick.node_id);
    expect(why.out).toContain("twin");
    await cluster.kubectl("delete", "node", "twin");
    await until("it is replaced", 60_000, async () => {
      const events = await plane.events(`&node=${sick.node_id}`);
      return events.some(({ kind }) => kind === "node.replaced") ? true : null;
    });
    expect((await plane.get<KubernetesView>("/kubernetes")).alarms).toEqual([]);
  }, 120_000);
});

const UUID = "4c4c4544-0042-3510-8056-b3c04f4a3732";

describe.skipIf(missing !== null)("Nodes without a providerID", () => {
  let plane: Plane;
  afterAll(async () => {
    if (missing === null) expect(await plane.destroy()).toEqual([]);
  }, 60_000);

  const report = (node: string, inventory: object): Promise<Response> =>
    plane.fetch("/api/v1/agent/report", {
      method: "POST",
      body: JSON.stringify({
        version: 1,
        node_id: node,
        boot_id: "11111111-2222-4333-8444-555555555555",
        stream: `stream-${node}`,
        agent_version: "0.1.0",
        simulated: false,
        sent_at: new Date().toISOString(),
        inventory: { hostname: "same", gpus: [], ...inventory },
      }),
    });

  test("are known by the system UUID that the agent reads, or by the address of the machine", async () => {
    plane = new Plane(formatConfig(cluster.kubeconfig("product"), { size: 2 }));
    runAgents(plane, SILENT);
    await plane.start();
    const [one, two] = await until("two machines", 20_000, async () => {
      const all = (await plane.nodes()).filter(({ instance_id }) => instance_id !== null);
      return all.length === 2 ? all : null;
    });
    if (one === undefined || two === undefined) throw new Error("no nodes");
    const [first, second] = await until("the cloud tells their addresses", 20_000, async () => {
      const all = await plane.nodes();
      const found = [one, two].map(
        ({ node_id }) => all.find((n) => n.node_id === node_id)?.metadata.internal_ip ?? "",
      );
      return found.every((ip) => ip !== "") ? found : null;
    });
    const addresses = (address = "") => [{ type: "InternalIP", address }];
    // The UUID is the agent's word, and the address of the machine that was bought proves it.
    await addNode({
      metadata: { name: "by-uuid" },
      status: { nodeInfo: { systemUUID: UUID.toUpperCase() }, addresses: addresses(first) },
    });
    await addNode({ metadata: { name: "by-address" }, status: { addresses: addresses(second) } });
    const tell = async (): Promise<void> => {
      for (const [node, inventory] of [
        [one, { provider_ids: [UUID] }],
        [two, { internal_ip: "10.77.3.9" }],
      ] as const) {
        const answer = await report(node.node_id, inventory);
        expect({ status: answer.status, text: await answer.text() }).toMatchObject({ status: 202 });
      }
    };
    const seen = async (): Promise<unknown[]> =>
      (await plane.nodes()).map(({ node_id, kubernetes }) => [
        node_id,
        kubernetes?.name,
        kubernetes?.matched_by,
        kubernetes?.absent_since,
      ]);
    const expected = [
      [one.node_id, "by-uuid", "system_uuid", null],
      [two.node_id, "by-address", "ip", null],
    ];
    await until("both are matched", 40_000, async () => {
      await tell();
      return (await seen()).flat().includes("ip") && (await seen()).flat().includes("system_uuid")
        ? true
        : null;
    });
    expect(await seen()).toEqual(expected);
    // The hour in which it matters is the one in which the agent is silent.
    await until("their agents are silent", 20_000, async () => {
      const events = await plane.events();
      return events.filter(({ kind }) => kind === "node.silent").length >= 2 ? true : null;
    });
    await Bun.sleep(2_000);
    expect(await seen()).toEqual(expected);
    await navarch(plane, "get", two.node_id);
  }, 120_000);
});
