import { describe, expect, test } from "bun:test";
import type { NvmlFailure } from "../port/reading.ts";
import { judgeDriver } from "./driver.ts";

const failure = (reason: NvmlFailure["reason"], code: number) =>
  ({ kind: "failed", failure: { reason, code, message: "m" }, durationMs: 1 }) as const;
const failed = (reason: NvmlFailure["reason"], code: number) => judgeDriver(failure(reason, code));

describe("judgeDriver()", () => {
  test.each([
    [failure("library", 12), "library", "fatal", true, false],
    [failure("driver", 9), "not_loaded", "fatal", true, false],
    [failure("version", 18), "version", "serious", true, true],
    [failure("permission", 17), "permission", "warning", false, true],
    [failure("other", 999), "error", "serious", true, true],
    [
      { kind: "unresponsive", evidence: "bun:D:x", abandoned: 1 },
      "unresponsive",
      "fatal",
      true,
      true,
    ],
    [{ kind: "crashed", signal: "SIGSEGV", abandoned: 0 }, "crashed", "serious", true, true],
    [{ kind: "stuck", abandoned: 3 }, "stuck", "fatal", true, true],
  ] as const)("%#: each way has its own reason", (given, reason, severity, conclusive, keeps) => {
    expect(judgeDriver(given)).toMatchObject({
      condition: { kind: "driver", reason, severity, gpu: null },
      conclusive,
      keepsGpus: keeps,
    });
  });

  test("says what happened, and what the control plane may compare", () => {
    const said = (verdict: ReturnType<typeof judgeDriver>) => {
      const { condition, outcome } = verdict;
      return [outcome, condition?.message, condition?.metrics];
    };
    const asked = (operation: string, rest: object) => ({ operation, ...rest });
    expect(said(judgeDriver({ kind: "unresponsive", evidence: "bun:D:x", abandoned: 1 }))).toEqual([
      "timeout",
      "the driver did not answer in time; bun:D:x",
      asked("check", { abandoned: 1 }),
    ]);
    expect(said(judgeDriver({ kind: "crashed", signal: "SIGSEGV", abandoned: 2 }))).toEqual([
      "crashed",
      "the library crashed the probe (SIGSEGV)",
      asked("check", { signal: "SIGSEGV", abandoned: 2 }),
    ]);
    expect(said(judgeDriver({ kind: "stuck", abandoned: 3 }))).toEqual([
      "timeout",
      "3 probes hang in the driver and cannot be killed",
      asked("check", { abandoned: 3 }),
    ]);
    const outcomes = (["library", "driver", "version", "permission", "other"] as const).map(
      (reason) => said(failed(reason, 9)),
    );
    const init = asked("init", { nvml_code: 9 });
    expect(outcomes).toEqual([
      ["error", "m", init],
      ["error", "m", init],
      ["error", "m", init],
      ["no_permission", "m", init],
      ["error", "m", init],
    ]);
  });

  test("a driver that was released for other work is no fault and proves nothing", () => {
    expect(failed("released", 0)).toEqual({
      ...{ condition: null, outcome: "skipped", conclusive: false, keepsGpus: true },
    });
  });

  test("leaves out a return code that there was none of", () => {
    const none = { reason: "library", code: null, message: "m" } as const;
    const { condition } = judgeDriver({ kind: "failed", failure: none, durationMs: 1 });
    expect(condition?.metrics).toEqual({ operation: "init" });
  });
});
