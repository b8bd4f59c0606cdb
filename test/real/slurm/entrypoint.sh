#!/bin/bash
# entrypoint.sh ROLE: runs the image's entry as a pod would, with Slurm's real daemons and no container
# engine: the ConfigMap of the committed manifests, Secrets as a kubelet mounts them, the manifests'
# capabilities, hosts named like the pods. Exits with what the entry of ROLE exits with after SIGTERM.
# KEY_BYTES, PASSWORD, SECRET_MODE and GRES change what is mounted.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guide=$(cd "$here/../../../deploy/guide/slurm" && pwd)
entry=$guide/containers/images/slurm-base/Docker/entrypoint.sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
role=${1:?usage: entrypoint.sh ROLE}

say() { echo "test: $*" >&2; }
try() { # try WHAT SECONDS COMMAND...
  local what=$1 end=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { say "$what: not in time"; return 1; }
    sleep 0.3
  done
}

# The pod: a root of its own over the host's, whose writes stay in memory.
if [ "${STAGE:-}" = pod ]; then
  declare -A host=([controller]=slurm-controller [compute]=slurm-compute-0 [database]=slurm-dbdaemon)
  hostname "${host[$role]:-pod}"
  root=$WORK/$role
  mkdir -p "$root"
  mount -t tmpfs tmpfs "$root"
  mkdir "$root/upper" "$root/work" "$root/root"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/root"
  pod=$root/root
  rm -rf "$pod"/etc/munge/* "$pod"/etc/slurm/* "$pod"/var/lib/slurm "$pod"/run/munge
  mkdir -p "$pod"/etc/slurm-{config,munge,db} "$pod/var/lib/slurm"
  mount --rbind /proc "$pod/proc"
  mount --rbind /sys "$pod/sys"
  mount --rbind /dev "$pod/dev"
  cp "$WORK"/config/* "$pod/etc/slurm-config/"
  cp "$WORK/hosts" "$pod/etc/hosts"
  # As kubelets mount a Secret: a link into a folder that is replaced as a whole.
  for secret in slurm-munge/munge.key slurm-db/password; do
    mkdir -p "$pod/etc/${secret%/*}/..data"
    install -m "${SECRET_MODE:-0400}" "$WORK/secret/${secret##*/}" "$pod/etc/${secret%/*}/..data/"
    ln -s "..data/${secret##*/}" "$pod/etc/$secret"
  done
  cp "$entry" "$pod/usr/local/bin/entrypoint.sh"
  caps=-all
  for cap in $CAPABILITIES; do caps+=,+${cap,,}; done
  cd /
  exec chroot "$pod" setpriv --no-new-privs --bounding-set "$caps" --inh-caps -all \
    env -i PATH="$PATH" SLURM_ROLE="$role" SLURM_NODE_NAME=slurm-compute-0 \
    SLURM_WAIT_SECONDS="${SLURM_WAIT_SECONDS:-60}" /usr/local/bin/entrypoint.sh
fi

if [ "${STAGE:-}" != ground ]; then
  exec env STAGE=ground unshare --mount --net --pid --fork --mount-proc --kill-child "$0" "$role"
fi

leave() {
  [ "$?" = 0 ] || tail -n 5 "$WORK/mariadb.log" >&2 || :
  cd /
  umount -l "$WORK"
  rmdir "$WORK"
}

# The ground: one network of loopback, on which the pods find each other by their names.
WORK=$(mktemp -d)
export WORK
mount -t tmpfs tmpfs "$WORK"
chmod 755 "$WORK"
trap leave EXIT
ip link set lo up
# Slurm resolves no address of its own where there are loopback addresses alone.
ip address add 10.77.9.1/32 dev lo
printf '%s\n' '127.0.0.1 localhost' '10.77.9.1 slurm-mariadb slurm-dbdaemon slurm-controller' \
  '10.77.9.1 slurm-compute-0 slurm-compute-0.slurm-compute slurm-compute-1.slurm-compute' \
  '10.77.9.1 slurm-compute-2.slurm-compute' >"$WORK/hosts"
