/**
 * The cgroups of machines. On a hybrid host a machine has a group of its own in the v2 tree, which
 * can freeze and kill, and in the v1 trees that its systemd or a fault uses; on a pure v2 host it
 * has one group. Only groups of a bed's own prefix are ever written to.
 *
 * Adapter: the files of `/sys/fs/cgroup` and `/proc`.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";

export type GroupTrees = {
  /** Where cgroup v2 is mounted. */
  v2: string;
  /** Entered before a machine starts; the first two, where there are two, move its supervisor. */
  own: string[];
  /** Where a fault may make a group later. */
  more: string[];
};

/** The trees of this host; `null` without a cgroup v2 that can be written to. */
export function readGroupTrees(): GroupTrees | null {
  const unified = join(ROOT, "unified");
  const hybrid = existsSync(join(unified, "cgroup.procs"));
  const v2 = hybrid ? unified : ROOT;
  if (!existsSync(join(v2, "cgroup.procs"))) return null;
  if (!hybrid) return { v2, own: [v2], more: [] };
  const present = (names: readonly string[]) =>
    names.map((name) => join(ROOT, name)).filter((tree) => existsSync(join(tree, "cgroup.procs")));
  // Entering the memory tree before the start would charge the caller's page cache to the machine.
  const own = [v2, ...present(["systemd", "freezer", "cpu", "pids"])];
  return { v2, own, more: present(["memory"]) };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Whether any process lives in the group or below it. */
export function isPopulated(group: string): boolean {
  return readText(join(group, "cgroup.events")).includes("populated 1");
}

/** Ends every process of the group at once, as a power cut does. Nothing if there is no group. */
export function killGroup(group: string): void {
  const path = join(group, "cgroup.kill");
  if (existsSync(path)) writeFileSync(path, "1");
}
