/**
 * Reads the GPUs on the PCI bus from the kernel, which also shows those that the driver does not
 * list. Vendor and class are read once per device; the link to its driver is read each time.
 * Adapter: sysfs.
 */
import { closeSync, existsSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { basename, join } from "node:path";
import { normalizePci } from "../kernel/pci.ts";
import type { Bus, BusGpu } from "../port/port.ts";
import { readText } from "../spool/state-file.ts";

/**
 * NVIDIA's PCI vendor id, and the classes of its GPUs: VGA controller and 3D controller (PCI Code
 * and ID Assignment 1.14). NVSwitches are bridges (0680); audio and USB functions have other
 * classes.
 */
const VENDOR = "0x10de";
const GPU_CLASS = /^0x03(?:00|02)/;
const DISPLAY_CLASS = "0x0300";

/** More devices than any machine has. */
const DEVICES_MAX = 65_536;

/**
 * A reader of `ROOT/bus/pci/devices`; `root` is `/sys` or the mount of the node's. `visible` is
 * `NVIDIA_VISIBLE_DEVICES`: a container with some of the GPUs sees all of them in sysfs and only
 * its own in the library, so the bus is no expectation. `void` means devices by the Container
 * Device Interface (nvidia-container-toolkit 1.17); `dev` shows whether these are all.
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

/** GPUs bound to the driver; each has a device `nvidiaN`, even a failed one. */
const countDriven = (gpus: readonly BusGpu[]): number =>
  gpus.filter(({ driver }) => driver === "nvidia").length;

const countDevices = (dev: string): number =>
  readdirSync(dev).filter((name) => /^nvidia\d+$/.test(name)).length;

/** A virtual function (SR-IOV, for vGPU guests) is a share of a listed GPU. */
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
 * True for a display card that the driver does not support ("not supported by open nvidia.ko",
 * NVIDIA/open-gpu-kernel-modules#696). A device that fell off the bus reads as all ones.
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

/** Empty for a device that was removed after the listing. */
const readOr = (path: string): string => readText(path)?.trim() ?? "";
