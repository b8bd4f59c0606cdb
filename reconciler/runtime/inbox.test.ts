import { expect, test } from "bun:test";
import type { NodeId } from "../../schema/id.ts";
import { boundsFor, takeFairly } from "./inbox.ts";
import type { StoredEntry } from "../core/store.ts";

/** `a3` is a letter of node `a` with three findings. */
function queueOf(text: string): StoredEntry[] {
  return text.split(" ").map((word, index) => {
    const findings = Array.from({ length: Number(word.slice(1)) }, () => null);
    const entry = { node: word.slice(0, 1) as NodeId, findings, gaps: [] };
    return { id: index + 1, receivedAt: 0, entry } as unknown as StoredEntry;
  });
}
const ids = (entries: readonly StoredEntry[]): number[] => entries.map(({ id }) => id);

test("takeFairly() takes everything in order where it fits", () => {
  const queue = queueOf("a1 a1 b1");
  expect(ids(takeFairly(queue, { entries: 3, news: 3 }))).toEqual([1, 2, 3]);
  expect(queue).toEqual([]);
  expect(takeFairly(queue, { entries: 3, news: 3 })).toEqual([]);
});

test("takeFairly() bounds findings, and nobody waits behind the flood of another", () => {
  const queue = queueOf("a200 a200 a200 a200 b1 c1 c1");
  const bounds = { entries: 200, news: 400 };
  expect(ids(takeFairly(queue, bounds))).toEqual([1, 5, 6]);
  expect(ids(takeFairly(queue, bounds))).toEqual([2, 7]);
  expect(ids(takeFairly(queue, bounds))).toEqual([3, 4]);
  expect(queue).toEqual([]);
});

test("takeFairly() bounds letters, and takes one that is too large by itself", () => {
  const queue = queueOf("a0 b0 c0 d9 d1");
  expect(ids(takeFairly(queue, { entries: 2, news: 4 }))).toEqual([1, 2]);
  expect(ids(takeFairly(queue, { entries: 2, news: 4 }))).toEqual([3]);
  expect(ids(takeFairly(queue, { entries: 2, news: 4 }))).toEqual([4]);
  expect(ids(takeFairly(queue, { entries: 2, news: 4 }))).toEqual([5]);
});

test("boundsFor() asks some 12,000 conditions at most, and takes something always", () => {
  const news = (rules: number): number => boundsFor(rules).news;
  expect([0, 1, 57, 60, 61, 500, 12_000, 99_999].map(news)).toEqual([
    200, 200, 200, 200, 196, 24, 1, 1,
  ]);
  expect(boundsFor(500).entries).toBe(200);
});
