/**
 * CoreWeave's provider on a real API server with a NodePool resource and its controller: the port's
 * contract, with faults by a proxy, then what only this API does. The vendor's own definition of
 * the resource is not public; no account was used.
 */
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type {
  CreateRequest,
  Instance,
  Place,
  Provider,
} from "../../../reconciler/core/provider.ts";
import type { Faults as CloudFaults } from "../../../reconciler/provider/fake/fault.ts";
import { openCoreweave } from "../../../reconciler/provider/coreweave/coreweave.ts";
import { openTransport } from "../../../reconciler/kubernetes/connect.ts";
import type { InstanceId } from "../../../schema/id.ts";
import {
  contractFleetId,
  contractRequest,
  type ContractSubject,
  providerContract,
} from "../../port/provider.contract.ts";
import { json, navarch } from "../../cli/spawn.ts";
import { PRODUCT_RULES } from "./access.ts";
import { whyNoCluster } from "./binary.ts";
import { type Cluster, openCluster } from "./cluster.ts";
import { COREWEAVE_RULES, CoreweaveCloud } from "./coreweave-cloud.ts";
import { type Asked, calm, type Fault, openProxy, type Proxy, THROTTLED } from "./proxy.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: CoreWeave's provider on a real server: ${missing}`);

test("a Kubernetes API server is here to test CoreWeave's provider with", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

setDefaultTimeout(60_000);
/** Longer than any answer here takes, and short enough to wait for. */
const CALL_MS = 3_000;
const FENCE = { nodeId: "n1", fence: 1, sessionId: null };
const CLOCK = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after: (ms: number, work: () => void) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

let cluster: Cluster;
let cloud: CoreweaveCloud;
let proxy: Proxy;

beforeAll(async () => {
  if (missing !== null) return;
  const parts = { controllers: false, scheduler: false, kwok: false };
  const productRules = [...PRODUCT_RULES, ...COREWEAVE_RULES];
  cluster = await openCluster({ parts, productRules, tell: () => {} });
  cloud = await CoreweaveCloud.install(cluster);
  proxy = await openProxy({ url: cluster.url, authority: cluster.authority }, cluster.folder);
}, 180_000);

afterAll(async () => {
  if (missing !== null) return;
  await proxy.close();
  expect(await cluster.close()).toEqual([]);
}, 60_000);

async function openProvider(kubeconfig: string, callMs = CALL_MS): Promise<Provider> {
  const opened = await openTransport({ enabled: true, kubeconfig, context: null }, {});
  if (opened.kind !== "ok") throw new Error(`no transport: ${JSON.stringify(opened)}`);
  const { transport } = opened;
  return openCoreweave({ name: "cw", fleetId: contractFleetId, transport, clock: CLOCK, callMs });
}

const status = (code: number, reason: string, message: string): Fault => ({
  kind: "status",
  status: code,
  reason,
  message,
});
/** What this API answers where it refuses at once. */
const REFUSALS: Readonly<Record<string, Fault>> = {
  bad_request: status(422, "Invalid", "NodePool is invalid: spec.instanceType: Invalid value"),
  quota: status(403, "Forbidden", "nodepools is forbidden: exceeded quota: pools, requested: 1"),
  rate_limit: THROTTLED,
  auth: status(403, "Forbidden", 'nodepools is forbidden: User "x" cannot create resource'),
};

const isCreate = ({ method, path }: Asked) => method === "POST" && /\/nodepools$/.test(path);
const isEnd = ({ method, path }: Asked) => method === "DELETE" && path.includes("/nodepools/");
const isList = ({ method, path }: Asked) => method === "GET" && /\/nodepools\?/.test(path);

async function openSubject(): Promise<ContractSubject> {
  const provider = await openProvider(proxy.kubeconfig(cluster.kubeconfig("product")));
  const seen = new Map<InstanceId, Instance>();
  const since = proxy.log.length;
  let faults: CloudFaults = {};
  let left: Record<string, number> = {};
  let landing = Promise.withResolvers<void>();
  const isLeft = (name: string, chance: unknown): boolean => {
    const times = typeof chance === "object" && chance !== null && "times" in chance;
    if (!times) return false;
    left[name] ??= Number((chance as { times: number }).times);
    return left[name]-- > 0;
  };
  const faultOf = (asked: Asked): Fault | null => {
    const { refuse, loseReply, loseAsk, lateLanding, listFails } = faults;
    if (isCreate(asked)) {
      if (refuse !== undefined && isLeft("refuse", refuse)) return REFUSALS[refuse.class] ?? null;
      if (isLeft("loseReply", loseReply?.create)) return { kind: "lost" };
      if (isLeft("loseAsk", loseAsk?.create)) return { kind: "cut" };
      if (isLeft("late", lateLanding)) return { kind: "late", until: landing.promise };
    }
    // Bun sends a DELETE again whose connection broke: each of them is lost.
    if (isEnd(asked) && loseReply?.terminate) return { kind: "lost" };
    if (isList(asked) && isLeft("list", { times: listFails ?? 0 })) return THROTTLED;
    return null;
  };
  proxy.set(faultOf);
  const live = async (): Promise<Instance[]> => {
    const nodes = await cloud.nodes();
    const all = (await cloud.pools()).map(({ metadata, spec }): Instance => {
      const id = `nodepool/${metadata.name}/${metadata.uid}` as InstanceId;
      const isEnding = metadata.deletionTimestamp !== undefined;
      const state = isEnding ? "terminating" : nodes.has(metadata.uid) ? "running" : "provisioning";
      const { name } = metadata;
      const createdAtMs = Date.parse(metadata.creationTimestamp);
      return { ...BLANK, id, name, state, instanceType: spec.instanceType, createdAtMs };
    });
    for (const one of all) seen.set(one.id, one);
    return all;
  };
  return {
    provider: {
      ...provider,
      async terminate(id, fence) {
        // Its controller sees a new pool within milliseconds.
        if ((await live()).every(({ state }) => state !== "terminating")) await cloud.settle();
        const answer = await provider.terminate(id, fence);
        const { loseReply: _lost, ...rest } = faults;
        faults = rest;
        return answer;
      },
    },
    async step() {
      landing.resolve();
      landing = Promise.withResolvers();
      // What is under way through the proxy lands.
      await Bun.sleep(100);
      await cloud.settle();
    },
    setFaults(next) {
      faults = next;
      left = {};
      cloud.shortage = next.stockOut === true ? "CWInsufficientCapacity" : null;
    },
    async reality() {
      const all = await live();
      const ids = new Set(all.map(({ id }) => id));
      const asked = proxy.log.slice(since);
      const asks = asked.filter((one) => isCreate(one) && one.fault !== "cut").length;
      const terminated = [...seen.values()].filter(({ id }) => !ids.has(id));
      const byName = Map.groupBy(seen.values(), ({ name }) => name);
      const doubles = [...byName].flatMap(([token, ones]) =>
        ones.length > 1 ? [{ token, ids: ones.map(({ id }) => id) }] : [],
      );
      return { live: all, terminated, asks, pending: 0, doubles, overlaps: [] };
    },
    async close() {
      proxy.set(calm);
      landing.resolve();
      await provider.close();
      await cloud.clear();
    },
    forgets: true,
    ignoresFences: true,
    diesLater: true,
    isConsistent: true,
  };
}

const BLANK = {
  token: null,
  tags: {},
  region: null,
  zone: null,
  internalIp: null,
  externalIp: null,
  pricePerHour: null,
  hostKeys: null,
  failure: null,
  notice: null,
};

/** The kubeconfig of an account to which nothing is granted. */
async function withoutRights(): Promise<string> {
  const accounts = "/api/v1/namespaces/default/serviceaccounts";
  await cluster.json(accounts, { body: { metadata: { name: "nobody" } } });
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} };
  type Granted = { status: { token: string } };
  const { status } = await cluster.json<Granted>(`${accounts}/nobody/token`, { body });
  const config = JSON.parse(readFileSync(cluster.kubeconfig("product"), "utf8")) as Kubeconfig;
  for (const one of config.users) one.user = { token: status.token };
  const path = join(cluster.folder, "nobody.kubeconfig");
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
type Kubeconfig = { users: { user: object }[] };

