import { expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeKey } from "../../schema/credential.ts";
import { acceptsKey, FIRST_KEY, isDue, isOffered, joinKey, rotateKey, useKey } from "./key.ts";

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

test("acceptsKey() accepts a credential number newer than a restored backup", () => {
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

const key = (more: Partial<NodeKey>): NodeKey => ({ ...FIRST_KEY, ...more });

test("FIRST_KEY is number 0: valid without a row, never rotated, never shown", () => {
  expect(FIRST_KEY).toEqual({ number: 0, floor: 0, at: 0, usedAt: null, deadline: null });
});

test.each<[shown: number, now: number, accepted: boolean]>([
  [5, 99_999, true],
  [6, 99_999, true],
  [4, 1_999, true],
  [4, 2_000, false],
  [3, 1_999, true],
  [3, 2_000, false],
  [2, 0, false],
])("acceptsKey() with number 5, floor 3, deadline 2000: %d at %d is %p", (shown, now, accepted) => {
  expect(acceptsKey(key({ number: 5, floor: 3, deadline: 2_000 }), shown, now)).toBe(accepted);
});

test("acceptsKey() without a deadline accepts an older one above the floor for ever", () => {
  const kept = key({ number: 5, floor: 3 });
  const after = Number.MAX_SAFE_INTEGER;
  expect([2, 3, 4].map((shown) => acceptsKey(kept, shown, after))).toEqual([false, true, true]);
});

test("useKey() notes the first use of the newest, and raises the floor by an older one", () => {
  const offered = key({ number: 5, floor: 3, at: 10, deadline: 2_000 });
  const used = { number: 5, floor: 5, at: 10, usedAt: 20, deadline: null };
  expect(useKey(offered, 5, 20)).toEqual(used);
  expect(useKey(used, 5, 30)).toBeNull();
  expect(useKey(offered, 4, 20)).toEqual({ ...offered, floor: 4 });
  expect(useKey(offered, 3, 20)).toBeNull();
  expect(useKey(offered, 2, 20)).toBeNull();
  const restored = { number: 6, floor: 6, at: 20, usedAt: 20, deadline: null };
  expect(useKey(offered, 6, 20)).toEqual(restored);
  expect(useKey(FIRST_KEY, 0, 20)).toBeNull();
});

test("rotateKey() keeps what was shown valid: for the grace, or until the new one is shown", () => {
  const used = { number: 5, floor: 5, at: 10, usedAt: 20, deadline: null };
  const next = { number: 6, floor: 5, at: 100, usedAt: null, deadline: null };
  expect(rotateKey(used, 100, null)).toEqual(next);
  expect(rotateKey(used, 100, 7)).toEqual({ ...next, deadline: 107 });
  expect(rotateKey(used, 100, 0)).toEqual({ ...next, deadline: 100 });
});

test("joinKey() is one more than the newest, shown or not", () => {
  const joined = { number: 6, floor: 6, at: 9, usedAt: null, deadline: null };
  expect(joinKey(key({ number: 5, floor: 3, usedAt: 4, deadline: 8 }), 9)).toEqual(joined);
  expect(joinKey(FIRST_KEY, 9)).toMatchObject({ number: 1, floor: 1 });
});

test("isOffered() holds from a rotation to the first use, and never for the first", () => {
  expect(isOffered(FIRST_KEY)).toBe(false);
  expect(isOffered(key({ number: 1 }))).toBe(true);
  expect(isOffered(key({ number: 1, usedAt: 0 }))).toBe(false);
});

// Test vectors of FNV-1a with 32 bits (RFC 9923): with a period of 2^32 the instant is the hash.
test.each([
  ["", 0x811c9dc5],
  ["a", 0xe40c292c],
  ["foobar", 0xbf9cf968],
])("isDue() spreads %p by its hash, to the millisecond", (name, hash) => {
  const period = 2 ** 32;
  expect(isDue(name, hash - 1, hash, period)).toBe(true);
  expect(isDue(name, hash, hash, period)).toBe(false);
  expect(isDue(name, hash, hash + period - 1, period)).toBe(false);
  expect(isDue(name, hash, hash + period, period)).toBe(true);
  expect(isDue(name, hash, hash - 1, period)).toBe(false);
  expect(isDue(name, hash % 1_000, (hash % 1_000) + 999, 1_000)).toBe(false);
  expect(isDue(name, (hash % 1_000) - 1, hash % 1_000, 1_000)).toBe(true);
});
