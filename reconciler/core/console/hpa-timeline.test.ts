import { expect, test } from "bun:test";
import type { Hpa } from "./hpa.ts";
import { HpaTimeline } from "./hpa-timeline.ts";

const hpa = (more: Partial<Hpa> = {}): Hpa => ({
  ...{ namespace: "kai-ml", name: "web-hpa", uid: "u-1", target: "web", min: 2, max: 10 },
  ...{ current: 2, desired: 2, limit: null, metrics: [] },
  ...more,
});
const WEB = { namespace: "kai-ml", service: "web" };
const MINUTE = 60_000;

test("C64: a point is added when replicas, bounds or a metric change, and not by a look", () => {
  const timeline = new HpaTimeline();
  const cpu = { type: "Resource", metric: "cpu", measure: "utilization", threshold: 70 } as const;
  const looks: Partial<Hpa>[] = [
    {},
    {},
    { desired: 3 },
    { desired: 3, current: 3 },
    { desired: 3, current: 3, max: 20 },
    { desired: 3, current: 3, max: 20, metrics: [{ ...cpu, value: 35 }] },
    { desired: 3, current: 3, max: 20, metrics: [{ ...cpu, value: 35 }] },
    { desired: 3, current: 3, max: 20, metrics: [{ ...cpu, value: 36 }] },
  ];
  for (const [at, look] of looks.entries()) timeline.take([hpa(look)], at * MINUTE);
  const [one] = timeline.of(WEB);
  expect(one?.samples.map(({ timestamp }) => Date.parse(timestamp) / MINUTE)).toEqual([
    ...[0, 2, 3, 4, 5, 7],
  ]);
  expect(one?.samples.at(-1)).toEqual({
    timestamp: "1970-01-01T00:07:00.000Z",
    ...{ currentReplicas: 3, desiredReplicas: 3, minReplicas: 2, maxReplicas: 20 },
    metrics: [{ ...cpu, value: 36 }],
  });
});

test("C64: an autoscaler of the same name that is another object begins again", () => {
  const timeline = new HpaTimeline();
  timeline.take([hpa()], 0);
  timeline.take([hpa({ uid: "u-2", desired: 5 })], MINUTE);
  expect(timeline.of(WEB).map(({ samples }) => samples.length)).toEqual([1]);
  timeline.take([], 2 * MINUTE);
  expect([timeline.all(), timeline.of(WEB)]).toEqual([[], []]);
});

test("C64: beyond 500 autoscalers each is shown as it is now", () => {
  const timeline = new HpaTimeline();
  const all = (desired: number): Hpa[] =>
    Array.from({ length: 501 }, (_, at) => hpa({ uid: `u-${at}`, target: `t-${at}`, desired }));
  timeline.take(all(2), 0);
  timeline.take(all(3), MINUTE);
  const wanted = (at: number) =>
    timeline
      .of({ namespace: "kai-ml", service: `t-${at}` })
      .map(({ samples }) => samples.map(({ desiredReplicas }) => desiredReplicas));
  expect([wanted(499), wanted(500)]).toEqual([[[2, 3]], [[3]]]);
});
