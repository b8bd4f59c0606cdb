/**
 * AgentPools on a real API server: how they are read, shown and held, what is told of them, and
 * what a server that dies does to the copies.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { RBAC_DEFAULTS, renderRbac } from "../../../deploy/agentpool/rbac.ts";
import { statusRequest } from "../../../reconciler/agentpool/status-body.ts";
import type { PoolStatus } from "../../../reconciler/core/agentpool/model.ts";
import { POOL_PERMISSIONS } from "../../../reconciler/kubernetes/permission.ts";
import { POOL_FINALIZER } from "../../../schema/agentpool-resource.ts";
import { until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { Ground, install, metaOf, POOLS, TEMPLATE, WAIT_MS } from "./ground.ts";
import type { Json } from "./ground.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: AgentPools on a real API server: ${missing}`);

test("a Kubernetes API server is here to test AgentPools with", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

let ground: Ground;

const STATUS: PoolStatus = {
  ...{ size: 2, idleSlots: 1, queuedClaims: 0, effectiveMaxIdle: 3 },
  lastAllocationError: { reason: "QuotaExceeded", message: "no room", at: 1_700_000_000_000 },
  workers: { Idle: 1, Running: 1 },
  conditions: [
    { type: "Ready", status: "True", reason: "Serving", message: "" },
    { type: "AtMax", status: "False", reason: "Below", message: "" },
  ],
};

beforeAll(async () => {
  if (missing === null) ground = await Ground.open(false);
}, 300_000);
afterAll(async () => {
  if (missing === null) expect(await ground.close()).toEqual([]);
}, 60_000);

test("V48: the shipped roles grant what the product asks for", () => {
  const rules = new Set<string>();
  for (const [, group = "", resources = "", verbs = ""] of renderRbac(RBAC_DEFAULTS).matchAll(
    /- apiGroups: \[([^\]]*)\]\n {2}resources: \[([^\]]*)\]\n {2}verbs: \[([^\]]*)\]/g,
  )) {
    for (const one of group.replaceAll('"', "").split(", ")) {
      for (const verb of verbs.split(", ")) rules.add(`${verb} ${resources} of "${one}"`);
    }
  }
  const wanted = POOL_PERMISSIONS.map((one) => `${one.verb} ${one.resource} of "${one.group}"`);
  expect(wanted.filter((one) => !rules.has(one))).toEqual([]);
});

const describeReal = missing === null ? describe : describe.skip;

describeReal("AgentPools on a real API server", () => {
  test(
    "A1: a definition that is not installed is told once, and noticed once it is",
    async () => {
      const told = (): number =>
        ground.lines.filter((one) => one.includes("CRD is not installed")).length;
      await until("it is told", WAIT_MS, async () => {
        expect(ground.pools.pools()).toMatchObject({ isKnown: false, dark: null, list: [] });
        return told() > 0 ? true : null;
      });
      await Bun.sleep(6_000);
      ground.pools.pools();
      expect(told()).toBe(1);
      await install(ground.cluster);
      await until("the copy is known", WAIT_MS, async () =>
        ground.pools.pools().isKnown ? true : null,
      );
      expect(ground.pools.pools().dark).toBeNull();
    },
    2 * WAIT_MS,
  );

  test("X1: a pool is read with the defaults", async () => {
    const pool = await ground.addPool();
    expect(pool).toMatchObject({ generation: 1, problems: [], scaler: { min: 0, slots: 1 } });
  });

  test("V6, V46, V51: the status is shown, and the spec is nobody's but its author's", async () => {
    const pool = await ground.addPool();
    ground.pools.show(pool, STATUS);
    const shown = await until("the status", WAIT_MS, async () => {
      const object = await ground.get(`${POOLS}/${pool.name}`);
      return object["status"] === undefined ? null : object;
    });
    expect(shown["status"]).toMatchObject({
      ...{ observedGeneration: 1, size: 2, idleSlots: 1, workers: { Idle: 1, Running: 1 } },
      ...{ effective: { maxIdle: 3 } },
      lastAllocationError: { reason: "QuotaExceeded", at: "2023-11-14T22:13:20Z" },
    });
    expect(metaOf(shown)["generation"]).toBe(1);
    const managers = metaOf(shown)["managedFields"] as Json[];
    const own = managers.filter((one) => one["manager"] === "navarch-agentpool");
    expect(own).toMatchObject([{ operation: "Apply", subresource: "status" }]);
    const before = ground.counted.length;
    for (let i = 0; i < 20; i += 1) {
      ground.pools.show(await ground.pool(pool.name), STATUS);
      await Bun.sleep(100);
    }
    expect(ground.counted.slice(before)).toEqual([]);
    const { out } = await ground.cluster.kubectl(
      "get",
      "ap",
      pool.name,
      "-o",
      "wide",
      "--no-headers",
    );
    expect(out.trim().split(/\s+/).slice(0, 1)).toEqual([pool.name]);
  });

  test("V46: the status of an object that was made again is left alone", async () => {
    const pool = await ground.addPool();
    const path = `${POOLS}/${pool.name}`;
    const { spec, apiVersion, kind } = await ground.get(path);
    await ground.cluster.request(path, { method: "DELETE" });
    const again = { apiVersion, kind, metadata: { name: pool.name }, spec };
    await ground.cluster.json(POOLS, { body: again });
    expect(await ground.api.call(statusRequest(pool, { size: 9 }))).toMatchObject({
      ...{ kind: "refused", status: 409 },
    });
    expect((await ground.get(path))["status"]).toBeUndefined();
    ground.pools.show(pool, STATUS);
    await Bun.sleep(2_000);
    expect((await ground.get(path))["status"]).toBeUndefined();
  });

  test("V46: a status that another write overtook is written once the copy has it", async () => {
    const pool = await ground.addPool();
    const path = `${POOLS}/${pool.name}`;
    await ground.change(path, { metadata: { annotations: { x: "y" } } });
    // The copy is not told yet.
    ground.pools.show(pool, STATUS);
    await until("the status", WAIT_MS, async () => (await ground.get(path))["status"] ?? null);
  });

  test(
    "V47: kubectl describe tells the events",
    async () => {
      const pool = await ground.addPool();
      ground.pools.tell(pool, {
        type: "Normal",
        reason: "Created",
        message: "worker a: 1 free slot of 2",
      });
      ground.pools.tell(pool, {
        type: "Warning",
        reason: "ScaleUpBlocked",
        message: "QuotaExceeded: full",
      });
      await until("both are there", WAIT_MS, async () => {
        const { out } = await ground.cluster.kubectl("describe", "agentpool", pool.name);
        const isThere = /Normal +Created .*worker a: 1 free slot of 2/.test(out);
        return isThere && /Warning +ScaleUpBlocked .*QuotaExceeded: full/.test(out) ? true : null;
      });
    },
    2 * WAIT_MS,
  );

  test(
    "V21: the finalizer holds a deleted pool until it is removed, beside others'",
    async () => {
      const pool = await ground.addPool();
      await ground.change(`${POOLS}/${pool.name}`, { metadata: { finalizers: ["a.test/x"] } });
      // The copy may not have the change yet: the race is repeated.
      expect(await ground.pools.hold(pool, true)).toEqual({ kind: "ok" });
      const path = `${POOLS}/${pool.name}`;
      expect(metaOf(await ground.get(path))["finalizers"]).toEqual(["a.test/x", POOL_FINALIZER]);
      await ground.cluster.request(path, { method: "DELETE" });
      await until("it is seen", WAIT_MS, async () =>
        ground.find(pool.name)?.isDeleting ? true : null,
      );
      expect(await ground.pools.hold({ ...pool, uid: "other" }, false)).toEqual({ kind: "ok" });
      expect(metaOf(await ground.get(path))["finalizers"]).toEqual(["a.test/x", POOL_FINALIZER]);
      expect(await ground.pools.hold(pool, false)).toEqual({ kind: "ok" });
      expect(metaOf(await ground.get(path))["finalizers"]).toEqual(["a.test/x"]);
      expect(await ground.pools.hold(pool, true)).toMatchObject({ kind: "refused" });
      await ground.change(path, { metadata: { finalizers: null } });
      await until("it is gone", WAIT_MS, async () =>
        ground.find(pool.name) === undefined ? true : null,
      );
      expect(await ground.pools.hold(pool, false)).toEqual({ kind: "ok" });
    },
    3 * WAIT_MS,
  );

  test(
    "V50: a ConfigMap that is missing is told while pods wait for it",
    async () => {
      const volumes = [{ name: "config", configMap: { name: "velda-config" } }];
      const pool = await ground.addPool({ ...TEMPLATE, spec: { ...TEMPLATE.spec, volumes } });
      expect(await ground.pools.check(pool)).toMatchObject({ kind: "ok" });
      expect(await ground.pools.create(pool, ground.worker())).toMatchObject({ kind: "ok" });
      await until("the event", 3 * WAIT_MS, async () => {
        const { out } = await ground.cluster.kubectl("describe", "agentpool", pool.name);
        return /Warning +ConfigMapNotFound .*velda-config/.test(out) ? true : null;
      });
    },
    4 * WAIT_MS,
  );

  test(
    "V9: a pool outside the namespaces is told",
    async () => {
      const pool = await ground.addPool();
      const other = ground.openPools(["velda"]);
      other.start(() => undefined);
      await until("the event", WAIT_MS, async () => {
        const { out } = await ground.cluster.kubectl("describe", "agentpool", pool.name);
        return /Warning +NotWatched .*namespace default is not served/.test(out) ? true : null;
      });
      expect(other.pools()).toMatchObject({ isKnown: true, list: [] });
      other.stop();
    },
    2 * WAIT_MS,
  );

  test("V22: an API server that dies is dark and never empty, and all goes on after it", async () => {
    const pool = await ground.addPool();
    const one = ground.worker();
    await ground.pools.create(pool, one);
    await ground.cluster.stopApiserver();
    expect((await ground.pools.create(pool, ground.worker())).kind).toBe("lost");
    expect((await ground.pools.check(pool)).kind).toBe("lost");
    expect(
      (await ground.pools.delete({ namespace: "default", name: one.name, uid: "u" })).kind,
    ).toBe("lost");
    ground.pools.show(pool, STATUS);
    await until("it is dark", WAIT_MS, async () =>
      ground.pools.pods().dark === null ? null : true,
    );
    expect(ground.pools.pods().list.map(({ name }) => name)).toContain(one.name);
    expect(ground.pools.pools().list.map(({ name }) => name)).toContain(pool.name);
    await ground.cluster.startApiserver();
    await until("it is current", WAIT_MS, async () => {
      const isDark = ground.pools.pods().dark !== null || ground.pools.pools().dark !== null;
      return isDark ? null : true;
    });
    expect((await ground.pools.create(pool, one)).kind).toBe("ok");
    // What was not written then is written now.
    await until("the status", 90_000, async () => {
      const { status } = await ground.get(`${POOLS}/${pool.name}`);
      return status === undefined ? null : true;
    });
  }, 300_000);
});
