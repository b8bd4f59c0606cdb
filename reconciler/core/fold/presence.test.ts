import { describe, expect, test } from "bun:test";
import type { Health, Node, Phase } from "../../../schema/node.ts";
import { heldOf, nodeOf, sessionOf } from "../../../test/world/part.ts";
import type { Timing } from "../fleet.ts";
import { foldPresence } from "./presence.ts";

const NOW = 1_000_000;
const timing = { heartbeatTimeoutMs: 60_000, checkIntervalMs: 30_000 } as Timing;
const quiet = (node: Node, silentMs: number | null, heard = false) =>
  foldPresence(node, silentMs, heard, NOW, timing);

function node(health: Partial<Health> = {}, more: Partial<Node> = {}): Node {
  const made = nodeOf("n", more);
  return { ...made, health: { ...made.health, ...health } };
}

describe("foldPresence() of silence", () => {
  test("says once that heartbeats are missing, and since when", () => {
    const one = node({}, { session: sessionOf() });
    expect(quiet(one, 60_000)).toBeNull();
    const first = quiet(one, 60_001.4);
    expect(first?.node).toEqual({ ...one, health: { ...one.health, silentSince: NOW - 60_001 } });
    expect(first?.events).toEqual([
      {
        at: NOW,
        kind: "node.silent",
        node: one.id,
        pool: one.pool,
        session: sessionOf().id,
        actor: "navarch",
        message: "no heartbeat for 60 s",
      },
    ]);
    expect(first === null ? null : quiet(first.node, 90_000)).toBeNull();
  });

  test("says once that they are back, and only after one was heard", () => {
    const one = node({ silentSince: 5 });
    expect(quiet(one, 0, false)).toBeNull();
    expect(quiet(one, null, false)).toBeNull();
    expect(quiet(one, 60_001, true)).toBeNull();
    const back = quiet(one, 60_000, true);
    expect(back?.node.health).toEqual({ ...one.health, silentSince: null });
    expect(back?.events.map(({ kind, message }) => [kind, message])).toEqual([
      ["node.heard", "heartbeats are back"],
    ]);
    expect(quiet(node(), 0, true)).toBeNull();
  });

  test("says nothing while nobody can tell", () => {
    expect(quiet(node(), null)).toBeNull();
    expect(quiet(node({}, { agent: null }), 90_000)).toBeNull();
  });

  const expected: Record<Phase["kind"], boolean> = {
    requested: false,
    booting: false,
    bootstrapping: false,
    verifying: true,
    serving: true,
    suspect: true,
    draining: true,
    repairing: true,
    replacing: true,
    terminating: false,
    gone: false,
    held: true,
  };
  test.each(Object.entries(expected))("a node that is %s is missed: %p", (kind, isMissed) => {
    const phase = { kind, since: 1 } as Phase;
    expect(quiet(node({}, { phase }), 90_000) !== null).toBe(isMissed);
  });
});

describe("foldPresence() of evidence that cannot pass", () => {
  const proof = heldOf({ definitive: true });
  const broken: Partial<Health> = {
    held: [proof],
    verdict: "unhealthy",
    unhealthyRun: 1,
    lastCountedAt: NOW - 30_000,
  };

  test("counts it again each check interval, by our own clock", () => {
    const counted = quiet(node(broken), 1_000);
    expect(counted?.node.health).toEqual({
      ...node(broken).health,
      unhealthyRun: 2,
      lastCountedAt: NOW,
    });
    expect(counted?.events).toEqual([]);
    const early = { ...broken, lastCountedAt: NOW - 29_999 };
    expect(quiet(node(early), 1_000)).toBeNull();
  });

  test.each<[string, Partial<Health>]>([
    ["it may pass by itself", { held: [heldOf({ definitive: false })] }],
    ["what is certain is not bad", { held: [heldOf({ definitive: true, result: "degraded" })] }],
    ["the verdict is another one", { verdict: "degraded" }],
  ])("does not where %s", (_what, more) => {
    expect(quiet(node({ ...broken, ...more }), 1_000)).toBeNull();
  });

  test("does although something that may pass is held too", () => {
    const both = { ...broken, held: [heldOf(), proof] };
    expect(quiet(node(both), 1_000)?.node.health.unhealthyRun).toBe(2);
  });
});
