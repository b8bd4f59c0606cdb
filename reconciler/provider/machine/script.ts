/**
 * The two programs of one machine, as text. `boot.sh` makes what the machine needs, starts it and
 * starts it again when it reboots: a machine must outlive the control plane that bought it, and a
 * shell that waits costs 1 MB where a second copy of this program would cost fifty. `end.sh` takes
 * all of it away. Both hold a lock while they work and can be killed and repeated at any line.
 * Pure.
 *
 * Facts about nspawn, cgroups and namespaces are those of systemd 252 (systemd-nspawn(1)) and of
 * the kernel's `Documentation/admin-guide/cgroup-v2.rst`.
 */
import type { Place, Spot } from "./place.ts";
import type { Disk } from "./setting.ts";

/** Where a machine finds its own kernel log: the host's `/dev/kmsg` belongs to all of them. */
export const KERNEL_LOG = "/run/navarch-test/kmsg";

/** Of a credential that the provider puts into the machine; readable by root alone. */
export const CREDENTIAL = "/etc/navarch-node/credential";

/** `boot.sh` and `end.sh`: another one is at it. */
export const BUSY = 73;

/** `boot.sh`: the machine is being ended. */
export const ENDING = 74;

/** Who may log in; the image makes them. `plain` may not become root. */
const USERS = [
  { name: "root", id: 0, home: "/root" },
  { name: "ubuntu", id: 1000, home: "/home/ubuntu" },
  { name: "plain", id: 1001, home: "/home/plain" },
] as const;

export type MachinePlan = {
  /** The machine's own folder on the host. */
  folder: string;
  /** Its hostname, a DNS label. */
  name: string;
  image: string;
  disk: Disk;
  place: Place;
  spot: Spot;
  /** Where cgroup v2 is mounted, and the trees that a machine has a group of its own in. */
  v2: string;
  trees: readonly string[];
  /** Trees where a group may have been made since. */
  moreTrees: readonly string[];
};

/** A word that a POSIX shell reads as it is. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

const words = (all: readonly string[]): string => all.map(quote).join(" ");

function formatDisk({ disk, spot }: MachinePlan): string {
  switch (disk.kind) {
    case "disk":
      // The kernel takes no overlay for the upper layer of another, as in most containers.
      return `if [ "$(stat -f -c %T rw)" = overlayfs ]; then
  mountpoint -q rw || mount -t tmpfs -o size=50%,mode=755 ${quote(spot.name)} rw
fi`;
    case "tmpfs": {
      const mount = `mount -t tmpfs -o size=${disk.size},mode=755 ${quote(spot.name)} rw`;
      return `mountpoint -q rw || ${mount}`;
    }
    default:
      return `if ! mountpoint -q rw; then
  if [ ! -e disk.ready ]; then
    truncate -s ${disk.size} disk.img
    mkfs.ext4 -q -F disk.img
    : >disk.ready
  fi
  mount -o loop disk.img rw
fi`;
  }
}

function formatNetwork({ place, spot }: MachinePlan): string {
  const { hub, network } = place;
  const { name, link } = spot;
  return `[ -e /run/netns/${name} ] || ip netns add ${name}
ip -n ${name} link show dev eth0 >/dev/null 2>&1 ||
  ip -n ${hub} link add ${link} type veth peer name eth0 netns ${name}
ip -n ${name} link set lo up
ip -n ${name} addr replace ${network}.${spot.number}/24 dev eth0
ip -n ${name} link set eth0 up
ip -n ${hub} link set ${link} master br0 up`;
}

function formatSeed(): string {
  const keys = USERS.map(({ id, home }) => {
    const own = `-o ${id} -g ${id}`;
    return `  install -d -m 700 ${own} root${home}/.ssh
  install -m 600 ${own} authorized_keys root${home}/.ssh/authorized_keys`;
  });
  return `if [ ! -e seeded ]; then
  [ -s hostkey.pub ] || { rm -f hostkey; ssh-keygen -q -t ed25519 -N '' -C '' -f hostkey; }
  chmod -R u=rwX,go=rX seed
  cp -R seed/. root/
  install -m 600 hostkey root/etc/ssh/ssh_host_ed25519_key
  install -m 644 hostkey.pub root/etc/ssh/ssh_host_ed25519_key.pub
${keys.join("\n")}
  [ ! -e token ] || install -D -m 400 token root${CREDENTIAL}
  : >seeded
fi`;
}

/** `systemd-nspawn` as the testbed found it to boot on a host without systemd and D-Bus. */
function formatNspawn({ folder, name, spot }: MachinePlan): string {
  return `env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_LOCK=0 \\
      SYSTEMD_NSPAWN_API_VFS_WRITABLE=network \\
      systemd-nspawn --quiet -D root --boot --register=no --keep-unit --machine=${quote(name)} \\
      --network-namespace-path=/run/netns/${spot.name} --console=pipe --link-journal=no \\
      --resolv-conf=off --timezone=off --capability=CAP_NET_ADMIN,CAP_SYSLOG \\
      --bind=${quote(`${folder}/kmsg`)}:${KERNEL_LOG}`;
}

/**
 * Its exit says why nothing runs; while it runs, the machine is up or coming up. The machine's
 * groups are entered before nspawn starts: in the caller's, machines would kill each other's units.
 */
