import { expect, test } from "bun:test";
import type { HpaTrigger } from "../../../schema/console/hpa.ts";
import type { Hpa } from "../../core/console/hpa.ts";
import { HpaLog } from "../../core/console/hpa-log.ts";
import { formatHpas } from "./hpa.ts";

const cpu = (type: string, value: number): HpaTrigger => ({
  ...{ type, metric: "cpu", measure: "utilization", threshold: 50, value },
});
const hpa = (more: Partial<Hpa>): Hpa => ({
  ...{ namespace: "kai-ml", name: "web-hpa", uid: "u-1", target: "web", min: 2, max: 10 },
  ...{ current: 2, desired: 2, limit: null, metrics: [] },
  ...more,
});
const seriesOf = (log: HpaLog | null): string[] =>
  Buffer.concat(formatHpas(log))
    .toString()
    .split("\n")
    .filter((line) => /^\w/.test(line));

test("C64: replicas, metrics by their target and events are gauges and a counter", () => {
  const log = new HpaLog();
  log.take([hpa({})], 0);
  const of = 'namespace="kai-ml",hpa="web-hpa",service="web"';
  expect(seriesOf(log)).toContain(
    'navarch_hpa_events_total{namespace="kai-ml",service="web",kind="scale-up"} 0',
  );
  // Two containers have a metric of one name: a series may be there only once.
  const metrics = [cpu("ContainerResource", 25), cpu("ContainerResource", 75), cpu("Resource", 0)];
  log.take([hpa({ desired: 4, metrics })], 60_000);
  expect(seriesOf(log)).toEqual([
    `navarch_hpa_replicas{${of},state="current"} 2`,
    `navarch_hpa_replicas{${of},state="desired"} 4`,
    `navarch_hpa_replicas{${of},state="min"} 2`,
    `navarch_hpa_replicas{${of},state="max"} 10`,
    `navarch_hpa_metric_ratio{${of},type="ContainerResource",metric="cpu"} 1.5`,
    `navarch_hpa_metric_ratio{${of},type="Resource",metric="cpu"} 0`,
    'navarch_hpa_events_total{namespace="kai-ml",service="web",kind="scale-up"} 1',
    'navarch_hpa_events_total{namespace="kai-ml",service="web",kind="scale-down"} 0',
    'navarch_hpa_events_total{namespace="kai-ml",service="web",kind="limited-scale"} 0',
  ]);
});

test("C64: what is not decided has no series, and who does not lead has none at all", () => {
  const log = new HpaLog();
  log.take([hpa({ current: null, desired: null })], 0);
  expect(seriesOf(log).filter((line) => line.startsWith("navarch_hpa_replicas"))).toHaveLength(2);
  expect(seriesOf(null)).toEqual([]);
});
