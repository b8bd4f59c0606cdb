import { describe, expect, test } from "bun:test";
import type { NvmlFailure } from "../nvml/reading.ts";
import { judgeDriver } from "./driver.ts";

const failed = (reason: NvmlFailure["reason"], code: number) =>
  judgeDriver({ kind: "failed", failure: { reason, code, message: "m" }, durationMs: 1 });

describe("judgeDriver()", () => {
  test.each([
    [failed("library", 12), "library", "fatal", true, false],
    [failed("driver", 9), "not_loaded", "fatal", true, false],
    [failed("version", 18), "version", "serious", true, true],
    [failed("permission", 17), "permission", "warning", false, true],
    [failed("other", 999), "error", "serious", true, true],
    [
      judgeDriver({ kind: "unresponsive", evidence: "bun:D:x", abandoned: 1 }),
      "unresponsive",
      "fatal",
      true,
      true,
    ],
    [
      judgeDriver({ kind: "crashed", signal: "SIGSEGV", abandoned: 0 }),
      "crashed",
      "serious",
      true,
      true,
    ],
    [judgeDriver({ kind: "stuck", abandoned: 3 }), "stuck", "fatal", true, true],
  ])("%#: each way has its own reason", (verdict, reason, severity, conclusive, keepsGpus) => {
    expect(verdict).toMatchObject({
      condition: { kind: "driver", reason, severity, gpu: null },
      conclusive,
      keepsGpus,
    });
  });
});