export function formatBoot(plan: MachinePlan): string {
  const { folder, image, place, spot, v2, trees } = plan;
  const layers = `lowerdir=${image},upperdir=${folder}/rw/up,workdir=${folder}/rw/work`;
  return `#!/bin/sh
# Boots ${plan.name} and keeps it up across reboots; written by navarch, safe to repeat.
set -eu
umask 022
cd ${quote(folder)}
exec 9>lock
flock -n 9 || exit ${BUSY}
[ ! -e ending ] || exit ${ENDING}
# Up without a supervisor: two systemds on one disk would be the end of it. One that was just cut to
# be started again takes a moment to be gone.
tries=1
[ "\${1:-}" != again ] || tries=100
while grep -qs 'populated 1' ${v2}/${spot.name}/cgroup.events; do
  tries=$((tries - 1)); [ "$tries" -gt 0 ] || { echo 'it is up already'; exit 0; }
  sleep 0.05
done
rm -f off
echo "$$" >supervisor.pid
# Out of the caller's groups: what ends the control plane must not end the machines.
for tree in ${words(trees.slice(0, 2))}; do
  mkdir -p "$tree/${place.prefix}-sup"
  echo 0 >"$tree/${place.prefix}-sup/cgroup.procs"
done
mkdir -p root rw
${formatDisk(plan)}
mkdir -p rw/up rw/work
mountpoint -q root || mount -t overlay ${spot.name} -o ${layers} root
${formatSeed()}
${formatNetwork(plan)}
while [ ! -e ending ]; do
  rm -f reset
  : >kmsg
  # A group outlives what was in it, and with it that it was frozen.
  [ ! -e ${v2}/${spot.name}/cgroup.freeze ] || echo 0 >${v2}/${spot.name}/cgroup.freeze
  rc=0
  (
    for tree in ${words(trees)}; do
      mkdir -p "$tree/${spot.name}" || exit 75
      echo 0 >"$tree/${spot.name}/cgroup.procs" || exit 75
    done
    exec ${formatNspawn(plan)}
  ) 9>&- </dev/null || rc=$?
  echo "nspawn ended with $rc"
  # What is left of a machine whose nspawn died would hold its groups and its disk.
  [ ! -e ${v2}/${spot.name}/cgroup.kill ] || echo 1 >${v2}/${spot.name}/cgroup.kill
  [ ! -e reset ] || continue
  # Exit 133 is a reboot inside (systemd-nspawn --keep-unit); anything else is the end.
  [ "$rc" = 133 ] || break
done
echo "$rc" >off
`;
}

/** How long a machine may take to shut down by itself, in steps of 50 ms: 0.5 s is usual. */
const GRACE_STEPS = 40;

/**
 * Tears the machine down and says so with the file `ended`; everything before can be repeated. Its
 * arguments are how many seconds it waits for another one that is at it, and `cut` where the
 * machine need not shut down by itself.
 */
export function formatEnd(plan: MachinePlan): string {
  const { folder, place, spot, v2, trees, moreTrees } = plan;
  return `#!/bin/sh
# Ends ${plan.name} and takes away what it had; written by navarch, safe to repeat.
set -u
cd ${quote(folder)} || exit 0
exec 8>end.lock
flock -w "\${1:-0}" 8 || { echo 'another one is ending it'; exit ${BUSY}; }
: >ending
group=${v2}/${spot.name}
populated() { grep -qs 'populated 1' "$group/cgroup.events"; }
emptied() { # STEPS of 50 ms
  steps=$1
  while populated; do
    [ "$steps" -gt 0 ] || return 1
    steps=$((steps - 1)); sleep 0.05
  done
}
if [ "\${2:-}" != cut ] && populated && [ "$(cat "$group/cgroup.freeze")" = 0 ]; then
  for pid in $(find "$group" -name cgroup.procs -exec cat {} +); do
    # Its init is number 1 in the innermost namespace; RTMIN+4 tells it to power off.
    if grep -qs '^NSpid:.*[[:space:]]1$' "/proc/$pid/status"; then kill -38 "$pid"; break; fi
  done
  emptied ${GRACE_STEPS}
fi
exec 9>lock
tries=100
until flock -w 0.1 9; do
  [ ! -e "$group/cgroup.kill" ] || echo 1 >"$group/cgroup.kill"
  tries=$((tries - 1)); [ "$tries" -gt 0 ] || { echo 'the supervisor does not end'; exit 76; }
done
[ ! -e "$group/cgroup.kill" ] || echo 1 >"$group/cgroup.kill"
emptied 200 || { echo 'processes do not end'; exit 77; }
for path in root rw; do
  if mountpoint -q "$path"; then
    umount "$path" 2>/dev/null || { sleep 0.2; umount "$path"; } || umount -l "$path" ||
      { echo "$path stays mounted"; exit 78; }
  fi
done
nsenter --net=/run/netns/${place.hub} nft delete table netdev f_${spot.number} 2>/dev/null
ip -n ${place.hub} link del ${spot.link} 2>/dev/null
[ ! -e /run/netns/${spot.name} ] || ip netns del ${spot.name} ||
  { echo 'the namespace stays'; exit 79; }
for tree in ${words([...trees, ...moreTrees])}; do
  tries=40
  while [ -d "$tree/${spot.name}" ]; do
    find "$tree/${spot.name}" -depth -type d -exec rmdir {} \\; 2>/dev/null
    tries=$((tries - 1)); [ "$tries" -gt 0 ] || { echo "$tree/${spot.name} stays"; exit 80; }
    [ ! -d "$tree/${spot.name}" ] || sleep 0.05
  done
done
rm -rf --one-file-system root rw seed disk.img disk.ready token hostkey
: >ended
`;
}
