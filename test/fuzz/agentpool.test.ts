/** No AgentPool or pod that a server may hold stops the reader, or is acted upon unread. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { readPool } from "../../reconciler/agentpool/read-pool.ts";
import { readWorkerPod } from "../../reconciler/agentpool/read-worker-pod.ts";
import { podOf } from "../../reconciler/agentpool/pod-request.ts";
import { statusBody } from "../../reconciler/agentpool/status-body.ts";
import { AUTOSCALER_FIELDS, AUTOSCALER_MAX } from "../../schema/agentpool-resource.ts";
import { PATIENCE_MS, runs } from "./runs.ts";

const json = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(1e999, -1, 0.5, Number.NaN, 2 ** 53, -0, "5", "\uD800", "\u0000", null, []),
);
/** Where a reader looks, with anything there, or nothing. */
const some = (keys: string[], value: fc.Arbitrary<unknown> = json): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 5, arbitrary: fc.record(Object.fromEntries(keys.map((key) => [key, value]))) },
    {
      weight: 2,
      arbitrary: fc.record(Object.fromEntries(keys.map((key) => [key, value])), {
        requiredKeys: [],
      }),
    },
    { weight: 1, arbitrary: json },
  );

const names = fc.oneof(fc.constantFrom("cpu", "a".repeat(58), ""), json);
const metadata = fc.record({
  ...{ name: fc.constantFrom("cpu", "a".repeat(58)), namespace: fc.constantFrom("default", "x") },
  ...{ uid: fc.constant("u"), resourceVersion: names, generation: json, finalizers: json },
  annotations: some(["navarch.dev/delete-policy", "navarch.dev/pending-timeout"]),
  ...{ ownerReferences: fc.array(some(["apiVersion", "kind", "uid", "controller"])) },
  ...{ labels: json, deletionTimestamp: json, creationTimestamp: json },
});
const scaler = some(AUTOSCALER_FIELDS.map(({ name }) => name));
const template = fc.record({
  metadata: some(["name", "namespace", "labels", "annotations", "finalizers"]),
  spec: some(["containers"], fc.oneof(json, fc.array(some(["name"])))),
});
const pools = fc.record({
  metadata: fc.oneof({ weight: 9, arbitrary: metadata }, { weight: 1, arbitrary: json }),
  spec: fc.oneof(
    { weight: 9, arbitrary: fc.record({ autoscaler: scaler, template, instance: json }) },
    { weight: 1, arbitrary: json },
  ),
  status: some(["conditions"], fc.oneof(json, fc.array(some(["type", "status"])))),
});
const pods = fc.record({
  ...{ metadata, spec: some(["nodeName"]) },
  status: some(
    ["phase", "conditions", "containerStatuses"],
    fc.oneof(json, fc.array(some(["name", "state", "type", "status", "reason"]))),
  ),
});

const isCount = (value: number): boolean =>
  Number.isSafeInteger(value) && value >= 0 && value <= AUTOSCALER_MAX * 1_000;

const STATUS = {
  ...{ size: 1, idleSlots: 1, queuedClaims: 0, workers: {}, effectiveMaxIdle: 1 },
  lastAllocationError: { reason: "Unavailable", message: "x", at: 0 },
  conditions: [{ type: "Ready", status: "True", reason: "Serving", message: "" }],
} as const;

test(
  "V5: any AgentPool is read without a throw; numbers that pass are whole and within the rules",
  () => {
    fc.assert(
      fc.property(pools, (object) => {
        const pool = readPool(object);
        if (pool === null) return;
        for (const problem of pool.problems) expect(problem.length).toBeLessThan(400);
        expect(pool.pendingTimeoutMs).toBeGreaterThanOrEqual(1_000);
        if (pool.scaler !== null) {
          const { min, max } = pool.scaler;
          expect(Object.values(pool.scaler).every(isCount)).toBe(true);
          expect([max >= min, pool.scaler.slots >= 1]).toEqual([true, true]);
        }
        // Nothing is created of a broken one, but the requests are built without a throw, too.
        expect(JSON.parse(JSON.stringify(podOf(pool, { name: "a", generation: 1 })))).toBeObject();
        expect(statusBody(pool, STATUS, pool.status, 0)).toBeObject();
      }),
      runs(2_000),
    );
  },
  PATIENCE_MS,
);

test(
  "V30: any pod is read without a throw",
  () => {
    fc.assert(
      fc.property(pods, (object) => {
        const pod = readWorkerPod(object);
        if (pod === null) return;
        expect(pod.name).not.toBe("");
        expect(Number.isFinite(pod.createdAt)).toBe(true);
      }),
      runs(2_000),
    );
  },
  PATIENCE_MS,
);
