/** Limits of time and number that decide what happens to a machine, each at its very edge. */
import { describe, expect, test } from "bun:test";
import type { Operation } from "../../../schema/operation.ts";
import type { Fleet, Sight } from "../fleet.ts";
import { countUnhealthy } from "../fold/inbox-entry.ts";
import { newHealth } from "../fold/new-node.ts";
import { mayCall } from "./may-call.ts";
import { shareOf } from "../safety/budget.ts";
import type { Scope } from "./decide.ts";
import { REACHES_ANY } from "../reach.ts";
import { drainPayload } from "./leave.ts";
import { lossOf } from "./node.ts";

const NOW = 1_000_000_000;

describe("lossOf()", () => {
  const scope = (settleMs: number): Scope =>
    ({
      sight: { now: NOW, providers: new Map([["cloud", { settleMs, reach: REACHES_ANY }]]) },
    }) as unknown as Scope;
  const node = (kind: string, absentMs: number | null, listings: number) =>
    ({
      phase: { kind },
      instance: {
        id: "i-1",
        provider: "cloud",
        state: "running",
        absentSince: absentMs === null ? null : NOW - absentMs,
        absentListings: listings,
      },
    }) as unknown as Parameters<typeof lossOf>[0];

  test.each([
    ["serving", null, 0, 0, false],
    ["serving", 59_999, 2, 0, false],
    ["serving", 60_000, 1, 0, false],
    ["serving", 60_000, 2, 0, true],
    ["serving", 60_000, 2, 90_000, false],
    ["serving", 90_000, 2, 90_000, true],
    ["terminating", 1_999, 2, 0, false],
    ["terminating", 2_000, 2, 0, true],
    ["terminating", 2_000, 2, 5_000, false],
  ] as const)(
    "of one that is %s, absent for %p ms in %d lists, settle time %d ms: %p",
    (kind, absentMs, listings, settleMs, lost) => {
      expect(lossOf(node(kind, absentMs, listings), scope(settleMs)) !== null).toBe(lost);
    },
  );
});

describe("drainPayload()", () => {
  const held = (definitive: boolean) => ({
    finding: { kind: "xid", code: 79 },
    judgement: { result: "unhealthy", definitive, hold: "until_reboot" },
  });
  const node = (definitive: boolean, verdict: string) =>
    ({
      session: { definitive },
      health: { ...newHealth(), verdict, held: verdict === "unhealthy" ? [held(definitive)] : [] },
      agent: null,
      kube: null,
    }) as unknown as Parameters<typeof drainPayload>[0];
  const drain = { timeoutMs: 1_800_000, fatalTimeoutMs: 600_000, gracePeriodMs: 1, force: false };
  const scope = { pool: { drain }, sight: { now: NOW } } as unknown as Scope;
  const limitOf = (definitive: boolean, verdict: string, asked: number | null = null) =>
    drainPayload(node(definitive, verdict), scope, "replace", asked).deadlineAt - NOW;

  test("work leaves proven broken hardware in ten minutes, anything else in thirty", () => {
    expect(limitOf(true, "unhealthy")).toBe(600_000);
    expect(limitOf(false, "unhealthy")).toBe(1_800_000);
    expect(limitOf(true, "healthy")).toBe(1_800_000);
  });

  test("a person's limit goes before both, and 0 is no limit", () => {
    expect(limitOf(true, "unhealthy", 5_000)).toBe(5_000);
    expect(drainPayload(node(true, "unhealthy"), scope, "replace", 0).deadlineAt).toBe(0);
  });
});

describe("countUnhealthy()", () => {
  const after = (sinceMs: number) =>
    countUnhealthy({ ...newHealth(), unhealthyRun: 1, lastCountedAt: NOW }, NOW + sinceMs);
  test.each([
    [0, 1],
    [4_999, 1],
    [5_000, 2],
    // A clock that was set back.
    [-1, 2],
  ])("a burst is one evaluation: %d ms after the last, the run is %d", (sinceMs, run) => {
    expect(after(sinceMs).unhealthyRun).toBe(run);
  });
  test("the first counts whenever it comes", () => {
    expect(countUnhealthy({ ...newHealth(), lastCountedAt: NOW }, NOW).unhealthyRun).toBe(1);
  });
});

describe("shareOf()", () => {
  test("a fixed 0 means none, and no share of a fleet does", () => {
    expect(shareOf({ kind: "nodes", nodes: 0 }, 100)).toBe(0);
    expect(shareOf({ kind: "nodes", nodes: 3 }, 1)).toBe(3);
    expect(shareOf({ kind: "percent", percent: 1 }, 4)).toBe(1);
    expect(shareOf({ kind: "percent", percent: 33 }, 10)).toBe(3);
  });
});

describe("mayCall()", () => {
  type Given = {
    hold?: number;
    frozen?: boolean;
    all?: boolean;
    isProven?: boolean;
    blind?: boolean;
    order?: "plain" | "forced";
  };
  const may = (
    kind: string,
    { hold, frozen, all = false, isProven = false, blind, order }: Given,
    more: object = {},
  ): boolean => {
    const node = {
      phase: { kind: "serving" },
      instance: { state: "running", provider: "cloud", region: null },
      order: order === undefined ? null : { force: order === "forced" },
      health: { held: isProven ? [{ judgement: { result: "unhealthy", definitive: true } }] : [] },
    };
    const pool = { hold: hold === undefined ? null : { until: NOW + hold } };
    const fleet = { nodes: new Map([["n", node]]), pools: new Map([["p", pool]]) };
    const sight = {
      now: NOW,
      blind: blind === true ? ["paused"] : [],
      frozen: frozen === true ? { by: "ann" } : null,
      providers: new Map([["cloud", { reach: REACHES_ANY }]]),
      frozenAll: all,
    };
    const asked = { provider: "cloud", request: { region: null } };
    const operation = { node: "n", pool: "p", payload: { kind, ...asked, ...more } };
    return mayCall(
      operation as unknown as Operation,
      fleet as unknown as Fleet,
      sight as unknown as Sight,
    );
  };

  test.each(["create", "terminate", "drain", "reboot", "bootstrap"])(
    "an intended %s waits while its pool is on hold or the fleet is frozen",
    (kind) => {
      expect(may(kind, {})).toBe(true);
      expect(may(kind, { hold: 1 })).toBe(false);
      expect(may(kind, { hold: 0 })).toBe(true);
      expect(may(kind, { frozen: true })).toBe(false);
    },
  );

  test("a hold leaves isolation alone, a freeze leaves only what gives back or mirrors", () => {
    expect(may("cordon", { hold: 1 })).toBe(true);
    expect(may("uncordon", { hold: 1 })).toBe(true);
    expect(may("cordon", { frozen: true })).toBe(false);
    expect(may("cordon", { frozen: true, isProven: true })).toBe(true);
    expect(may("cordon", { frozen: true, isProven: true, all: true })).toBe(false);
    expect(may("cordon", { frozen: true }, { mirror: true })).toBe(true);
    expect(may("uncordon", { frozen: true })).toBe(true);
  });

  test("blind, nothing destructive is called but what a person forces", () => {
    for (const kind of ["terminate", "drain", "reboot"]) {
      expect(may(kind, { blind: true })).toBe(false);
      expect(may(kind, { blind: true, order: "plain" })).toBe(false);
      expect(may(kind, { blind: true, order: "forced" })).toBe(true);
    }
    expect(may("create", { blind: true })).toBe(true);
  });

  test("a person's order goes before a hold", () => {
    expect(may("terminate", { hold: 1, order: "plain" })).toBe(true);
  });
});
