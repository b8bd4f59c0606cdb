import { expect, test } from "bun:test";
import fc from "fast-check";
import { configOf, poolYaml } from "../../../test/world/world.ts";
import { isDestructive } from "../plan.ts";
import {
  anyNodes as nodes,
  AROUND,
  fleetOfPool as fleetOf,
  SIZE,
} from "../../../test/world/any-fleet.ts";
import { sightOf as clearSight } from "../../../test/world/ask.ts";
import type { DrainSight, Sight } from "../fleet.ts";
import { newNode } from "../fold/new-node.ts";
import { isOut, openBudget } from "./budget.ts";
import { shareOf } from "../safety/budget.ts";
import { decide } from "./decide.ts";
import { lintPlan } from "./lint.ts";
import { createRequest, nodeIdOf, offersOf } from "./offer.ts";
import { sayBroken } from "../say/breach.ts";

const NOW = AROUND;

const LEFT: Record<"empty" | "busy" | "unknown", DrainSight> = {
  busy: { kind: "busy", remaining: 1, message: "1 left" },
  empty: { kind: "empty", seenAt: NOW },
  unknown: { kind: "unknown", forMs: 90_000 },
};

const sightOf = (blind: string[], left: "empty" | "busy" | "unknown"): Sight =>
  clearSight({
    now: NOW,
    blind,
    attentiveMs: 3_600_000,
    left: LEFT[left],
    fake: { bringsAgent: false, canReboot: false },
  });

const config = configOf(poolYaml(SIZE, "    health: { unhealthy_threshold: 2 }\n"));
const surge = configOf(
  poolYaml(SIZE, "    health: { unhealthy_threshold: 2 }\n    replacement: surge\n"),
);

test("decide() makes no plan that breaks a law, whatever the fleet looks like", () => {
  fc.assert(
    fc.property(
      nodes,
      fc.constantFrom<string[]>([], ["paused"]),
      fc.constantFrom("empty", "busy", "unknown"),
      fc.boolean(),
      (list, blind, left, replaceFirst) => {
        const fleet = fleetOf(list);
        const sight = sightOf(blind, left as "empty");
        const chosen = replaceFirst ? surge : config;
        const plan = decide(fleet, chosen, sight);
        expect(lintPlan(fleet, chosen, sight, plan)).toEqual([]);
      },
    ),
    { numRuns: 2_000 },
  );
});

test("decide() is a function: the same fleet twice, and in another order, gives the same plan", () => {
  fc.assert(
    fc.property(nodes, (list) => {
      const a = decide(fleetOf(list), config, sightOf([], "empty"));
      const b = decide(fleetOf(list), config, sightOf([], "empty"));
      expect(b).toEqual(a);
      const c = decide(fleetOf([...list].reverse()), config, sightOf([], "empty"));
      const key = (p: typeof a): string[] => p.actions.map((x) => JSON.stringify(x)).sort();
      // What is chosen under a budget may not depend on the order in which nodes are stored.
      expect(key(c)).toEqual(key(a));
    }),
    { numRuns: 500 },
  );
});

