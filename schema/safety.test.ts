/** The map of facts answers by kind what a walk over all of them would. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Fact, factKey, FactMap, factsOf } from "./safety.ts";

const fact: fc.Arbitrary<Fact> = fc.oneof(
  fc.record({
    kind: fc.constant("seen" as const),
    attribute: fc.constantFrom("rule" as const, "agent" as const),
    value: fc.constantFrom("a", "b", "c"),
    at: fc.nat(9),
  }),
  fc.record({
    kind: fc.constant("billed" as const),
    instance: fc.constantFrom("a", "b"),
    at: fc.nat(9),
  }),
);
const step = fc.oneof(
  fc.record({ put: fact }),
  fc.record({ drop: fact }),
  fc.constant({ clear: true }),
);

test("FactMap keeps each kind's facts, in the order of a plain map", () => {
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const [indexed, plain] = [new FactMap(), new Map<string, Fact>()];
      for (const one of steps) {
        for (const map of [indexed, plain]) {
          if ("put" in one) map.set(factKey(one.put), one.put);
          else if ("drop" in one) map.delete(factKey(one.drop));
          else map.clear();
        }
      }
      for (const kind of ["seen", "billed", "lemon"] as const) {
        expect(factsOf(indexed, kind)).toEqual(factsOf(plain, kind));
      }
      expect([...new FactMap(indexed)]).toEqual([...plain]);
    }),
  );
});
