import { expect, test } from "bun:test";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import type { KubeAnswer, KubeApi } from "../api.ts";
import { HpaWatch } from "./hpa.ts";
import { readHpa } from "./read-hpa.ts";

const OBJECT = {
  metadata: { name: "web-hpa", namespace: "a-b", uid: "u-1", resourceVersion: "5" },
  spec: {
    scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
    ...{ minReplicas: 2, maxReplicas: 10 },
    metrics: [
      {
        type: "Resource",
        resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 70 } },
      },
      {
        type: "Pods",
        pods: { metric: { name: "depth" }, target: { type: "AverageValue", averageValue: "10" } },
      },
      {
        type: "External",
        external: { metric: { name: "x" }, target: { type: "Value", value: "5" } },
      },
    ],
  },
  status: {
    ...{ currentReplicas: 2, desiredReplicas: 3 },
    currentMetrics: [
      { type: "" },
      { type: "Pods", pods: { metric: { name: "depth" }, current: { averageValue: "12500m" } } },
      { type: "Resource", resource: { name: "cpu", current: { averageUtilization: 35 } } },
    ],
    conditions: [{ type: "ScalingLimited", status: "True", reason: "R", message: "m" }],
  },
};

test("C63: reads targets and values of autoscaling/v2, each metric by its source", () => {
  expect(readHpa(OBJECT)).toEqual({
    ...{ namespace: "a-b", name: "web-hpa", uid: "u-1", target: "web", min: 2, max: 10 },
    ...{ current: 2, desired: 3, limit: { reason: "R", message: "m" } },
    metrics: [
      { type: "Resource", metric: "cpu", measure: "utilization", value: 35, threshold: 70 },
      { type: "Pods", metric: "depth", measure: "average", value: 12.5, threshold: 10 },
    ],
  });
});

test("C63: zero replicas are a decision only where zero is allowed", () => {
  const desired = (minReplicas: number, status: object) =>
    readHpa({ ...OBJECT, spec: { ...OBJECT.spec, minReplicas }, status })?.desired;
  const { conditions } = OBJECT.status;
  // As the server stores an object that no controller has looked at.
  const none = { currentReplicas: 0, desiredReplicas: 0, currentMetrics: null };
  expect([desired(2, none), desired(0, none)]).toEqual([null, null]);
  expect([desired(2, { ...none, conditions }), desired(0, { ...none, conditions })]).toEqual([
    null,
    0,
  ]);
});

test("C63: odd objects are read as far as they mean something, and never throw", () => {
  const { metadata, spec } = OBJECT;
  for (const none of [null, 7, "x", [], {}, { metadata }, { spec }, { metadata: null, spec }]) {
    expect(readHpa(none)).toBeNull();
  }
  expect(readHpa({ metadata, spec, status: null })).toMatchObject({ desired: null, metrics: [] });
  const odd: unknown[] = [
    { type: "Pods", pods: { metric: { name: "depth" }, current: { averageValue: "1e999" } } },
    { type: "constructor", constructor: { name: "depth" } },
    { type: "Telepathy", telepathy: {} },
    null,
  ];
  const infinite = {
    metadata,
    spec: { ...spec, minReplicas: Infinity, maxReplicas: -1 },
    status: {
      desiredReplicas: 1e300,
      currentMetrics: odd,
      conditions: [null, 7, { type: "ScalingLimited", status: "True", reason: { a: 1 } }],
    },
  };
  expect(readHpa(infinite)).toMatchObject({
    ...{ min: 1, max: 0, desired: null, metrics: [], limit: { reason: "", message: "" } },
  });
  const many = Array.from({ length: 10_000 }, () => spec.metrics[0]);
  const flood = { metadata, spec: { ...spec, metrics: many }, status: OBJECT.status };
  expect(readHpa(flood)?.metrics).toHaveLength(32);
  const zero = structuredClone(OBJECT);
  Reflect.set(zero.spec.metrics[1]?.pods?.target ?? {}, "averageValue", "0");
  expect(readHpa(zero)?.metrics.map(({ metric }) => metric)).toEqual(["cpu"]);
});

function open(allowed = true) {
  const clock = new VirtualClock();
  const state = { answer: list(OBJECT), paths: [] as string[], allowed };
  const api: KubeApi = {
    async call({ path }) {
      state.paths.push(path);
      return path === REVIEW ? review(state.allowed) : state.answer;
    },
    watch: () => Promise.resolve({ kind: "ended" }),
    close: () => undefined,
  };
  return { clock, state, watch: new HpaWatch({ api, clock }) };
}

const LIST = "/apis/autoscaling/v2/horizontalpodautoscalers";
const REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const review = (allowed: boolean): KubeAnswer => {
  return { kind: "ok", status: 201, body: { status: { allowed } } };
};

function list(...items: unknown[]): KubeAnswer {
  return { kind: "ok", status: 200, body: { items, metadata: { resourceVersion: "7" } } };
}

test("C63: looks every 30 s, also when nobody asks, and no longer once it is closed", async () => {
  const { clock, state, watch } = open();
  await watch.current();
  const grown = structuredClone(OBJECT);
  grown.status.desiredReplicas = 5;
  state.answer = list(grown, null, { metadata: 5 });
  await clock.pass(31_000);
  const found = await watch.current();
  const events = found.kind === "ok" ? found.value.events(null, 10) : [];
  expect(events).toMatchObject([{ kind: "scale-up", namespace: "a-b", service: "web" }]);
  expect(state.paths).toEqual([REVIEW, LIST, LIST]);
  watch.close();
  const calls = state.paths.length;
  await clock.pass(300_000);
  expect(state.paths).toHaveLength(calls);
  expect(await watch.current()).toMatchObject({ kind: "failed", code: "unavailable" });
});

test("C13: a cluster that is dark or forbids the list is told, and looked at again", async () => {
  const { clock, state, watch } = open();
  await watch.current();
  state.answer = { kind: "lost", message: "no answer in 8 s" };
  await clock.pass(31_000);
  expect(await watch.current()).toMatchObject({ kind: "failed", code: "cluster_slow" });
  const refused = { kind: "refused", status: 403, reason: "Forbidden", message: "no" } as const;
  state.answer = { ...refused, causes: [], retryAfterMs: null };
  await clock.pass(31_000);
  expect(await watch.current()).toMatchObject({ kind: "failed", code: "cluster_unreachable" });
  state.answer = list();
  await clock.pass(61_000);
  expect(await watch.current()).toMatchObject({ kind: "ok" });
});

test("C63: without the permission nothing is listed, until it is there", async () => {
  const { clock, state, watch } = open(false);
  await watch.current();
  for (let minute = 0; minute < 3; minute++) await clock.pass(61_000);
  const told = await watch.current();
  expect(told).toMatchObject({ kind: "failed", code: "cluster_unreachable" });
  expect(JSON.stringify(told)).toContain("may not list horizontalpodautoscalers.autoscaling");
  expect([watch.known(), new Set(state.paths)]).toEqual([null, new Set([REVIEW])]);
  expect(state.paths.length).toBeLessThanOrEqual(4);
  state.allowed = true;
  await clock.pass(61_000);
  expect(await watch.current()).toMatchObject({ kind: "ok" });
  expect(watch.known()).not.toBeNull();
});
