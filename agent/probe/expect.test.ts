import { describe, expect, test } from "bun:test";
import type { Expected } from "../../schema/report.ts";
import { healthyCheck } from "../../test/fixture/nvml/fake.ts";
import type { Bus, BusGpu } from "../port/port.ts";
import { expectGpus, presentGpus } from "./expect.ts";
import { EMPTY_MEMORY } from "./probe.ts";

const pci = (slot: number) => `0000:0${slot}:00.0`;
/** A bus of GPUs, each with its driver. */
const busOf = (...drivers: (string | null)[]): Bus => ({
  kind: "read",
  gpus: drivers.map((driver, slot): BusGpu => ({ pci: pci(slot), driver })),
});
const NV = "nvidia";
const NONE: Bus = { kind: "read", gpus: [] };
const DARK: Bus = { kind: "unreadable", why: "no sysfs" };
const PART: Bus = { ...DARK, restricted: true };
const option = (gpus: number): Expected => ({ gpus, from: "option" });
const pool = (gpus: number): Expected => ({ gpus, from: "pool" });

type Given = { bus: Bus; promised?: Expected[]; seen?: number; excluded?: number; told?: string[] };
function wanted({ bus, promised = [], seen, excluded = 0, told }: Given): string | null {
  const check = { excluded, ...(told === undefined ? {} : { excludedPci: told }) };
  const memory = { ...EMPTY_MEMORY, expected: seen ?? null };
  const found = expectGpus(check, memory, { bus, promised });
  return found === null ? null : `${found.gpus} ${found.from}`;
}

describe("expectGpus()", () => {
  test.each<[string, Given, string | null]>([
    ["nothing tells", { bus: NONE }, null],
    ["the bus tells", { bus: busOf(NV, NV) }, "2 bus"],
    ["one without a driver should have one", { bus: busOf(NV, null) }, "2 bus"],
    ["another driver's is none of ours", { bus: busOf(NV, "nouveau") }, "1 bus"],
    ["one was seen before", { bus: NONE, seen: 4 }, "4 baseline"],
    ["the largest number counts", { bus: busOf(NV, NV), seen: 4 }, "4 baseline"],
    ["among equal numbers the bus", { bus: busOf(NV, NV), promised: [pool(2)] }, "2 bus"],
    ["then the first promise", { bus: NONE, promised: [option(2), pool(2)] }, "2 option"],
    ["a promise above the bus", { bus: busOf(NV), promised: [pool(8)] }, "8 pool"],
    ["a promise outdates what was seen", { bus: NONE, promised: [pool(2)], seen: 8 }, "2 pool"],
    ["a promise of none is one", { bus: NONE, promised: [option(0)], seen: 8 }, "0 option"],
  ])("%s", (_, given, said) => expect(wanted(given)).toBe(said));

  test("GPUs given to virtual machines are taken from what others promise", () => {
    const bus = busOf(NV, "vfio-pci", "pci-stub");
    expect(wanted({ bus, promised: [pool(8)] })).toBe("6 pool");
    expect(wanted({ bus, promised: [pool(1)] })).toBe("1 bus");
    expect(wanted({ bus, seen: 8 })).toBe("6 baseline");
    expect(wanted({ bus: busOf("vfio-pci", "vfio-pci"), promised: [pool(1)] })).toBe("0 bus");
    expect(wanted({ bus: busOf("vfio-pci", "vfio-pci"), seen: 1 })).toBe("0 bus");
  });

  test("so are excluded ones, by address where the driver tells it", () => {
    expect(wanted({ bus: busOf(NV, NV, NV), excluded: 1 })).toBe("2 bus");
    expect(wanted({ bus: busOf(NV, NV, NV), excluded: 1, told: [pci(1)] })).toBe("2 bus");
    // Told and not on the bus: nothing is hidden twice.
    expect(wanted({ bus: busOf(NV, NV), excluded: 1, told: ["0000:77:00.0"] })).toBe("2 bus");
    expect(wanted({ bus: busOf(NV), excluded: 3 })).toBe("0 bus");
    expect(wanted({ bus: NONE, promised: [pool(4)], excluded: 1 })).toBe("3 pool");
    expect(wanted({ bus: NONE, promised: [pool(1)], excluded: 3 })).toBe("0 pool");
    // What was seen was seen without them.
    expect(wanted({ bus: NONE, seen: 4, excluded: 1 })).toBe("4 baseline");
  });

  test("in a container with some of the GPUs only an option speaks of it", () => {
    expect(wanted({ bus: PART, promised: [pool(8)] })).toBeNull();
    expect(wanted({ bus: PART, promised: [option(2), pool(8)] })).toBe("2 option");
    expect(wanted({ bus: DARK, promised: [pool(8)] })).toBe("8 pool");
    expect(wanted({ bus: NONE, promised: [pool(8)] })).toBe("8 pool");
    expect(wanted({ bus: PART, seen: 2 })).toBe("2 baseline");
  });
});

test("presentGpus() counts GPUs that answer or may not be opened by this process", () => {
  expect(presentGpus(healthyCheck(4))).toBe(4);
  expect(presentGpus(healthyCheck(4, { 1: { rc: 15 }, 2: { openCode: 3, rc: 999 } }))).toBe(2);
  expect(presentGpus(healthyCheck(4, { 1: { rc: 999 }, 2: { rc: 16 } }))).toBe(4);
  expect(presentGpus({ ...healthyCheck(4), denied: 2 })).toBe(6);
});
