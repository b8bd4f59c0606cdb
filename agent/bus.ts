/**
 * The GPUs that the kernel shows on the PCI bus, whatever the driver says of them: a GPU that the
 * driver does not list is only seen here. Vendor and class of a device never change, so they are
 * read once for as long as it is there; the link to its driver is read each time.
 * Adapter: sysfs.
 */
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { readdirSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { normalizePci } from "./pci.ts";
import type { Bus, BusGpu } from "./port.ts";
import { readText } from "./state-file.ts";

/**
 * PCI vendor id of NVIDIA, and the classes under which its GPUs appear: VGA controller and 3D
 * controller (PCI Code and ID Assignment 1.14). NVSwitches are bridges (0680), the audio and USB
 * functions of a GPU have classes of their own, and BlueField's ports are of another vendor.
 */
const VENDOR = "0x10de";
const GPU_CLASS = /^0x03(?:00|02)/;
const DISPLAY_CLASS = "0x0300";

/** More devices than any machine has: a bound against a wild folder. */
const DEVICES_MAX = 65_536;

/**
 * A reader of `ROOT/bus/pci/devices`, where `root` is `/sys` or where the node's is mounted.
 * `visible` is `NVIDIA_VISIBLE_DEVICES`: in a container that is given some of the GPUs sysfs shows
 * all of them and the library only those, so the bus says nothing about what should be there.
 * `void` says only that a Container Device Interface (CDI) specification gave the devices
 * (nvidia-container-toolkit 1.17): whether it gave all of them is seen in `dev`.
 */
export function openBus(root: string, visible: string | undefined, dev = "/dev"): () => Bus {
  const folder = join(root, "bus", "pci", "devices");
  const some = visible !== undefined && !["", "all", "void"].includes(visible);
  const restricted: Bus = {
    kind: "unreadable",
    why: `NVIDIA_VISIBLE_DEVICES=${visible?.slice(0, 64)} gives this container some GPUs`,
    restricted: true,
  };
  let known = new Map<string, boolean>();
  return () => {
    if (some) return restricted;
    try {
      const names = readdirSync(folder).sort().slice(0, DEVICES_MAX);
      const isGpu = (name: string) => known.get(name) ?? looksLikeGpu(join(folder, name));
      known = new Map(names.map((name) => [name, isGpu(name)]));
      const gpus = names.filter((name) => known.get(name)).flatMap((name) => readGpu(folder, name));
      if (visible === "void" && countDevices(dev) < countDriven(gpus)) return restricted;
      return { kind: "read", gpus };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return { kind: "unreadable", why: why.slice(0, 160) };
    }
  };
}

/** GPUs that the driver has taken; there is a device `nvidiaN` for each, even one that fails. */
const countDriven = (gpus: readonly BusGpu[]): number =>
  gpus.filter(({ driver }) => driver === "nvidia").length;

const countDevices = (dev: string): number =>
  readdirSync(dev).filter((name) => /^nvidia\d+$/.test(name)).length;

/** A virtual function (SR-IOV, for vGPU guests) is a share of a GPU that stands there itself. */
function looksLikeGpu(path: string): boolean {
  if (readOr(join(path, "vendor")) !== VENDOR) return false;
  return GPU_CLASS.test(readOr(join(path, "class"))) && !existsSync(join(path, "physfn"));
}

function readGpu(folder: string, name: string): BusGpu[] {
  const pci = normalizePci(name);
  if (pci === null) return [];
  try {
    return [{ pci, driver: basename(readlinkSync(join(folder, name, "driver"))) }];
  } catch {
    const path = join(folder, name);
    return [{ pci, driver: null, ...(isRefused(path) ? { refused: true } : {}) }];
  }
}

/**
 * A card that is there for a screen is often older than what the driver supports; the driver then
 * leaves it alone ("not supported by open nvidia.ko", NVIDIA/open-gpu-kernel-modules#696). A device
 * that fell off the bus answers ones alone, whatever was read of it before.
 */
function isRefused(path: string): boolean {
  if (!readOr(join(path, "class")).startsWith(DISPLAY_CLASS)) return false;
  try {
    const file = openSync(join(path, "config"), "r");
    try {
      const head = Buffer.alloc(2);
      return readSync(file, head) === 2 && head.readUInt16LE() === Number(VENDOR);
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
}

/** A device that leaves between the listing and the reading is not there. */
const readOr = (path: string): string => readText(path)?.trim() ?? "";
