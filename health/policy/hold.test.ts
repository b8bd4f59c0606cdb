import { describe, expect, test } from "bun:test";
import { findingOf, POLICY_NODE } from "../../test/world/part.ts";
import * as fc from "fast-check";
import * as v from "valibot";
import type { Finding } from "../../schema/finding.ts";
import { HeldFinding } from "../../schema/held.ts";
import { BootId } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { Judgement, Verdict } from "../../schema/policy.ts";
import type { Check } from "../../schema/report.ts";
import { compiledBuiltin } from "./builtin.ts";
import { holdFinding, keyOf, releaseHeld, verdictOf } from "./hold.ts";
import { judge } from "./judge.ts";

const AT = "2026-03-01T10:00:00Z";

const found = (given: Partial<Finding>, boot = "b1"): Finding =>
  findingOf({
    code: null,
    gpu_uuid: "GPU-0",
    at: AT,
    boot_id: v.parse(BootId, boot),
    severity: "warning",
    message: "m",
    ...given,
  });

const xid = (code: number, boot = "b1", metrics: Finding["metrics"] = {}): Finding =>
  found({ code, metrics }, boot);
const judged = (finding: Finding): Judgement => judge(finding, compiledBuiltin, POLICY_NODE, []);

function check(...active: string[]): Check {
  return { at: AT, conclusive: true, probes: [], expected_gpus: 8, present_gpus: 8, active };
}
const INCONCLUSIVE: Check = { ...check(), conclusive: false };

/** Steps time, so that each call is a later evaluation. */
function latch(boot = "b1") {
  let held: HeldFinding[] = [];
  let now = 0;
  let bootId = boot;
  const self = {
    hold(finding: Finding) {
      now += 1_000;
      held = holdFinding(held, finding, judged(finding), now, bootId);
      return self;
    },
    check(given: Check | null, resetSeen = false) {
      now += 1_000;
      held = releaseHeld(held, { bootId, check: given, nowMs: now, resetSeen });
      return self;
    },
    reboot(to: string) {
      bootId = to;
      return self;
    },
    wait(ms: number) {
      now += ms;
      return self;
    },
    verdict: () => verdictOf(held),
    held: () => held,
  };
  return self;
}