test("decide() while blind starts nothing destructive", () => {
  fc.assert(
    fc.property(nodes, (list) => {
      const plan = decide(fleetOf(list), config, sightOf(["paused"], "empty"));
      for (const action of plan.actions) {
        if (!isDestructive(action)) continue;
        const observed = action.kind === "advance" && action.to.kind === "draining";
        // An end that the cloud reports needs no observation of ours.
        const reported =
          list.find((node) => node.id === action.node)?.instance?.state === "terminated";
        expect(observed || reported).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});

test("lintPlan() finds each law broken by hand", () => {
  const node = {
    ...newNode({
      id: "fleet-p-0-1" as never,
      pool: "p" as never,
      slot: 0,
      gen: 1,
      at: 1,
      replaces: null,
    }),
    phase: { kind: "serving" as const, since: 1 },
  };
  const fleet = fleetOf([node], 1);
  const terminate = {
    kind: "effect" as const,
    node: node.id,
    payload: { kind: "terminate" as const, provider: "fake" as never, instanceId: "i-9" as never },
    because: [],
  };
  const lint = (actions: object[], sight = sightOf([], "empty"), of = fleet): string[] =>
    lintPlan(of, config, sight, { actions: actions as never, waits: [] }).map(({ how }) =>
      sayBroken(null, [how]),
    );
  expect(lint([terminate]).join()).toContain("in phase serving");
  expect(lint([terminate], sightOf(["x"], "empty")).join()).toContain("while blind");
  expect(lint([terminate, terminate]).join()).toContain("two actions");
  expect(
    lint([
      {
        kind: "admit",
        node: "fleet-p-0-2",
        pool: "p",
        slot: 0,
        gen: 2,
        replaces: null,
        because: [],
      },
    ]).join(),
  ).toContain("still has");
  expect(lint([{ ...terminate, payload: { kind: "uncordon", why: "" } }]).join()).toContain(
    "did not cordon",
  );
  expect(
    lint([
      {
        ...terminate,
        payload: {
          kind: "drain",
          purpose: "replace",
          deadlineAt: 0,
          gracePeriodMs: 0,
          force: false,
        },
      },
    ]).join(),
  ).toContain("before it is cordoned");
  expect(
    lint([
      {
        kind: "advance",
        node: node.id,
        to: { kind: "terminating", since: 1, purpose: "replace", accepted: null, notBefore: 0 },
        event: "node.terminating",
        because: [],
        session: null,
      },
    ]).join(),
  ).toContain("before it is drained");
  const lost = fleetOf([{ ...node, phase: { kind: "suspect", since: 1 } }], 1);
  expect(lint([], sightOf([], "empty"), lost).join()).toContain("neither action nor wait");
  const two = [0, 1, 2, 3].map((slot) => ({
    ...node,
    id: `n${slot}` as never,
    slot,
    health: { ...node.health, verdict: "unhealthy" as const },
    phase: { kind: "suspect" as const, since: 1 },
  }));
  const cordons = two.map((n) => ({
    kind: "effect",
    node: n.id,
    payload: { kind: "cordon", why: "" },
    because: [],
  }));
  expect(lint(cordons, sightOf([], "empty"), fleetOf(two, 4)).join()).toContain("slots out");
});

test("shareOf() rounds down, but never to nothing", () => {
  expect([1, 4, 5, 9, 10, 100].map((n) => shareOf({ kind: "percent", percent: 20 }, n))).toEqual([
    1, 1, 1, 1, 2, 20,
  ]);
  expect(shareOf({ kind: "nodes", nodes: 0 }, 10)).toBe(0);
});

test("openBudget() counts slots, so a node and its replacement are one", () => {
  const pool = config.pools[0];
  if (pool === undefined) throw new Error("no pool");
  const base = newNode({
    id: "a" as never,
    pool: "p" as never,
    slot: 1,
    gen: 1,
    at: 1,
    replaces: null,
  });
  const old = {
    ...base,
    phase: {
      kind: "terminating" as const,
      since: 1,
      purpose: "replace" as const,
      accepted: null,
      notBefore: 0,
    },
  };
  const next = { ...base, id: "b" as never, replaces: "a" as never };
  expect(isOut(old) && isOut(next)).toBe(true);
  const budget = openBudget(pool, { desired: 4, places: 4 }, [old, next], isOut);
  expect(budget.take(next)).toBe(true);
  expect(budget.take({ ...base, id: "c" as never, slot: 2 })).toBe(false);
});

test("createRequest() makes the same token for the same ask and another for any other", () => {
  const pool = config.pools[0];
  const offer = pool === undefined ? undefined : offersOf(pool)[0];
  if (pool === undefined || offer === undefined) throw new Error("no offer");
  const ask = { fleetId: "f", pool, nodeId: "n", slot: 0, gen: 1, attempt: 1, offer };
  expect(createRequest(ask)).toEqual(createRequest(ask));
  const others = [
    { attempt: 2 },
    { gen: 2 },
    { slot: 1 },
    { fleetId: "g" },
    { offer: { ...offer, key: "other" } },
  ];
  const tokens = new Set([
    createRequest(ask).token,
    ...others.map((o) => createRequest({ ...ask, ...o }).token),
  ]);
  expect(tokens.size).toBe(others.length + 1);
  for (const token of tokens) expect(token.length).toBeLessThanOrEqual(64);
});

test("nodeIdOf() is a DNS label and unique for pools that shorten alike", () => {
  const long = "A".repeat(60);
  const ids = [
    nodeIdOf("fleet", long, 1, 1),
    nodeIdOf("fleet", `${long}b`, 1, 1),
    nodeIdOf("fleet", "a.b", 1, 1),
    nodeIdOf("fleet", "a-b", 1, 1),
  ];
  expect(new Set(ids).size).toBe(4);
  for (const id of ids) expect(id).toMatch(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
});
