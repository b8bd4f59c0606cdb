import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { Finding } from "../../schema/finding.ts";
import type { GpuIdentity } from "../../schema/gpu.ts";
import type { NvmlEvent } from "../nvml/reading.ts";
import { roundAt } from "../../test/fixture/nvml/probe-round.ts";
import { printEventFindings, wantsCheck } from "./event.ts";

const gpus: GpuIdentity[] = [
  { index: 4, uuid: "GPU-4", name: "H100", pci_bus_id: "00000000:3B:00.0" },
];
const event = (change: Partial<NvmlEvent>): NvmlEvent => ({
  atMs: 1_800_000_000_000,
  uuid: "GPU-4",
  type: 0x8,
  data: 79,
  gpuInstance: null,
  computeInstance: null,
  ...change,
});

describe("printEventFindings()", () => {
  test("makes a finding of an XID, placed by UUID and with the event's own time", () => {
    const [finding] = printEventFindings([event({})], gpus, roundAt(0));
    expect(finding).toMatchObject({
      kind: "xid",
      code: 79,
      pci: "0000:3b:00.0",
      gpu_index: 4,
      at: "2027-01-15T08:00:00.000Z",
      source: "nvml",
      mig: null,
    });
    expect(v.safeParse(Finding, finding).success).toBe(true);
  });

  test("keeps the instance of a MIG event", () => {
    const [finding] = printEventFindings(
      [event({ gpuInstance: 2, computeInstance: 0 })],
      gpus,
      roundAt(0),
    );
    expect(finding?.mig).toEqual({ gi: 2, ci: 0 });
  });

  test("gives no index to a GPU that it does not know", () => {
    const [finding] = printEventFindings([event({ uuid: "GPU-9" })], gpus, roundAt(0));
    expect(finding).toMatchObject({ gpu_uuid: "GPU-9", gpu_index: null, pci: null });
  });

  test("asks for a check instead of guessing what a verdict event means", () => {
    const verdict = [event({ type: 0x8000, data: 1 })];
    expect(printEventFindings(verdict, gpus, roundAt(0))).toEqual([]);
    expect(wantsCheck(verdict)).toBe(true);
    expect(wantsCheck([event({})])).toBe(false);
  });
});
