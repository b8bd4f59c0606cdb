/**
 * Reports local file systems that are full, became read-only in this boot, or do not answer. One
 * that is read-only from boot is meant to be, even if an update makes it writable for a time
 * (Debian wiki, ReadonlyRoot); one that was writable from the first look was remounted by the
 * kernel.
 */
import { ConditionList } from "../probe/probe.ts";
import { type HostProbe, formatList, lookOf, unread } from "./probe.ts";
import type { FileSystem } from "./reading.ts";

/**
 * A disk of terabytes has room for days at 95 %, so that share counts only with few bytes left. At
 * 99 % any disk is full: most file systems become slow and fail large files before their end.
 */
const FULL = { ratio: 0.95, freeBytes: 20 * 2 ** 30, always: 0.99, inodes: 0.99 };

/** More than the mounts of one round (`mount.ts`), so that old ones are forgotten. */
const SEALED_MAX = 256;

function isFull({ usedRatio, inodesUsedRatio, freeBytes }: FileSystem): boolean {
  const used = usedRatio ?? 0;
  const little = freeBytes !== null && freeBytes < FULL.freeBytes;
  if (used >= FULL.always || (inodesUsedRatio ?? 0) >= FULL.inodes) return true;
  return used >= FULL.ratio && little;
}

const percent = (ratio: number) => Math.floor(ratio * 1_000) / 10;

function addFull(host: ConditionList, systems: readonly FileSystem[]): void {
  const found = systems.filter((system) => !system.readOnly && isFull(system));
  if (found.length === 0) return;
  const share = (system: FileSystem) => {
    return Math.max(system.usedRatio ?? 0, system.inodesUsedRatio ?? 0);
  };
  const each = found.map((system) => `${system.path} (${percent(share(system))} %)`);
  const worst = Math.max(...found.map(share));
  const severity = worst >= FULL.always ? "serious" : "warning";
  host.add("full", severity, `file systems are full: ${formatList(each)}`, {
    metrics: { file_systems: found.length, used_percent: percent(worst) },
    level: Math.floor(worst * 100),
  });
}

function addLocked(host: ConditionList, paths: readonly string[]): void {
  const others = paths.filter((path) => path !== "/");
  if (paths.includes("/")) {
    const message = "the root file system was writable in this boot and is read-only now";
    host.add("root_read_only", "fatal", message);
  }
  if (others.length === 0) return;
  const was = "were writable in this boot and are read-only now";
  const more = { metrics: { file_systems: others.length }, level: others.length };
  host.add("read_only", "serious", `file systems ${was}: ${formatList(others)}`, more);
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
    addLocked(
      host,
      locked.map(({ path }) => path),
    );
    addFull(host, fileSystems);
    const asked = fileSystems.some(({ usedRatio }) => usedRatio !== null);
    const places = (readOnly: boolean) =>
      fileSystems.filter((system) => system.readOnly === readOnly).map(({ path }) => path);
    const sealed = new Set([...memory.sealed, ...places(true).filter((path) => !before.has(path))]);
    const writable = places(false).filter((path) => !sealed.has(path));
    const learned = {
      writable: [...writable, ...locked.map(({ path }) => path)],
      sealed: [...sealed].slice(0, SEALED_MAX),
    };
    const message = asked ? `${fileSystems.length} local file systems` : null;
    return lookOf(host.all, learned, asked ? "ok" : "not_supported", message);
  },
};
