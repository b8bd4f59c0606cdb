/**
 * Reads the machine around the GPUs: network ports, file systems, panic records, one module. A
 * stuck driver or disk can block a read, so reads run off the agent's thread, one after another,
 * and hold at most one thread of the runtime. The answer contains what was read by the deadline;
 * nothing is read again before a late read has returned.
 *
 * Adapter: /proc, /sys, file systems.
 */
import { existsSync } from "node:fs";
import { access, readdir, readFile, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../port/port.ts";
import { localMounts, type Mount } from "./mount.ts";
import { type FileSystem, type HostReading, NOTHING_READ, type NetworkPort } from "./reading.ts";
import type { Panic } from "./reading.ts";

export type HostRoots = {
  /** `/proc` and `/sys`, or where the node's are mounted. */
  proc: string;
  sys: string;
  /** Mount point of the node's file system, empty for `/`; `null` in a container without it. */
  root: string | null;
};

/** A node has some 16 adapters; a bound against a wild folder. */
const DEVICES_MAX = 64;
const PANICS_MAX = 64;
/** Module names of the driver and of the separate package that came before it. */
const PEERMEM = ["nvidia_peermem", "nv_peer_mem"];

type Parts = Omit<HostReading, "late">;

async function text(path: string): Promise<string | null> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch {
    return null;
  }
}

async function names(path: string, most: number): Promise<string[] | null> {
  try {
    return (await readdir(path)).sort().slice(0, most);
  } catch (error) {
    // A missing folder holds nothing; one without permission is unknown.
    const code = error instanceof Error && "code" in error ? error.code : null;
    return code === "ENOENT" ? [] : null;
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

/** `4: ACTIVE` → `ACTIVE` (Linux, Documentation/ABI/stable/sysfs-class-infiniband). */
function wordOf(state: string | null): string | null {
  return state?.replace(/^\d+:\s*/, "") ?? null;
}

function numberOf(value: string | null): number | null {
  const number = Number(/^\d{1,15}(?:\.\d{1,6})?/.exec(value ?? "")?.[0]);
  return Number.isFinite(number) && value !== null ? number : null;
}

async function readPorts(sys: string): Promise<NetworkPort[] | null> {
  const root = join(sys, "class", "infiniband");
  const devices = await names(root, DEVICES_MAX);
  if (devices === null) return null;
  const ports: NetworkPort[] = [];
  for (const device of devices) {
    // A virtual function belongs to a guest.
    if (await exists(join(root, device, "device", "physfn"))) continue;
    for (const port of (await names(join(root, device, "ports"), 8)) ?? []) {
      const at = (name: string) => text(join(root, device, "ports", port, name));
      ports.push({
        name: `${device}/${port}`,
        layer: await at("link_layer"),
        state: wordOf(await at("state")),
        physical: wordOf(await at("phys_state")),
        gigabits: numberOf(await at("rate")),
        linkDowned: numberOf(await at("counters/link_downed")),
      });
    }
  }
  return ports;
}

async function measure(mount: Mount, root: string): Promise<FileSystem> {
  const unknown = { usedRatio: null, inodesUsedRatio: null, freeBytes: null };
  try {
    const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(`${root}${mount.path}`);
    const used = blocks - bfree;
    // As in df(1), blocks reserved for root are neither used nor free.
    const usable = used + bavail;
    return {
      ...mount,
      usedRatio: usable > 0 ? used / usable : null,
      inodesUsedRatio: files > 0 ? (files - ffree) / files : null,
      freeBytes: bavail * bsize,
    };
  } catch {
    return { ...mount, ...unknown };
  }
}

async function readFileSystems({ proc, root }: HostRoots): Promise<FileSystem[] | null> {
  // The node's mounts if they are visible, else those of this process.
  const all = root === null ? null : await text(join(proc, "1", "mountinfo"));
  const mounts = all ?? (await text(join(proc, "self", "mountinfo")));
  if (mounts === null) return null;
  const found: FileSystem[] = [];
  for (const mount of localMounts(mounts)) {
    found.push(await measure(mount, all === null ? "" : (root ?? "")));
  }
  return found;
}

/** In the firmware's store, and where systemd-pstore(8) moves records at boot. */
async function readPanics({ sys, root }: HostRoots): Promise<Panic[] | null> {
  const folders = [join(sys, "fs", "pstore"), `${root ?? ""}/var/lib/systemd/pstore`];
  const panics: Panic[] = [];
  let known = false;
  for (const [at, folder] of folders.entries()) {
    const found = await names(folder, PANICS_MAX);
    if (found === null) continue;
    known = true;
    for (const name of found) {
      if (at === 0 && !name.startsWith("dmesg-")) continue;
      const { mtimeMs } = await stat(join(folder, name)).catch(() => ({ mtimeMs: 0 }));
      if (mtimeMs > 0) panics.push({ name, atMs: mtimeMs });
    }
  }
  return known ? panics : null;
}

async function readPeermem(sys: string): Promise<boolean | null> {
  if (!(await exists(join(sys, "module")))) return null;
  for (const name of PEERMEM) if (await exists(join(sys, "module", name))) return true;
  return false;
}

export type HostReader = (deadlineMs: number) => Promise<HostReading>;

/** A reader that never rejects and answers by its deadline. */
export function openHost(roots: HostRoots, clock: Pick<Clock, "after">): HostReader {
  let underway: { read: Parts; done: Promise<void>; names: Set<string> } | null = null;
  const begin = () => {
    const read: Parts = { ...NOTHING_READ };
    const left = new Set(["peermem", "panic", "file_system", "port"]);
    const work = async () => {
      read.peermem = await readPeermem(roots.sys);
      left.delete("peermem");
      read.panics = await readPanics(roots);
      left.delete("panic");
      read.fileSystems = await readFileSystems(roots);
      left.delete("file_system");
      read.ports = await readPorts(roots.sys);
      left.delete("port");
    };
    const done = work().catch(() => {});
    underway = { read, done, names: left };
    return underway;
  };
  const read: HostReader = async (deadlineMs) => {
    const isFresh = underway === null;
    const now = underway ?? begin();
    let cancel = () => {};
    const late = new Promise<"late">((resolve) => {
      cancel = clock.after(deadlineMs, () => resolve("late"));
    });
    const answer = await Promise.race([now.done.then(() => "done" as const), late]);
    cancel();
    if (answer === "done") underway = null;
    if (isFresh) return { ...now.read, late: answer === "late" ? [...now.names] : [] };
    // Parts of a late read are too old to count as current.
    return answer === "late" ? { ...NOTHING_READ, late: [...now.names] } : await read(deadlineMs);
  };
  return read;
}

/** The roots on this machine, for an agent on the node itself or in a container. */
export function hostRoots(given: {
  proc: string;
  hostSys: string | null;
  hostRoot: string | null;
}): HostRoots {
  const sys = given.hostSys ?? (existsSync("/host/sys/class") ? "/host/sys" : "/sys");
  const outside = given.proc !== "/proc";
  return { proc: given.proc, sys, root: given.hostRoot ?? (outside ? null : "") };
}
