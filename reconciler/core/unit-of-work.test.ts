/** What the mirror of the stored fleet owes to whoever keeps a part of it. */
import { expect, test } from "bun:test";
import { type Fact, factKey } from "../../schema/safety.ts";
import { emptyChange } from "./store.ts";
import { mirrorChange, newMirror } from "./unit-of-work.ts";

const billed = (instance: string): Fact => ({ kind: "billed", instance, at: 1 });

test("mirrorChange() leaves facts that somebody keeps as they were", () => {
  const mirror = newMirror();
  mirrorChange(mirror, { ...emptyChange(), facts: [billed("a")] });
  const kept = mirror.facts;
  const change = { facts: [billed("b")], removedFacts: [factKey(billed("a"))] };
  mirrorChange(mirror, { ...emptyChange(), ...change });
  expect([...kept.values()]).toEqual([billed("a")]);
  expect([...mirror.facts.values()]).toEqual([billed("b")]);
  mirrorChange(mirror, emptyChange());
  expect(mirror.facts.size).toBe(1);
});
