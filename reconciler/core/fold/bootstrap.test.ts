import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import { foldBootstrap } from "./bootstrap.ts";
import { newNode } from "./new-node.ts";
import { newPoolState } from "./new-pool.ts";
import { stepUnready } from "./unready.ts";

const NODE: Node = newNode({
  id: "n" as NodeId,
  pool: "p" as never,
  slot: 0,
  gen: 1,
  at: 0,
  replaces: null,
});
const payload = (attempt: number) =>
  ({ kind: "bootstrap", attempt }) as Extract<Payload, { kind: "bootstrap" }>;
const refused = (more: object) =>
  ({ kind: "refused", class: "bootstrap", message: "no", retryAfterMs: null, ...more }) as const;

describe("foldBootstrap()", () => {
  test("counts what was tried, whatever else happens, and keeps the first key", () => {
    const end = fc.constantFrom("failed", "unspent");
    const run = fc.array(fc.record({ end, key: fc.constantFrom(null, "A") }), { maxLength: 12 });
    fc.assert(
      fc.property(run, (ends) => {
        let node = NODE;
        let tried = 0;
        let key: string | null = null;
        for (const [i, one] of ends.entries()) {
          const unspent = one.end === "unspent";
          const attempt = (node.bootstrap?.attempts ?? 0) + 1;
          if (!unspent) tried += 1;
          key = one.key ?? key;
          const outcome = refused({ unspent, hostKey: one.key });
          node = foldBootstrap(node, payload(attempt), outcome, i * 1_000);
          expect(node.bootstrap).toMatchObject({ attempts: tried, doneAt: null, hostKey: key });
          // The rest is the set-up's own: nothing else that is to happen to the node waits for it.
          expect(node.restUntil).toBe(0);
          expect(node.bootstrap?.notBefore).toBeGreaterThan(i * 1_000);
        }
      }),
    );
  });

  const MINUTE_MS = 60_000;
  test.each([
    [1, 10_000],
    [2, 20_000],
    [5, 160_000],
    [6, 5 * MINUTE_MS],
    [40, 5 * MINUTE_MS],
  ])("rests after attempt %d for %d ms", (attempt, rest) => {
    const expected = { attempts: attempt, doneAt: null, error: "no", final: false, hostKey: null };
    const failed = foldBootstrap(NODE, payload(attempt), refused({}), 1_000).bootstrap;
    expect(failed).toEqual({ ...expected, notBefore: 1_000 + rest });
    const final = foldBootstrap(NODE, payload(attempt), refused({ final: true }), 1_000);
    expect(final.bootstrap?.final).toBe(true);
    const waits = foldBootstrap(NODE, payload(attempt), refused({ unspent: true }), 1_000);
    expect(waits.bootstrap).toEqual({ ...expected, attempts: attempt - 1, notBefore: 31_000 });
  });

  test("keeps the key that was seen first, until another one is accepted", () => {
    const done = { kind: "done", instance: null, message: null } as const;
    const first = foldBootstrap(NODE, payload(1), refused({ hostKey: "A" }), 0);
    const ends = (hostKey?: string) =>
      foldBootstrap(first, payload(2), hostKey === undefined ? done : { ...done, hostKey }, 7);
    const ended = { attempts: 2, doneAt: 7, error: null, final: false };
    expect(ends().bootstrap).toEqual({ ...ended, hostKey: "A" });
    expect(ends("B").bootstrap).toEqual({ ...ended, hostKey: "B" });
    expect(foldBootstrap(NODE, payload(2), done, 7).bootstrap?.hostKey).toBeNull();
  });

  test("begins the same attempt again that never began", () => {
    const failed = foldBootstrap(NODE, payload(1), refused({}), 0);
    const waits = foldBootstrap(failed, payload(2), refused({ unspent: true }), 1);
    expect(waits.bootstrap).toMatchObject({ attempts: 1, error: "no", final: false });
  });
});

describe("stepUnready()", () => {
  const state = newPoolState("p" as never, 1, 0);
  const unusable = (said: string) =>
    ({ why: { code: "key_unusable", said }, known: true }) as const;
  const bad = unusable("/k is gone");

  test("tells once when it begins, once when it ends, and nothing twice", () => {
    const begun = stepUnready(state, bad, { now: 5 });
    expect(begun?.pool.unready).toEqual({ why: "/k is gone", since: 5 });
    expect(begun?.events.map(({ kind, message }) => [kind, message])).toEqual([
      ["pool.condition", "no machine can be set up, so none is bought: /k is gone"],
    ]);
    expect(stepUnready(begun?.pool, bad, { now: 6 })).toBeNull();
    const ended = stepUnready(begun?.pool, null, { now: 7 });
    expect(ended?.pool.unready).toBeNull();
    expect(ended?.events).toHaveLength(1);
    expect(stepUnready(ended?.pool, null, { now: 8 })).toBeNull();
  });

  test("keeps since when it is so, as another problem takes its place", () => {
    const begun = stepUnready(state, bad, { now: 5 })?.pool;
    const next = stepUnready(begun, unusable("/k is encrypted"), { now: 9 });
    expect(next?.pool.unready).toEqual({ why: "/k is encrypted", since: 5 });
  });

  test("leaves what was known while nobody knows", () => {
    const begun = stepUnready(state, bad, { now: 5 })?.pool;
    const reading = { why: { code: "key_unread", path: "/k" }, known: false } as const;
    expect(stepUnready(begun, reading, { now: 6 })).toBeNull();
    expect(stepUnready(state, reading, { now: 6 })).toBeNull();
    expect(stepUnready(undefined, bad, { now: 6 })).toBeNull();
  });
});
