/**
 * Selects local mounts from `/proc/PID/mountinfo` (proc_pid_mountinfo(5)). Pure. Only file systems
 * on local disks are asked: a call into a network file system without its server never returns, nor
 * into anything mounted below it. `readOnly` is the state of the file system: a mount alone may be
 * read-only for one service or container.
 */

export type Mount = { path: string; device: string; type: string; readOnly: boolean };

const LOCAL = /^(?:ext[234]|xfs|btrfs|f2fs|zfs|bcachefs|jfs)$/;
/**
 * File systems that answer at once and do not fill up: kernel interfaces, memory, container layers
 * and read-only images. Mounts below any other file system are left out.
 */
const VIRTUAL = new Set(
  [
    "aufs autofs binfmt_misc bpf cgroup cgroup2 configfs cramfs debugfs devpts devtmpfs efivarfs",
    "erofs exfat fusectl hugetlbfs iso9660 mqueue nsfs overlay proc pstore ramfs romfs rootfs",
    "rpc_pipefs securityfs selinuxfs squashfs sysfs tmpfs tracefs udf vfat",
  ].flatMap((names) => names.split(" ")),
);
/** Volumes of single pods and containers, which their owners watch. */
const OWNED = /^\/(?:var\/lib\/(?:kubelet|docker|containerd|containers)|run|snap)\//;

/** Bounds the work on a machine with many bind mounts. */
const MOUNTS_MAX = 64;

/** Spaces and the like are three octal digits. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** Id, parent, device number, root, path, options, tags, `-`, type, source, super options. */
function parse(line: string): Mount[] {
  const words = line.split(" ");
  const dash = words.indexOf("-", 6);
  const path = words[4];
  const [type, device, options] = dash < 0 ? [] : words.slice(dash + 1);
  if (path === undefined || type === undefined || device === undefined) return [];
  const readOnly = (options ?? "").split(",").includes("ro");
  return [{ path: unescape(path), device: unescape(device), type, readOnly }];
}

function isBelow(path: string, above: string): boolean {
  return path !== above && path.startsWith(above.endsWith("/") ? above : `${above}/`);
}

/** The local file systems at their shortest path; the last of several mounts at a path counts. */
export function localMounts(text: string): Mount[] {
  const byPath = new Map<string, Mount>();
  for (const mount of text.split("\n").flatMap(parse)) byPath.set(mount.path, mount);
  const all = [...byPath.values()];
  const remote = all.filter(({ type }) => !LOCAL.test(type) && !VIRTUAL.has(type));
  const mine = all
    .filter(({ type, path }) => LOCAL.test(type) && !OWNED.test(path))
    .filter(({ path }) => !remote.some((other) => isBelow(path, other.path)))
    .sort((a, b) => a.path.length - b.path.length || (a.path < b.path ? -1 : 1));
  const seen = new Set<string>();
  const first = mine.filter(({ device, type }) => {
    // Bind mounts share a device; datasets of a pool do not.
    const key = `${type} ${device}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
  return first.slice(0, MOUNTS_MAX);
}
