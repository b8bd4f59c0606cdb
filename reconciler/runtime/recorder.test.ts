/** Which activations are kept, and that what follows does not change them. */
import { expect, test } from "bun:test";
import type { NodeId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import type { Plan, Wait } from "../core/plan.ts";
import { sightOf } from "../../test/world/ask.ts";
import { fleetOf, nodeOf } from "../../test/world/part.ts";
import { type Decided, Recorder } from "./recorder.ts";

const nodesOf = (count: number): Node[] =>
  Array.from({ length: count }, (_, index) => nodeOf(`n${index}`));
const wait = (reason: Wait["reason"], message = ""): Wait => ({
  node: "n0" as NodeId,
  pool: null,
  reason,
  why: { code: "work", work: message },
  until: null,
});
const decided = (plan: Partial<Plan>): Decided => ({
  kind: "decided",
  rounds: [{ plan: { actions: [], waits: [], ...plan }, broken: new Map() }],
});
const acting = decided({
  actions: [{ kind: "advance", node: "n0", because: [] } as unknown as Plan["actions"][number]],
});

function keep(recorder: Recorder, now: number, what: Decided, size = 1): void {
  recorder.begin(fleetOf(nodesOf(size)), sightOf({ now }), true)(what);
}
const times = (recorder: Recorder, count = 99): number[] =>
  recorder.last(count).map(({ sight }) => sight.now);

test("keeps what acted or failed, and of waiting for the same the newest", () => {
  const recorder = new Recorder();
  keep(recorder, 1, acting);
  keep(recorder, 2, decided({ waits: [wait("drain", "3 left")] }));
  keep(recorder, 3, decided({ waits: [wait("drain", "2 left")] }));
  keep(recorder, 4, decided({ waits: [wait("human")] }));
  keep(recorder, 5, { kind: "failed", message: "odd" });
  keep(recorder, 6, { kind: "failed", message: "odd" });
  keep(recorder, 7, decided({}));
  keep(recorder, 8, decided({}));
  expect(times(recorder)).toEqual([1, 3, 4, 5, 6, 8]);
  expect(times(recorder, 2)).toEqual([6, 8]);
});

test("is bounded by activations and by nodes, and keeps the last however large", () => {
  const recorder = new Recorder({ activations: 3, nodes: 10 });
  for (let now = 1; now <= 5; now++) keep(recorder, now, acting);
  expect(times(recorder)).toEqual([3, 4, 5]);
  keep(recorder, 6, acting, 9);
  expect(times(recorder)).toEqual([5, 6]);
  keep(recorder, 7, acting, 99);
  expect(times(recorder)).toEqual([7]);
});

test("keeps the fleet as it was when the activation began", () => {
  const recorder = new Recorder();
  const fleet = fleetOf(nodesOf(1));
  const nodes = fleet.nodes as Map<NodeId, Node>;
  const done = recorder.begin(fleet, sightOf(), true);
  nodes.set("later" as NodeId, nodeOf("later"));
  done(acting);
  expect([...(recorder.last(1)[0]?.fleet.nodes.keys() ?? [])]).toEqual(["n0" as NodeId]);
});
