import { describe, expect, test } from "bun:test";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import { healthyGpu } from "../nvml/healthy.ts";
import { normalizePci } from "../kernel/pci.ts";
import type { NvmlCheck } from "../port/reading.ts";
import type { Bus, BusGpu } from "../port/port.ts";
import {
  answerOf,
  formatConditions,
  remembering,
  roundAt,
} from "../../test/fixture/nvml/probe-round.ts";
import { busProbe, placeUnknown } from "./bus.ts";
import { EMPTY_MEMORY, type ProbeContext } from "./probe.ts";
import { runProbes } from "./run.ts";

const pciOf = (index: number) => normalizePci(healthyGpu(index).pciBusId) ?? "";
const MUTE = { name: "NVIDIA GPU", serial: null, pciBusId: "", rc: 999, openCode: 999 };

/** The bus of eight GPUs, with changes to some by index; `null` takes one away. */
function busOf(changes: Readonly<Record<number, Partial<BusGpu> | null>> = {}): Bus {
  const gpus = Array.from({ length: 8 }, (_, index) => index).flatMap((index) => {
    const change = changes[index];
    return change === null ? [] : [{ pci: pciOf(index), driver: "nvidia", ...change }];
  });
  return { kind: "read", gpus };
}

function without(...indices: number[]): NvmlCheck {
  const check = healthyCheck(8);
  const gpus = check.gpus.filter((gpu) => !indices.includes(gpu.index));
  return { ...check, count: gpus.length, gpus };
}

const round = (check: NvmlCheck, change: Partial<ProbeContext>, memory = EMPTY_MEMORY) =>
  runProbes(answerOf(check), memory, roundAt(0, change));

const told = (found: ReturnType<typeof round>) =>
  found.findings.map(({ kind, reason, pci }) => `${kind}/${reason} ${pci}`);

