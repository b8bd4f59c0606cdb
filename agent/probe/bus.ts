/**
 * Finds GPUs on the PCI bus that the driver does not list: failed to initialise, or never bound.
 * GPUs passed through to virtual machines are not expected, and one bound to another driver is a
 * mistake of the set-up, not of the hardware. Pure.
 */
import { normalizePci } from "../kernel/pci.ts";
import type { NvmlCheck, NvmlGpuCheck } from "../port/reading.ts";
import type { Bus, BusGpu } from "../port/port.ts";
import { type Condition, ConditionList, type GpuPlace, isUnknown, wholeNode } from "./probe.ts";
import type { Probe, ProbeMemory, ProbeOut } from "./probe.ts";

/** Drivers that hold a device for a virtual machine (Linux vfio-pci, pci-stub; Xen's pciback). */
const PASSED_THROUGH = ["vfio-pci", "pci-stub", "pciback", "xen-pciback", "nvgrace-gpu-vfio-pci"];

function isPassedThrough({ driver }: BusGpu): boolean {
  return driver !== null && PASSED_THROUGH.includes(driver);
}

/** NVIDIA's driver binds at boot to every GPU without a driver, except unsupported ones. */
function isManaged({ driver, refused }: BusGpu): boolean {
  return driver === null ? refused !== true : driver === "nvidia";
}

/** GPUs on the bus that the driver must list; `null` if the bus cannot be read or shows none. */
export function managedGpus(bus: Bus, check: Pick<NvmlCheck, "excludedPci">): BusGpu[] | null {
  if (bus.kind === "unreadable" || bus.gpus.length === 0) return null;
  const excluded = new Set((check.excludedPci ?? []).map(normalizePci));
  return bus.gpus.filter((gpu) => isManaged(gpu) && !excluded.has(gpu.pci));
}

/** GPUs passed through to virtual machines, or excluded from the driver. */
export function awayGpus(bus: Bus, excluded: number): number {
  return excluded + (bus.kind === "read" ? bus.gpus.filter(isPassedThrough).length : 0);
}

/** Managed GPUs that the driver does not list, by address. */
function unmatched(bus: Bus, check: NvmlCheck): BusGpu[] {
  const listed = new Set(check.gpus.map((gpu) => normalizePci(gpu.pciBusId)));
  const free = (managedGpus(bus, check) ?? []).filter((gpu) => !listed.has(gpu.pci));
  return free.sort((a, b) => (a.pci < b.pci ? -1 : 1));
}

const isPlaceless = (gpu: NvmlGpuCheck) => normalizePci(gpu.pciBusId) === null;

/**
 * Gives GPUs without an address the unlisted ones of the bus, in order: the driver lists GPUs by
 * address.
 */
export function placeUnknown(check: NvmlCheck, bus: Bus): NvmlCheck {
  const free = unmatched(bus, check);
  if (free.length === 0) return check;
  const place = (gpu: NvmlGpuCheck): NvmlGpuCheck => {
    const found = isUnknown(gpu.uuid) && isPlaceless(gpu) ? free.shift() : undefined;
    return found === undefined ? gpu : { ...gpu, pciBusId: found.pci };
  };
  return { ...check, gpus: check.gpus.map(place) };
}

/** GPUs that the driver does not list; if it lists some without address, only `count` is known. */
export function unlistedGpus(check: NvmlCheck, bus: Bus): { count: number; named: BusGpu[] } {
  const free = unmatched(bus, check);
  const nameless = (check.denied ?? 0) + check.gpus.filter(isPlaceless).length;
  return nameless === 0
    ? { count: free.length, named: free }
    : { count: Math.max(0, free.length - nameless), named: [] };
}

/** The GPU at an address, as known from earlier rounds. */
function placeOf({ pci }: BusGpu, memory: ProbeMemory): GpuPlace {
  const known = Object.entries(memory.gpus).find(([, gpu]) => normalizePci(gpu.pciBusId) === pci);
  return { index: known?.[1].index ?? null, uuid: known?.[0] ?? null, pciBusId: pci };
}

function findUnlisted(check: NvmlCheck, memory: ProbeMemory, bus: Bus): Condition[] {
  const { count, named } = unlistedGpus(check, bus);
  const metrics = { on_bus: managedGpus(bus, check)?.length ?? 0, listed: check.count };
  const lost = new ConditionList("lost", null, metrics);
  if (count > named.length) {
    const message = `${count} GPUs on the PCI bus are not listed by the driver`;
    lost.add("unlisted", "fatal", message, { level: count });
    return lost.all;
  }
  for (const gpu of named) {
    const bound = gpu.driver === null ? "no driver is bound to it" : `bound to ${gpu.driver}`;
    const message = `GPU at ${gpu.pci} is on the bus and the driver does not list it: ${bound}`;
    lost.add("unlisted", "fatal", message, { gpu: placeOf(gpu, memory) });
  }
  return lost.all;
}

function findOtherDriver(gpus: readonly BusGpu[], memory: ProbeMemory): Condition[] {
  const driver = new ConditionList("driver", null);
  for (const gpu of gpus) {
    if (isManaged(gpu) || isPassedThrough(gpu)) continue;
    const message =
      gpu.driver === null
        ? `display adapter at ${gpu.pci} has no driver: NVIDIA's did not take it`
        : `GPU at ${gpu.pci} is bound to ${gpu.driver}, not to NVIDIA's driver`;
    const metrics = { bound_driver: gpu.driver ?? "" };
    driver.add("other_driver", "warning", message, { gpu: placeOf(gpu, memory), metrics });
  }
  return driver.all;
}

export const busProbe: Probe = {
  name: "bus",
  kinds: [],
  look(check, memory, { bus }): ProbeOut {
    if (bus.kind === "unreadable") {
      return wholeNode([], `the PCI bus cannot be read: ${bus.why}`, "skipped");
    }
    const conditions = [...findUnlisted(check, memory, bus), ...findOtherDriver(bus.gpus, memory)];
    const given = bus.gpus.filter(isPassedThrough).length;
    const away = given === 0 ? "" : `, ${given} given to virtual machines`;
    return wholeNode(conditions, `${bus.gpus.length} on the bus${away}`);
  },
};
