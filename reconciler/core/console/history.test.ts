import { expect, test } from "bun:test";
import fc from "fast-check";
import { History, HISTORY_MS } from "./history.ts";

const MINUTE = 60_000;
const open = (): History<number> => new History((one, other) => one === other);

test("C64: History keeps a change and when it came, and nothing while a value stays", () => {
  const depth = open();
  for (let at = 0; at <= 30 * MINUTE; at += MINUTE / 2) depth.note(3, at);
  depth.note(5, 40 * MINUTE);
  expect(depth.read(41 * MINUTE)).toEqual([
    { at: 0, value: 3 },
    { at: 40 * MINUTE, value: 5 },
  ]);
});

test("C64: History ends with the newest value, however often it changes", () => {
  const depth = open();
  for (let second = 0; second <= 3_600; second++) depth.note(second, second * 1_000);
  const points = depth.read(3_600_000);
  expect(points.at(-1)).toEqual({ at: 3_600_000, value: 3_600 });
  expect(points.length).toBeLessThanOrEqual(64);
});

test("C64: History forgets what is older than two hours but for what held then", () => {
  const depth = open();
  depth.note(1, 0);
  depth.note(2, 10 * MINUTE);
  depth.note(3, 20 * MINUTE + HISTORY_MS);
  expect(depth.read(20 * MINUTE + HISTORY_MS).map(({ value }) => value)).toEqual([2, 3]);
  expect(depth.read(9 * HISTORY_MS).map(({ value }) => value)).toEqual([3]);
});

test("C64: History is bounded, in order and current for any times, a clock set back included", () => {
  const times = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 * HISTORY_MS }), fc.nat(3)));
  fc.assert(
    fc.property(times, (notes) => {
      const depth = open();
      for (const [at, value] of notes) {
        depth.note(value, at);
        const points = depth.read(at);
        expect(points.at(-1)?.value).toBe(value);
        const ats = points.map((point) => point.at);
        expect(ats).toEqual(ats.toSorted((one, other) => one - other));
        expect(points.length).toBeLessThanOrEqual(HISTORY_MS / MINUTE + 4);
      }
    }),
  );
});
