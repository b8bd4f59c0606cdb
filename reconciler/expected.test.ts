import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { Node } from "../schema/node.ts";
import { Inventory } from "../schema/report.ts";
import { configOf } from "../simulator/setting.ts";
import { expectedOf } from "./expected.ts";

const yaml = (pool: string) =>
  `providers:\n  cloud: { type: gcp, project: x }\npools:\n  - name: p\n    provider: cloud\n` +
  `    instance_type: h100-8x\n    scaling: { min_nodes: 0, max_nodes: 1 }\n${pool}`;
const plain = configOf(yaml(""));

/** A bought node of pool p, as far as this question reads one. */
function bought(instanceType: string, provider = "cloud"): Node {
  const known = { pool: "p", agent: null, instance: { provider, instanceType } };
  return known as unknown as Node;
}

function inventory(change: Partial<v.InferInput<typeof Inventory>>): Inventory {
  return v.parse(Inventory, { hostname: "n", gpus: [], ...change });
}

describe("expectedOf()", () => {
  test.each([
    ["a3-highgpu-8g", 8],
    ["a3-edgegpu-8g", 8],
    ["a3-highgpu-1g", 1],
    ["a4x-highgpu-4g", 4],
    ["h100-8x", 8],
    ["a2-ultragpu-2g", 2],
    ["n2-standard-8", null],
    ["custom-8g", null],
  ])("knows the GPUs of %s", (type, gpus) => {
    const expected = gpus === null ? null : { gpus, from: "instance_type" as const };
    expect(expectedOf(bought(type), null, plain)).toEqual(expected);
  });

  test("takes the pool's own number before its table, and 0 for none", () => {
    const four = configOf(yaml("    gpus: 4\n"));
    expect(expectedOf(bought("a3-highgpu-8g"), null, four)).toEqual({ gpus: 4, from: "pool" });
    const none = configOf(yaml("    gpus: 0\n"));
    expect(expectedOf(bought("a3-highgpu-8g"), null, none)).toBe(null);
  });

  test("goes by what was bought, not by what the node says of itself", () => {
    const told = inventory({ provider: "aws", instance_type: "p5.4xlarge" });
    const expected = { gpus: 8, from: "instance_type" as const };
    expect(expectedOf(bought("a3-highgpu-8g"), told, plain)).toEqual(expected);
  });

  test("goes by what a node says that nobody bought, and by the pool that it names", () => {
    const told = inventory({ provider: "aws", instance_type: "p5en.48xlarge" });
    expect(expectedOf(null, told, plain)).toEqual({ gpus: 8, from: "instance_type" });
    expect(expectedOf(null, inventory({}), plain)).toBe(null);
    const named = inventory({ pool: "p" });
    expect(expectedOf(null, named, configOf(yaml("    gpus: 2\n")))).toEqual({
      gpus: 2,
      from: "pool",
    });
  });

  test("promises nothing by a type that is a name of the operator's own", () => {
    const fake = configOf(yaml("").replace("type: gcp, project: x", "type: fake, gpu_count: 2"));
    expect(expectedOf(bought("h100-8x"), null, fake)).toBe(null);
    expect(expectedOf(bought("a3-highgpu-8g", "gone"), null, plain)).toBe(null);
  });
});
