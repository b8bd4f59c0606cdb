/**
 * Local file systems: full ones, those that became read-only in this boot, and those that do not
 * answer. A file system that is read-only from the boot on was made so (images of some systems
 * are), even if it is made writable for the length of an update (Debian wiki, ReadonlyRoot); one
 * that was writable from the first look on and no longer is was given up by the kernel.
 */
import { type Condition, onNode } from "../probe/probe.ts";
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

function full(systems: readonly FileSystem[]): Condition[] {
  const found = systems.filter((system) => !system.readOnly && isFull(system));
  if (found.length === 0) return [];
  const share = (system: FileSystem) => {
    return Math.max(system.usedRatio ?? 0, system.inodesUsedRatio ?? 0);
  };
  const each = found.map((system) => `${system.path} (${percent(share(system))} %)`);
  const worst = Math.max(...found.map(share));
  return [
    onNode({
      kind: "host",
      reason: "full",
      severity: worst >= FULL.always ? "serious" : "warning",
      message: `file systems are full: ${listed(each)}`,
      metrics: { file_systems: found.length, used_percent: percent(worst) },
      level: Math.floor(worst * 100),
    }),
  ];
}

function lockedConditions(paths: readonly string[]): Condition[] {
  const root = paths.includes("/");
  const others = paths.filter((path) => path !== "/");
  const found: Condition[] = [];
  if (root) {
    found.push(
      onNode({
        kind: "host",
        reason: "root_read_only",
        severity: "fatal",
        message: "the root file system was writable in this boot and is read-only now",
      }),
    );
  }
  if (others.length > 0) {
    found.push(
      onNode({
        kind: "host",
        reason: "read_only",
        severity: "serious",
        message: `file systems were writable in this boot and are read-only now: ${listed(others)}`,
        metrics: { file_systems: others.length },
        level: others.length,
      }),
    );
  }
  return found;
}

export const fileSystemProbe: HostProbe = {
  name: "file_system",
  reasons: ["full", "read_only", "root_read_only", "file_system_stuck"],
  look({ fileSystems, late }, memory) {
    if (fileSystems === null) {
      if (!late.includes("file_system")) return unread(false);
      const stuck = onNode({
        kind: "host",
        reason: "file_system_stuck",
        severity: "warning",
        message: "a local file system does not answer",
      });
      const { message } = stuck;
      return { conditions: [stuck], outcome: "timeout", message, learned: {}, blind: true };
    }
    const before = new Set(memory.writable);
    const locked = fileSystems.filter(({ path, readOnly }) => readOnly && before.has(path));
    const conditions = [
      ...lockedConditions(locked.map(({ path }) => path)),
      ...full(fileSystems),
    ];
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
