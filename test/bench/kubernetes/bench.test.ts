/**
 * Every bench of the cluster's side runs tiny, so that none can rot: real API server, compiled
 * binary, seconds, no budgets. Only what must hold at every size is asserted.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { buildStale } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../../real/kubernetes/binary.ts";
import type { PlanView } from "../../../schema/api.ts";
import { held, shown } from "../bench.ts";
import { heldBackOf, formatHeldBack } from "./held-back.ts";
import { KUBERNETES_BENCHES } from "./list.ts";
import { isolatedOf, parseMicro } from "./mark.ts";
import { holds, keptOf, type Outcome } from "./outcome.ts";
import { formatBound } from "./share.ts";

const missing = await whyNoCluster();

beforeAll(async () => {
  if (missing === null) await buildStale();
}, 120_000);

describe.skipIf(missing !== null)("every bench on a real API server", () => {
  for (const [name, bench] of KUBERNETES_BENCHES) {
    test(`${name} runs tiny`, async () => {
      const how = {
        tiny: true,
        runs: 1,
        nodes: null,
        speed: 10,
        xid: bench.xid,
        say: () => undefined,
      };
      const outcome = await bench.run(how);
      expect(outcome.broken).toEqual([]);
      expect(outcome.figures.filter(({ measured }) => !Number.isFinite(measured))).toEqual([]);
      expect(outcome.figures.some(({ budget }) => budget !== null)).toBe(true);
      expect(outcome.cpu["navarch"]).toBeGreaterThan(0);
    }, 240_000);
  }
});

describe("what a bench reads", () => {
  test("parseMicro() keeps what is below a millisecond", () => {
    expect(parseMicro("2026-01-02T03:04:05.000250Z")).toBe(Date.UTC(2026, 0, 2, 3, 4, 5) + 0.25);
    expect(parseMicro("2026-01-02T03:04:05Z")).toBe(Date.UTC(2026, 0, 2, 3, 4, 5));
  });

  test("isolatedOf() takes the product's own figures and no other line", () => {
    const log = ['{"msg":"isolated","node":"a","ms":12}', '{"msg":"other","ms":1}', "isolated"];
    expect([...isolatedOf(log.join("\n"))]).toEqual([["a", 12]]);
  });

  test("heldBackOf() counts by reason, and names those of whom nothing is told", () => {
    const wait = { pool: "p", until: null, message: "full" };
    const plan: PlanView = {
      actions: [],
      waits: ["a", "b", "z"].map((id) => ({ ...wait, node_id: id, reason: "budget" as const })),
      blind: [],
      frozen: null,
    };
    const back = heldBackOf(plan, new Set(["a", "b", "c"]));
    expect(back).toEqual({ waiting: { budget: { nodes: 2, message: "full" } }, silent: ["c"] });
    expect(formatHeldBack(back)).toBe('2 for budget ("full")');
  });
});

describe("formatBound()", () => {
  test("says whether the machine had room, and who used most of it", () => {
    const said = formatBound({ etcd: 30, "kube-apiserver": 90.5, others: 4, idle: 3 });
    expect(said).toStartWith("the machine: 3 % of a core was idle");
    expect(said).toContain("kube-apiserver with 90.5 %");
    expect(formatBound({ etcd: 1, idle: 150 })).toStartWith("not the machine: 150 %");
  });
});

describe("what a bench keeps", () => {
  const outcome: Outcome = {
    figures: [held("p99", 120.5, "ms", 150, 100), shown("nodes", 3, "count")],
    broken: [],
    notes: { setUp: "small" },
    cpu: { etcd: 1 },
  };

  test("keptOf() puts ship and moonshot beside what was measured", () => {
    expect(keptOf(outcome)).toEqual({
      "p99, ms": 120.5,
      nodes: 3,
      ship: { p99: 150 },
      moonshot: { p99: 100 },
      cpuPercentOfCore: { etcd: 1 },
      broken: 0,
      setUp: "small",
    });
  });

  test("holds() needs every ship value, and nothing broken", () => {
    const over = { ...outcome, figures: [held("p99", 151, "ms", 150)] };
    expect([holds(outcome, false), holds(over, false), holds(over, true)]).toEqual([
      true,
      false,
      true,
    ]);
    expect(holds({ ...outcome, broken: ["a sentence"] }, true)).toBe(false);
  });
});
