import { expect, test } from "bun:test";
import { withCpuMs } from "../../../test/cpu-time.ts";
import { configOf, poolYaml } from "../../../test/world/setting.ts";
import { poolNames, slotOfName } from "./slot-name.ts";

function configWith(nodes: string) {
  const config = configOf(poolYaml(1));
  const pools = config.pools.map((one) => ({ ...one, slurm: { ...one.slurm, nodes } }));
  return { ...config, pools };
}

test("slotOfName() finds a name in the order of the list", () => {
  const config = configWith("n[0-2],m1");
  const found = ["n0", "n2", "m1", "x"].map((name) => slotOfName(config, name)?.slot);
  expect(found).toEqual([0, 2, 3, undefined]);
});

test("slotOfName() for every name of a long list takes no longer than the list", () => {
  const config = configWith("n[0-65535]");
  const [pool] = config.pools;
  const names = pool === undefined ? [] : poolNames(pool);
  const { result, cpuMs } = withCpuMs(() => names.map((name) => slotOfName(config, name)?.slot));
  expect(result).toEqual([...names.keys()]);
  expect(cpuMs).toBeLessThan(500);
});
