/**
 * What tests do to a machine by its cgroup: stop it where it is, and find its first process.
 *
 * Adapter: the files of `/sys/fs/cgroup` and `/proc`.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Empty if there is none, also where a group or process ends while it is read (ENODEV). */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Stops every process of the group where it is; the kernel goes on answering for its sockets. */
export function freezeGroup(group: string, frozen: boolean): void {
  writeFileSync(join(group, "cgroup.freeze"), frozen ? "1" : "0");
}

/** Whether the kernel has stopped all of it: freezing is asynchronous. */
export function isFrozen(group: string): boolean {
  return readText(join(group, "cgroup.events")).includes("frozen 1");
}

/** Every process of the group and the groups below it. */
function groupPids(group: string): number[] {
  let below: string[];
  try {
    below = readdirSync(group, { recursive: true, encoding: "utf8" });
  } catch {
    return [];
  }
  return below
    .filter((name) => name.endsWith("cgroup.procs"))
    .flatMap((name) => readText(join(group, name)).split("\n"))
    .flatMap((line) => (line === "" ? [] : [Number(line)]));
}

/**
 * The machine's own first process, as the host numbers it: the one that is number 1 in its
 * innermost namespace (`NSpid`, proc_pid_status(5)).
 */
export function initPid(group: string): number | null {
  const found = groupPids(group).find((pid) =>
    /^NSpid:.*\s1$/m.test(readText(`/proc/${pid}/status`)),
  );
  return found ?? null;
}
