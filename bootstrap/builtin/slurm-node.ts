/**
 * The template `slurm-node`: munge and slurmd on a machine that joins the controller by itself
 * (`slurmd -Z`), under the node's id, and takes its configuration from there (configless). What no
 * variable can say comes from the image, or from a command before `- template: slurm-node` in
 * `setup_commands`: the munge key, and `/etc/default/navarch-slurm` with
 * `SLURM_CONF_SERVER=host[:port]` and, if wanted, `SLURM_NODE_CONF="Gres=gpu:8"`.
 */

const INSTALL = `set -eu
missing=''
command -v munged >/dev/null 2>&1 || missing="$missing munge"
command -v slurmd >/dev/null 2>&1 || missing="$missing slurmd"
if [ -n "$missing" ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "the image lacks$missing: use one that has them, or install them in a command before" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -q -y --no-install-recommends $missing
fi`;

// munged refuses a key that others can read, and one of another owner.
const MUNGE = `set -eu
key=/etc/munge/munge.key
if [ ! -s "$key" ]; then
  echo "$key is missing: it comes with the image or from a command before" >&2
  exit 1
fi
chown munge:munge /etc/munge "$key"
chmod 700 /etc/munge
chmod 400 "$key"
systemctl enable --quiet munge
systemctl restart munge
munge -n | unmunge >/dev/null
echo "munge works"`;

const SLURMD = `set -eu
if [ -f /etc/default/navarch-slurm ]; then . /etc/default/navarch-slurm; fi
server=\${SLURM_CONF_SERVER:-}
if [ -z "$server" ] && [ ! -s /etc/slurm/slurm.conf ]; then
  echo "neither SLURM_CONF_SERVER in /etc/default/navarch-slurm nor /etc/slurm/slurm.conf" >&2
  exit 1
fi
node={{if .NodeID}}{{.NodeID}}{{else}}''{{end}}
[ -n "$node" ] || node=$(hostname -s)
pool={{if .Pool}}{{.Pool}}{{else}}''{{end}}
conf=\${SLURM_NODE_CONF:-}
case $conf in *Feature=*) ;; *) conf="$conf\${pool:+ Feature=$pool}" ;; esac
options="-Z -N $node --conf '\${conf# }'"
[ -z "$server" ] || options="$options --conf-server $server"
printf 'SLURMD_OPTIONS="%s"\\n' "$options" >/etc/default/slurmd.tmp
# The unit counts as started before slurmd has asked its controller: only then it listens.
listens() {
  pid=$(systemctl show -p MainPID --value slurmd)
  [ "\${pid:-0}" -gt 0 ] || return 1
  for fd in "/proc/$pid/fd/"*; do
    socket=$(readlink "$fd") || continue
    socket=\${socket#socket:[}
    awk -v inode="\${socket%]}" '$4 == "0A" && $10 == inode { found = 1 } END { exit !found }' \\
      /proc/net/tcp /proc/net/tcp6 2>/dev/null && return 0
  done
  return 1
}
# What the slurmd that runs was started with; a set-up that was cut short leaves none.
begun=/run/navarch-slurmd
if cmp -s /etc/default/slurmd.tmp "$begun" && listens; then
  rm -f /etc/default/slurmd.tmp
  echo "slurmd runs already as $node"
  exit 0
fi
rm -f "$begun"
# Debian's unit asks for the file that this machine fetches, and would be passed over in silence.
if [ -n "$server" ]; then
  mkdir -p /etc/systemd/system/slurmd.service.d
  printf '[Unit]\\nConditionPathExists=\\n' >/etc/systemd/system/slurmd.service.d/navarch.conf
  systemctl daemon-reload
fi
mv -f /etc/default/slurmd.tmp /etc/default/slurmd
systemctl enable --quiet slurmd
left=20
until
  systemctl restart slurmd
  looks=10
  until listens || [ "$looks" -eq 0 ]; do
    looks=$((looks - 1))
    sleep 1
  done
  listens
do
  left=$((left - 1))
  if [ "$left" -le 0 ]; then
    journalctl -u slurmd -n 20 --no-pager -o cat >&2 || :
    exit 1
  fi
  echo "the controller does not answer yet" >&2
  sleep 3
done
cp /etc/default/slurmd "$begun"
echo "slurmd runs as $node"`;

export const SLURM_NODE_COMMANDS: readonly string[] = [INSTALL, MUNGE, SLURMD];
