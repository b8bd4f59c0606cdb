import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import * as v from "valibot";
import { parseFacts } from "../../agent/kernel/fact.ts";
import { EMPTY_MEMORY, findingOf } from "../../agent/kernel/finding.ts";
import { Finding } from "../../schema/finding.ts";
import { FindingHistory } from "../../schema/held.ts";
import { BootId } from "../../schema/id.ts";
import { Judgement, type Policy, type PolicyNode, type PolicyRule } from "../../schema/policy.ts";
import { allSxids, allXids } from "../catalog/catalog.ts";
import rulesFile from "../catalog/xid-nvlink5-rules.json" with { type: "json" };
import { builtinPolicy, compiledBuiltin } from "./builtin.ts";
import { type CompiledPolicy, compilePolicy, hashRules } from "./compile.ts";
import { eventOf, readMetric } from "./event.ts";
import { repeatsOf } from "./history.ts";
import { holdFinding, verdictOf } from "./hold.ts";
import { judge, judgeReport } from "./judge.ts";

const NODE: PolicyNode = {
  id: "n1",
  pool: "p",
  labels: {},
  gpu_count: 8,
  driver_version: "570.86.16",
  fake: false,
};
const BOOT = v.parse(BootId, "boot-1");
const WALL_MS = Date.parse("2026-03-01T10:00:00Z");
const GPUS = [0, 1].map((index) => ({
  index,
  uuid: `GPU-${index}`,
  pci: `0000:0${index + 1}:00.0`,
}));

/** A finding from a kernel line about GPU 0, `afterMs` after boot. */
function told(line: string, afterMs = 0): Finding {
  const [fact] = parseFacts(line);
  if (!fact) throw new Error(`no fact in: ${line}`);
  const origin = { seq: afterMs, usec: afterMs * 1_000, bootId: BOOT, bootWallMs: WALL_MS };
  const { finding } = findingOf(fact, origin, GPUS, EMPTY_MEMORY);
  if (!finding) throw new Error(`no finding in: ${line}`);
  return finding;
}

const xid = (text: string, afterMs = 0, bus = "01"): Finding =>
  told(`NVRM: Xid (PCI:0000:${bus}:00): ${text}`, afterMs);
const sxid = (text: string): Finding => told(`nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): ${text}`);

/** A finding as a probe makes it. */
function probed(
  kind: Finding["kind"],
  reason: string | null,
  metrics: Finding["metrics"] = {},
): Finding {
  return {
    ...xid("1, x"),
    kind,
    code: null,
    reason,
    metrics,
    message: `${kind} ${reason}`,
    source: "nvml",
  };
}

/** The same of the node as a whole. */
const nowhere = (finding: Finding): Finding => ({ ...finding, gpu_index: null, gpu_uuid: null });

const about = (finding: Finding, history: FindingHistory = []): Judgement =>
  judge(finding, compiledBuiltin, NODE, history);

const brief = (j: Judgement): string =>
  `${j.result} ${typeof j.hold === "object" ? `${j.hold.forMs}ms` : j.hold} ${j.action}`;

function rule(given: Partial<PolicyRule>): PolicyRule {
  return {
    name: "r",
    description: null,
    condition: "true",
    result: "unhealthy",
    hold: null,
    action: null,
    repeat: null,
    pools: null,
    line: 1,
    ...given,
  };
}

function custom(...rules: PolicyRule[]): CompiledPolicy {
  const policy: Policy = {
    version: "v1",
    name: "c",
    description: null,
    rules,
    hash: hashRules(rules),
  };
  const answer = compilePolicy(policy);
  if (!answer.ok) throw new Error(answer.problems.map((p) => p.message).join());
  return answer.compiled;
}

