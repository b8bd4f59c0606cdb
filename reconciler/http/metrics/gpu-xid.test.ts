import { expect, test } from "bun:test";
import { GpuXids, LabelValues } from "./gpu-xid.ts";

const read = (xids: GpuXids): string[] =>
  [...xids.print()]
    .map((slice) => Buffer.from(slice).toString())
    .join("")
    .split("\n")
    .filter((line) => line.startsWith("navarch_gpu_xid_errors_total{"));
const sum = (lines: string[]): number =>
  lines.reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);

test("one node's made-up GPUs and codes are counted as other beyond its bound", () => {
  const xids = new GpuXids({ node: 64, all: 1_000 });
  const pool = "p";
  for (let gpu = 0; gpu <= 64; gpu++)
    for (let xid = 0; xid < 1_000; xid++)
      xids.count({ pool, node: "noisy", gpu: String(gpu), xid: String(xid) });
  xids.count({ pool, node: "quiet", gpu: "3", xid: "79" });
  const lines = read(xids);
  expect(lines).toHaveLength(66);
  expect(xids.size).toBe(66);
  expect(sum(lines)).toBe(65_001);
  const told = (node: string, gpu: string, xid: string): string =>
    `navarch_gpu_xid_errors_total{pool="p",node_id="${node}",gpu_index="${gpu}",xid="${xid}"}`;
  expect(lines).toContain(`${told("noisy", "other", "other")} ${65_000 - 64}`);
  expect(lines).toContain(`${told("quiet", "3", "79")} 1`);
});

test("many nodes have one bound together, and a node that goes gives its series back", () => {
  const xids = new GpuXids({ node: 10, all: 100 });
  const flood = (): void => {
    for (let node = 0; node < 50; node++)
      for (let xid = 0; xid < 50; xid++)
        xids.count({ pool: "p", node: `n-${node}`, gpu: "0", xid: String(xid) });
  };
  flood();
  // The one beyond is the series of all others.
  expect(read(xids)).toHaveLength(101);
  expect(sum(read(xids))).toBe(2_500);
  for (let node = 0; node < 50; node++) xids.forget(`n-${node}`);
  expect(xids.size).toBe(1);
  flood();
  expect(xids.size).toBe(100);
  expect(sum(read(xids))).toBeGreaterThan(2_500);
});

test("LabelValues keeps what it knows, and what is ours beyond its bound", () => {
  const values = new LabelValues(2, ["a"]);
  const given = ["a", "b", "c", "b", "a"].map((one) => values.of(one));
  expect(given).toEqual(["a", "b", "other", "b", "a"]);
  values.add("d");
  expect(values.of("d")).toBe("d");
});
