/**
 * Which mounts are worth asking, from the text of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
 * Pure. Only file systems on disks of this machine are asked: a call into a network file system
 * whose server is gone never returns, and neither does one into anything mounted below it.
 *
 * Read-only is what the file system itself is. A mount of it may be read-only for one process
 * alone: that is how a service manager or a container keeps a program from writing.
 */

export type Mount = { path: string; device: string; type: string; readOnly: boolean };

const LOCAL = /^(?:ext[234]|xfs|btrfs|f2fs|zfs|bcachefs|jfs)$/;
/**
 * These answer at once, and are no disk that fills up: kernel interfaces, memory, layers of
 * containers, and images that are never written. The root of some systems is one of them. What is
 * mounted below any other file system is left out.
 */
const VIRTUAL = new Set(
  [
    "aufs autofs binfmt_misc bpf cgroup cgroup2 configfs cramfs debugfs devpts devtmpfs efivarfs",
    "erofs exfat fusectl hugetlbfs iso9660 mqueue nsfs overlay proc pstore ramfs romfs rootfs",
    "rpc_pipefs securityfs selinuxfs squashfs sysfs tmpfs tracefs udf vfat",
  ].flatMap((names) => names.split(" ")),
);
/** Volumes of single pods and containers: full ones are their owners' affair. */
const OWNED = /^\/(?:var\/lib\/(?:kubelet|docker|containerd|containers)|run|snap)\//;

/** Bound on what a machine with many bind mounts costs. */
const MOUNTS_MAX = 64;

/** Spaces and the like are written as three octal digits. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** Id, parent, device number, root, place, options, tags, `-`, type, source, options of its own. */
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

/**
 * The local file systems, each where it is mounted nearest to the root. Of several mounts at one
 * place the last covers the others.
 */
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
    // Datasets of one pool have devices of their own; bind mounts share one.
    const key = `${type} ${device}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
  return first.slice(0, MOUNTS_MAX);
}
