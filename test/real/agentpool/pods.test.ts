/**
 * The pods of AgentPools on a real API server: what is created, refused and deleted.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { addPolicy } from "../kubernetes/webhook.ts";
import { Ground, metaOf, PODS, TEMPLATE, WAIT_MS } from "./ground.ts";
import type { Json } from "./ground.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: pods of AgentPools on a real API server: ${missing}`);

test("a Kubernetes API server is here to test AgentPools with", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

let ground: Ground;

beforeAll(async () => {
  if (missing === null) ground = await Ground.open(true);
}, 300_000);
afterAll(async () => {
  if (missing === null) expect(await ground.close()).toEqual([]);
}, 60_000);

const describeReal = missing === null ? describe : describe.skip;

describeReal("pods of AgentPools on a real API server", () => {
  test("V16: create, and once more: one pod, owned by the pool", async () => {
    const pool = await ground.addPool();
    const one = ground.worker();
    const first = await ground.pools.create(pool, one);
    expect(await ground.pools.create(pool, one)).toEqual(first);
    const pod = await ground.get(`${PODS}/${one.name}`);
    expect(first).toEqual({ kind: "ok", uid: String(metaOf(pod)["uid"]) });
    expect(metaOf(pod)["ownerReferences"]).toMatchObject([
      { kind: "AgentPool", uid: pool.uid, controller: true, blockOwnerDeletion: true },
    ]);
    expect(ground.pools.pods().list.find(({ name }) => name === one.name)).toMatchObject({
      ...{ ownerUid: pool.uid, generation: 1, phase: "Pending" },
    });
    expect(ground.counted).toContain(`create pods ${pool.name}`);
  });

  test("V19: a pod of the name that another pool owns is refused", async () => {
    const [pool, twin] = [await ground.addPool(), await ground.addPool()];
    const one = ground.worker();
    await ground.pools.create(twin, one);
    expect(await ground.pools.create(pool, one)).toMatchObject({
      kind: "refused",
      message: expect.stringContaining("does not belong to the pool"),
    });
  });

  test("V18: a dry run tells the server's words and stores nothing", async () => {
    expect(await ground.pools.check(await ground.addPool())).toMatchObject({ kind: "ok" });
    const wrong = { ...TEMPLATE, spec: { ...TEMPLATE.spec, restartPolicy: "Sometimes" } };
    const pool = await ground.addPool(wrong);
    expect(await ground.pools.check(pool)).toMatchObject({
      ...{ kind: "refused", reason: "InvalidTemplate" },
      message: expect.stringContaining("restartPolicy"),
    });
    const odd = { ...TEMPLATE, spec: { ...TEMPLATE.spec, priority: "x" } };
    expect(await ground.pools.check(await ground.addPool(odd))).toMatchObject({
      ...{ kind: "refused", reason: "InvalidTemplate" },
      message: expect.stringContaining("priority"),
    });
    const { items } = await ground.get(PODS);
    const names = (items as Json[]).map((one) => String(metaOf(one)["name"]));
    expect(names.filter((one) => one.endsWith("-check"))).toEqual([]);
  });

  test(
    "A9: a policy that forbids the pods is AdmissionDenied, and its end lets them in",
    async () => {
      const pool = await ground.addPool({ ...TEMPLATE, metadata: { labels: { app: "denied" } } });
      const rule = { operations: ["CREATE"], resources: ["pods"] };
      const expression = 'object.metadata.?labels["app"].orValue("") != "denied"';
      const deny = { expression, message: "no pods" };
      const undo = await addPolicy(ground.cluster, "deny-denied", rule, deny);
      await until("the policy holds", WAIT_MS, async () => {
        const answer = await ground.pools.check(pool);
        return answer.kind === "refused" ? answer : null;
      }).then((answer) =>
        expect(answer).toMatchObject({
          reason: "AdmissionDenied",
          message: expect.stringContaining("deny-denied: no pods"),
        }),
      );
      expect(await ground.pools.create(pool, ground.worker())).toMatchObject({
        reason: "AdmissionDenied",
      });
      await undo();
      await until("it is gone", WAIT_MS, async () => {
        const answer = await ground.pools.create(pool, ground.worker());
        return answer.kind === "ok" ? true : null;
      });
    },
    3 * WAIT_MS,
  );

  test(
    "V25: a full quota, a missing namespace and a missing right are told apart",
    async () => {
      const pool = await ground.addPool();
      const quotas = "/api/v1/namespaces/default/resourcequotas";
      const hard = { pods: "0" };
      await ground.cluster.json(quotas, { body: { metadata: { name: "q" }, spec: { hard } } });
      await ground.change(`${quotas}/q/status`, { status: { hard, used: { pods: "0" } } });
      await until("the quota holds", WAIT_MS, async () => {
        const answer = await ground.pools.create(pool, ground.worker());
        return answer.kind === "refused" ? answer : null;
      }).then((answer) => expect(answer).toMatchObject({ reason: "QuotaExceeded" }));
      // The template is good, although there is no room now.
      expect(await ground.pools.check(pool)).toMatchObject({ kind: "ok" });
      await ground.cluster.request(`${quotas}/q`, { method: "DELETE" });
      const gone = { ...pool, namespace: "none", key: `none/${pool.name}` };
      expect(await ground.pools.create(gone, ground.worker())).toMatchObject({
        reason: "Unavailable",
      });
      const roles = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/navarch-test";
      const bound = await ground.get(roles);
      await ground.cluster.request(roles, { method: "DELETE" });
      await until("the right is gone", WAIT_MS, async () => {
        const answer = await ground.pools.create(pool, ground.worker());
        return answer.kind === "refused" && answer.reason === "Forbidden" ? answer : null;
      }).then((answer) => expect(answer.message).toContain("may not create pods"));
      const { resourceVersion: _, uid: __, ...metadata } = metaOf(bound);
      await ground.cluster.json(roles.replace(/\/[^/]+$/, ""), { body: { ...bound, metadata } });
    },
    3 * WAIT_MS,
  );

  test(
    "V25: refusals by the server's own admission are sorted by its words",
    async () => {
      const spec = TEMPLATE.spec;
      const reasonOf = async (change: Json): Promise<unknown> => {
        const answer = await ground.pools.check(
          await ground.addPool({ ...TEMPLATE, spec: { ...spec, ...change } }),
        );
        return answer.kind === "refused" ? [answer.reason, answer.message] : answer;
      };
      const says = (words: string) => expect.stringContaining(words);
      expect(await reasonOf({ priorityClassName: "none" })).toEqual([
        "InvalidTemplate",
        says("no PriorityClass with name"),
      ]);
      expect(await reasonOf({ serviceAccountName: "none" })).toEqual([
        "InvalidTemplate",
        says("error looking up service account"),
      ]);
      const ranges = "/api/v1/namespaces/default/limitranges";
      const limits = [{ type: "Container", max: { cpu: "1" } }];
      await ground.cluster.json(ranges, { body: { metadata: { name: "r" }, spec: { limits } } });
      const [container] = spec.containers;
      const large = { ...container, resources: { limits: { cpu: "2" }, requests: { cpu: "2" } } };
      expect(await reasonOf({ containers: [large] })).toEqual([
        "AdmissionDenied",
        says("maximum cpu usage per"),
      ]);
      await ground.cluster.request(`${ranges}/r`, { method: "DELETE" });
      const quotas = "/api/v1/namespaces/default/resourcequotas";
      const hard = { "limits.cpu": "100" };
      await ground.cluster.json(quotas, { body: { metadata: { name: "c" }, spec: { hard } } });
      await ground.change(`${quotas}/c/status`, { status: { hard, used: { "limits.cpu": "0" } } });
      await until("the quota holds", WAIT_MS, async () => {
        const answer = await reasonOf({});
        return Array.isArray(answer) && /must specify limits.cpu/.test(answer[1]) ? answer : null;
      }).then(([reason]) => expect(reason).toBe("InvalidTemplate"));
      await ground.cluster.request(`${quotas}/c`, { method: "DELETE" });
      const label = "pod-security.kubernetes.io/enforce";
      const space = "/api/v1/namespaces/default";
      await ground.change(space, { metadata: { labels: { [label]: "restricted" } } });
      await until("it is enforced", WAIT_MS, async () => {
        const answer = await reasonOf({});
        return Array.isArray(answer) && /violates PodSecurity/.test(answer[1]) ? answer : null;
      }).then(([reason]) => expect(reason).toBe("AdmissionDenied"));
      await ground.change(space, { metadata: { labels: { [label]: null } } });
    },
    3 * WAIT_MS,
  );

  test("V21: delete ends the pod of the UID and no other", async () => {
    const pool = await ground.addPool();
    const one = ground.worker();
    const made = await ground.pools.create(pool, one);
    const at = { namespace: "default", name: one.name };
    expect(
      await ground.pools.delete({ ...at, uid: "00000000-0000-0000-0000-000000000000" }),
    ).toEqual({
      kind: "ok",
    });
    expect(metaOf(await ground.get(`${PODS}/${one.name}`))["deletionTimestamp"]).toBeUndefined();
    const uid = made.kind === "ok" ? made.uid : "";
    expect(await ground.pools.delete({ ...at, uid })).toEqual({ kind: "ok" });
    expect((await ground.cluster.request(`${PODS}/${one.name}`)).status).toBe(404);
    expect(await ground.pools.delete({ ...at, uid })).toEqual({ kind: "ok" });
    expect(ground.counted).toContain(`delete pods ${pool.name}`);
  });
});
