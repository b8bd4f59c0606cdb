import { expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeKey } from "../../schema/credential.ts";
import { acceptsKey, FIRST_KEY, isDue, joinKey, rotateKey, useKey } from "./key.ts";

type Step = "rotate" | "order" | "join" | "report" | "learn";
const steps = fc.array(
  fc.record({
    step: fc.constantFrom<Step>("rotate", "order", "report", "learn"),
    ms: fc.integer({ min: 0, max: 7_200_000 }),
  }),
  { maxLength: 40 },
);

test("useKey(), rotateKey(): an agent that reports now and then is never locked out by itself", () => {
  fc.assert(
    fc.property(steps, (all) => {
      let key: NodeKey = FIRST_KEY;
      let held = 0;
      let now = 0;
      let orderedAt: number | null = null;
      for (const { step, ms } of all) {
        now += ms;
        if (step === "rotate" && (key.number === 0 || key.usedAt !== null)) {
          key = rotateKey(key, now, null);
        } else if (step === "order") {
          key = rotateKey(key, now, 3_600_000);
          orderedAt = now;
        } else if (step === "learn") {
          // It hears of the newest only in an answer to an accepted report.
          if (acceptsKey(key, held, now)) held = key.number;
        } else if (step === "report") {
          const accepted = acceptsKey(key, held, now);
          const late = orderedAt !== null && now - orderedAt >= 3_600_000;
          if (!accepted && !late) return false;
          if (accepted) key = useKey(key, held, now) ?? key;
        }
      }
      return true;
    }),
  );
});

test("acceptsKey(): once the newest was shown, nothing older counts", () => {
  const used = useKey(rotateKey(FIRST_KEY, 1, null), 1, 2) ?? FIRST_KEY;
  expect([acceptsKey(used, 0, 3), acceptsKey(used, 1, 3)]).toEqual([false, true]);
});

test("acceptsKey(): what a restored backup does not know was made by us all the same", () => {
  expect(acceptsKey(FIRST_KEY, 5, 0)).toBe(true);
  expect(useKey(FIRST_KEY, 5, 9)).toMatchObject({ number: 5, floor: 5, usedAt: 9 });
});

test("joinKey() makes everything before it worthless at once", () => {
  const joined = joinKey(rotateKey(FIRST_KEY, 0, null), 1);
  expect([0, 1, 2].map((shown) => acceptsKey(joined, shown, 1))).toEqual([false, false, true]);
});

test("isDue() comes once a period for each node, at different times, whenever the process began", () => {
  const day = 24 * 3_600_000;
  const names = Array.from({ length: 200 }, (_, i) => `p-${i}-1`);
  const hours = new Set<number>();
  for (const name of names) {
    let count = 0;
    for (let hour = 1; hour <= 24; hour++) {
      const now = hour * 3_600_000;
      if (!isDue(name, now - 3_600_000, now, day)) continue;
      count++;
      hours.add(hour);
    }
    expect(count).toBe(1);
  }
  expect(hours.size).toBeGreaterThan(20);
});
