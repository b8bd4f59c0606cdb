import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { Node } from "../../schema/node.ts";
import { Inventory, type Report } from "../../schema/report.ts";
import { configOf } from "../../test/world/setting.ts";
import { gpusOfType } from "./instance-type.ts";
import { expectedOf, provenCheck } from "./expected.ts";

const yaml = (pool: string) =>
  `providers:\n  cloud: { type: gcp, project: x }\npools:\n  - name: p\n    provider: cloud\n` +
  `    instance_type: h100-8x\n    scaling: { min_nodes: 0, max_nodes: 1 }\n${pool}`;
const plain = configOf(yaml(""));

/** A bought node of pool p, as far as this question reads one. */
function bought(instanceType: string, provider = "cloud"): Node {
  const known = { pool: "p", agent: null, instance: { provider, instanceType } };
  return known as unknown as Node;
}

const REAL = { inventory: null, simulated: false };

function told(change: Partial<v.InferInput<typeof Inventory>>) {
  return { ...REAL, inventory: v.parse(Inventory, { hostname: "n", gpus: [], ...change }) };
}

describe("expectedOf()", () => {
  test("knows CoreWeave's types, and no name of another cloud", () => {
    const of = (type: string) => gpusOfType(type, "coreweave");
    expect(of("gd-8xh100ib-i128")).toBe(8);
    expect(of("h100-8x")).toBe(8);
    expect([of("gpu_8x_h100_sxm5"), of("p5.48xlarge"), of("toString")]).toEqual([null, null, null]);
  });

  test.each([
    ["a3-highgpu-8g", 8],
    ["a3-edgegpu-8g", 8],
    ["a3-highgpu-1g", 1],
    ["a4x-highgpu-4g", 4],
    ["h100-8x", 8],
    ["a2-ultragpu-2g", 2],
    ["a2-megagpu-16g", 16],
    ["g2-standard-24", 2],
    ["g2-standard-32", 1],
    ["n2-standard-8", null],
    ["custom-8g", null],
  ])("knows the GPUs of GCP's %s", (type, gpus) => {
    const expected = gpus === null ? null : { gpus, from: "instance_type" as const };
    expect(expectedOf(bought(type), REAL, plain)).toEqual(expected);
  });

  test("takes the pool's own number before its table, 0 as well", () => {
    const four = configOf(yaml("    gpus: 4\n"));
    expect(expectedOf(bought("a3-highgpu-8g"), REAL, four)).toEqual({ gpus: 4, from: "pool" });
    const none = configOf(yaml("    gpus: 0\n"));
    expect(expectedOf(bought("a3-highgpu-8g"), REAL, none)).toEqual({ gpus: 0, from: "pool" });
  });

  test("goes by what was bought, not by what the node says of itself", () => {
    const report = told({ provider: "aws", instance_type: "p5.4xlarge" });
    const expected = { gpus: 8, from: "instance_type" as const };
    expect(expectedOf(bought("a3-highgpu-8g"), report, plain)).toEqual(expected);
  });

  test("goes by what an unmanaged node says, and by the pool that it names", () => {
    const report = told({ provider: "aws", instance_type: "p5en.48xlarge" });
    expect(expectedOf(null, report, plain)).toEqual({ gpus: 8, from: "instance_type" });
    expect(expectedOf(null, told({}), plain)).toBe(null);
    const named = told({ pool: "p" });
    expect(expectedOf(null, named, configOf(yaml("    gpus: 2\n")))).toEqual({
      gpus: 2,
      from: "pool",
    });
  });

  test("promises nothing by a type that is a name of the operator's own", () => {
    const fake = configOf(yaml("").replace("type: gcp, project: x", "type: fake, gpu_count: 2"));
    expect(expectedOf(bought("h100-8x"), REAL, fake)).toBe(null);
    expect(expectedOf(bought("a3-highgpu-8g", "gone"), REAL, plain)).toBe(null);
  });

  test("promises nothing of a simulated node but what its pool says", () => {
    const simulated = { ...REAL, simulated: true };
    expect(expectedOf(bought("a3-highgpu-8g"), simulated, plain)).toBe(null);
    const pool = configOf(yaml("    gpus: 2\n"));
    expect(expectedOf(bought("a3-highgpu-8g"), simulated, pool)).toMatchObject({ gpus: 2 });
  });
});

describe("provenCheck()", () => {
  const pool = configOf(yaml("    gpus: 8\n"));
  const reportOf = (present: number, expected: number | null) =>
    ({
      ...REAL,
      boot_id: "boot-1",
      check: { conclusive: true, present_gpus: present, expected_gpus: expected },
    }) as unknown as Report;
  const conclusive = (node: Node | null, report: Report) =>
    provenCheck(node, report, pool)?.conclusive;

  test("lets the first check of a boot prove nothing that it was not told to look for", () => {
    const node = bought("t");
    expect(conclusive(node, reportOf(7, 7))).toBe(false);
    expect(conclusive(node, reportOf(7, null))).toBe(false);
    expect(conclusive(node, reportOf(8, 8))).toBe(true);
    // It was told: the shortage is a finding of its own.
    expect(conclusive(node, reportOf(7, 8))).toBe(true);
  });

  test("takes each later check as it is", () => {
    const node = { ...bought("t"), agent: { bootId: "boot-1" } } as unknown as Node;
    expect(conclusive(node, reportOf(7, 7))).toBe(true);
    const other = { ...bought("t"), agent: { bootId: "boot-0" } } as unknown as Node;
    expect(conclusive(other, reportOf(7, 7))).toBe(false);
    expect(provenCheck(node, { ...reportOf(7, 7), check: null }, pool)).toBe(null);
  });
});
