import { expect, test } from "bun:test";
import * as v from "valibot";
import { newFinding } from "../../schema/finding.ts";
import { BootId, NodeId } from "../../schema/id.ts";
import type { OnceResult } from "./once.ts";
import { formatSummary } from "./summary.ts";

const START_MS = Date.parse("2026-03-01T10:00:00Z");

const xid = (code: number, afterMs: number, gpu: number) => ({
  ...newFinding({
    at: new Date(START_MS + afterMs).toISOString(),
    boot_id: v.parse(BootId, "boot-1"),
    message: `NVRM: Xid (PCI:0000:0${gpu}:00): ${code}, pid=71, name=python, Ch 00000008`,
    source: "kmsg",
  }),
  kind: "xid" as const,
  code,
  gpu_uuid: `GPU-${gpu}`,
  severity: "warning" as const,
});

test("formatSummary() says how many lines a fault printed, and for how many occurrences", () => {
  const result: OnceResult = {
    node_id: v.parse(NodeId, "n1"),
    verdict: "degraded",
    simulated: false,
    expected: null,
    gpus: [],
    host: null,
    findings: [
      ...Array.from({ length: 140 }, (_, n) => xid(13, n * 4_000, 1)),
      xid(13, 0, 2),
      ...[xid(31, 0, 1), xid(31, 100, 1)],
    ],
    probes: [],
  };
  const text = formatSummary(result);
  expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
  expect(text.replaceAll(/\n +/g, " ").split("\n").slice(4)).toEqual([
    "warning        NVRM: Xid (PCI:0000:01:00): 13, pid=71, name=python, Ch 00000008 (140 lines, 2 occurrences)",
    "warning        NVRM: Xid (PCI:0000:02:00): 13, pid=71, name=python, Ch 00000008",
    "warning        NVRM: Xid (PCI:0000:01:00): 31, pid=71, name=python, Ch 00000008 (2 lines, 1 occurrence)",
    "",
  ]);
});