mount --bind "$WORK/hosts" /etc/hosts
mkdir "$WORK/config" "$WORK/secret"
head -c "${KEY_BYTES:-1024}" /dev/urandom >"$WORK/secret/munge.key"
printf '%s' "${PASSWORD:-pass-$RANDOM$RANDOM}" >"$WORK/secret/password"
awk -v dir="$WORK/config/" '/^  [a-z.]+: \|$/ { file = dir substr($1, 1, length($1) - 1); next }
  file && /^    / { print substr($0, 5) >file }' "$guide/k8s-manifests/hpc-slurm/slurm-config-template.yaml"
if [ -n "${GRES:-}" ]; then printf '%s\n' "$GRES" >"$WORK/config/gres.conf"; fi
CAPABILITIES=$(sed -nE 's/.*add: \[(.*)\]/\1/p' "$guide/k8s-manifests/hpc-slurm/slurmd-statefulset.yaml" |
  tr -d ,)
export CAPABILITIES

declare -A entry_of
start() { # start ROLE: its pod in the background, and the process of its entry
  STAGE=pod unshare --mount --pid --uts --fork --mount-proc --kill-child "$0" "$1" &
  local outer=$!
  entry_of[$1-outer]=$outer
  try "$1 begins" 10 pgrep -P "$outer"
  entry_of[$1]=$(pgrep -P "$outer")
}
inside() { # inside ROLE COMMAND...
  local of=$1
  shift
  nsenter --target "${entry_of[$of]}" --mount --pid --uts --root env -i -C / PATH="$PATH" \
    SLURM_ROLE="$of" SLURM_NODE_NAME=slurm-compute-0 "$@"
}
ready() { try "$1 is ready" "${READY_SECONDS:-60}" inside "$1" entrypoint.sh probe; }

start_mariadb() {
  local data=$WORK/mariadb
  install -d -o mysql -g mysql "$data"
  mariadb-install-db --user=mysql --datadir="$data" --auth-root-authentication-method=socket \
    >"$WORK/mariadb.log" 2>&1
  # What MARIADB_DATABASE, MARIADB_USER and its password do in the image.
  cat >"$WORK/init.sql" <<SQL
DELETE FROM mysql.global_priv WHERE User = '';
FLUSH PRIVILEGES;
CREATE DATABASE slurm_acct_db;
CREATE USER 'slurm'@'%' IDENTIFIED BY '$(cat "$WORK/secret/password")';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'%';
SQL
  local args
  args=$(sed -nE 's/^ +- (--innodb.*|--max-.*)/\1/p' \
    "$guide/k8s-manifests/hpc-slurm/mariadb-deployment.yaml")
  # shellcheck disable=SC2086
  mariadbd --no-defaults --user=mysql --datadir="$data" --socket="$data/socket" --port=3306 \
    --pid-file="$data/pid" --init-file="$WORK/init.sql" $args >>"$WORK/mariadb.log" 2>&1 &
}

accounted() { inside controller sacctmgr -n -P show cluster format=Cluster | grep -qx slurm-cluster; }
idle() { inside controller sinfo -h -n slurm-compute-0 -o %T | grep -qx idle; }

facts() { # what the daemons demand of their files
  inside "$1" stat -c '%a %U:%G %n' /etc/munge/munge.key
  if [ "$1" = database ]; then inside database stat -c '%a %U:%G %n' /etc/slurm/slurmdbd.conf; fi
}

# ALONE: without what the role waits for. TERM_AFTER: SIGTERM so many seconds later.
case ${ALONE:-$role} in
  database | controller | compute) ;;
  *)
    start "$role" || true
    if [ -n "${TERM_AFTER:-}" ]; then
      sleep "$TERM_AFTER"
      kill -TERM "${entry_of[$role]}"
    fi
    wait "${entry_of[$role-outer]}" && exit 0 || exit $?
    ;;
esac

start_mariadb
for one in database controller compute; do
  start "$one"
  [ "$one" != "$role" ] || break
done
ready "$role"
facts "$role"
case $role in
  controller)
    inside controller sinfo --version
    try "the cluster is in the accounting" 30 accounted
    ;;
  compute)
    try "the node is idle" 60 idle
    inside controller srun -w slurm-compute-0 --uid=65534 sh -c 'echo "job ran as $(id -u) on $SLURMD_NODENAME"'
    ;;
esac
outer=${entry_of[$role-outer]}
kill -TERM "${entry_of[$role]}"
wait "$outer" && status=0 || status=$?
exit "$status"
