/**
 * Local file systems: full ones, those that became read-only in this boot, and those that do not
 * answer. A file system that is read-only from the boot on was made so (images of some systems
 * are), even if it is made writable for the length of an update (Debian wiki, ReadonlyRoot); one
 * that was writable from the first look on and no longer is was given up by the kernel.
 */
import { ConditionList } from "../probe/probe.ts";
import { type HostProbe, listed, unread } from "./probe.ts";
import type { FileSystem } from "./reading.ts";

/**
 * A disk of terabytes has room for days at 95 %, so that share counts only with little left; at
 * 99 % any disk is full, because most file systems get slow and fail large files before their end.
 */
const FULL = { ratio: 0.95, freeBytes: 20 * 2 ** 30, always: 0.99, inodes: 0.99 };

/** More places than are looked at in one round (`mount.ts`), so that coming and going ones end. */
const SEALED_MAX = 256;

function isFull({ usedRatio, inodesUsedRatio, freeBytes }: FileSystem): boolean {
  const used = usedRatio ?? 0;
  const little = freeBytes !== null && freeBytes < FULL.freeBytes;
  if (used >= FULL.always || (inodesUsedRatio ?? 0) >= FULL.inodes) return true;
  return used >= FULL.ratio && little;
}

const percent = (ratio: number) => Math.floor(ratio * 1_000) / 10;

function tellFull(host: ConditionList, systems: readonly FileSystem[]): void {
  const found = systems.filter((system) => !system.readOnly && isFull(system));
  if (found.length === 0) return;
  const share = (system: FileSystem) => {
    return Math.max(system.usedRatio ?? 0, system.inodesUsedRatio ?? 0);
  };
  const each = found.map((system) => `${system.path} (${percent(share(system))} %)`);
  const worst = Math.max(...found.map(share));
  host.add(
    "full",
    worst >= FULL.always ? "serious" : "warning",
    `file systems are full: ${listed(each)}`,
    {
      metrics: { file_systems: found.length, used_percent: percent(worst) },
      level: Math.floor(worst * 100),
    },
  );
}

function tellLocked(host: ConditionList, paths: readonly string[]): void {
  const others = paths.filter((path) => path !== "/");
  if (paths.includes("/")) {
    const message = "the root file system was writable in this boot and is read-only now";
    host.add("root_read_only", "fatal", message);
  }
  if (others.length === 0) return;
  const was = "were writable in this boot and are read-only now";
  const more = { metrics: { file_systems: others.length }, level: others.length };
  host.add("read_only", "serious", `file systems ${was}: ${listed(others)}`, more);
}

export const fileSystemProbe: HostProbe = {
  name: "file_system",
  reasons: ["full", "read_only", "root_read_only", "file_system_stuck"],
  look({ fileSystems, late }, memory) {
    const host = new ConditionList("host", null);
    if (fileSystems === null) {
      if (!late.includes("file_system")) return unread(false);
      const message = "a local file system does not answer";
      host.add("file_system_stuck", "warning", message);
      return { conditions: host.all, outcome: "timeout", message, learned: {}, blind: true };
    }
    const before = new Set(memory.writable);
    const locked = fileSystems.filter(({ path, readOnly }) => readOnly && before.has(path));
    tellLocked(host, locked.map(({ path }) => path));
    tellFull(host, fileSystems);
    const conditions = host.all;
    const asked = fileSystems.some(({ usedRatio }) => usedRatio !== null);
    const places = (readOnly: boolean) =>
      fileSystems.filter((system) => system.readOnly === readOnly).map(({ path }) => path);
    const sealed = new Set([
      ...memory.sealed,
      ...places(true).filter((path) => !before.has(path)),
    ]);
    const writable = places(false).filter((path) => !sealed.has(path));
    return {
      conditions,
      outcome: conditions.length > 0 ? "finding" : asked ? "ok" : "not_supported",
      message: asked ? `${fileSystems.length} local file systems` : null,
      learned: {
        writable: [...writable, ...locked.map(({ path }) => path)],
        sealed: [...sealed].slice(0, SEALED_MAX),
      },
    };
  },
};
