/**
 * Workload profiles (A10, C14, C65–C68): the whole table under every load, against figures that are
 * written down here, and properties over any input.
 */
import { afterEach, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  PREFERENCES,
  PROFILE_PRIORITIES,
  type ProfilePriority,
  QUALITIES,
  type Quality,
  TIERS,
  type Tier,
} from "../../schema/console/profile.ts";
import { profileOf, reducedMemory, scoreOf } from "../../reconciler/core/console/profile.ts";
import { measureUtilisation } from "../../reconciler/core/console/utilisation.ts";
import { type NodeResources } from "../../reconciler/core/kubernetes/node-resource.ts";
import { parseQuantity } from "../../reconciler/core/kubernetes/quantity.ts";
import { openWorldApp } from "../world/app.ts";
import { closeWorlds, fleet } from "../world/story.ts";

afterEach(closeWorlds);

/** 0.8 itself is not above 0.8. */
const [CALM, BUSY] = [0.8, 0.81];
const LOADS = Array.from({ length: 8 }, (_, bits) => ({
  cpu: bits & 1 ? BUSY : CALM,
  memory: bits & 2 ? BUSY : CALM,
  gpu: bits & 4 ? BUSY : CALM,
}));

/** C65: what each tier makes of each quality, and its number. */
const CAPPED: Record<Tier, Record<Quality, [Quality, number]>> = {
  free: { low: ["low", 10], medium: ["low", 10], high: ["low", 10] },
  standard: { low: ["low", 30], medium: ["medium", 20], high: ["medium", 20] },
  premium: { low: ["low", 50], medium: ["medium", 40], high: ["high", 30] },
};
/** §2.10 and C66: cpu and memory in full, × 0.75 and × 0.5. */
const CPU = { low: [500, 375, 250], medium: [2000, 1500, 1000], high: [4000, 3000, 2000] };
const MEMORY = { low: [2, 1, 1], medium: [8, 6, 4], high: [16, 12, 8] };
const GPU = { low: 0, medium: 1, high: 2 };
const POOL = { low: "cpu-optimized", medium: "gpu-optimized", high: "gpu-high-end" };
const LABEL = { low: undefined, medium: "nvidia-t4", high: "nvidia-a100" };
const STEP: Record<ProfilePriority, number> = { high: 0, medium: 1, low: 2 };

test("A10: 3 qualities × 3 tiers × 3 priorities × 8 loads give the table's figures", () => {
  let seen = 0;
  for (const asked of QUALITIES) {
    for (const tier of TIERS) {
      for (const priority of PROFILE_PRIORITIES) {
        for (const load of LOADS) {
          const [quality, number] = CAPPED[tier][asked];
          const step = tier === "free" ? 0 : STEP[priority];
          const isBusy = (what: keyof typeof load): boolean => load[what] > 0.8;
          const losesGpu = step === 2 && quality === "medium" && isBusy("gpu");
          const pool = losesGpu ? "cpu-optimized" : POOL[quality];
          const label = losesGpu ? undefined : LABEL[quality];
          const got = profileOf({ quality: asked, tier, priority }, load);
          expect(got).toEqual({
            quality,
            resources: {
              cpu: `${CPU[quality][isBusy("cpu") ? step : 0]}m`,
              memory: `${MEMORY[quality][isBusy("memory") ? step : 0]}Gi`,
              gpu: losesGpu ? 0 : GPU[quality],
            },
            nodeSelector: { "node-type": pool, ...(label === undefined ? {} : { gpu: label }) },
            tolerations: [
              { key: "node-type", operator: "Equal", value: pool, effect: "NoSchedule" },
            ],
            priorityClassName: `${priority}-priority-batch`,
            priorityNumber: number,
            pool,
            reasons: got.reasons,
          });
          seen++;
        }
      }
    }
  }
  expect(seen).toBe(216);
});

test("C65: a quality above the tier is capped, and the answer says so", () => {
  const calm = { cpu: 0, memory: 0, gpu: 0 };
  const got = profileOf({ quality: "high", tier: "standard", priority: "low" }, calm);
  expect(got.reasons).toEqual([
    "quality high is capped to medium: tier standard allows low, medium",
  ]);
  const own = profileOf({ quality: "high", tier: "premium", priority: "low" }, calm);
  expect(own.reasons).toEqual([]);
});

