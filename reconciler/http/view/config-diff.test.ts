import { expect, test } from "bun:test";
import { fleetOf, nodeOf } from "../../../test/world/part.ts";
import { configOf } from "../../../test/world/setting.ts";
import { formatDiff } from "../../../cli/config-diff-view.ts";
import { newPoolState } from "../../core/fold/new-pool.ts";
import type { PoolName } from "../../../schema/id.ts";
import { viewConfigDiff } from "./config-diff.ts";

const STYLE = { color: false, columns: null };

/** Pool `p` of at most `max` nodes at these providers. */
const yaml = (max: number, providers: string) => `
providers: { ${providers} }
pools:
  - name: p
    providers: [{ name: NAME }]
    instance_type: t
    scaling: { min_nodes: 0, max_nodes: ${max} }
`;
const one = (max: number, name: string) =>
  configOf(yaml(max, `${name}: { type: fake }`).replace("NAME", name));

/** Nodes of the pool: on `machines`, and `lines` that were never bought. */
function fleet(machines: number, lines: number) {
  const bought = Array.from({ length: machines }, (_, i) => nodeOf(`m${i}`, { slot: i }));
  const wanted = Array.from({ length: lines }, (_, i) => {
    const phase = { kind: "requested", since: 0, refusal: null, notBefore: 0 } as const;
    const over = { slot: machines + i, instance: null, agent: null };
    return { ...nodeOf(`w${i}`, over), phase } as ReturnType<typeof nodeOf>;
  });
  const state = newPoolState("p" as PoolName, machines + lines, 0);
  return fleetOf([...bought, ...wanted], [], [state]);
}

test.each([
  [2, 1, 1, "1 of 2 nodes are drained and terminated, 1 node that is not bought yet is given up"],
  [3, 0, 1, "2 of 3 nodes are drained and terminated"],
  [1, 2, 1, "2 nodes that are not bought yet are given up"],
])("a smaller pool of %i machines and %i wishes: at most %i", (machines, lines, max, message) => {
  const from = { running: one(3, "a"), next: one(max, "a"), fleet: fleet(machines, lines) };
  expect(viewConfigDiff(from).effects).toEqual([
    { object: "pool p", message: `wanted size 3 → 1: ${message}` },
  ]);
});

test("what no flag permits stands apart from what --allow-pool-removal permits", () => {
  const { provider = "" } = nodeOf("m0").instance ?? {};
  const running = one(3, provider);
  const bought = fleet(2, 0);
  const missing = viewConfigDiff({ running, next: one(3, "other"), fleet: bought });
  expect(missing.refused_always).toEqual([
    expect.stringContaining(`provider ${provider} is missing, and 2 nodes are still there`),
  ]);
  expect(formatDiff(missing, STYLE)).toContain(`\nRefused:\n  provider ${provider} is missing`);
  expect(formatDiff(missing, STYLE)).not.toContain("--allow-pool-removal");
  const next = configOf(`providers: { ${provider}: { type: fake } }\npools: []\n`);
  const removed = viewConfigDiff({ running, next, fleet: bought });
  expect(removed.refused_always).toEqual([]);
  const shown = formatDiff(removed, STYLE);
  expect(shown).toContain("\nRefused without --allow-pool-removal:\n  pool p: 2 nodes");
  expect(shown).not.toContain("Refused:");
});