describe("judge() with the built-in policy, by the class table", () => {
  const RESET = "unhealthy until_reset reset";
  const REBOOT = "unhealthy until_reboot reboot";
  const ABSENT = "unhealthy while_active reboot";
  const REPLACE = "unhealthy until_replaced replace";
  const APP = "degraded none app";
  const RECORDED = "healthy none none";
  const registers = (first: string) => `(${first}, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)`;
  const table: [string, string, boolean][] = [
    ["13, Graphics Exception", APP, false],
    ["31, MMU Fault", APP, false],
    ["32, push buffer", APP, false],
    ["43, Ch 00000001", APP, false],
    ["45, Ch 00000001", APP, false],
    ["45, Ch 00000001 caused by previous Xid 31", RECORDED, false],
    ["46, x", RESET, true],
    ["48, DBE", RESET, true],
    ["61, x", "degraded 3600000ms none", false],
    ["62, x", RESET, true],
    ["63, Row Remapper", "degraded until_reset inspect", false],
    ["64, Row Remapper Error", RESET, true],
    ["64, (0x1) - All reserved rows for bank are remapped", REPLACE, true],
    ["68, x", APP, false],
    ["69, x", APP, false],
    [`74, fatal error detected on link 1${registers("0x10000")}`, RESET, true],
    [`74, fatal error detected on link 1${registers("0x1")}`, RECORDED, false],
    [`74, fatal error detected on link 1${registers("0x10")}`, "degraded 3600000ms inspect", false],
    [
      "74, NVLink: failed to train link 3 to remote PCI:0000:10:00",
      "degraded 3600000ms inspect",
      false,
    ],
    ["79, GPU has fallen off the bus.", REBOOT, true],
    ["92, x", "degraded until_reset inspect", false],
    ["94, Contained: x", APP, false],
    ["94, Contained: x. RST: Yes, D-RST: No", RESET, true],
    ["94, Contained: x. RST: No, D-RST: Yes", RESET, true],
    ["94, Contained: x. RST: No, D-RST: No", APP, false],
    ["95, Uncontained: x", RESET, true],
    ["95, Uncontained: x. RST: No, D-RST: No", RESET, true],
    ["100, x", APP, false],
    ["109, x", RESET, true],
    ["110, x", RESET, true],
    ["119, x", RESET, true],
    ["120, x", RESET, true],
    ["121, x", "degraded none none", false],
    ["137, x", "degraded none none", false],
    ["136, x", RESET, true],
    ["140, x", RESET, true],
    ["143, x", RESET, true],
    ["149, x", "degraded 3600000ms none", false],
    ["151, x", REBOOT, true],
    [
      "154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)",
      RECORDED,
      false,
    ],
    ["154, GPU recovery action changed from 0x0 (None) to 0x1 (Node Reboot Required)", RESET, true],
    ["154, GPU recovery action changed from 0x0 (None) to 0x2 (whatever)", REBOOT, true],
    [
      "154, GPU recovery action changed from 0x0 (None) to 0x3 (Drain P2P)",
      "degraded 3600000ms inspect",
      false,
    ],
    ["154, GPU recovery action changed from 0x0 (None) to 0x4 (Drain and Reset)", RESET, true],
    [
      "154, GPU recovery action changed from 0x0 (None) to 0x5 (IMEX)",
      "degraded 3600000ms inspect",
      false,
    ],
    [
      "154, GPU recovery action changed from 0x0 (None) to 0x9 (new)",
      "degraded 3600000ms inspect",
      false,
    ],
    ["154, in other words", "degraded 3600000ms inspect", false],
    ["155, x", RESET, true],
    ["156, x", RESET, true],
    ["158, x", RESET, true],
    ["999, x", "degraded 3600000ms none", false],
  ];
  for (const [text, expected, definitive] of table) {
    test(`judge() of XID ${text.slice(0, 60)} is ${expected}`, () => {
      const judgement = about(xid(text));
      expect(brief(judgement)).toBe(expected);
      expect(judgement.definitive).toBe(definitive);
      expect(v.safeParse(Judgement, judgement).success).toBe(true);
    });
    test(`judge() is blind to the MIG instance of XID ${text.slice(0, 60)}`, () => {
      const mig = told(`NVRM: Xid (PCI:0000:01:00 GPU-I:03 GPU-CI:00): ${text}`);
      expect(brief(about(mig))).toBe(expected);
    });
  }

  test("judge() of an unreadable Xid line destroys nothing", () => {
    expect(brief(about(told("NVRM: Xid (what): 79")))).toBe("degraded 3600000ms none");
  });

  const other: [Finding, string, boolean][] = [
    [told("NVRM: GPU 0000:01:00.0: GPU has fallen off the bus."), REBOOT, true],
    [probed("lost", "count", { expected: 8, present: 7 }), REBOOT, true],
    [probed("lost", "unlisted", { on_bus: 8, listed: 7 }), ABSENT, false],
    [nowhere(probed("lost", "count", { expected_from: "pool" })), ABSENT, false],
    [nowhere(probed("lost", "count", { expected_from: "instance_type" })), ABSENT, false],
    [nowhere(probed("lost", "count", { expected_from: "baseline" })), REBOOT, true],
    [probed("lost", "count", { expected_from: "pool" }), REBOOT, true],
    [probed("ecc", "dbe", { ecc_dbe_count: 1 }), RESET, true],
    [probed("ecc", "sbe", { ecc_sbe_count: 200 }), "degraded while_active inspect", false],
    [probed("ecc", "sram_threshold"), REPLACE, true],
    [probed("remap", "failure"), REPLACE, true],
    [probed("remap", "pending"), "degraded until_reset reset", false],
    [probed("remap", "spare_low"), "degraded while_active inspect", false],
    [probed("thermal", "slowdown", { temperature: 86 }), "degraded while_active inspect", false],
    [probed("thermal", null, { temperature: 96 }), "unhealthy while_active inspect", false],
    [
      probed("thermal", null, { temperature: 96, shutdown_limit: 105 }),
      "degraded while_active inspect",
      false,
    ],
    [probed("thermal", "shutdown"), "unhealthy while_active inspect", false],
    [probed("power", "over_limit"), "degraded while_active inspect", false],
    [probed("power", "insufficient"), "unhealthy while_active inspect", false],
    [probed("throttle", "hw_slowdown"), "degraded while_active inspect", false],
    [probed("nvlink", "inactive"), "degraded while_active inspect", false],
    [probed("pcie", "width"), "degraded while_active inspect", false],
    [probed("driver", "library"), "unhealthy while_active inspect", false],
    [probed("driver", "version"), "unhealthy while_active inspect", false],
    [probed("driver", "unresponsive"), "unhealthy while_active reboot", false],
    [probed("driver", "reset_required", { nvml_code: 16 }), RESET, true],
    [probed("driver", "init"), RESET, false],
    [probed("driver", "mismatch"), "degraded none inspect", false],
    [probed("driver", "permission"), "degraded while_active inspect", false],
    [probed("host", "kernel_log"), "degraded while_active inspect", false],
    [probed("heartbeat", null), "unhealthy while_active none", false],
    [sxid("20034, Fatal, Link 30 LTSSM Fault Up"), REBOOT, true],
    [sxid("10003, Non-fatal, Link 30 x"), RECORDED, false],
    [sxid("14017, Correctable, Link 04 x"), RECORDED, false],
    [sxid("10003, no word of severity"), REBOOT, true],
    [sxid("26006, SOE HALTED"), "degraded 3600000ms inspect", false],
  ];
  for (const [finding, expected, definitive] of other) {
    test(`judge() of ${finding.kind} ${finding.reason ?? finding.code ?? ""} is ${expected}`, () => {
      const judgement = about(finding);
      expect(brief(judgement)).toBe(expected);
      expect(judgement.definitive).toBe(definitive);
    });
  }

  for (const vector of rulesFile.testVectors) {
    const { xid: code, intrInfo, errorStatus, immediate } = vector;
    test(`judge() of ${code} ${intrInfo} ${errorStatus} follows ${immediate}`, () => {
      const line = `${code}, UNIT  Fatal XC0 i0 Link 03 (${intrInfo} ${errorStatus} 0x0 0x0 0x0)`;
      const expected = { IGNORE: RECORDED, RESET_GPU: RESET, XID_154_EVAL: APP }[immediate];
      expect(brief(about(xid(line)))).toBe(expected ?? "");
    });
  }

  test("judge() gives every catalogue row the class of its action, through parser and verdict", () => {
    for (const entry of allXids()) {
      const judgement = about(xid(`${entry.code}, text`));
      const held = holdFinding([], xid(`${entry.code}, text`), judgement, 1);
      const byAction: Record<string, string> = {
        ignore: [43, 45].includes(entry.code)
          ? "degraded"
          : [63, 92, 121, 137].includes(entry.code)
            ? "degraded"
            : "healthy",
        restart_app: "degraded",
        reset_gpu: entry.code === 74 ? "degraded" : "unhealthy",
        reboot_node: "unhealthy",
        // A person looks; no code of the catalogue replaces a machine by itself.
        rma: "degraded",
        follow_154: "degraded",
        decode_nvlink5: "degraded",
        unknown: "degraded",
      };
      expect(`${entry.code} ${verdictOf(held)}`).toBe(
        `${entry.code} ${byAction[entry.policy.action]}`,
      );
      expect(judgement.rule).not.toBe("default");
    }
  });

  test("judge() never condemns a node for one of the 67 mild codes", () => {
    const mild = allXids().filter(
      (e) =>
        e.status === "active" &&
        (e.nvidia?.immediate === "RESTART_APP" || e.nvidia?.immediate === "IGNORE"),
    );
    expect(mild.length).toBe(67);
    for (const { code } of mild) {
      const { result, action } = about(xid(`${code}, x`));
      expect(result).not.toBe("unhealthy");
      expect(["none", "app", "inspect"]).toContain(action);
    }
  });

  test("judge() decides every SXid without a printed severity by its class", () => {
    for (const entry of allSxids()) {
      const { result } = about(sxid(`${entry.code}, text`));
      const expected = {
        always_fatal: "unhealthy",
        potential_fatal: "degraded",
        non_fatal: "healthy",
      };
      expect(result).toBe(
        (entry.class === null ? "degraded" : expected[entry.class]) as typeof result,
      );
    }
  });

  test("judge() neither acts on foreign findings nor on injected ones", () => {
    const gone = xid("79, gone");
    expect(about({ ...gone, foreign: true })).toMatchObject({ result: "healthy", rule: "foreign" });
    const injected = xid("149, UNIT Fatal XC0 i1 Link 03 (0x004505c6 0x0 0x0)");
    expect(about(injected)).toMatchObject({ result: "healthy", rule: "injected" });
    const onFake = judge(injected, compiledBuiltin, { ...NODE, fake: true }, []);
    expect(onFake.result).toBe("unhealthy");
  });

  test("judge() says why, in one sentence", () => {
    expect(about(xid("79, GPU has fallen off the bus.")).because).toBe(
      "XID 79 on GPU 0: GPU has fallen off the bus",
    );
    expect(about(xid("9999, new thing")).because).toContain("XID 9999 on GPU 0: NVRM: Xid");
    expect(about(sxid("20034, Fatal, Link 30 LTSSM Fault Up")).because).toMatch(/^SXid 20034 at/);
  });
});