describe("holdFinding()", () => {
  test("holdFinding() coalesces by kind, code and GPU, and can be stored", () => {
    const l = latch()
      .hold(xid(48))
      .hold(xid(48))
      .hold(found({ code: 48, gpu_uuid: "GPU-1" }));
    expect(l.held().map((h) => [h.key, h.count])).toEqual([
      ["xid/48/GPU-0", 2],
      ["xid/48/GPU-1", 1],
    ]);
    expect(l.held()[0]).toMatchObject({ firstAt: 1_000, lastAt: 2_000 });
    for (const h of l.held()) expect(v.safeParse(HeldFinding, h).success).toBe(true);
  });

  test("keyOf() names a condition as the agent's check does", () => {
    expect(keyOf(found({ kind: "thermal", reason: "slowdown" }))).toBe("thermal/slowdown/GPU-0");
    const lost = found({ kind: "lost", reason: "count", gpu_uuid: null, gpu_index: null });
    expect(keyOf(lost)).toBe("lost/count/node");
  });

  test("a number of GPUs that was promised by mistake is forgotten with the mistake", () => {
    const metrics = { expected: 16, present: 8, expected_from: "pool" };
    const short = { kind: "lost", reason: "count", gpu_uuid: null, gpu_index: null } as const;
    const l = latch().hold(found({ ...short, metrics }));
    expect(l.verdict()).toBe("unhealthy");
    l.check(check("lost/count/node")).check(check("lost/count/node"));
    expect(l.verdict()).toBe("unhealthy");
    l.check(check());
    expect(l.verdict()).toBe("healthy");
    // One that was there and is gone is no mistake.
    l.hold(found({ ...short, gpu_uuid: "GPU-0", gpu_index: 0, metrics })).check(check());
    expect(l.verdict()).toBe("unhealthy");
  });

  test("a GPU that the driver took up a moment after the first check does not cost the machine", () => {
    const metrics = { on_bus: 8, listed: 7 };
    const l = latch().hold(found({ kind: "lost", reason: "unlisted", metrics }));
    l.check(check("lost/unlisted/GPU-0"));
    expect(l.verdict()).toBe("unhealthy");
    l.check(check());
    expect(l.verdict()).toBe("healthy");
  });

  test("holdFinding() keeps the worse of two judgements of one key", () => {
    const l = latch()
      .hold(found({ code: 94, metrics: { rst: true } }))
      .hold(xid(94));
    expect(l.verdict()).toBe("unhealthy");
    expect(l.held()[0]?.count).toBe(2);
  });

  describe("holdFinding() lets the newest driver verdict speak", () => {
    const verdict = (recovery_action: number, more: Partial<Finding>, boot = "b1") =>
      found({ code: 154, metrics: { recovery_action }, ...more }, boot);
    const [RESET, REBOOT] = [1, 2];
    const holdOf = (l: ReturnType<typeof latch>) => l.held()[0]?.judgement.hold;

    test("by the kernel's numbers, in whatever order they come", () => {
      const l = latch()
        .hold(verdict(REBOOT, { kmsg_seq: 5 }))
        .hold(verdict(RESET, { kmsg_seq: 9 }));
      expect(holdOf(l)).toBe("until_reset");
      l.hold(verdict(REBOOT, { kmsg_seq: 5 }));
      expect(holdOf(l)).toBe("until_reset");
      l.hold(verdict(REBOOT, { kmsg_seq: 9 }));
      expect(holdOf(l)).toBe("until_reboot");
    });

    test("whatever the node's clock said at the first", () => {
      const l = latch().hold(verdict(RESET, { kmsg_seq: 5, at: "2031-01-01T00:00:00Z" }));
      l.hold(verdict(REBOOT, { kmsg_seq: 6 }));
      expect(holdOf(l)).toBe("until_reboot");
      // The library's word has no number, and was seen when it was told.
      l.hold(verdict(RESET, { source: "probe", at: "2020-01-01T00:00:00Z" }));
      expect(holdOf(l)).toBe("until_reset");
      l.hold(verdict(REBOOT, { kmsg_seq: 7, at: "2019-01-01T00:00:00Z" }));
      expect(holdOf(l)).toBe("until_reboot");
    });

    test("and numbers of two boots are not compared", () => {
      const old = latch().hold(verdict(RESET, { kmsg_seq: 900 }));
      const fresh = old.reboot("b2").hold(verdict(REBOOT, { kmsg_seq: 3 }, "b2"));
      expect(holdOf(fresh)).toBe("until_reboot");
    });

    test("an older none that is told again ends nothing that came after it", () => {
      const none = verdict(0, { kmsg_seq: 5 });
      const l = latch()
        .hold(found({ code: 48, kmsg_seq: 6 }))
        .hold(none)
        .check(check());
      expect(l.verdict()).toBe("unhealthy");
      l.hold({ ...none, kmsg_seq: 7 }).check(check());
      expect(l.verdict()).toBe("healthy");
    });
  });

  test("holdFinding() holds nothing that is healthy, and nothing of an older boot", () => {
    expect(latch().hold(xid(106)).held()).toEqual([]);
    expect(latch("b2").hold(xid(79, "b1")).held()).toEqual([]);
    const worn = found({ kind: "remap", reason: "failure" });
    expect(latch("b2").hold(worn).verdict()).toBe("unhealthy");
  });

  test("holdFinding() is bounded, gives up the least severe, and loses no count", () => {
    const finding = fc.record({
      code: fc.constantFrom(13, 31, 63, 79, 48, 94, 9_999),
      gpu: fc.integer({ min: 0, max: 40 }),
    });
    fc.assert(
      fc.property(fc.array(finding, { maxLength: 200 }), (given) => {
        const l = latch();
        for (const { code, gpu } of given) l.hold(found({ code, gpu_uuid: `GPU-${gpu}` }));
        const held = l.held();
        expect(held.length).toBeLessThanOrEqual(LIMIT.heldFindingsMax);
        expect(held.reduce((sum, h) => sum + h.count, 0)).toBe(given.length);
        const bad = new Set(
          given.filter((g) => [79, 48].includes(g.code)).map((g) => `${g.code}/${g.gpu}`),
        );
        const kept = held.filter((h) => h.judgement.result === "unhealthy").length;
        expect(kept).toBe(Math.min(bad.size, LIMIT.heldFindingsMax));
      }),
      { numRuns: 60 },
    );
  });
});

test("a full latch gives up what is least bad, whatever came first", () => {
  const many = Array.from({ length: LIMIT.heldFindingsMax }, (_, gpu) =>
    found({ code: 13, gpu_uuid: `GPU-${gpu}` }),
  );
  for (const worstAt of [0, 1, many.length]) {
    const l = latch();
    const lines = [...many.slice(0, worstAt), found({ code: 79 }), ...many.slice(worstAt)];
    for (const one of lines) l.hold(one);
    for (const one of many) l.hold({ ...one, gpu_uuid: `${one.gpu_uuid}-again` });
    expect(l.held().filter(({ finding }) => finding.code === 79)).toHaveLength(1);
    expect(l.verdict()).toBe("unhealthy");
  }
});

