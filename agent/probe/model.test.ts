/** Models by the names that NVML gives them, and the links that follow (NVIDIA's data sheets). */
import { describe, expect, test } from "bun:test";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import { healthyGpu } from "../nvml/healthy.ts";
import { isLinkedNode, needsFabric, promisedLinks } from "./link-promise.ts";
import { modelOf } from "./model.ts";

test.each([
  ["Tesla V100-SXM2-16GB", 6, true],
  ["Tesla V100-SXM3-32GB", 6, true],
  ["NVIDIA V100-SXM2-32GB", 6, true],
  ["A100-SXM4-40GB", 12, false],
  ["NVIDIA A100-SXM4-80GB", 12, false],
  ["NVIDIA A100-SXM-64GB", 12, true],
  ["NVIDIA A800-SXM4-80GB", 8, true],
  ["NVIDIA H800", 8, true],
  ["NVIDIA H100 80GB HBM3", 18, false],
  ["NVIDIA H100 96GB HBM3", 18, false],
  ["NVIDIA H200", 18, false],
  ["NVIDIA H20", 18, false],
  ["NVIDIA H20-3e", 18, false],
  ["NVIDIA B200", 18, false],
  ["NVIDIA B300 SXM6 AC", 18, false],
  ["NVIDIA GB200", 18, true],
  ["NVIDIA GB300", 18, true],
])("%s has %i links, some of which may lead nowhere: %p", (name, links, partial) => {
  expect(modelOf(name)).toEqual({ links, partial });
});

test.each([
  "NVIDIA H100 PCIe",
  "NVIDIA H100 NVL",
  "NVIDIA H200 NVL",
  "Tesla V100-PCIE-32GB",
  "NVIDIA A100-PCIE-40GB",
  "NVIDIA A10G",
  "NVIDIA A10",
  "NVIDIA L40S",
  "Tesla T4",
  "NVIDIA RTX 6000 Ada Generation",
  "NVIDIA GeForce RTX 4090",
])("%s has none of its own", (name) => {
  expect(modelOf(name)).toEqual({ links: 0, partial: false });
});

test.each(["NVIDIA R100", "NVIDIA GH200 480GB", "NVIDIA H2000", "H200", ""])(
  "%p is not known",
  (name) => expect(modelOf(name)).toBeNull(),
);

describe("links that must be there", () => {
  const H100 = healthyGpu(0);
  const of = (change: Parameters<typeof healthyGpu>[1], linked = true) =>
    promisedLinks(healthyGpu(0, change), linked);

  test("isLinkedNode() needs two GPUs of linked models, and NVLink not switched off", () => {
    const card = { name: "NVIDIA H100 PCIe" };
    const unknown = { name: "NVIDIA R100" };
    const is = (count: number, changes = {}) => isLinkedNode(healthyCheck(count, changes));
    expect([is(0), is(1), is(2), is(8)]).toEqual([false, false, true, true]);
    expect(is(2, { 1: card })).toBe(false);
    expect(is(3, { 1: card })).toBe(true);
    expect(is(2, { 1: unknown })).toBe(false);
    expect(isLinkedNode({ ...healthyCheck(8), linksOff: true })).toBe(false);
  });

  test("promisedLinks() of a model, unless MIG, a single GPU or one that cannot be asked", () => {
    expect(of({})).toEqual({ links: 18, partial: false });
    expect(of({}, false)).toEqual({ links: 0, partial: false });
    expect(of({ migEnabled: true })).toEqual({ links: 0, partial: false });
    expect(of({ migEnabled: null })).toEqual({ links: 18, partial: false });
    expect(of({ rc: 999, openCode: 3 })).toEqual({ links: 0, partial: false });
    expect(of({ name: "NVIDIA GB200" })).toEqual({ links: 18, partial: true });
    expect(of({ name: "NVIDIA R100" })).toEqual({ links: null, partial: false });
  });

  test("needsFabric() of a linked model, even alone", () => {
    const alone = healthyCheck(1);
    expect(needsFabric(alone, H100)).toBe(true);
    expect(needsFabric({ ...alone, linksOff: true }, H100)).toBe(false);
    expect(needsFabric(alone, { ...H100, migEnabled: true })).toBe(false);
    expect(needsFabric(alone, { ...H100, migEnabled: null })).toBe(true);
    for (const name of ["NVIDIA R100", "NVIDIA H100 NVL"])
      expect(needsFabric(alone, { ...H100, name })).toBe(false);
  });
});
