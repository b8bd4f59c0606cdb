/**
 * What an agent says about which machine it runs on, against the Node objects of a real cluster:
 * one node's credential moves no other Node, a proof does, and a claim that ends takes back what
 * was written for it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import type { EventView, KubernetesView, NodeView } from "../../../schema/api.ts";
import type { JoinTokenView } from "../../../schema/join.ts";
import { buildStale, Plane, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { type KubeObject, formatConfig } from "./joined.ts";
import { changesOf, navarch } from "./navarch.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: claims on a real API server: ${missing}`);

/** An address of this machine that is not loopback, as an agent on another machine has one. */
const OWN_ADDRESS = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === "IPv4" && !one.internal)?.address;

const BOOT = "11111111-2222-4333-8444-555555555555";
const uuid = (n: number): string => `4c4c4544-0042-3510-8056-00000000000${n}`;

let cluster: Cluster;
let plane: Plane;

beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
  const config = formatConfig(cluster.kubeconfig("product"), { size: 0 });
  plane = new Plane(config.replace("address: 127.0.0.1:0", "address: 0.0.0.0:0"));
  await plane.start();
}, 300_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await plane.destroy()).toEqual([]);
  expect(await cluster.close()).toEqual([]);
}, 60_000);

async function addNode(name: string, body: { spec?: object; status?: object }): Promise<void> {
  await cluster.json("/api/v1/nodes", { method: "POST", body: { metadata: { name }, ...body } });
}

const node = (name: string): Promise<KubeObject> => cluster.json(`/api/v1/nodes/${name}`);
const record = async (id: string): Promise<NodeView | null> =>
  (await plane.nodes()).find(({ node_id }) => node_id === id) ?? null;

function changed(name: string): string[] {
  const ended = cluster.audit().filter(({ stage }) => stage === "ResponseComplete");
  return changesOf(
    ended.filter(({ user }) => user.username.includes("navarch")),
    name,
  );
}

async function call<T>(path: string, body: object, from: { token?: string; base?: string } = {}) {
  const answer = await fetch(`${from.base ?? plane.url}/api/v1${path}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${from.token ?? plane.adminToken}`,
    },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return JSON.parse(text) as T;
}

/** A machine joins under a name, with a token that a person made for it or for any. */
async function join(name: string, isNamed: boolean): Promise<string> {
  const about = isNamed ? { pool: "gpus", node: name } : { pool: "gpus" };
  const { token } = await call<JoinTokenView>("/join-tokens", about);
  const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString("base64url");
  const asked = { token, node_id: name, nonce };
  return (await call<{ credential: string }>("/agent/join", asked)).credential;
}

const seqs = new Map<string, number>();

type Said = { ids?: string[]; xid?: number; base?: string };

async function report(name: string, token: string, { ids, xid, base }: Said): Promise<void> {
  const at = new Date().toISOString();
  const seq = (seqs.get(name) ?? 0) + 1;
  if (xid !== undefined) seqs.set(name, seq);
  const finding = {
    ...{ kind: "xid", code: xid, pci: "0000:3b:00.0", gpu_index: 0, gpu_uuid: `GPU-${name}` },
    ...{ at, boot_id: BOOT, severity: "fatal", message: "Xid 79 for a test", source: "kmsg" },
  };
  await call(
    "/agent/report",
    {
      ...{ version: 1, node_id: name, boot_id: BOOT, stream: `stream-${name}` },
      ...{ agent_version: "0.1.0", simulated: false, sent_at: at },
      inventory: {
        hostname: name,
        gpus: [{ index: 0, uuid: `GPU-${name}`, name: "H100", pci_bus_id: "00000000:3B:00.0" }],
        provider_ids: ids ?? [],
      },
      findings: xid === undefined ? [] : [{ seq, finding }],
    },
    { token, ...(base === undefined ? {} : { base }) },
  );
}

