import { expect, test } from "bun:test";
import { metricValues, type MetricPod, partsOf, readMetricPath } from "./custom-metric.ts";
import { matches, parseSelector } from "./metric-selector.ts";

const ROOT = "/apis/custom.metrics.k8s.io/v1beta2";
const pod = (name: string, phase = "Running", isDeleting = false): MetricPod => ({
  ...{ name, phase, isDeleting },
});

const valuesOf = (pods: MetricPod[], whole: number): Record<string, string> => {
  const ask = { namespace: "n", pod: "*", metric: "coordinator_queue_depth" } as const;
  const { items } = metricValues(ask, pods, { whole, atMs: 1_500 }) as {
    items: { describedObject: { name: string }; value: string; timestamp: string }[];
  };
  for (const { timestamp } of items) expect(timestamp).toBe("1970-01-01T00:00:01Z");
  return Object.fromEntries(items.map((one) => [one.describedObject.name, one.value]));
};

test("C60: parts of the depth add up to it exactly, for every number of pods", () => {
  for (const depth of [0, 1, 2, 25, 3_500, 1_234_567]) {
    for (const count of [1, 2, 3, 7, 10, 999]) {
      const parts = partsOf(depth, count);
      expect(parts.reduce((sum, one) => sum + one, 0)).toBe(depth * 1_000);
      expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1);
    }
  }
});

test("C60: pods that the autoscaler leaves out have no part while another runs", () => {
  const gone = [pod("p", "Pending"), pod("f", "Failed"), pod("d", "Running", true)];
  expect(valuesOf([pod("a"), ...gone, pod("b")], 25)).toEqual({ a: "12500m", b: "12500m" });
  expect(valuesOf(gone, 6)).toEqual({ p: "2", f: "2", d: "2" });
  expect(valuesOf([], 25)).toEqual({});
});

test("C60: paths name a namespace, a pod or all, and a metric that is served", () => {
  const values = `${ROOT}/namespaces/kai-ml/pods/%2A/coordinator_queue_depth`;
  expect(readMetricPath(values)).toEqual({
    kind: "values",
    ask: { namespace: "kai-ml", pod: "*", metric: "coordinator_queue_depth" },
  });
  expect(readMetricPath(`${ROOT}/`).kind).toBe("document");
  const bad = ["%", "%2E%2E", "A", "a%2Fb", "", "-"];
  for (const name of bad) {
    expect(readMetricPath(values.replace("kai-ml", name)).kind).toBe("absent");
    expect(readMetricPath(values.replace("%2A", name)).kind).toBe("absent");
  }
  for (const path of ["", "/", "constructor", "/apis/x", values.replace("v1beta2", "v1beta1")]) {
    expect([path, readMetricPath(path).kind]).toEqual([path, "absent"]);
  }
});

test("C60: metrics are selected by their labels as Kubernetes selects objects", () => {
  const labels = { class: "batch", priority: "high", pool: "" };
  const is = (text: string): boolean | null => {
    const selector = parseSelector(text);
    return selector === null ? null : matches(selector, labels);
  };
  const yes = ["", " ", "class=batch", "class == batch,priority in (high, low)", "pool", "pool="];
  for (const text of [...yes, "!constructor", "x!=1", "class notin (a,b)", "x notin (a)"]) {
    expect([text, is(text)]).toEqual([text, true]);
  }
  for (const text of ["class=x", "x", "x=1", "!pool", "class in (a)", "class!=batch", "x in (a)"]) {
    expect([text, is(text)]).toEqual([text, false]);
  }
  for (const text of ["=a", "a=b,", ",", "a in", "a in (", "a=b c=d", "(", "a".repeat(5_000)]) {
    expect([text, is(text)]).toEqual([text, null]);
  }
});
