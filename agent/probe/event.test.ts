import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { Finding } from "../../schema/finding.ts";
import type { GpuIdentity } from "../../schema/gpu.ts";
import type { NvmlEvent } from "../port/reading.ts";
import { roundAt } from "../../test/fixture/nvml/probe-round.ts";
import { makeEventFindings, wantsCheck } from "./event.ts";

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

describe("makeEventFindings()", () => {
  test("makes a finding of an XID, placed by UUID and with the event's own time", () => {
    const [finding] = makeEventFindings([event({})], gpus, roundAt(0));
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
    const [finding] = makeEventFindings(
      [event({ gpuInstance: 2, computeInstance: 0 })],
      gpus,
      roundAt(0),
    );
    expect(finding?.mig).toEqual({ gi: 2, ci: 0 });
  });

  test("gives no index to a GPU that it does not know", () => {
    const [finding] = makeEventFindings([event({ uuid: "GPU-9" })], gpus, roundAt(0));
    expect(finding).toMatchObject({ gpu_uuid: "GPU-9", gpu_index: null, pci: null });
  });

  test("asks for a check instead of guessing what a verdict event means", () => {
    const verdict = [event({ type: 0x8000, data: 1 })];
    expect(makeEventFindings(verdict, gpus, roundAt(0))).toEqual([]);
    expect(wantsCheck(verdict)).toBe(true);
    expect(wantsCheck([event({})])).toBe(false);
  });

  // Type bits of nvml.h, and what the driver's documentation says of them.
  test.each([
    [0x2, "ecc", "dbe", "fatal", "uncorrected memory error"],
    [0x400, "remap", "pending", "serious", "memory is retired at the next reset"],
    [0x800, "remap", "failure", "fatal", "memory could not be retired"],
    [0x1000, "ecc", "poison", "warning", "contained poison"],
    [0x2000, "ecc", "poison_fatal", "fatal", "fatal poison"],
  ])("tells of type %i as %s/%s", (type, kind, reason, severity, words) => {
    expect(makeEventFindings([event({ type, data: 5 })], gpus, roundAt(0))).toMatchObject([
      {
        ...{ kind, reason, severity, code: null, metrics: {}, gpu_index: 4, gpu_uuid: "GPU-4" },
        message: `NVML event: ${words}`,
      },
    ]);
  });

  test("tells the number of an XID, up to what the contract can hold", () => {
    expect(makeEventFindings([event({})], gpus, roundAt(0))).toMatchObject([
      {
        ...{ kind: "xid", reason: "event", severity: "warning", message: "NVML event: XID 79" },
        metrics: { xid_code: 79 },
      },
    ]);
    const codes = [0, 1_000_000, 1_000_001].map((data) => event({ data }));
    expect(makeEventFindings(codes, gpus, roundAt(0)).map(({ code }) => code)).toEqual([
      0, 1_000_000,
    ]);
  });

  test("tells nothing of a type that it does not know, and goes on with the next", () => {
    const all = [0x4000, 0x8000, 0x1, 0x40, 0x8].map((type) => event({ type }));
    expect(makeEventFindings(all, gpus, roundAt(0)).map(({ kind }) => kind)).toEqual(["xid"]);
  });

  test("places an event without a GPU on the node, and marks a made-up one", () => {
    const none = event({ uuid: null });
    expect(makeEventFindings([none], gpus, roundAt(0, { simulated: true }))).toMatchObject([
      { gpu_uuid: null, gpu_index: null, pci: null, source: "sim" },
    ]);
  });

  test("a check waits for its turn after an XID and contained poison alone", () => {
    const wants = (...types: number[]) => wantsCheck(types.map((type) => event({ type })));
    expect([[0x8], [0x1000], [0x8, 0x1000], []].map((types) => wants(...types))).toEqual([
      false,
      false,
      false,
      false,
    ]);
    for (const type of [0x2, 0x400, 0x800, 0x2000, 0x4000, 0x8000])
      expect([type, wants(type), wants(0x8, type)]).toEqual([type, true, true]);
  });
});
