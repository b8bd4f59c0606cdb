import { expect, test } from "bun:test";
import { allWork } from "./all-work.ts";

const busy = { kind: "busy", remaining: 1, message: "job 7" } as const;

test("allWork() has the latest deadline of those that have one, and none without", () => {
  expect(allWork([busy, { kind: "empty", seenAt: 5 }])).toEqual(busy);
  const both = allWork([{ ...busy, deadlineAt: 8 }, { ...busy, deadlineAt: 9 }, busy]);
  expect(both).toMatchObject({ remaining: 3, deadlineAt: 9 });
});

test("allWork() of what is unknown waits for the shortest, and empty is as old as the oldest", () => {
  const unknown = (forMs: number) => ({ kind: "unknown", forMs }) as const;
  const empty = (seenAt: number) => ({ kind: "empty", seenAt }) as const;
  expect(allWork([unknown(30), empty(9), unknown(20)])).toEqual({ kind: "unknown", forMs: 20 });
  expect(allWork([empty(9), empty(4)])).toEqual({ kind: "empty", seenAt: 4 });
  expect(allWork([])).toEqual({ kind: "unknown", forMs: 0 });
});

test("allWork() is idle only if no scheduler shows work", () => {
  const idle = { kind: "dark", message: "n0 is not drained", idle: true } as const;
  const dark = { kind: "dark", message: "away" } as const;
  expect(allWork([idle])).toEqual(idle);
  expect(allWork([{ kind: "empty", seenAt: 4 }, idle])).toEqual(idle);
  expect(allWork([busy, idle])).toEqual({ kind: "dark", message: "n0 is not drained" });
  expect(allWork([idle, dark])).toEqual(dark);
});