/** What of this product is on a Node. */
function marksOf({ metadata, spec, status }: KubeObject): string[] {
  const own = ["GPUHealthy", "NavarchManaged"];
  return [
    ...(spec.unschedulable === true ? ["cordon"] : []),
    ...(spec.taints ?? []).map(({ key }) => key).filter((key) => key.startsWith("navarch.dev/")),
    ...(status?.conditions ?? []).map(({ type }) => type).filter((type) => own.includes(type)),
    ...Object.keys(metadata.annotations ?? {}).filter((key) => key.startsWith("navarch.dev/")),
  ].sort();
}

describe.skipIf(missing !== null)("an agent that claims the machines of others", () => {
  test("has no Node cordoned, and doctor and the events name the claim", async () => {
    for (const n of [1, 2, 3, 4, 5]) {
      await addNode(`victim-${n}`, {
        spec: { providerID: `aws:///us-east-1a/i-0000000000000000${n}` },
        status: { nodeInfo: { systemUUID: uuid(n) } },
      });
    }
    const token = await join("thief", false);
    for (const n of [1, 2, 3, 4, 5]) {
      const ids = n % 2 === 0 ? [uuid(n)] : [`i-0000000000000000${n}`];
      await report("thief", token, { ids, xid: 79 });
      await until(`the claim on victim-${n} is told of`, 10_000, async () => {
        const { alarms } = await plane.get<KubernetesView>("/kubernetes");
        return alarms.some((one) => one.includes(`victim-${n}`)) ? true : null;
      });
    }
    // Under the very name of a Node, too.
    await addNode("victim-6", {});
    const named = await join("victim-6", false);
    await report("victim-6", named, { xid: 79 });
    await until("it is sick", 10_000, async () => {
      const all = [await record("thief"), await record("victim-6")];
      return all.every((one) => one?.verdict === "unhealthy") ? true : null;
    });
    // Longer than a cordon takes.
    await Bun.sleep(3_000);
    for (const n of [1, 2, 3, 4, 5, 6]) expect(changed(`victim-${n}`)).toEqual([]);
    expect((await record("thief"))?.kubernetes_node ?? null).toBeNull();
    const { out } = await navarch(plane, "doctor", "kubernetes");
    expect(out).toContain("no proof that this agent runs on Node");
    const events: EventView[] = await plane.events("&node=victim-6");
    expect(events.map(({ kind }) => kind)).toContain("kube.unproven");
  }, 60_000);
});

describe.skipIf(missing !== null)("an agent whose machine is proven", () => {
  test("has its Node marked, and a claim that ends takes all of it back", async () => {
    await addNode("gpu-7", { status: { nodeInfo: { systemUUID: uuid(7) } } });
    const token = await join("gpu-7", true);
    await report("gpu-7", token, { ids: [uuid(7)], xid: 79 });
    const marked = await until("it is marked", 20_000, async () => {
      const marks = marksOf(await node("gpu-7"));
      return marks.includes("cordon") && marks.includes("GPUHealthy") ? marks : null;
    });
    expect(marked).toContain("navarch.dev/session");
    // The name is now given by another machine, as its firmware says.
    await report("gpu-7", token, { ids: [uuid(9)] });
    await until("nothing of ours is left", 90_000, async () => {
      return marksOf(await node("gpu-7")).length === 0 ? true : null;
    });
    const events = await plane.events("&node=gpu-7");
    expect(events.map(({ kind }) => kind)).toContain("kube.left");
  }, 130_000);

  test.skipIf(OWN_ADDRESS === undefined)(
    "is known by the Node's own address",
    async () => {
      await addNode("gpu-8", {
        status: { addresses: [{ type: "InternalIP", address: OWN_ADDRESS ?? "" }] },
      });
      const token = await join("gpu-8", false);
      await report("gpu-8", token, { xid: 79 });
      await Bun.sleep(1_500);
      expect(marksOf(await node("gpu-8"))).toEqual([]);
      const base = `http://${OWN_ADDRESS ?? ""}:${new URL(plane.url).port}`;
      await report("gpu-8", token, { base });
      await until("it is marked", 20_000, async () => {
        return marksOf(await node("gpu-8")).includes("cordon") ? true : null;
      });
      expect((await record("gpu-8"))?.kubernetes?.matched_by).toBe("agent_name");
    },
    60_000,
  );
});
