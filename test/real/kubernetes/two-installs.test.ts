/**
 * Two installs in one cluster, on a real API server: neither takes anything of the other over when
 * it is installed or removed, and what two control planes do about the same Node is said and not
 * fought over.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { KubernetesView } from "../../../schema/api.ts";
import type { JoinTokenView } from "../../../schema/join.ts";
import { DEPLOY, runTool } from "../../deploy/object.ts";
import { buildStale, NAVARCH, Plane, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { type KubeObject, formatConfig } from "./joined.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: two installs on a real API server: ${missing}`);

const account = (namespace: string): string =>
  `system:serviceaccount:${namespace}:navarch-control-plane`;

let cluster: Cluster;
beforeAll(async () => {
  if (missing !== null) return;
  await buildStale();
  cluster = await openCluster();
}, 300_000);
afterAll(async () => {
  if (missing !== null) return;
  expect(await cluster.close()).toEqual([]);
}, 60_000);

describe.skipIf(missing !== null)("a second install", () => {
  const may = async (namespace: string, ...what: string[]): Promise<boolean> => {
    const asked = await cluster.kubectl("auth", "can-i", ...what, `--as=${account(namespace)}`);
    return asked.out.trim() === "yes";
  };
  const everything = async (namespace: string): Promise<boolean[]> =>
    Promise.all([
      may(namespace, "patch", "nodes"),
      may(namespace, "patch", "nodes", "--subresource=status"),
      may(namespace, "delete", "pods", "-A"),
      may(namespace, "list", "leases.coordination.k8s.io", "-n", "kube-node-lease"),
    ]);
  const all = [true, true, true, true];

  test("locks the first one out neither when it comes nor when it goes", async () => {
    const ran = await cluster.kubectl("apply", "-f", DEPLOY);
    expect(ran).toMatchObject({ code: 0 });
    expect(await everything("navarch")).toEqual(all);
    const stdin = runTool([NAVARCH, "manifests", "kubernetes", "--namespace", "team-b"]);
    const applied = await cluster.kubectlWith({ user: "admin", stdin }, "apply", "-f", "-");
    expect(applied).toMatchObject({ code: 0 });
    expect(applied.out.split("\n").filter((line) => / (configured|unchanged)$/.test(line))).toEqual(
      [],
    );
    expect(await everything("navarch")).toEqual(all);
    expect(await everything("team-b")).toEqual(all);
    const gone = await cluster.kubectlWith(
      { user: "admin", stdin },
      ...["delete", "--wait=false", "-f", "-"],
    );
    expect(gone).toMatchObject({ code: 0 });
    expect(await everything("team-b")).toEqual([false, false, false, false]);
    expect(await everything("navarch")).toEqual(all);
  }, 120_000);
});

describe.skipIf(missing !== null)("two control planes with agents on one Node", () => {
  const planes: Plane[] = [];
  afterAll(async () => {
    for (const plane of planes) expect(await plane.destroy()).toEqual([]);
  }, 60_000);

  async function post<T>(plane: Plane, path: string, body: object, token = plane.adminToken) {
    const answer = await plane.fetch(`/api/v1${path}`, {
      ...{ method: "POST", body: JSON.stringify(body), token },
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  /** An agent of this install on the Node, which reports once; `xid` is what it found. */
  async function agentOf(plane: Plane): Promise<(xid?: number) => Promise<void>> {
    const asked = { pool: "gpus", node: "shared" };
    const { token } = await post<JoinTokenView>(plane, "/join-tokens", asked);
    const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString("base64url");
    const join = { token, node_id: "shared", nonce };
    const { credential } = await post<{ credential: string }>(plane, "/agent/join", join);
    const boot = "11111111-2222-4333-8444-555555555555";
    const gpu = { index: 0, uuid: "GPU-1", name: "H100", pci_bus_id: "00000000:3B:00.0" };
    return async (xid) => {
      const at = new Date().toISOString();
      const finding = {
        ...{ kind: "xid", code: xid, pci: "0000:3b:00.0", gpu_index: 0, gpu_uuid: gpu.uuid },
        ...{ at, boot_id: boot, severity: "fatal", message: "for a test", source: "kmsg" },
      };
      const report = {
        ...{ version: 1, node_id: "shared", boot_id: boot, stream: "s", agent_version: "0.1.0" },
        ...{ simulated: false, sent_at: at, inventory: { hostname: "h", gpus: [gpu] } },
        findings: xid === undefined ? [] : [{ seq: 1, finding }],
      };
      await post(plane, "/agent/report", report, credential);
    };
  }

  test("the second one leaves the Node alone and says so", async () => {
    const body = { metadata: { name: "shared" } };
    await cluster.json("/api/v1/nodes", { method: "POST", body });
    const live = (): Promise<KubeObject> => cluster.json("/api/v1/nodes/shared");
    const open = async (): Promise<Plane> => {
      const plane = new Plane(formatConfig(cluster.kubeconfig("product"), { size: 0 }));
      planes.push(plane);
      await plane.start();
      return plane;
    };
    const [first, second] = [await open(), await open()];
    const healthy = await agentOf(first);
    const fleet = await until("the first one shows itself", 20_000, async () => {
      await healthy();
      return (await live()).metadata.labels?.["navarch.dev/fleet"] ?? null;
    });
    const report = await agentOf(second);
    await report(79);
    await until("the second one says so", 20_000, async () => {
      await healthy();
      const { alarms } = await second.get<KubernetesView>("/kubernetes");
      return alarms.some((one) => one.includes(`another Navarch install, fleet ${fleet}`))
        ? true
        : null;
    });
    // Longer than a cordon takes; who falls silent is shown as sick.
    for (let i = 0; i < 8; i++, await Bun.sleep(500)) await healthy();
    const { metadata, spec, status } = await live();
    expect(spec.unschedulable).toBeUndefined();
    expect(metadata.labels?.["navarch.dev/fleet"]).toBe(fleet);
    const health = status?.conditions?.find(({ type }) => type === "GPUHealthy")?.status;
    expect(health).not.toBe("False");
    // What the first one says goes as before.
    await healthy(79);
    await until("the first one cordons", 20_000, async () =>
      (await live()).spec.unschedulable === true ? true : null,
    );
  }, 90_000);

  test("`navarch cleanup kubernetes` takes off what they left, and no person's cordon", async () => {
    for (const plane of planes) await plane.stop();
    await cluster.json("/api/v1/nodes", { method: "POST", body: { metadata: { name: "theirs" } } });
    await cluster.kubectl("cordon", "theirs");
    const cleanup = async (...flags: string[]): Promise<{ name: string; cleared: boolean }[]> => {
      const config = `--kubeconfig=${cluster.kubeconfig("admin")}`;
      const args = [NAVARCH, "cleanup", "kubernetes", config, ...flags, "-o", "json"];
      return JSON.parse(runTool(args)) as { name: string; cleared: boolean }[];
    };
    const live = (name: string): Promise<KubeObject> => cluster.json(`/api/v1/nodes/${name}`);
    expect(await cleanup("--dry-run")).toMatchObject([{ name: "shared", cleared: false }]);
    expect((await live("shared")).spec.unschedulable).toBe(true);
    expect(await cleanup("--yes", "--fleet=nobody")).toEqual([]);
    expect(await cleanup("--yes")).toMatchObject([{ name: "shared", cleared: true }]);
    const { metadata, spec, status } = await live("shared");
    const ours = (key: string): boolean => key.startsWith("navarch.dev/");
    expect(spec.unschedulable).toBeUndefined();
    expect(Object.keys({ ...metadata.labels, ...metadata.annotations }).filter(ours)).toEqual([]);
    expect((status?.conditions ?? []).map(({ type }) => type)).not.toContain("GPUHealthy");
    expect((await live("theirs")).spec.unschedulable).toBe(true);
    expect(await cleanup("--yes")).toEqual([]);
  }, 60_000);
});
