/** What the end of a repair teaches: the rate of failures, and hardware to refuse. */
import { expect, test } from "bun:test";
import type { Action } from "../plan.ts";
import type { Phase, Purpose } from "../../../schema/node.ts";
import { configOnce, poolYaml } from "../../../test/world/setting.ts";
import {
  agentOf,
  DAY_MS,
  fleetOf,
  gpuOf,
  heldOf,
  nodeOf,
  sessionOf,
  sickOf,
} from "../../../test/world/part.ts";
import { quarantinedOf } from "./quarantined-hardware.ts";
import { countFailure } from "./rate.ts";
import { factsAfter } from "./record.ts";

const CONFIG = configOnce(poolYaml(4));
const NOW = 100 * DAY_MS;
const node = sickOf(
  "n",
  { session: sessionOf({ definitive: true }), agent: agentOf({ gpus: [gpuOf(0)] }) },
  [heldOf({ definitive: true }, { gpu_index: 0 })],
);
const ending = (purpose: Purpose): Phase => ({
  kind: "terminating",
  since: 0,
  accepted: null,
  notBefore: 0,
  purpose,
});
const advance = (to: Phase): Action => ({ kind: "advance", node: node.id, to }) as Action;
const taught = (action: Action, subject: typeof node | null = node, facts = fleetOf([node])) =>
  factsAfter(action, subject, facts, CONFIG, NOW);

const { breaker } = CONFIG.safety;

test.each(["replace", "scale_down"] as const)("an end for %s teaches both", (purpose) => {
  expect(taught(advance(ending(purpose)))).toEqual([
    countFailure(null, breaker, 4, NOW),
    ...quarantinedOf(node, fleetOf([node]), NOW),
  ]);
});

test("the rate goes on from what is stored, over the wanted size of the fleet", () => {
  const rate = { kind: "rate", failures: 2, nodeDays: 3_000, at: NOW - 14 * DAY_MS } as const;
  expect(taught(advance(ending("replace")), node, fleetOf([node], [rate]))[0]).toEqual(
    countFailure(rate, breaker, 4, NOW),
  );
});

test.each(["repair", "operator", "failed", "surplus", "lost"] as const)(
  "an end for %s teaches nothing",
  (purpose) => {
    expect(taught(advance(ending(purpose)))).toEqual([]);
  },
);

test("it is taught once, by an end, about proven hardware", () => {
  const end = advance(ending("replace"));
  expect(taught(end, null)).toEqual([]);
  expect(taught(end, { ...node, phase: ending("replace") })).toEqual([]);
  expect(taught(end, { ...node, session: null })).toEqual([]);
  expect(taught(end, { ...node, session: sessionOf() })).toEqual([]);
  expect(taught(advance({ kind: "gone", since: 0, purpose: "replace" }))).toEqual([]);
  expect(taught(advance({ kind: "serving", since: 0 }))).toEqual([]);
  expect(taught({ kind: "remove", node: node.id } as unknown as Action)).toEqual([]);
});

test("a lemon that came back is counted as refused", () => {
  const [lemon] = quarantinedOf(node, fleetOf([node]), NOW);
  if (lemon === undefined) throw new Error("no lemon");
  const fresh = nodeOf("m", { agent: agentOf({ gpus: [gpuOf(0)] }) });
  const fleet = fleetOf([fresh], [lemon]);
  expect(taught(advance(ending("lemon")), fresh, fleet)).toEqual([
    { ...lemon, refused: 1, instances: ["i-n", "i-m"] },
  ]);
  expect(taught(advance(ending("lemon")), fresh, fleetOf([fresh]))).toEqual([]);
  expect(taught(advance({ kind: "gone", since: 0, purpose: "lemon" }), fresh, fleet)).toEqual([]);
});
