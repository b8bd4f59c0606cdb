import { expect, test } from "bun:test";
import { podResources, quantities } from "./resources.ts";

const of = (requests: object, more: object = {}): object => ({ resources: { requests }, ...more });

test("C23: a pod requests its containers together, or an init container that is larger", () => {
  const sidecar = { restartPolicy: "Always" };
  const spec = {
    containers: [of({ cpu: "500m", memory: "1Gi" }), of({ cpu: "0.1" })],
    initContainers: [of({ cpu: "200m" }, sidecar), of({ cpu: "100m", memory: "2Gi" })],
    overhead: { cpu: "50m" },
  };
  const { requests } = podResources(spec);
  expect(requests).toEqual({ cpu: 0.85, memory: 2 * 2 ** 30 });
  const large = { containers: [of({ cpu: 1 })], initContainers: [of({ cpu: 3 })] };
  expect(podResources(large).requests).toEqual({ cpu: 3 });
  // The sidecar before an init container runs beside it.
  const both = { ...large, initContainers: [of({ cpu: 1 }, sidecar), of({ cpu: 3 })] };
  expect(podResources(both).requests).toEqual({ cpu: 4 });
});

test("C23: a limit without a request is the request, and the pod's own resources win", () => {
  const limits = { "nvidia.com/gpu": "8", cpu: "2" };
  const spec = { containers: [{ resources: { limits, requests: { cpu: "1" } } }] };
  expect(podResources(spec)).toEqual({
    requests: { cpu: 1, "nvidia.com/gpu": 8 },
    limits: { cpu: 2, "nvidia.com/gpu": 8 },
  });
  const whole = { ...spec, resources: { requests: { cpu: "4" } } };
  expect(podResources(whole).requests["cpu"]).toBe(4);
});

test("quantities() leaves out what is none", () => {
  const odd = { cpu: "-1", memory: "many", constructor: "5", "a/b": 3, c: null };
  expect(quantities(odd)).toEqual({ constructor: 5, "a/b": 3 } as never);
  expect(
    podResources({ containers: [of({ constructor: "1" }), of({ constructor: "2" })] }),
  ).toEqual({
    requests: { constructor: 3 } as never,
    limits: {},
  });
  for (const none of [null, 7, "x", [], undefined]) expect(quantities(none)).toEqual({});
});
