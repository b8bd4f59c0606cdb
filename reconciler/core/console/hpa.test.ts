import { expect, test } from "bun:test";
import type { HpaTrigger } from "../../../schema/console/hpa.ts";
import { changeOf, type Hpa } from "./hpa.ts";
import { HPA_EVENTS_MAX, HpaLog } from "./hpa-log.ts";

const MINUTE = 60_000;
const depth = (value: number): HpaTrigger => ({
  ...{ type: "Pods", metric: "coordinator_queue_depth", measure: "average", threshold: 10 },
  value,
});
const cpu = (value: number): HpaTrigger => ({
  ...{ type: "Resource", metric: "cpu", measure: "utilization", threshold: 70, value },
});

const hpa = (more: Partial<Hpa> = {}): Hpa => ({
  ...{ namespace: "kai-ml", name: "web-hpa", uid: "u-1", target: "web", min: 2, max: 10 },
  ...{ current: 2, desired: 2, limit: null, metrics: [depth(5), cpu(35)] },
  ...more,
});
const TOO_MANY = { reason: "TooManyReplicas", message: "more than the maximum replica count" };

test("C63: more replicas are a scale-up by the metric that asks for most", () => {
  const after = hpa({ desired: 3, metrics: [cpu(71), depth(12.5)] });
  expect(changeOf(hpa(), after)).toEqual({
    ...{ kind: "scale-up", from: 2, to: 3, trigger: depth(12.5), limit: null },
  });
  // The new pods brought the value down before this look.
  const before = hpa({ metrics: [depth(25)] });
  expect(changeOf(before, hpa({ desired: 3, metrics: [depth(8)] }))?.trigger).toEqual(depth(25));
  expect(changeOf(hpa(), hpa({ desired: 3, metrics: [] }))?.trigger).toEqual(depth(5));
});

test("C63: fewer replicas are a scale-down, and a limit is told beside either", () => {
  const before = hpa({ desired: 6, metrics: [depth(10)] });
  const limit = { reason: "ScaleDownLimit", message: "too fast" };
  expect(changeOf(before, hpa({ desired: 4, metrics: [depth(1)], limit }))).toEqual({
    ...{ kind: "scale-down", from: 6, to: 4, trigger: depth(1), limit: "scale-down-rate" },
  });
});

test("C63: a limit alone is one event, when it begins or becomes another", () => {
  const before = hpa({ desired: 10 });
  const limited = hpa({ desired: 10, limit: TOO_MANY, metrics: [depth(40)] });
  expect(changeOf(before, limited)).toEqual({
    ...{ kind: "limited-scale", from: 10, to: 10, trigger: depth(40), limit: "max-replicas" },
  });
  expect(changeOf(limited, limited)).toBeNull();
  expect(changeOf(limited, before)).toBeNull();
  for (const reason of ["constructor", "", "SomethingNew"]) {
    const odd = hpa({ desired: 10, limit: { reason, message: "" } });
    expect(changeOf(before, odd)?.limit).toBe("other");
  }
});

test("C63: without a decision, or of another object of the same name, nothing happened", () => {
  expect(changeOf(hpa(), hpa({ desired: null }))).toBeNull();
  expect(changeOf(hpa({ desired: null }), hpa({ desired: 9 }))).toBeNull();
  expect(changeOf(hpa(), hpa({ desired: 9, uid: "u-2" }))).toBeNull();
  expect(changeOf(hpa(), hpa())).toBeNull();
});

const WEB = { namespace: "kai-ml", service: "web" };

test("C63: one event for each service in five minutes; what comes between is the next one's", () => {
  const log = new HpaLog();
  log.take([hpa()], 0);
  log.take([hpa({ desired: 3 })], MINUTE);
  log.take([hpa({ desired: 5 })], 2 * MINUTE);
  log.take([hpa({ desired: 8 })], 5 * MINUTE);
  const sizes = () => log.events(WEB, 10).map((one) => [one.fromReplicas, one.toReplicas]);
  expect(sizes()).toEqual([[2, 3]]);
  log.take([hpa({ desired: 8 })], 6 * MINUTE);
  expect(sizes()).toEqual([
    [3, 8],
    [2, 3],
  ]);
  expect(log.events(WEB, 1).map(({ timestamp }) => timestamp)).toEqual([
    "1970-01-01T00:06:00.000Z",
  ]);
});

test("C13: a service is a pair; hyphens join no two of them", () => {
  const log = new HpaLog();
  const one = { namespace: "a-b", target: "c", uid: "1" };
  const two = { namespace: "a", target: "b-c", uid: "2" };
  log.take([hpa(one), hpa(two)], 0);
  log.take([hpa({ ...one, desired: 4 }), hpa(two)], MINUTE);
  expect(log.events({ namespace: "a-b", service: "c" }, 10)).toHaveLength(1);
  expect(log.events({ namespace: "a", service: "b-c" }, 10)).toEqual([]);
  expect(log.named("b-c", null)).toEqual([{ namespace: "a", service: "b-c" }]);
  expect(log.named("c", "a")).toEqual([]);
  // A service whose autoscaler is gone is known as long as its events are.
  log.take([], 2 * MINUTE);
  expect([log.named("c", "a-b").length, log.named("b-c", "a").length]).toEqual([1, 0]);
});

test("C63: the list is bounded, and forgets the oldest", () => {
  const log = new HpaLog();
  const all = (desired: number) =>
    Array.from({ length: HPA_EVENTS_MAX + 50 }, (_, index) => {
      return hpa({ uid: `u-${index}`, target: `t-${index}`, desired });
    });
  log.take(all(2), 0);
  log.take(all(3), MINUTE);
  const events = log.events(null, 10_000);
  expect(events).toHaveLength(HPA_EVENTS_MAX);
  expect(events.at(-1)?.service).toBe("t-50");
});
