import { expect, test } from "bun:test";
import { isWithoutGpus } from "./pod-request.ts";

const askFor = (resources: object, more: object = {}) =>
  isWithoutGpus({ template: { spec: { containers: [{ name: "a", resources }], ...more } } });

test("isWithoutGpus() of a template that asks for no device of NVIDIA's and claims none", () => {
  expect(askFor({ limits: { cpu: "1" } })).toBe(true);
  expect(askFor({})).toBe(true);
  expect(isWithoutGpus({ template: {} })).toBe(true);
  expect(askFor({ limits: { "nvidia.com/gpu": "1" } })).toBe(false);
  expect(askFor({ requests: { "nvidia.com/mig-1g.10gb": 1 } })).toBe(false);
  expect(askFor({}, { resourceClaims: [{ name: "gpu" }] })).toBe(false);
  const first = { name: "b", resources: { limits: { "nvidia.com/gpu": 1 } } };
  expect(askFor({}, { initContainers: [first] })).toBe(false);
});
