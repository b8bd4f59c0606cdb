/** The laws of the fake cloud over random interleavings of asks, faults and time. */
import { waitMs } from "../../../schema/millis.ts";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { InstanceId } from "../../../schema/id.ts";
import { contractFleetId } from "../../../test/port/provider.contract.ts";
import type { CreateRequest, Fence, ProviderClass } from "../../core/provider.ts";
import { decideCreate, decideTerminate } from "./answer.ts";
import { popDue, pushDue } from "./due.ts";
import type { Due } from "./due.ts";
import type { Entry } from "./entry.ts";
import type { CreateFate, TerminateFate } from "./fault.ts";
import { decideList } from "./list.ts";
import { realityOf } from "./reality.ts";
import { advance } from "./time.ts";
import { apply, DEFAULT_TERMS, emptyWorld, isLive, replay } from "./world.ts";
import type { Terms, World } from "./world.ts";

type Step =
  | { kind: "create"; node: number; attempt: number; fence: number; fate: CreateFate }
  | { kind: "terminate"; nth: number; fence: number; fate: TerminateFate }
  | { kind: "wait"; ms: number };

const node = fc.integer({ min: 0, max: 3 });
const attempt = fc.integer({ min: 0, max: 2 });
const fence = fc.integer({ min: 0, max: 4 });
const refusal = fc.option(
  fc.constantFrom(
    { class: "capacity", message: "none left", retryAfterMs: null } as const,
    { class: "quota", message: "too many", retryAfterMs: null } as const,
  ),
);
const door = fc.option(
  fc.constant({ class: "rate_limit", message: "slower", retryAfterMs: waitMs(1_000) } as const),
  { freq: 9 },
);

const createFate: fc.Arbitrary<CreateFate> = fc.record({
  door,
  refusal,
  askLost: fc.boolean(),
  replyLost: fc.boolean(),
  landDelayMs: fc.constantFrom(0, 0, 700, 5_000, 90_000),
  answerDelayMs: fc.constant(0),
  bootMs: fc.constantFrom(null, 0, 3_000),
  prices: fc.constant(null),
});
const terminateFate: fc.Arbitrary<TerminateFate> = fc.record({
  door,
  failed: fc.boolean(),
  notFound: fc.boolean(),
  ignored: fc.boolean(),
  replyLost: fc.boolean(),
  answerDelayMs: fc.constant(0),
  terminateMs: fc.constantFrom(null, 0, 8_000),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("create" as const),
      node,
      attempt,
      fence,
      fate: createFate,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("terminate" as const),
      nth: fc.nat(7),
      fence,
      fate: terminateFate,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("wait" as const),
      ms: fc.constantFrom(1, 500, 1_000, 10_000, 4_000_000),
    }),
  },
);

function requestOf(nodeIndex: number, attemptIndex: number): CreateRequest {
  const nodeId = `n${nodeIndex}`;
  return {
    token: `${nodeId}-${attemptIndex}`,
    name: `f-${nodeId}-${attemptIndex}`,
    nodeId,
    region: null,
    zone: null,
    instanceType: "h100x8",
    tags: { "navarch-fleet": contractFleetId, "navarch-node": nodeId },
    market: "on-demand",
    reservation: null,
    sshKeys: [],
  };
}

const fenceOf = (nodeId: string, value: number): Fence => ({
  nodeId,
  fence: value,
  sessionId: null,
});

/** Runs the steps; `check` is called after each with the world and the answer to the last ask. */
function run(
  cls: ProviderClass,
  steps: readonly Step[],
  check: (world: World, terms: Terms, said: string | null) => void = () => {},
): { world: World; entries: Entry[]; terms: Terms } {
  const terms: Terms = { ...DEFAULT_TERMS, class: cls };
  const world = emptyWorld();
  const entries: Entry[] = [];
  let nowMs = 1_000_000;
  const record = (more: Entry[]) => {
    for (const entry of more) {
      apply(world, entry);
      entries.push(entry);
    }
  };
  record([{ kind: "opened", atMs: nowMs, salt: "test" }]);
  for (const one of steps) {
    let said: string | null = null;
    if (one.kind === "wait") nowMs += one.ms;
    entries.push(...advance(world, terms, nowMs));
    if (one.kind === "create") {
      const request = requestOf(one.node, one.attempt);
      const by = fenceOf(request.nodeId, one.fence);
      const decided = decideCreate(world, terms, request, by, one.fate, nowMs);
      record(decided.entries);
      said = decided.answer.kind === "refused" ? decided.answer.class : decided.answer.kind;
    }
    if (one.kind === "terminate") {
      const ids = [...world.instances.keys()];
      const id = ids[one.nth % Math.max(1, ids.length)] ?? ("none" as InstanceId);
      const nodeId = world.instances.get(id)?.nodeId ?? "n0";
      const by = fenceOf(nodeId, one.fence);
      record(decideTerminate(world, terms, id, by, one.fate, nowMs).entries);
    }
    check(world, terms, said);
  }
  return { world, entries, terms };
}