test("C66: memory is rounded down to whole units of its suffix, and has a floor", () => {
  const cut = [2048, 1024, 700, 400].map((memory) => reducedMemory(memory, 0.75));
  expect(cut).toEqual([1024, 1024, 525, 300]);
  expect([700, 400, 3072].map((memory) => reducedMemory(memory, 0.5))).toEqual([350, 256, 1024]);
});

test("C66: what is unknown is not loaded", () => {
  const ask = { quality: "medium", tier: "premium", priority: "low" } as const;
  const got = profileOf(ask, { cpu: null, memory: 0.9, gpu: null });
  expect(got.resources).toEqual({ cpu: "2000m", memory: "4Gi", gpu: 1 });
  expect(got.reasons).toEqual([
    "memory 8Gi is reduced to 4Gi: memory utilisation 90 % is above 80 %, priority low",
  ]);
});

const level = fc.option(fc.double({ min: 0, max: 2, noNaN: true }), { nil: null });
const loads = fc.record({ cpu: level, memory: level, gpu: level });
const asks = fc.record({
  quality: fc.constantFrom(...QUALITIES),
  tier: fc.constantFrom(...TIERS),
  priority: fc.constantFrom(...PROFILE_PRIORITIES),
});

test("C66, C68: any load gives a profile that schedules, and each reduction has a reason", () => {
  fc.assert(
    fc.property(asks, loads, (ask, load) => {
      const got = profileOf(ask, load);
      const full = profileOf({ ...ask, priority: "high" }, load);
      const { cpu, memory, gpu } = got.resources;
      expect(parseQuantity(cpu) ?? 0n).toBeGreaterThanOrEqual(parseQuantity("100m") ?? 1n);
      expect(parseQuantity(memory) ?? 0n).toBeGreaterThanOrEqual(parseQuantity("1Gi") ?? 1n);
      expect(parseQuantity(cpu) ?? 0n).toBeLessThanOrEqual(parseQuantity(full.resources.cpu) ?? 0n);
      expect(gpu).toBeLessThanOrEqual(full.resources.gpu);
      // A pod with a selector and no toleration of the same pool would never schedule.
      expect(got.tolerations.map(({ value }) => value)).toEqual([got.pool]);
      expect(got.nodeSelector["node-type"]).toBe(got.pool);
      expect(gpu > 0).toBe(got.nodeSelector["gpu"] !== undefined);
      const isReduced = JSON.stringify(got.resources) !== JSON.stringify(full.resources);
      const cuts = got.reasons.filter((one) => one.includes("reduced"));
      expect(cuts.length > 0).toBe(isReduced);
      expect(got.quality !== ask.quality).toBe(got.reasons.some((one) => one.includes("capped")));
    }),
    { numRuns: 2_000 },
  );
});

test("C66: a higher load of one resource never gives more", () => {
  fc.assert(
    fc.property(asks, loads, fc.constantFrom("cpu", "memory", "gpu"), (ask, load, what) => {
      const before = profileOf(ask, load).resources;
      const after = profileOf(ask, { ...load, [what]: 1 }).resources;
      for (const one of ["cpu", "memory"] as const) {
        expect(parseQuantity(after[one]) ?? 0n).toBeLessThanOrEqual(
          parseQuantity(before[one]) ?? 0n,
        );
      }
      expect(after.gpu).toBeLessThanOrEqual(before.gpu);
    }),
  );
});

test("C67: the score is the weighted mean of what is known", () => {
  const calm = { cpu: 0, memory: 0, gpu: 0 };
  const none = { cpu: null, memory: null, gpu: null };
  expect(scoreOf({ tier: "free" }, none)).toEqual({ score: 0.25, quality: "low" });
  expect(scoreOf({ tier: "standard" }, none)).toEqual({ score: 0.5, quality: "medium" });
  expect(scoreOf({ tier: "premium" }, none)).toEqual({ score: 1, quality: "high" });
  // (.30 × 1 + .30 × .25) ÷ .60
  expect(scoreOf({ tier: "free" }, calm).score).toBeCloseTo(0.625, 10);
  const all = { tier: "premium", input: 0.4, history: 0.5, preference: "speed" } as const;
  const half = { cpu: 0.5, memory: 0.5, gpu: 0.25 };
  // .25 × .4 + .30 × (.3 × .5 + .3 × .5 + .4 × .75) + .30 × 1 + .10 × .5 + .05 × .2
  expect(scoreOf(all, half).score).toBeCloseTo(0.64, 10);
  expect(scoreOf(all, half).quality).toBe("medium");
  const exact = scoreOf({ tier: "premium", input: 0.45 }, none);
  expect(exact.score).toBeCloseTo(0.75, 10);
});