describe("busProbe", () => {
  test("finds nothing where driver and bus agree", () => {
    const found = round(healthyCheck(8), { bus: busOf() });
    expect(found).toMatchObject({ findings: [], expected: { gpus: 8, from: "bus" } });
    expect(found.results.find((one) => one.name === "bus")).toMatchObject({
      outcome: "ok",
      message: "8 on the bus",
    });
  });

  test("reports each GPU that stands on the bus and is not listed, by its address", () => {
    const found = round(without(2, 5), { bus: busOf({ 5: { driver: null } }) });
    expect(told(found)).toEqual([`lost/unlisted ${pciOf(2)}`, `lost/unlisted ${pciOf(5)}`]);
    expect(found).toMatchObject({ present: 6, expected: { gpus: 8, from: "bus" } });
    expect(found.active).toContain(`lost/unlisted/${pciOf(2)}`);
    expect(found.findings[1]?.message).toContain("no driver is bound to it");
  });

  test("takes unlisted GPUs in the order of their addresses, however the bus lists them", () => {
    const listed = busOf();
    const gpus = listed.kind === "read" ? listed.gpus.toReversed() : [];
    for (const order of [gpus, [...gpus.slice(3), ...gpus.slice(0, 3)]]) {
      const bus = { kind: "read", gpus: order } as const;
      expect(told(round(without(1, 4, 6), { bus }))).toEqual(
        [1, 4, 6].map((index) => `lost/unlisted ${pciOf(index)}`),
      );
      const mute = (index: number) => ({ ...MUTE, uuid: `unknown-${index}` });
      const check = healthyCheck(8, { 3: mute(3), 5: mute(5) });
      expect(told(round(check, { bus }))).toEqual(
        [3, 5].map((index) => `driver/unopened ${pciOf(index)}`),
      );
    }
  });

  test("says what holds a GPU that is not listed, and how many there are", () => {
    const bus = busOf({ 5: { driver: null } });
    const [bound, free] = round(without(2, 5), { bus }).findings;
    const metrics = { on_bus: 8, listed: 6 };
    const at = (index: number, by: string) =>
      `GPU at ${pciOf(index)} is on the bus and the driver does not list it: ${by}`;
    expect(bound).toMatchObject({ message: at(2, "bound to nvidia"), metrics, severity: "fatal" });
    expect(free).toMatchObject({ message: at(5, "no driver is bound to it"), metrics });
    const held = busOf({ 6: { driver: "nouveau" }, 7: { driver: null, refused: true } });
    expect(round(without(6, 7), { bus: held }).findings).toMatchObject([
      {
        message: `GPU at ${pciOf(6)} is bound to nouveau, not to NVIDIA's driver`,
        metrics: { bound_driver: "nouveau" },
      },
      {
        message: `display adapter at ${pciOf(7)} has no driver: NVIDIA's did not take it`,
        metrics: { bound_driver: "" },
      },
    ]);
  });

  test("gives an address to nobody who has one, or a name", () => {
    const bus = busOf();
    const named = healthyCheck(8, { 3: { pciBusId: "" } });
    const unnamed = healthyCheck(8, { 3: { uuid: "unknown-3" } });
    expect(placeUnknown(named, bus)).toEqual(named);
    expect(placeUnknown(unnamed, bus)).toEqual(unnamed);
    const full = healthyCheck(9, { 8: { ...MUTE, uuid: "unknown-8" } });
    expect(placeUnknown(full, bus)).toEqual(full);
  });

  test("reports all eight of a driver that lists none", () => {
    const found = round(without(0, 1, 2, 3, 4, 5, 6, 7), { bus: busOf() });
    expect(found.findings).toHaveLength(8);
    expect(found.present).toBe(0);
  });

  test("names a GPU that an earlier round knew, and reports it once", () => {
    const memory = { ...remembering(healthyCheck(8)), bootId: "boot-1" };
    const found = round(without(2), { bus: busOf() }, memory);
    const { uuid } = healthyGpu(2);
    expect(found.findings).toMatchObject([{ reason: "unlisted", gpu_uuid: uuid, gpu_index: 2 }]);
  });

  test("gives an unopened GPU the address that is left over", () => {
    const check = healthyCheck(8, { 3: { ...MUTE, uuid: "unknown-3" } });
    const found = round(check, { bus: busOf() });
    expect(found.findings).toMatchObject([
      { kind: "driver", reason: "unopened", gpu_index: 3, pci: pciOf(3) },
    ]);
  });

  test("counts a GPU of another machine type's set-up only where the driver should have it", () => {
    const bus = busOf({ 6: { driver: "vfio-pci" }, 7: { driver: "pci-stub" } });
    const promised = [{ gpus: 8, from: "pool" as const }];
    const memory = { ...EMPTY_MEMORY, expected: 8 };
    for (const change of [{ bus }, { bus, promised }]) {
      const found = round(without(6, 7), change, memory);
      expect(found).toMatchObject({ findings: [], expected: { gpus: 6, from: "bus" } });
      expect(found.results[1]?.message).toBe("8 on the bus, 2 given to virtual machines");
    }
  });

  test("degrades for a GPU that another driver holds, until it no longer does", () => {
    const bus = busOf({ 6: { driver: "nouveau" } });
    const first = round(without(6), { bus });
    expect(told(first)).toEqual([`driver/other_driver ${pciOf(6)}`]);
    expect(first.findings[0]?.severity).toBe("warning");
    const blind = round(without(6), { bus: { kind: "unreadable", why: "x" } }, first.memory);
    expect(blind.active).toEqual(first.active);
    expect(round(healthyCheck(8), { bus: busOf() }, first.memory).active).toEqual([]);
  });

  test("degrades for a display adapter that the driver left alone, and counts it nowhere", () => {
    const bus = busOf({ 6: { driver: null, refused: true } });
    const found = round(without(6), { bus });
    expect(told(found)).toEqual([`driver/other_driver ${pciOf(6)}`]);
    expect(found.findings[0]).toMatchObject({ severity: "warning" });
    expect(found.findings[0]?.message).toContain("has no driver");
    expect(found.expected).toEqual({ gpus: 7, from: "bus" });
    // Whoever promised eight meant GPUs that work.
    const promised = [{ gpus: 8, from: "pool" as const }];
    expect(told(round(without(6), { bus, promised }))).toContain("lost/count null");
  });

  test("leaves out what the driver was told to leave out", () => {
    const check = without(4);
    const excludedPci = [healthyGpu(4).pciBusId];
    expect(round({ ...check, excluded: 1, excludedPci }, { bus: busOf() })).toMatchObject({
      findings: [],
      expected: { gpus: 7 },
    });
  });

  test("knows only the number where the driver lists GPUs without an address", () => {
    const check = { ...without(4, 5), count: 7, denied: 1 };
    const out = busProbe.look(check, EMPTY_MEMORY, roundAt(0, { bus: busOf() }));
    expect(formatConditions(out.conditions)).toEqual(["lost/unlisted fatal node"]);
    expect(out.conditions[0]?.level).toBe(1);
  });

  test("condemns nothing on a bus that cannot be read or shows no GPU, and says so", () => {
    const unreadable = { kind: "unreadable", why: "ENOENT" } as const;
    const blind = round(healthyCheck(4), { bus: unreadable });
    expect(blind).toMatchObject({ findings: [], expected: { gpus: 4, from: "baseline" } });
    expect(blind.results[1]).toMatchObject({
      outcome: "skipped",
      message: "the PCI bus cannot be read: ENOENT",
    });
    // As under WSL, where the GPUs are no PCI devices.
    expect(round(healthyCheck(4), { bus: { kind: "read", gpus: [] } }).findings).toEqual([]);
  });

  test("keeps what it saw while the bus cannot be read", () => {
    const first = round(without(2), { bus: busOf() });
    const blind = round(without(2), { bus: { kind: "unreadable", why: "x" } }, first.memory);
    expect(blind.active).toContain(`lost/unlisted/${pciOf(2)}`);
    const back = round(healthyCheck(8), { bus: busOf() }, blind.memory);
    expect(back.active).toEqual([]);
  });
});

describe("expectGpus()", () => {
  test("holds no machine's number against a container that is given some of its GPUs", () => {
    const bus = { kind: "unreadable", why: "x", restricted: true } as const;
    const look = (from: "pool" | "instance_type" | "option") =>
      round(healthyCheck(4), { bus, promised: [{ gpus: 8, from }] }).findings.length;
    expect([look("pool"), look("instance_type"), look("option")]).toEqual([0, 0, 1]);
  });

  test.each([
    ["the bus before an equal promise", busOf(), [8], { gpus: 8, from: "bus" }],
    ["a promise above the bus", busOf({ 3: null }), [8], { gpus: 8, from: "pool" }],
    ["the bus above a promise", busOf(), [4], { gpus: 8, from: "bus" }],
    ["a promise without a bus", null, [8], { gpus: 8, from: "pool" }],
  ])("takes %s", (_, bus, promised, expected) => {
    const found = round(healthyCheck(4), {
      bus: bus ?? { kind: "unreadable", why: "x" },
      promised: promised.map((gpus) => ({ gpus, from: "pool" })),
    });
    expect(found.expected).toEqual(expected as typeof found.expected);
  });
});
