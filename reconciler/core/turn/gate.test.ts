/** Work that waits for its turn, and places, under arbitrary orders of beginnings and ends. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Gate, Places } from "./gate.ts";

test("pass() begins work in its order, never more at once than its limit, and as soon as it may", async () => {
  const works = fc.array(
    fc.record({ fails: fc.boolean(), waits: fc.integer({ min: 0, max: 4 }) }),
    {
      maxLength: 30,
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 5 }), works, async (max, all) => {
      const gate = new Gate(max);
      const began: number[] = [];
      let running = 0;
      const done = all.map(({ fails, waits }, i) =>
        gate.pass(async () => {
          began.push(i);
          running += 1;
          expect(running).toBeLessThanOrEqual(max);
          for (let turn = 0; turn < waits; turn++) await Promise.resolve();
          running -= 1;
          if (fails) throw new Error("planted");
          return i;
        }),
      );
      expect([began.length, gate.waiting]).toEqual([
        Math.min(max, all.length),
        Math.max(0, all.length - max),
      ]);
      const ended = await Promise.allSettled(done);
      expect(began).toEqual(all.map((_, i) => i));
      expect(ended.map(({ status }) => status)).toEqual(
        all.map(({ fails }) => (fails ? "rejected" : "fulfilled")),
      );
      expect(await gate.pass(async () => "free")).toBe("free");
    }),
  );
});

test("take() keeps to both limits, and a place that is given back twice counts once", () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ take: fc.constantFrom("a", "b", "c") }),
      fc.record({ leave: fc.nat({ max: 20 }) }),
    ),
    { maxLength: 100 },
  );
  const limits = fc.record({
    own: fc.integer({ min: 1, max: 4 }),
    all: fc.integer({ min: 1, max: 6 }),
  });
  fc.assert(
    fc.property(limits, steps, (max, all) => {
      const places = new Places(max);
      const given: { owner: string; leave: () => void; isHeld: boolean }[] = [];
      const heldBy = (owner: string | null): number =>
        given.filter((one) => one.isHeld && (owner === null || one.owner === owner)).length;
      for (const step of all) {
        if ("leave" in step) {
          const one = given[step.leave];
          one?.leave();
          if (one !== undefined) one.isHeld = false;
          continue;
        }
        const { take: owner } = step;
        const isOwn = heldBy(owner) >= max.own;
        const expected = isOwn ? "own" : heldBy(null) >= max.all ? "all" : null;
        expect(places.full(owner)).toBe(expected);
        const leave = places.take(owner);
        expect(leave === null).toBe(expected !== null);
        if (leave !== null) given.push({ owner, leave, isHeld: true });
      }
    }),
  );
});
