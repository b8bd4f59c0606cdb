/**
 * The provider of virtual nodes on a real API server: the port's contract, and what only this
 * server does: admission, preconditions of a delete, permissions.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { openClient } from "../../../reconciler/kubernetes/client.ts";
import { openTransport, REAL_CLOCK } from "../../../reconciler/kubernetes/connect.ts";
import type { KubeApi } from "../../../reconciler/kubernetes/api.ts";
import { openKwok } from "../../../reconciler/provider/kwok/kwok.ts";
import { kwokSubject, NO_AGENTS } from "../../port/kwok-subject.ts";
import {
  contractFleetId,
  contractRequest,
  providerContract,
} from "../../port/provider.contract.ts";
import { PRODUCT_RULES } from "../kubernetes/access.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: virtual nodes of a provider: ${missing}`);

test("a Kubernetes API server is here to buy virtual nodes at", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

setDefaultTimeout(60_000);
let cluster: Cluster;

/** What the provider's account needs besides the product's own role. */
const CREATE = { apiGroups: [""], resources: ["nodes"], verbs: ["create"] };

beforeAll(async () => {
  if (missing !== null) return;
  const parts = { controllers: false, scheduler: false, kwok: false };
  cluster = await openCluster({ parts, productRules: [...PRODUCT_RULES, CREATE], tell: () => {} });
}, 180_000);

afterAll(async () => {
  if (missing === null) expect(await cluster.close()).toEqual([]);
}, 60_000);

async function openApi(): Promise<KubeApi> {
  const kubeconfig = cluster.kubeconfig("product");
  const opened = await openTransport({ enabled: true, kubeconfig, context: null }, {});
  if (opened.kind !== "ok") throw new Error(`no transport: ${JSON.stringify(opened)}`);
  const ports = { clock: REAL_CLOCK, count: () => undefined, userAgent: "navarch-test" };
  return openClient(opened.transport, ports);
}

const clear = async (): Promise<void> => {
  await cluster.request("/api/v1/nodes?labelSelector=type=kwok", { method: "DELETE" });
};

async function openProvider(name = "virtual") {
  const options = { name, fleetId: contractFleetId, clock: REAL_CLOCK, types: new Map() };
  return openKwok({ ...options, api: await openApi(), isTainted: true, agents: NO_AGENTS });
}

if (missing === null) {
  providerContract(
    "openKwok() on a real API server",
    async () => kwokSubject(await openApi(), REAL_CLOCK, clear),
    ["name"],
  );

  describe("W41: openKwok()", () => {
    const request = contractRequest("n1", { instanceType: "dgxh100.80g", zone: "r1-a" });
    const fence = (value: number) => ({ nodeId: "n1", fence: value, sessionId: null });

    test("W41: makes a Node that the server takes whole, and ends it by its UID", async () => {
      const provider = await openProvider();
      const answer = await provider.create(request, fence(1), null);
      if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
      const path = `/api/v1/nodes/${request.name}`;
      const node = await cluster.json<Record<string, unknown>>(path);
      expect(node).toMatchObject({
        metadata: { labels: { type: "kwok", "topology.kubernetes.io/zone": "r1-a" } },
        spec: { providerID: `kwok://${request.name}` },
        status: { capacity: { "nvidia.com/gpu": "8", memory: "2Ti" } },
      });
      const { id } = answer.instance;
      expect(await provider.reboot(id, fence(5))).toEqual({ kind: "accepted" });
      const earlier = await openProvider();
      const late = await earlier.terminate(id, fence(4));
      expect(late).toMatchObject({ kind: "refused", class: "stale_fence" });
      expect(await provider.terminate(id, fence(6))).toEqual({ kind: "accepted" });
      expect((await cluster.request(path)).status).toBe(404);
    });

    test("a delete that raced with another write is not done", async () => {
      const api = await openApi();
      const options = { name: "virtual", fleetId: contractFleetId, clock: REAL_CLOCK };
      const racing = openKwok({
        ...{ ...options, types: new Map(), isTainted: false, agents: NO_AGENTS },
        api: {
          ...{ watch: api.watch.bind(api), close: () => undefined },
          call: async (ask) => {
            const answer = await api.call(ask);
            if (ask.verb === "get") await note(request.name);
            return answer;
          },
        },
      });
      const answer = await racing.create(request, fence(1), null);
      if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
      const raced = await racing.terminate(answer.instance.id, fence(2));
      expect(raced).toMatchObject({ kind: "ambiguous" });
      expect((await cluster.request(`/api/v1/nodes/${request.name}`)).status).toBe(200);
      await clear();
    });

    test("W41: says what the account may not do and what is not sold", async () => {
      const provider = await openProvider();
      const place = { ...request, instanceType: "dgxh100.80" };
      const rows = await provider.inspect([place, request]);
      expect(rows.filter(({ outcome }) => outcome !== "ok")).toMatchObject([
        { check: "instance type", outcome: "fail" },
      ]);
      expect(rows.at(-1)).toMatchObject({ outcome: "ok", message: "dgxh100.80g is taken" });
    });
  });
}

/** As any other writer changes a Node. */
async function note(name: string): Promise<void> {
  await cluster.request(`/api/v1/nodes/${name}`, {
    method: "PATCH",
    contentType: "application/merge-patch+json",
    body: { metadata: { annotations: { noted: String(Math.random()) } } },
  });
}
