/**
 * The template `slurm-node`: munge and slurmd on a machine that joins its controller by itself, as
 * a dynamic node (`slurmd -Z`) or as one of slurm.conf, with the configuration of the controller
 * (`--conf-server`) or with files. What is set in no variable comes from
 * `/etc/default/navarch-slurm`, and the munge key, if none is sent, from the image.
 */

/** Where keys and configuration files lie until the commands give them their owner and place. */
export const SLURM_STAGE = "/var/lib/navarch-slurm";
export const MUNGE_KEY = "/etc/munge/munge.key";
/** munged refuses a shorter key and takes any longer one; a larger file is hardly a key. */
const KEY_BYTES = { min: 32, max: 65_536 };
export const SLURM_ETC = "/etc/slurm";

const INSTALL = `set -eu
missing=''
wanted=''
command -v munged >/dev/null 2>&1 || missing="$missing munge"
command -v slurmd >/dev/null 2>&1 || missing="$missing slurmd"
# For slurm-healthcheck; a machine without it joins all the same.
command -v scontrol >/dev/null 2>&1 || wanted=' slurm-client'
if [ -n "$missing$wanted" ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    [ -n "$missing" ] || exit 0
    echo "the image lacks$missing: use one that has them, or install them in a command before" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update -q &&
    apt-get install -q -y --no-install-recommends $missing$wanted; }; then
    [ -n "$missing" ] && exit 1
    echo "no$wanted: Slurm's health check cannot drain this node" >&2
  fi
fi`;

// munged refuses a key that others can read, and one of another owner.
const MUNGE = `set -eu
key=${MUNGE_KEY}
staged=${SLURM_STAGE}/munge.key
install -d -o munge -g munge -m 700 /etc/munge /var/lib/munge /var/log/munge
if [ -s "$staged" ]; then
  install -o munge -g munge -m 400 "$staged" "$key.new"
  mv -f "$key.new" "$key"
  rm -f "$staged"
fi
if [ ! -s "$key" ]; then
  echo "$key is missing: send one (--munge-key, slurm.munge_key_file), or bring it in the image" >&2
  exit 1
fi
chown munge:munge "$key"
chmod 400 "$key"
systemctl enable --quiet munge
# What the munged that runs was started with.
begun=/run/navarch-munge
now() { echo "$(systemctl show -p MainPID --value munge) $(sha256sum <"$key")"; }
if ! { systemctl is-active --quiet munge && [ "$(cat "$begun" 2>/dev/null)" = "$(now)" ]; }; then
  systemctl restart munge
  (umask 077; now >"$begun")
fi
[ "$(stat -c '%a %U' /run/munge)" = '755 munge' ] ||
  install -d -o munge -g munge -m 755 /run/munge
munge -n | unmunge >/dev/null
probe={{if .MungeProbe}}{{.MungeProbe}}{{else}}''{{end}}
if [ -n "$probe" ] && ! said=$(printf '%s' "$probe" | unmunge 2>&1); then
  echo "munge here refuses a credential made with the key that was sent: $said" >&2
  exit 1
fi
echo "munge works"`;