const state = ({ due: _due, dueSeq: _seq, ...rest }: World) => rest;
const RUNS = { numRuns: 300 };

describe("the world of a fake cloud", () => {
  for (const cls of ["token", "name"] as const) {
    test(`at most one instance lives for one ask, as ${cls}`, () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
          run(cls, steps, (world) => {
            const seen = new Set<string>();
            for (const held of world.instances.values()) {
              if (!isLive(held.instance)) continue;
              expect(seen.has(held.token)).toBe(false);
              seen.add(held.token);
            }
          });
        }),
        RUNS,
      );
    });
  }

  test("a token makes one instance for as long as it is remembered", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        // Waits are short of the window of a day, whatever the steps.
        const short = steps.map((one) =>
          one.kind === "wait" ? { ...one, ms: one.ms % 9_000 } : one,
        );
        const { entries } = run("token", short);
        expect(realityOf(entries).doubles).toEqual([]);
      }),
      RUNS,
    );
  });

  for (const cls of ["token", "name", "tag-only"] as const) {
    test(`the entries alone give the same world, as ${cls}`, () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
          const { world, entries, terms } = run(cls, steps);
          const written: Entry[] = JSON.parse(JSON.stringify(entries));
          const again = replay(written);
          expect(state(again)).toEqual(state(world));
          // And both have the same future.
          const later = 200_000_000;
          expect(advance(again, terms, later)).toEqual(advance(world, terms, later));
          expect(state(again)).toEqual(state(world));
        }),
        RUNS,
      );
    });
  }

  test("a refusal is proof: the world has no more instances and no more asks than before", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let before = 0;
        run("token", steps, (world, _terms, said) => {
          const now = world.ordinal;
          if (said !== null && said !== "ok" && said !== "ambiguous") expect(now).toBe(before);
          before = now;
        });
      }),
      RUNS,
    );
  });

  test("no instance is made for a node by a fence older than one that was seen", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { entries } = run("tag-only", steps);
        const seen = new Map<string, number>();
        const asked = new Map<InstanceId, { nodeId: string; fence: number }>();
        for (const entry of entries) {
          if (entry.kind === "create.accepted") asked.set(entry.id, entry);
          const looked =
            entry.kind === "landed"
              ? asked.get(entry.instance.id)
              : entry.kind === "terminate.accepted"
                ? entry
                : undefined;
          const nodeId = looked?.nodeId ?? null;
          const value = looked?.fence ?? null;
          if (nodeId === null || value === null) continue;
          expect(value).toBeGreaterThanOrEqual(seen.get(nodeId) ?? 0);
          seen.set(nodeId, value);
        }
      }),
      RUNS,
    );
  });

  test("a list without faults and lag shows exactly what is", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        run("token", steps, (world, terms) => {
          const fate = {
            failure: null,
            empty: false,
            leftOut: 0,
            duplicate: false,
            wrongState: null,
            lagMs: null,
            answerDelayMs: 0,
          };
          const answer = decideList(world, terms, contractFleetId, fate, 2_000_000);
          const all = [...world.instances.values()].map((held) => held.instance);
          expect(answer).toEqual({ kind: "ok", instances: all });
        });
      }),
      { numRuns: 100 },
    );
  });

  test("apply() refuses an entry that cannot follow", () => {
    const world = emptyWorld();
    const id = "fake-x-1" as InstanceId;
    expect(() => apply(world, { kind: "terminated", atMs: 1, id })).toThrow("not an instance");
  });
});

describe("pushDue() and popDue()", () => {
  test("give everything back in order of time, then of arrival", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20)), (times) => {
        const heap: Due[] = [];
        const all = times.map((atMs, seq): Due => ({
          atMs,
          seq,
          kind: "run",
          id: "i" as InstanceId,
          token: "",
        }));
        for (const due of all) pushDue(heap, due);
        const out: (Due | null)[] = all.map(() => popDue(heap));
        expect(out).toEqual(all.toSorted((a, b) => a.atMs - b.atMs || a.seq - b.seq));
        expect(popDue(heap)).toBe(null);
      }),
    );
  });
});
