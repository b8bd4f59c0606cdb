/**
 * Starts the daemons of Slurm on rendered files as they are, with the paths and ports in them: in a
 * throw-away copy of a system's root, with namespaces of its own, so that nothing of the host is
 * changed and several run side by side. All ends with the script.
 *
 * Adapter: processes, files.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand, type Ran } from "../../fixture/machine/command.ts";

/** `$1` the root, `$2` a folder for the copy, `$3` what lies at /w, `$4` what runs. */
const BOX = `set -eu
mount -t tmpfs tmpfs "$2"; mkdir "$2/upper" "$2/work" "$2/root"; r=$2/root
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$r"
mount -t proc proc "$r/proc"; mount --rbind /sys "$r/sys"; mount --rbind /dev "$r/dev"
mount -t tmpfs tmpfs "$r/run"; mount -t tmpfs tmpfs "$r/tmp"; chmod 1777 "$r/tmp"
mkdir -p "$r/w"; mount --bind "$3" "$r/w"
hostname slurmbox; printf '127.0.0.1 localhost slurmbox\\n' >"$r/etc/hosts"
ip link set lo up
# Names are resolved only where an address besides loopback exists.
ip link add v0 type veth peer name v1; ip addr add 10.9.9.1/24 dev v0
ip link set v0 up; ip link set v1 up
exec chroot "$r" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 \\
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -uc "$4"`;

/** The key, the devices, and the links that slurmctld looks for. */
const PREPARE = `
for i in 0 1 2 3 4 5 6 7; do mknod -m 666 /run/fakegpu$i c 195 $i; done
for n in resume suspend resume-fail healthcheck; do
  printf '#!/bin/sh\\n' >/usr/local/sbin/slurm-$n; chmod 755 /usr/local/sbin/slurm-$n
done
install -d -o munge -g munge -m 755 /run/munge
install -d -o munge -g munge -m 700 /etc/munge /var/lib/munge /var/log/munge
install -o munge -g munge -m 400 /w/munge.key /etc/munge/munge.key
su -s /bin/sh munge -c /usr/sbin/munged
munge -n | unmunge | grep -q Success && echo 'PASS munge'
install -d -o slurm -g slurm /var/lib/slurm /var/log/slurm /run/slurm
export SLURM_CONF=/w/etc/slurm.conf
st() { timeout 20 sinfo -h -N -n $1 -o %T | sort -u; }
wait_idle() {
  for _ in $(seq 240); do [ "$(st $1)" = idle ] && break; sleep .25; done
  echo "STATE $1 $(st $1)"
}
`;

/** MariaDB on its socket, and slurmdbd on the SQL of `db-init`. */
export const DATABASE = `
install -d -o mysql -g mysql /tmp/my /run/mysqld
mariadb-install-db --user=mysql --datadir=/tmp/my >/dev/null 2>&1
mariadbd --user=mysql --datadir=/tmp/my --bind-address=127.0.0.1 --port=3306 >/tmp/maria 2>&1 &
for _ in $(seq 120); do mysqladmin ping >/dev/null 2>&1 && break; sleep .25; done
mysql </w/db.sql && mysql </w/db.sql && echo 'PASS db-init'
chown slurm /w/etc/slurmdbd.conf
slurmdbd
for _ in $(seq 120); do sacctmgr -n show cluster >/dev/null 2>&1 && break; sleep .25; done
`;

/** The log lines that a first start always has are not among them. */
const LOGS = `
grep -hiE 'fatal|unrecognized|parsing|gres/gpu count|Low (RealMemory|socket)|invalid|power_save' \\
  /var/log/slurm/*.log /tmp/err 2>/dev/null | sed 's/^/LOG /'
`;

/** Runs a script among fixed paths of `/w`, which is `folder`; `root` is a Debian system. */
export async function runBoxed(root: string, folder: string, script: string): Promise<Ran> {
  const box = mkdtempSync(join(tmpdir(), "navarch-slurm-box-"));
  try {
    const spaces = ["--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--mount-proc"];
    return await runCommand(
      ["unshare", ...spaces, "--kill-child", "--propagation", "private"].concat([
        "bash",
        "-c",
        BOX,
        "box",
        root,
        box,
        folder,
        `${PREPARE}${script}${LOGS}`,
      ]),
      { limitMs: 150_000 },
    );
  } finally {
    rmSync(box, { recursive: true, force: true });
  }
}

/** The output's lines that begin with a word, without it. */
export function linesOf(ran: Ran, word: string): string[] {
  const lines = ran.stdout.split("\n").filter((line) => line.startsWith(`${word} `));
  return lines.map((line) => line.slice(word.length + 1));
}
