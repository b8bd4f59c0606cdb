/** How a row of machines that failed soon after they were bought delays the next one. */
import { expect, test } from "bun:test";
import type { NodeId, SessionId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { HOUR_MS, nodeOf } from "../../../test/world/part.ts";
import { relapseOf } from "./relapse.ts";

const MINUTE_MS = 60_000;

/** So many machines of one slot, each bought as the one before it failed, `lifeMs` old. */
function rowOf(lives: readonly number[]) {
  const nodes = new Map<NodeId, Node>();
  let at = 0;
  let last: Node = nodeOf("n0");
  for (const [i, lifeMs] of lives.entries()) {
    const replaces = i === 0 ? null : last.id;
    const createdAt = at;
    at += lifeMs;
    const past = { id: `s${i}` as SessionId, openedAt: at, closedAt: at, how: "replaced" };
    last = nodeOf(`n${i}`, { createdAt, replaces, lastSession: past });
    nodes.set(last.id, last);
  }
  return { last, nodes, failedAt: at };
}

/** How many lives count, and the rest in minutes. */
function restAfter(lives: readonly number[]): [lives: number, minutes: number] | null {
  const { last, nodes, failedAt } = rowOf(lives);
  const found = relapseOf(last, nodes);
  return found === null ? null : [found.lives, (found.until - failedAt) / MINUTE_MS];
}

const soon = (count: number): number[] => Array<number>(count).fill(HOUR_MS);

test("the fourth machine of a row that fails waits, and each further one twice as long", () => {
  expect(restAfter(soon(3))).toBeNull();
  expect(restAfter(soon(4))).toEqual([4, 10]);
  expect(restAfter(soon(5))).toEqual([5, 20]);
  expect(restAfter(soon(8))).toEqual([8, 160]);
  expect(restAfter(soon(9))).toEqual([9, 240]);
});

test("a row is counted to sixteen, and rests no longer than four hours", () => {
  expect(restAfter(soon(16))).toEqual([16, 240]);
  expect(restAfter(soon(40))).toEqual([16, 240]);
});

test("a machine that served two hours ends the row before it", () => {
  const almost = 2 * HOUR_MS - 1;
  expect(restAfter([almost, almost, almost, almost])).toEqual([4, 10]);
  expect(restAfter([HOUR_MS, HOUR_MS, 2 * HOUR_MS, ...soon(3)])).toBeNull();
  expect(restAfter([HOUR_MS, 2 * HOUR_MS, ...soon(4)])).toEqual([4, 10]);
  expect(restAfter([...soon(6), 2 * HOUR_MS])).toBeNull();
});

test("a machine that got well, or is not known any more, ends the row before it", () => {
  const { last, nodes } = rowOf(soon(5));
  const [, , third] = [...nodes.values()];
  if (third === undefined || third.lastSession == null) throw new Error("no third machine");
  const well = { ...third, lastSession: { ...third.lastSession, how: "recovered" } };
  expect(relapseOf(last, new Map(nodes).set(third.id, well))).toBeNull();
  const forgotten = new Map(nodes);
  forgotten.delete(third.id);
  expect(relapseOf(last, forgotten)).toBeNull();
});
