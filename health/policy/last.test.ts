/** The judgement of a node by a program beside its agent. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import * as v from "valibot";
import { findingOf } from "../../test/world/part.ts";
import type { Finding } from "../../schema/finding.ts";
import { BootId } from "../../schema/id.ts";
import type { LastVerdict } from "../../schema/last-verdict.ts";
import { drainCodeOf } from "./drain-code.ts";
import { judgeLast } from "./last.ts";

const NOW = Date.parse("2026-03-01T10:10:00Z");
const BOOT = v.parse(BootId, "b1");
const found = (given: Partial<Finding>): Finding =>
  findingOf({ boot_id: BOOT, at: "2026-03-01T10:00:00Z", gpu_index: 3, ...given });

const lastOf = (given: Partial<LastVerdict>): LastVerdict => ({
  version: 1,
  boot_id: BOOT,
  simulated: false,
  node: { id: "n0", pool: "p", labels: {}, gpu_count: 8, driver_version: "570" },
  heard: null,
  conclusive: true,
  expected_gpus: 8,
  present_gpus: 8,
  active: [],
  findings: [],
  ...given,
});
const judged = (given: Partial<LastVerdict>) => judgeLast(lastOf(given), NOW);
const codes = (given: Partial<LastVerdict>) => {
  const answer = judged(given);
  return answer.kind === "fit" ? [answer.by] : answer.faults.map(({ code }) => code);
};

const XID48 = found({ code: 48 });
const LOST = found({ kind: "lost", code: null, reason: "count", severity: "fatal" });

describe("judgeLast()", () => {
  test("S46: follows the control plane while it is heard, and judges itself when it is not", () => {
    const findings = [XID48];
    expect(codes({ findings, heard: "healthy" })).toEqual(["control plane"]);
    expect(codes({ findings, heard: "degraded" })).toEqual(["control plane"]);
    expect(codes({ findings, heard: "unhealthy" })).toEqual(["XID48"]);
    expect(codes({ findings, heard: "unknown" })).toEqual(["XID48"]);
    expect(codes({ findings, heard: null })).toEqual(["XID48"]);
    expect(codes({})).toEqual(["agent"]);
    expect(codes({ heard: "unhealthy" })).toEqual(["UNHEALTHY"]);
    expect(codes({ heard: "unhealthy", present_gpus: 7 })).toEqual(["GPU_COUNT"]);
  });

  test("A14: names a lost GPU by how many are left", () => {
    const key = `lost/count/${LOST.gpu_uuid}`;
    const given = { findings: [LOST], active: [key], present_gpus: 7 };
    const faults = [{ code: "GPU_COUNT", text: "7<8" }];
    expect(judged(given)).toEqual({ kind: "unfit", faults });
  });

  test("an application's fault condemns nothing, and evidence of another boot neither", () => {
    expect(codes({ findings: [found({ code: 31 }), found({ code: 13 })] })).toEqual(["agent"]);
    expect(codes({ findings: [XID48], boot_id: "b2" })).toEqual(["agent"]);
  });

  test("a condition ends with a later check that no longer lists it, a latched fault does not", () => {
    const node = { gpu_uuid: null, gpu_index: null, pci: null };
    const hung = found({ kind: "driver", code: null, reason: "unresponsive", ...node });
    const active = ["driver/unresponsive/node"];
    expect(codes({ findings: [hung], active })).toEqual(["DRIVER"]);
    expect(codes({ findings: [hung] })).toEqual(["agent"]);
    expect(codes({ findings: [hung], conclusive: false })).toEqual(["DRIVER"]);
    expect(codes({ findings: [XID48] })).toEqual(["XID48"]);
  });

  test("a clock that was set back does not hide a fault", () => {
    expect(codes({ findings: [{ ...XID48, at: "2031-01-01T00:00:00Z" }] })).toEqual(["XID48"]);
  });

  test("each code once", () => {
    const two = [XID48, found({ code: 48, gpu_index: 4, gpu_uuid: "GPU-4" })];
    expect(codes({ findings: [...two, found({ code: 79 })] }).toSorted()).toEqual([
      "XID48",
      "XID79",
    ]);
  });
});

describe("drainCodeOf()", () => {
  test("S27: has a code of one word and a text of one line, whatever the finding says", () => {
    const text = fc.string({ unit: "binary", maxLength: 400 });
    fc.assert(
      fc.property(
        text,
        fc.option(text),
        fc.constantFrom("xid", "sxid", "lost", "ecc", "host"),
        (because, reason, kind) => {
          const named = drainCodeOf(found({ kind, reason, code: null, metrics: {} }), because);
          expect(named.code).toMatch(/^[A-Z0-9_]+$/);
          expect(named.text).not.toMatch(/[\n\r"\u0000-\u001f]/);
          expect(named.text.length).toBeLessThanOrEqual(160);
        },
      ),
    );
  });

  test("does not repeat the code in the text", () => {
    const named = drainCodeOf(XID48, "XID 48 on GPU 3: Double Bit ECC Error");
    expect(named).toEqual({ code: "XID48", text: "on GPU 3: Double Bit ECC Error" });
  });
});