describe("releaseHeld()", () => {
  test("releaseHeld() lets an application fault go at the next clean evaluation, not at its own", () => {
    const finding = xid(31);
    const held = holdFinding([], finding, judged(finding), 1_000, "b1");
    const evaluation = { bootId: "b1", check: check(), nowMs: 1_000, resetSeen: false };
    expect(releaseHeld(held, evaluation).length).toBe(1);
    expect(releaseHeld(held, { ...evaluation, nowMs: 2_000 })).toEqual([]);
  });

  test("releaseHeld() learns nothing from a missing or inconclusive check", () => {
    const l = latch().hold(xid(31)).check(null).check(INCONCLUSIVE);
    expect(l.verdict()).toBe("degraded");
    l.check(check());
    expect(l.verdict()).toBe("healthy");
  });

  test("releaseHeld() keeps a reset-class fault until a reset was seen and a check is clean", () => {
    const l = latch().hold(xid(48)).check(check()).check(check());
    expect(l.verdict()).toBe("unhealthy");
    l.check(null, true);
    expect(l.verdict()).toBe("unhealthy");
    l.check(check("ecc/dbe/GPU-0"));
    expect(l.verdict()).toBe("unhealthy");
    l.check(check());
    expect(l.verdict()).toBe("healthy");
  });

  test("releaseHeld() is not held up by a chronic condition that no reset cures", () => {
    const chronic = check("pcie/width/GPU-0", "host/kernel_log/node", "ecc/dbe/GPU-7");
    const l = latch().hold(xid(48)).check(null, true).check(chronic);
    expect(l.verdict()).toBe("healthy");
  });

  test("releaseHeld() needs a new reset when the fault came back after one", () => {
    const l = latch().hold(xid(48)).check(null, true).hold(xid(48)).check(check());
    expect(l.verdict()).toBe("unhealthy");
  });

  test("releaseHeld() takes the driver's verdict back to none for a reset of that GPU", () => {
    const none = found({ code: 154, metrics: { recovery_action: 0 }, at: "2026-03-01T10:01:00Z" });
    const l = latch()
      .hold(xid(48))
      .hold(found({ code: 48, gpu_uuid: "GPU-1" }))
      .hold(found({ code: 154, metrics: { recovery_action: 1 } }))
      .hold(none)
      .check(check());
    expect(l.held().map((h) => h.key)).toEqual(["xid/48/GPU-1"]);
  });

  test("releaseHeld() takes a probed verdict that is gone for a reset", () => {
    const probed = found({ code: 154, reason: "recovery_reset", metrics: { recovery_action: 1 } });
    const l = latch().hold(xid(48)).hold(probed).check(check("xid/recovery_reset/GPU-0"));
    expect(l.verdict()).toBe("unhealthy");
    l.check(check());
    expect(l.verdict()).toBe("healthy");
  });

  test("releaseHeld() lets a condition of an earlier boot go with the first check without it", () => {
    const down = "nvlink/fabric_status/GPU-0";
    const l = latch().hold(found({ kind: "nvlink", reason: "fabric_status" }));
    expect(l.verdict()).toBe("unhealthy");
    l.check(check()).reboot("b2").check(INCONCLUSIVE).check(check(down));
    expect(l.verdict()).toBe("unhealthy");
    l.check(check());
    expect(l.verdict()).toBe("healthy");
  });

  test("releaseHeld() keeps a reboot-class fault until a clean check under a new boot", () => {
    const l = latch().hold(xid(79)).check(check(), true).check(check());
    expect(l.verdict()).toBe("unhealthy");
    l.reboot("b2").check(null);
    expect(l.verdict()).toBe("unhealthy");
    l.check(check("lost/bus/GPU-0"));
    expect(l.verdict()).toBe("unhealthy");
    l.check(check());
    expect(l.verdict()).toBe("healthy");
  });

  test("releaseHeld() never lets a worn-out board go", () => {
    const l = latch().hold(found({ kind: "remap", reason: "failure" }));
    l.reboot("b2").check(check(), true).check(check());
    expect(l.verdict()).toBe("unhealthy");
  });

  test("releaseHeld() keeps heat while a check lists it, and then for three clean ones", () => {
    const hot = "thermal/slowdown/GPU-0";
    const l = latch().hold(found({ kind: "thermal", reason: "slowdown" }));
    l.check(check(hot)).check(check()).check(check()).check(check(hot));
    l.check(check()).check(check());
    expect(l.verdict()).toBe("degraded");
    l.check(check());
    expect(l.verdict()).toBe("healthy");
  });

  test("releaseHeld() lets the driver be well as soon as it is", () => {
    const l = latch().hold(
      found({ kind: "driver", reason: "library", gpu_uuid: null, gpu_index: null }),
    );
    l.check(check("driver/library/node"));
    expect(l.verdict()).toBe("unhealthy");
    l.check(check());
    expect(l.verdict()).toBe("healthy");
  });

  test("releaseHeld() ends a timed hold by time alone, counted from the last occurrence", () => {
    const l = latch()
      .hold(xid(9_999))
      .wait(1_800_000)
      .hold(xid(9_999))
      .wait(3_500_000)
      .check(check());
    expect(l.verdict()).toBe("degraded");
    l.wait(100_000).check(null);
    expect(l.verdict()).toBe("healthy");
  });
});

