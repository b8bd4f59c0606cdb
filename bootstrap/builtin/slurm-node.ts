/**
 * The template `slurm-node`: munge and slurmd on a machine that joins the controller by itself
 * (`slurmd -Z`) and takes its configuration from there (configless). What no variable can say comes
 * from the image or a command before: the munge key, and `/etc/default/navarch-slurm` with
 * `SLURM_CONF_SERVER=host[:port]` and, if wanted, `SLURM_NODE_CONF`.
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
pool={{if .Pool}}{{.Pool}}{{else}}''{{end}}
conf=\${SLURM_NODE_CONF:-}
case $conf in *Feature=*) ;; *) conf="$conf Feature=$pool" ;; esac
options="-Z --conf '\${conf# }'"
[ -z "$server" ] || options="$options --conf-server $server"
printf 'SLURMD_OPTIONS="%s"\\n' "$options" >/etc/default/slurmd.tmp
if cmp -s /etc/default/slurmd.tmp /etc/default/slurmd && systemctl is-active --quiet slurmd; then
  rm -f /etc/default/slurmd.tmp
  echo "slurmd of $node runs already"
  exit 0
fi
mv -f /etc/default/slurmd.tmp /etc/default/slurmd
systemctl enable --quiet slurmd
left=60
until systemctl restart slurmd; do
  left=$((left - 1))
  [ "$left" -gt 0 ] || exit 1
  echo "the controller does not answer yet" >&2
  sleep 5
done
echo "slurmd of $node runs"`;

export const SLURM_NODE_COMMANDS: readonly string[] = [INSTALL, MUNGE, SLURMD];