test("C67: the score is within 0…1, and its thresholds are 0.7 and 0.4", () => {
  const part = fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined });
  const preference = fc.option(fc.constantFrom(...PREFERENCES), { nil: undefined });
  const parts = { tier: fc.constantFrom(...TIERS), input: part, history: part, preference };
  fc.assert(
    fc.property(fc.record(parts), loads, (ask, load) => {
      const { score, quality } = scoreOf(ask, load);
      expect(score).toBeGreaterThanOrEqual(0);
      expect(score).toBeLessThanOrEqual(1);
      if (score > 0.7) expect(quality).toBe("high");
      else if (score < 0.4 - 1e-9) expect(quality).toBe("low");
      else if (score > 0.4 && score < 0.7) expect(quality).toBe("medium");
    }),
  );
});

const GI = 1_024n ** 3n * 10n ** 9n;
const node = (name: string, has: (string | null)[], cpu: bigint, memory: bigint, gpu: bigint) => ({
  ...{ name, labels: {}, allocatable: has },
  uses: () => [[cpu, memory, gpu].map((requests) => ({ requests, limits: 0n }))],
});
const resources = (
  ...nodes: NodeResources["nodes"] extends () => Iterable<infer T> ? T[] : never
) => ({
  ...{ resources: ["cpu", "memory", "nvidia.com/gpu"], labels: [], stale: null },
  nodes: () => nodes,
});

test("C66: utilisation is measured on the pool's Nodes, and elsewhere where it has none", () => {
  const from = resources(
    node("g1", ["4", "16Gi", "2"], 3_600_000_000n, 4n * GI, 2_000_000_000n),
    node("c1", ["12", "16Gi", null], 400_000_000n, 12n * GI, 0n),
  );
  const whole = measureUtilisation(from, () => false);
  expect(whole).toEqual({ cpu: 0.25, memory: 0.5, gpu: 1, basis: "cluster", warnings: [] });
  const pool = measureUtilisation(from, (name) => name === "g1");
  expect(pool).toEqual({ cpu: 0.9, memory: 0.25, gpu: 1, basis: "pool", warnings: [] });
  const cpus = measureUtilisation(from, (name) => name === "c1");
  expect([cpus.gpu, cpus.basis]).toEqual([1, "pool"]);
  const bare = measureUtilisation(resources(), () => true);
  expect([bare.basis, bare.cpu, bare.warnings.length]).toEqual(["unknown", null, 3]);
  expect(measureUtilisation(null, () => true).warnings[0]).toContain("node_resources");
});

test("C14: POST /api/allocations answers administrators of internal networks", async () => {
  const a = openWorldApp(await fleet(1));
  const ask = async (body: unknown, token = "root", remote = "10.1.2.3") => {
    const headers = { Authorization: `Bearer ${token}` };
    const init = { method: "POST", headers, body: JSON.stringify(body) };
    const answer = await a.app.request("/api/allocations", init, { remote });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
  const asked = { quality: "high", tier: "premium", priority: "medium" };
  const got = await ask(asked);
  expect(got).toMatchObject({
    status: 200,
    body: {
      ...{ asked, score: null, quality: "high", pool: "gpu-high-end" },
      resources: { cpu: "4000m", memory: "16Gi", gpu: 2 },
      nodeSelector: { "node-type": "gpu-high-end", gpu: "nvidia-a100" },
      ...{ priorityClassName: "medium-priority-batch", priorityNumber: 30, reasons: [] },
      utilisation: { basis: "unknown" },
    },
  });
  const scored = await ask({ tier: "standard", priority: "low" });
  expect(scored.body).toMatchObject({ score: 0.5, quality: "medium", asked: { quality: null } });
  for (const wrong of [{}, { ...asked, tier: "gold" }, { ...asked, gpu: 9 }]) {
    const { status, body } = await ask(wrong);
    expect([status, body["code"]]).toEqual([400, "invalid_argument"]);
  }
  expect((await ask(asked, "wrong")).status).toBe(401);
  expect((await ask(asked, "root", "203.0.113.9")).status).toBe(403);
  const made = await a.call("POST", "/v1/tokens", { role: "operator", label: "o" });
  expect((await ask(asked, `${made.body["token"]}`)).status).toBe(403);
});