// Values become words of a systemd unit's environment file, which has quoting of its own.
const SLURMD = `set -eu
if [ -f /etc/default/navarch-slurm ]; then . /etc/default/navarch-slurm; fi
server={{if .SlurmConfServer}}{{.SlurmConfServer}}{{else}}\${SLURM_CONF_SERVER:-}{{end}}
conf={{if .SlurmNodeConf}}{{.SlurmNodeConf}}{{else}}\${SLURM_NODE_CONF:-}{{end}}
dynamic={{if .SlurmDynamic}}{{.SlurmDynamic}}{{else}}\${SLURM_DYNAMIC:-true}{{end}}
node={{if .SlurmNodeName}}{{.SlurmNodeName}}{{else if .NodeID}}{{.NodeID}}{{else}}''{{end}}
[ -n "$node" ] || node=$(hostname -s)
pool={{if .Pool}}{{.Pool}}{{else}}''{{end}}
for value in "$server" "$conf" "$node" "$pool"; do
  case $value in
    *[!][A-Za-z0-9._:/@%+=,~\\(\\)\\ -]*)
      echo "slurmd cannot be given $value: it has a character that its unit would change" >&2
      exit 1
      ;;
  esac
done
case $dynamic in
  false) options="-N $node" ;;
  true)
    case " $conf" in
      *" "[Pp][Oo][Rr][Tt]=*)
        echo "SlurmNodeConf has Port=, which slurmd of 22.05 refuses in --conf: remove it" >&2
        exit 1
        ;;
    esac
    case $conf in *Feature=*) ;; *) conf="$conf\${pool:+ Feature=$pool}" ;; esac
    options="-Z -N $node --conf '\${conf# }'"
    ;;
  *)
    echo "SlurmDynamic is $dynamic, expected true or false" >&2
    exit 1
    ;;
esac
[ -z "$server" ] || options="$options --conf-server $server"
etc=${SLURM_ETC}
staged=${SLURM_STAGE}/conf
if [ -d "$staged" ]; then
  mkdir -p -m 755 "$etc"
  for f in "$staged"/*.conf; do
    [ -f "$f" ] || continue
    install -m 644 "$f" "$etc/.navarch.new"
    mv -f "$etc/.navarch.new" "$etc/\${f##*/}"
    rm -f "$f"
  done
fi
if [ -z "$server" ] && [ ! -s "$etc/slurm.conf" ]; then
  echo "no configuration: set SlurmConfServer or SLURM_CONF_SERVER, or bring $etc/slurm.conf" >&2
  exit 1
fi
{
  printf 'SLURMD_OPTIONS="%s"\\n' "$options"
  [ -n "$server" ] || echo "# $(cat "$etc"/*.conf | sha256sum)"
} >/etc/default/slurmd.tmp
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
for agent in /usr/local/bin/navarch-node /usr/bin/navarch-node; do
  if [ -x "$agent" ]; then
    ln -sfn "$agent" /usr/local/sbin/slurm-healthcheck
    break
  fi
done
# What the slurmd that runs was started with; a set-up that was cut short leaves none.
begun=/run/navarch-slurmd
if cmp -s /etc/default/slurmd.tmp "$begun" && listens; then
  rm -f /etc/default/slurmd.tmp
  echo "slurmd runs already as $node"
  exit 0
fi
rm -f "$begun"
unit=/etc/systemd/system/slurmd.service
if ! systemctl cat slurmd.service >/dev/null 2>&1; then
  {
    printf '[Unit]\\nAfter=munge.service network-online.target\\nWants=network-online.target\\n'
    printf '[Service]\\nEnvironmentFile=-/etc/default/slurmd\\nKillMode=process\\nDelegate=yes\\n'
    printf 'ExecStart=%s -D $SLURMD_OPTIONS\\n' "$(command -v slurmd)"
    printf 'LimitNOFILE=131072\\nLimitMEMLOCK=infinity\\nLimitSTACK=infinity\\n'
    printf '[Install]\\nWantedBy=multi-user.target\\n'
  } >"$unit"
fi
# At a later boot the controller may be away; Debian's unit gives up then. It also asks for the
# file that a configless machine fetches, and would be passed over in silence.
mkdir -p "$unit.d"
{
  printf '[Unit]\\nStartLimitIntervalSec=0\\n'
  [ -z "$server" ] || printf 'ConditionPathExists=\\n'
  printf '[Service]\\nRestart=on-failure\\nRestartSec=10\\n'
} >"$unit.d/navarch.conf"
systemctl daemon-reload
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

/** What is wrong with a file of so many bytes as a munge key. */
export function judgeKeySize(bytes: number): string | null {
  if (bytes >= KEY_BYTES.min && bytes <= KEY_BYTES.max) return null;
  return `expected a munge key of ${KEY_BYTES.min} to ${KEY_BYTES.max} bytes, found ${bytes} bytes`;
}
