/**
 * What a machine's root file system is made of, as data and one script: the image's name in the
 * cache is a digest of it, so that a change here makes a new image and an old one is never mistaken
 * for it. Pure.
 */
import { createHash } from "node:crypto";

/** A plain server: systemd with D-Bus, sshd, sudo, and what a bootstrap's commands ask for. */
export const IMAGE_PACKAGES: readonly string[] = [
  "systemd",
  "systemd-sysv",
  "dbus",
  "libpam-systemd",
  "openssh-server",
  "sudo",
  "curl",
  "ca-certificates",
  "iproute2",
  "iputils-ping",
  "procps",
  "zstd",
  "openssl",
];

/** What the host needs, by the package that has it. */
export const HOST_PROGRAMS: Readonly<Record<string, string>> = {
  "systemd-nspawn": "systemd-container",
  mmdebstrap: "mmdebstrap",
  nft: "nftables",
  ip: "iproute2",
  tc: "iproute2",
  ssh: "openssh-client",
  "ssh-keygen": "openssh-client",
  "mkfs.ext4": "e2fsprogs",
  flock: "util-linux",
  nsenter: "util-linux",
  mountpoint: "util-linux",
  mount: "mount",
  find: "findutils",
};

/**
 * Run with the unpacked image as its argument. Every machine makes an identity of its own, so the
 * image has neither a machine id nor host keys; units that touch hardware or the network of
 * packages are masked, because a machine has neither. The device nodes are those of a node with
 * eight GPUs (major 195 is NVIDIA's, Linux `Documentation/admin-guide/devices.txt`).
 */
export const FINISH = `set -eu
root=$1
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"
rm -rf --one-file-system "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
mkdir -p "$root/etc/ssh/sshd_config.d"
printf '%s\\n' 'PermitRootLogin prohibit-password' 'PasswordAuthentication no' 'UseDNS no' \\
  'MaxStartups 100:30:200' 'HostKey /etc/ssh/ssh_host_ed25519_key' \\
  >"$root/etc/ssh/sshd_config.d/10-navarch-test.conf"
chroot "$root" useradd -m -u 1000 -U -s /bin/bash ubuntu
chroot "$root" useradd -m -u 1001 -U -s /bin/bash plain
printf 'ubuntu ALL=(ALL) NOPASSWD:ALL\\n' >"$root/etc/sudoers.d/90-ubuntu"
chmod 440 "$root/etc/sudoers.d/90-ubuntu"
chroot "$root" systemctl -q enable ssh
chroot "$root" systemctl -q set-default multi-user.target
for unit in console-getty.service getty@tty1.service apt-daily.timer apt-daily-upgrade.timer \\
  dpkg-db-backup.timer e2scrub_all.timer fstrim.timer systemd-modules-load.service \\
  sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount; do
  chroot "$root" systemctl -q mask "$unit" 2>/dev/null || :
done
for i in 0 1 2 3 4 5 6 7; do echo "c /dev/nvidia$i 0666 root root - 195:$i"; done \\
  >"$root/etc/tmpfiles.d/nvidia.conf"
`;

/** Twelve hexadecimal digits over all that decides what is in an image. */
export function imageDigest(suite: string, arch: string, packages: readonly string[]): string {
  const hash = createHash("sha256").update(FINISH);
  for (const part of [suite, arch, ...packages.toSorted()]) hash.update(`\0${part}`);
  return hash.digest("hex").slice(0, 12);
}

/**
 * One-line package sources for a suite, out of what the host itself uses: `apt-get indextargets`
 * lines of `URI RELEASE`. Nothing is known here about any server.
 */
export function formatSources(indexTargets: string, suite: string, ownSuite: string): string[] {
  const ring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  const pairs = new Set(indexTargets.split("\n").map((line) => line.trim()));
  return [...pairs].flatMap((pair) => {
    const [uri, release] = pair.split(/\s+/);
    if (uri === undefined || release === undefined || uri === "") return [];
    if (suite === ownSuite) return [`deb [signed-by=${ring}] ${uri} ${release} main`];
    return release === ownSuite ? [`deb [signed-by=${ring}] ${uri} ${suite} main`] : [];
  });
}