const request = (change: Partial<CreateRequest> = {}): CreateRequest =>
  contractRequest("n1", { instanceType: "gd-8xh100ib-i128", ...change });

async function made(provider: Provider, change: Partial<CreateRequest> = {}): Promise<Instance> {
  const answer = await provider.create(request(change), FENCE, null);
  if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
  return answer.instance;
}

async function listed(provider: Provider): Promise<Instance[]> {
  const answer = await provider.list();
  if (answer.kind !== "ok") throw new Error(JSON.stringify(answer));
  return answer.instances;
}

if (missing === null) {
  providerContract("openCoreweave() on a real API server", openSubject, ["name"]);

  describe("openCoreweave()", () => {
    let provider: Provider;
    beforeEach(async () => {
      provider = await openProvider(cluster.kubeconfig("product"));
    });
    afterEach(async () => {
      await provider.close();
      await cloud.clear();
    });

    test("buys one pool of one Node, with everything that it needs to be known by", async () => {
      const tags = { ...request().tags, "team/name": "Größe", "navarch.dev/pool": "train" };
      const { id } = await made(provider, { tags, zone: "z1" });
      const [pool] = await cloud.pools();
      expect(id as string).toBe(`nodepool/f-train-n1-1/${pool?.metadata.uid}`);
      expect(pool?.spec).toMatchObject({
        instanceType: "gd-8xh100ib-i128",
        targetNodes: 1,
        autoscaling: false,
        computeClass: "default",
        lifecycle: { scaleDownStrategy: "PreferIdle" },
        nodeLabels: { "navarch.dev/bought-by": contractFleetId },
      });
      expect(await listed(provider)).toMatchObject([{ id, state: "provisioning", tags }]);
      await cloud.settle();
      const [seen] = await listed(provider);
      expect(seen).toMatchObject({ id, state: "running", tags, region: "r1", zone: "z1" });
      expect(seen?.internalIp).toMatch(/^10\.7\./);
      expect(seen?.createdAtMs).toBe(Date.parse(pool?.metadata.creationTimestamp ?? ""));
      expect(provider.trouble()).toBeNull();
    });

    test("a spot market is a compute class; racks and reservations are refused unsent", async () => {
      await made(provider, { market: "spot" });
      expect((await cloud.pools())[0]?.spec).toMatchObject({ computeClass: "spot" });
      for (const [change, why] of [
        [{ instanceType: "gb200-4x" }, "racks of 18 Nodes"],
        [{ market: "reserved", reservation: "r" }, "takes reserved capacity first by itself"],
      ] as const) {
        const answer = await provider.create(request({ name: "other", ...change }), FENCE, null);
        expect(answer).toMatchObject({ kind: "refused", class: "bad_request" });
        expect(answer.kind === "refused" && answer.message).toContain(why);
      }
      expect(await cloud.pools()).toHaveLength(1);
    });

    test("says why no Node comes, until one is on its way", async () => {
      const wrong = await made(provider, { name: "wrong", instanceType: "h100" });
      cloud.shortage = "CWOverQuota";
      const over = await made(provider);
      await cloud.settle();
      const failures = async () => {
        const all = await listed(provider);
        return new Map(all.map(({ id, failure }) => [id, failure]));
      };
      const seen = await failures();
      expect(seen.get(wrong.id)).toEqual({
        class: "bad_request",
        message: "instance type h100 does not exist in zone",
      });
      expect(seen.get(over.id)).toMatchObject({ class: "quota" });
      expect(provider.trouble()).toContain("NodePool f-train-n1-1: CWOverQuota");
      cloud.shortage = null;
      await cloud.settle();
      expect((await failures()).get(over.id)).toBeNull();
    });

    test("ends the pool that it bought, and not another of its name", async () => {
      const { id } = await made(provider);
      await cloud.settle();
      expect(await provider.terminate(id, FENCE)).toEqual({ kind: "accepted" });
      expect(await listed(provider)).toMatchObject([{ id, state: "terminating" }]);
      await cloud.settle();
      expect(await listed(provider)).toEqual([]);
      const again = await made(provider);
      expect(again.id).not.toBe(id);
      expect(await provider.terminate(id, FENCE)).toEqual({ kind: "not_found" });
      expect((await cloud.pools())[0]?.metadata.deletionTimestamp).toBeUndefined();
      const foreign = "i-1" as InstanceId;
      expect(await provider.terminate(foreign, FENCE)).toEqual({ kind: "not_found" });
    });

    test("a Node that outlives its pool is still listed, because it is billed", async () => {
      const { id, tags } = await made(provider);
      await cloud.settle();
      await cloud.forget("f-train-n1-1");
      expect(await cloud.pools()).toEqual([]);
      expect(await listed(provider)).toMatchObject([
        { id, state: "terminating", tags, instanceType: "gd-8xh100ib-i128", region: "r1" },
      ]);
    });

    test("lists nothing rather than pools without their Nodes", async () => {
      await made(provider);
      await cloud.settle();
      const blind = await openProvider(proxy.kubeconfig(cluster.kubeconfig("product")));
      const isNodes = ({ path }: Asked) => path.startsWith("/api/v1/nodes");
      proxy.set((asked) => (isNodes(asked) ? { kind: "cut" } : null));
      expect(await blind.list()).toMatchObject({ kind: "failed", class: "unavailable" });
      const isEvents = ({ path }: Asked) => path.startsWith("/api/v1/events");
      const denied = status(403, "Forbidden", "events is forbidden");
      proxy.set((asked) => (isEvents(asked) ? denied : null));
      await made(provider, { name: "f-train-n2-1" });
      expect(await listed(blind)).toHaveLength(2);
      expect(blind.trouble()).toContain("events cannot be read: events is forbidden");
      proxy.set(calm);
      await blind.close();
    });

    const doubts: [string, Fault, string][] = [
      ["500 after the write", status(500, "InternalError", "etcd timed out"), "ambiguous"],
      ["503", status(503, "ServiceUnavailable", "busy"), "ambiguous"],
      ["401", status(401, "Unauthorized", "Unauthorized"), "auth"],
      ["404", status(404, "NotFound", "the server could not find the resource"), "bad_request"],
    ];
    test.each(doubts)("a purchase answered with %s", async (_what, fault, expected) => {
      const behind = await openProvider(proxy.kubeconfig(cluster.kubeconfig("product")));
      proxy.set((asked) => (isCreate(asked) ? fault : null));
      const answer = await behind.create(request(), FENCE, null);
      const said: string = answer.kind === "refused" ? answer.class : answer.kind;
      expect(said).toBe(expected);
      proxy.set(calm);
      await behind.close();
    });

    test("the resource of these tests refuses what CoreWeave's pages forbid", async () => {
      await made(provider);
      const body = (spec: object) => ({
        apiVersion: "compute.coreweave.com/v1alpha1",
        kind: "NodePool",
        metadata: { name: "other" },
        spec: { instanceType: "gd-8xh100ib-i128", ...spec },
      });
      const pools = "/apis/compute.coreweave.com/v1alpha1/nodepools";
      const contentType = "application/merge-patch+json";
      const patch = { method: "PATCH", contentType, body: { spec: { instanceType: "other" } } };
      expect((await cluster.request(`${pools}/f-train-n1-1`, patch)).status).toBe(422);
      const both = body({ targetNodes: 1, targetRacks: 1 });
      expect((await cluster.request(pools, { body: both })).status).toBe(422);
      const dry = `${pools}?dryRun=All&fieldValidation=Strict`;
      const misspelled = body({ targetNodes: 1, targetNode: 1 });
      expect((await cluster.request(dry, { body: misspelled })).status).toBe(400);
      expect((await cluster.request(dry, { body: body({ targetNodes: 1 }) })).status).toBe(201);
      expect(await cloud.pools()).toHaveLength(1);
    });

    const place = (instanceType: string): Place => {
      const { region, zone, market, reservation } = request();
      return { region, zone, market, reservation, instanceType };
    };
    const bad = async (one: Provider, ...types: string[]) => {
      const rows = await one.inspect(types.map(place));
      const kept = rows.filter(({ outcome }) => outcome !== "ok");
      return kept.map(({ outcome, check, message }) => `${outcome} ${check}: ${message}`);
    };

    test("inspect() finds missing permissions and wrong types, and stores nothing", async () => {
      expect(await bad(provider, "gd-8xh100ib-i128")).toEqual([]);
      expect(await bad(provider, "gd-8xh100-i128", "gb200-4x")).toEqual([
        "warn instance type: gd-8xh100-i128 is not known to Navarch: did you mean gd-8xa100-i128?",
        expect.stringContaining("fail instance type: gb200-4x is sold in racks"),
      ]);
      const human = await openProvider(await withoutRights());
      const found = await bad(human, "gd-8xh100ib-i128");
      expect(found).toHaveLength(7);
      expect(found.join("\n")).toContain("fail permission: create nodepools is not allowed");
      expect(found.join("\n")).toContain("warn permission: list events is not allowed");
      await human.close();
      expect(await cloud.pools()).toEqual([]);
    });

    test("navarch doctor providers asks the real resource, and stores nothing", async () => {
      const config = join(cluster.folder, "doctor.yaml");
      const kubeconfig = cluster.kubeconfig("product");
      const pool = "name: p, provider: cw, instance_type: h100-8x";
      writeFileSync(
        config,
        `providers: { cw: { type: coreweave, kubeconfig: ${kubeconfig} } }
pools: [{ ${pool}, scaling: { min_nodes: 0, max_nodes: 1 } }]
`,
      );
      const words = ["doctor", "providers", "--config", config, "-o", "json"];
      const { code, out } = await navarch(words);
      expect(code).toBe(0);
      const rows = json(out) as { outcome: string; check: string; message: string }[];
      expect(rows.every(({ outcome }) => outcome === "ok")).toBe(true);
      expect(rows.at(-1)?.message).toBe("gd-8xh100ib-i128 is taken");
      expect(await cloud.pools()).toEqual([]);
    });

    test("inspect() of a wrong credential, and of a cluster without NodePools", async () => {
      const behind = await openProvider(proxy.kubeconfig(cluster.kubeconfig("product")));
      proxy.set(() => status(401, "Unauthorized", "Unauthorized"));
      expect(await bad(behind, "gd-8xh100ib-i128")).toEqual([
        "fail credentials: Unauthorized: check kubeconfig of the provider",
      ]);
      proxy.set(() => status(404, "NotFound", "the server could not find the resource"));
      expect(await bad(behind, "gd-8xh100ib-i128")).toEqual([
        expect.stringContaining(
          "fail resource: the cluster has no NodePool resource, so it is not",
        ),
      ]);
      const unlisted = await behind.list();
      expect(unlisted).toMatchObject({ kind: "failed", class: "unavailable" });
      expect(unlisted.kind === "failed" && unlisted.message).toContain("check kubeconfig");
      proxy.set(() => ({ kind: "cut" }));
      expect((await bad(behind, "x"))[0]).toContain("warn credentials: not checked");
      proxy.set(calm);
      await behind.close();
    });
  });
}