describe("judgeReport()", () => {
  const run = (findings: Finding[], history: FindingHistory = []) =>
    judgeReport(findings, compiledBuiltin, NODE, history);

  test("judgeReport() escalates a contained error that comes back within a day, on one GPU", () => {
    const hour = 3_600_000;
    const first = run([xid("94, Contained: x", 0)]);
    const soon = run([xid("94, Contained: x", 2 * hour)], first.history);
    expect(soon.judgements[0]).toMatchObject({
      result: "unhealthy",
      hold: "until_reset",
      action: "reset",
      definitive: false,
    });
    const elsewhere = run([xid("94, Contained: x", 2 * hour, "02")], first.history);
    expect(elsewhere.judgements[0]?.result).toBe("degraded");
    const late = run([xid("94, Contained: x", 25 * hour)], first.history);
    expect(late.judgements[0]?.result).toBe("degraded");
  });

  test("judgeReport() counts the lines of one burst as one occurrence", () => {
    const lines = Array.from({ length: 50 }, (_, n) => xid("94, Contained: x", n * 100));
    const { judgements, history } = run(lines);
    expect(judgements.every((j) => j.result === "degraded")).toBe(true);
    expect(history).toMatchObject([{ count: 50 }]);
  });

  test("judgeReport() ends a stretch of lines after five minutes, however small its gaps", () => {
    const every4s = Array.from({ length: 140 }, (_, n) => xid("13, x", n * 4_000));
    const policy = custom(
      rule({
        name: "often",
        result: "degraded",
        repeat: { atLeast: 2, withinMs: 86_400_000, by: "gpu", result: "unhealthy" },
      }),
    );
    const { judgements, history } = judgeReport(every4s, policy, NODE, []);
    expect(judgements.at(-1)?.because).toEndWith("(2 times)");
    expect(repeatsOf(history, every4s[0] as Finding, "often")).toEqual({
      lines: 140,
      occurrences: 2,
    });
    // As many lines in reports of their own, in the wrong order.
    const apart = every4s
      .toReversed()
      .reduce<FindingHistory>((past, one) => judgeReport([one], policy, NODE, past).history, []);
    expect(apart).toEqual(history);
    const first = judgeReport(every4s.slice(0, 75), policy, NODE, []);
    expect(first.judgements.every((one) => one.result === "degraded")).toBe(true);
  });

  test("judgeReport() counts of a stretch only what lies within the rule's window", () => {
    const policy = custom(
      rule({
        name: "often",
        result: "degraded",
        repeat: { atLeast: 3, withinMs: 350_000, by: "gpu", result: "unhealthy" },
      }),
    );
    const lines = Array.from({ length: 300 }, (_, n) => xid("13, x", n * 4_000));
    const { history } = judgeReport(lines, policy, NODE, []);
    const late = judgeReport([xid("13, x", 1_500_000)], policy, NODE, history);
    expect(late.judgements[0]?.result).toBe("degraded");
    const middle = judgeReport([xid("13, x", 600_000)], policy, NODE, history);
    expect(middle.judgements[0]?.result).toBe("unhealthy");
  });

  test("judgeReport() counts link errors by link", () => {
    const text = (link: number) => `74, error on link ${link}(0x10, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)`;
    const first = run([xid(text(1), 0)]);
    expect(run([xid(text(2), 60_000)], first.history).judgements[0]?.result).toBe("degraded");
    expect(run([xid(text(1), 60_000)], first.history).judgements[0]?.result).toBe("unhealthy");
  });

  test("judgeReport() lets another code explain 45, before or after it", () => {
    const cleanup = xid("45, Ch 00000001", 1_000);
    const cause = xid("109, x", 2_000);
    expect(run([cleanup, cause]).judgements[0]?.result).toBe("healthy");
    const before = run([xid("13, x", 0)]);
    expect(run([cleanup], before.history).judgements[0]?.result).toBe("healthy");
    expect(run([xid("45, x", 40_000)], before.history).judgements[0]?.result).toBe("degraded");
    expect(run([xid("45, x", 1_000, "02")], before.history).judgements[0]?.result).toBe("degraded");
  });

  test("judgeReport() takes a link error told twice by its registers", () => {
    const decoded = xid("149, U Fatal XC0 i0 Link 3 (0x026001c6 0x0 0x0)", 0);
    const bare = { ...xid("149, ", 10), source: "nvml" };
    const { judgements } = run([bare, decoded]);
    expect(judgements.map((j) => j.result)).toEqual(["healthy", "healthy"]);
    expect(run([bare]).judgements[0]?.result).toBe("degraded");
  });

  const texts = [
    "13, x",
    "45, Ch 1",
    "94, Contained: x",
    "94, Contained: x. RST: Yes, D-RST: No",
    "74, link 1(0x10, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)",
    "149, U Fatal XC0 i0 Link 3 (0x004505c6 0x0 0x0)",
    "63, x",
    "106, x",
    "9999, x",
    "154, GPU recovery action changed from 0x0 (a) to 0x4 (b)",
  ];
  const some = fc.record({
    text: fc.constantFrom(...texts),
    at: fc.integer({ min: 0, max: 200_000 }),
    bus: fc.constantFrom("01", "02"),
  });

  test("judgeReport() does not depend on the order inside a report", () => {
    fc.assert(
      fc.property(fc.array(some, { maxLength: 12 }), fc.nat(), (given, seed) => {
        const findings = given.map((g) => xid(g.text, g.at, g.bus));
        const order = findings.map((f, i) => ({ f, k: ((i + 1) * (seed + 7919)) % 104729 }));
        const shuffled = order.sort((a, b) => a.k - b.k).map((o) => o.f);
        const one = run(findings);
        const two = run(shuffled);
        expect(two.history).toEqual(one.history);
        for (const [at, finding] of findings.entries()) {
          expect(two.judgements[shuffled.indexOf(finding)]).toEqual(
            one.judgements[at] as Judgement,
          );
        }
        const verdict = (list: Finding[], judgements: Judgement[]) =>
          verdictOf(
            list.reduce<ReturnType<typeof holdFinding>>((held, f, at) => {
              const judgement = judgements[at];
              return judgement ? holdFinding(held, f, judgement, 1) : held;
            }, []),
          );
        expect(verdict(shuffled, two.judgements)).toBe(verdict(findings, one.judgements));
      }),
      { numRuns: 300 },
    );
  });

  test("judgeReport() never condemns a node for what applications do, however often", () => {
    const mild = allXids()
      .filter((e) => e.policy.scope === "app" && e.code !== 94)
      .map((e) => e.code);
    const bad = fc.record({ code: fc.constantFrom(...mild), at: fc.integer({ min: 0, max: 1e8 }) });
    fc.assert(
      fc.property(fc.array(fc.array(bad, { maxLength: 8 }), { maxLength: 6 }), (reports) => {
        let history: FindingHistory = [];
        for (const report of reports) {
          const answer = run(
            report.map((b) => xid(`${b.code}, x`, b.at)),
            history,
          );
          history = answer.history;
          for (const judgement of answer.judgements) {
            expect(judgement.result).not.toBe("unhealthy");
            expect(judgement.definitive).toBe(false);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  test("judgeReport() keeps its history within the stored bounds under a flood", () => {
    let history: FindingHistory = [];
    for (let n = 0; n < 400; n++) {
      const bus = n % 2 === 0 ? "01" : "02";
      history = run([xid(`${(n % 9) + 130}, x`, n * 20_000, bus)], history).history;
    }
    expect(v.safeParse(FindingHistory, history).success).toBe(true);
    expect(history.length).toBe(256);
  });

  test("judgeReport() is not blinded by one finding of a clock that jumped ahead", () => {
    const hour = 3_600_000;
    const future = { ...xid("13, x", 0), at: "2099-01-01T00:00:00.000Z" };
    let history: FindingHistory = run([future]).history;
    history = run([xid("94, Contained: x", 0)], history).history;
    expect(run([xid("94, Contained: x", hour)], history).judgements[0]?.result).toBe("unhealthy");
  });
});

describe("judgeReport() with a policy of one's own", () => {
  const catchAll = rule({ name: "rest", result: "healthy" });

  test("judge() takes the result from the rule and what it leaves open from the class", () => {
    const policy = custom(
      rule({
        name: "mine",
        condition: "event.event_type == 'xid' && event.metrics.xid_code == 79",
        result: "degraded",
      }),
      catchAll,
    );
    expect(judge(xid("79, x"), policy, NODE, [])).toMatchObject({
      result: "degraded",
      rule: "mine",
      hold: "until_reboot",
      action: "reboot",
      definitive: false,
      rank: "policy",
    });
    expect(judge(xid("48, x"), policy, NODE, [])).toMatchObject({
      result: "healthy",
      rule: "rest",
      hold: "none",
    });
  });

  test("judge() never calls an application fault definitive, whatever the rule says", () => {
    const policy = custom(rule({ name: "harsh" }));
    expect(judge(xid("13, x"), policy, NODE, [])).toMatchObject({
      result: "unhealthy",
      definitive: false,
      hold: "none",
      action: "app",
    });
    expect(judge(xid("79, x"), policy, NODE, []).definitive).toBe(true);
  });

  test("judge() follows hold, action and pools of a rule", () => {
    const policy = custom(
      rule({ name: "elsewhere", pools: ["q"] }),
      rule({ name: "here", pools: ["p"], hold: { forMs: 5_000 }, action: "inspect" }),
    );
    expect(judge(xid("79, x"), policy, NODE, [])).toMatchObject({
      rule: "here",
      hold: { forMs: 5_000 },
      action: "inspect",
    });
  });

  test("judge() counts repeats by node when a rule asks for it", () => {
    const repeat = { atLeast: 3, withinMs: 3_600_000, by: "node", result: "unhealthy" } as const;
    const policy = custom(rule({ name: "often", result: "degraded", repeat }));
    const three = [xid("13, x", 0, "01"), xid("13, x", 60_000, "02"), xid("31, x", 120_000, "01")];
    const answer = judgeReport(three, policy, NODE, []);
    expect(answer.judgements.map((j) => j.result)).toEqual(Array(3).fill("unhealthy"));
    const two = judgeReport(three.slice(1), policy, NODE, []);
    expect(two.judgements.map((j) => j.result)).toEqual(["degraded", "degraded"]);
  });

  test("judgeReport() reports a failing condition once, and goes on to the next rule", () => {
    const policy = custom(rule({ name: "bad", condition: "event.metrics.nope > 1" }), catchAll);
    const answer = judgeReport([xid("79, x"), xid("48, x")], policy, NODE, []);
    expect(answer.errors).toEqual([{ rule: "bad", message: "No such key: nope" }]);
    expect(answer.judgements.map((j) => j.rule)).toEqual(["rest", "rest"]);
  });

  test("judge() calls healthy what no rule matches", () => {
    const policy = custom(rule({ condition: "event.event_type == 'thermal'" }));
    expect(judge(xid("79, x"), policy, NODE, [])).toMatchObject({
      result: "healthy",
      rule: "default",
      hold: "none",
    });
  });
});

describe("judgeReport() with a policy shaped as upstream ships it", () => {
  const fatal = "13, 31, 32, 43, 45, 48, 61, 62, 63, 64, 68, 69, 74, 79, 92, 94, 95, 100, 119, 120";
  const above = (n: number): string =>
    `event.event_type == "thermal" && event.metrics.temperature >= ${n}`;
  const policy = custom(
    rule({
      name: "fatal-xid",
      condition: `event.event_type == "xid" && // hardware, as upstream sees it
        event.metrics.xid_code in [
          ${fatal.replaceAll(", ", ",\n          // a comment inside a list\n          ")}
        ]`,
    }),
    rule({ name: "recoverable-xid", condition: `event.event_type == "xid"`, result: "degraded" }),
    rule({
      name: "ecc-dbe",
      condition: `event.event_type == "ecc_dbe" ||
        (event.system == "DCGM_HEALTH_WATCH_MEM" && has(event.metrics.ecc_dbe_count)
          && event.metrics.ecc_dbe_count > 0)`,
    }),
    rule({ name: "thermal-critical", condition: above(95) }),
    rule({ name: "thermal-warning", condition: above(85), result: "degraded" }),
    rule({
      name: "pcie-error",
      condition: `event.event_type == "pcie" || event.system == "DCGM_HEALTH_WATCH_PCIE"`,
      result: "degraded",
    }),
    rule({ name: "default", condition: "true", result: "healthy" }),
  );
  const cases: [Finding, string, string][] = [
    [xid("13, x"), "fatal-xid", "unhealthy"],
    [xid("79, x"), "fatal-xid", "unhealthy"],
    [xid("109, x"), "recoverable-xid", "degraded"],
    [xid("9999, x"), "recoverable-xid", "degraded"],
    [probed("ecc", "dbe", { ecc_dbe_count: 1 }), "ecc-dbe", "unhealthy"],
    [probed("remap", "pending", { pending: true }), "default", "healthy"],
    [probed("thermal", null, { temperature: 95 }), "thermal-critical", "unhealthy"],
    [probed("thermal", null, { temperature: 94.5 }), "thermal-warning", "degraded"],
    [probed("thermal", null, { temperature: 84 }), "default", "healthy"],
    [probed("pcie", "replay"), "pcie-error", "degraded"],
    [probed("lost", "bus"), "pcie-error", "degraded"],
  ];
  for (const [finding, name, result] of cases) {
    test(`judge() of ${finding.kind} ${finding.code ?? finding.reason} is ${result} there`, () => {
      expect(judge(finding, policy, NODE, [])).toMatchObject({ rule: name, result });
    });
  }
});

describe("compilePolicy()", () => {
  const policy = (...rules: PolicyRule[]): Policy => ({
    version: "v1",
    name: "t",
    description: null,
    rules,
    hash: "",
  });

  test("compilePolicy() accepts the built-in policy", () => {
    expect(compilePolicy(builtinPolicy).ok).toBe(true);
    expect(builtinPolicy.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  test("compilePolicy() reports every problem, with rule and place", () => {
    const answer = compilePolicy(
      policy(
        rule({ name: "a", condition: "event.evnt == 1", line: 3 }),
        rule({ name: "b", condition: "1 +", line: 7 }),
        rule({ name: "a", line: 9 }),
        rule({ name: "c", repeat: { atLeast: 65, withinMs: 1, by: "gpu", result: "unhealthy" } }),
      ),
    );
    if (answer.ok) throw new Error("accepted");
    const errors = answer.problems;
    expect(errors.map((p) => `${p.rule}:${p.line}`)).toEqual(["a:3", "b:7", "c:1", "a:9"]);
    expect(errors[0]?.message).toContain("event has no field evnt");
  });

  test("hashRules() depends on what decides, and not on words or lines", () => {
    const base = hashRules([rule({})]);
    expect(hashRules([rule({ line: 9, description: "x" })])).toBe(base);
    expect(hashRules([rule({ result: "degraded" })])).not.toBe(base);
    expect(hashRules([rule({ hold: { forMs: 1 } })])).not.toBe(hashRules([rule({ hold: "none" })]));
  });
});

describe("eventOf()", () => {
  test("eventOf() maps every kind to its event type", () => {
    const types = (["xid", "sxid", "ecc", "remap", "thermal", "power", "throttle"] as const).map(
      (kind) => eventOf(probed(kind, null)).event_type,
    );
    expect(types).toEqual(["xid", "nvlink", "memory", "row_remap", "thermal", "power", "throttle"]);
    const rest = (["nvlink", "pcie", "lost", "driver", "host", "heartbeat"] as const).map(
      (kind) => eventOf(probed(kind, null)).event_type,
    );
    expect(rest).toEqual(["nvlink", "pcie", "gpu_lost", "driver_error", "check", "heartbeat"]);
  });

  test("readMetric() types text as upstream does, and leaves names alone", () => {
    const cases: [string, string, unknown][] = [
      ["a", "79", 79],
      ["a", "-3", -3],
      ["a", "1.5", 1.5],
      ["a", "1e3", 1000],
      ["a", "t", true],
      ["a", "False", false],
      ["a", "yes", "yes"],
      ["a", "", ""],
      ["gpu_serial", "00123", "00123"],
      ["link_id", "T", "T"],
      ["process_name", "T", "T"],
    ];
    for (const [key, text, value] of cases) expect(readMetric(key, text)).toBe(value as string);
  });

  test("eventOf() gives the node's own events index −1", () => {
    const finding = { ...probed("lost", "count"), gpu_index: null, gpu_uuid: null };
    expect(eventOf(finding)).toMatchObject({ gpu_index: -1, gpu_uuid: "" });
  });
});

test("a finding of the kernel log passes the wire contract", () => {
  expect(v.safeParse(Finding, xid("79, x")).success).toBe(true);
});