/** A second, independent reading of the class table, for the exhaustive walk. */
type Model = { app: boolean; reset: boolean; missed: boolean; rebooted: boolean };

const STEPS = ["clean", "app", "reset", "reboot", "missed"] as const;
type Step = (typeof STEPS)[number];

function expected(before: Model, step: Step): Model {
  const checked: Model = {
    app: false,
    missed: false,
    reset: before.reset && !before.rebooted,
    rebooted: false,
  };
  switch (step) {
    case "clean":
      return checked;
    case "app":
      return { ...checked, app: true };
    case "reset":
      return { ...checked, reset: true };
    case "reboot":
      return { ...before, rebooted: true };
    case "missed":
      return { ...before, missed: true };
  }
}

const modelVerdict = (m: Model): Verdict =>
  m.reset || m.missed ? "unhealthy" : m.app ? "degraded" : "healthy";

test("the latch agrees with the table on every sequence of eight evaluations, for thresholds 1 to 3", () => {
  const findings: Record<string, Record<string, Finding>> = {};
  for (let boot = 0; boot <= 8; boot++) {
    const id = `b${boot}`;
    const silent = found({ kind: "heartbeat", gpu_uuid: null, gpu_index: null }, id);
    findings[id] = { app: xid(31, id), reset: xid(48, id), missed: silent };
  }
  const judgements = {
    app: judged(xid(31)),
    reset: judged(xid(48)),
    missed: judged(found({ kind: "heartbeat" })),
  };
  const clean = check();
  let walked = 0;

  const walk = (
    held: HeldFinding[],
    model: Model,
    boot: number,
    run: number,
    bad: number,
    depth: number,
  ) => {
    for (const step of STEPS) {
      walked++;
      const nowMs = depth * 1_000 + 1_000;
      const after = step === "reboot" ? boot + 1 : boot;
      const bootId = `b${after}`;
      let next = held;
      if (step === "app" || step === "reset" || step === "missed") {
        const finding = findings[bootId]?.[step];
        if (!finding) throw new Error(`no finding for ${bootId}`);
        next = holdFinding(next, finding, judgements[step], nowMs, bootId);
      }
      const seen = step === "reboot" || step === "missed" ? null : clean;
      next = releaseHeld(next, { bootId, check: seen, nowMs, resetSeen: false });
      const now = expected(model, step);
      const want = modelVerdict(now);
      const got = verdictOf(next);
      if (got !== want) throw new Error(`depth ${depth}, ${step}: ${got}, expected ${want}`);
      const streak = got === "unhealthy" ? run + 1 : 0;
      const badly = want === "unhealthy" ? bad + 1 : 0;
      for (const threshold of [1, 2, 3]) {
        if (streak >= threshold !== badly >= threshold) throw new Error(`threshold ${threshold}`);
      }
      if (depth < 7) walk(next, now, after, streak, badly, depth + 1);
    }
  };
  walk([], { app: false, reset: false, missed: false, rebooted: false }, 0, 0, 0, 0);
  expect(walked).toBe((5 ** 9 - 5) / 4);
});

test("the latch's verdict is the same for any order of the findings of one report", () => {
  const codes = fc.array(fc.constantFrom(13, 31, 48, 63, 79, 94, 106, 9_999), { maxLength: 10 });
  fc.assert(
    fc.property(codes, (given) => {
      const hold = (list: number[]) =>
        list.reduce<HeldFinding[]>((held, code) => {
          const finding = xid(code);
          return holdFinding(held, finding, judged(finding), 1_000, "b1");
        }, []);
      const forward = hold(given);
      const backward = hold([...given].reverse());
      expect(verdictOf(backward)).toBe(verdictOf(forward));
      const keys = (held: HeldFinding[]) => held.map((h) => `${h.key} ${h.count}`).sort();
      expect(keys(backward)).toEqual(keys(forward));
    }),
  );
});
