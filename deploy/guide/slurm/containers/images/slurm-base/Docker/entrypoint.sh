#!/bin/bash
# Entry of the Slurm image. Places the key, starts munged, builds the configuration of the role in
# SLURM_ROLE, and becomes its daemon. With the argument `probe` it checks a running container.
set -euo pipefail

# Mounted from the ConfigMap and the Secrets; the daemons demand other owners than a mount gives.
readonly CONFIG=/etc/slurm-config
readonly MUNGE_KEY=/etc/slurm-munge/munge.key
readonly DB_PASSWORD=/etc/slurm-db/password

readonly WAIT_SECONDS=${SLURM_WAIT_SECONDS:-300}
role=${SLURM_ROLE:-}

log() { printf '%s entrypoint: %s\n' "$(date -u +%FT%TZ)" "$*" >&2; }
die() {
  local status=$1
  shift
  log "$*"
  exit "$status"
}

# value FILE KEY DEFAULT: the last value of a key; Slurm reads keys in any case.
value() {
  local found
  found=$(sed -nE "s/^[[:space:]]*$2[[:space:]]*=[[:space:]]*([^[:space:]#]+).*/\1/Ip" "$1" | tail -n 1)
  printf '%s\n' "${found:-$3}"
}

require() { [ -s "$1" ] || die 1 "$1 is missing or empty: mount $2"; }

place_key() {
  require "$MUNGE_KEY" "the key munge.key of the Secret slurm-munge-key"
  install -d -o munge -g munge -m 0700 /etc/munge /var/lib/munge /var/log/munge
  install -d -o munge -g munge -m 0755 /run/munge
  # munged refuses a key that others than its owner can read, as a mounted Secret is.
  install -o munge -g munge -m 0400 "$MUNGE_KEY" /etc/munge/munge.key
}

start_munged() {
  # A container that is started again keeps the socket of the munged that ended with it.
  rm -f /run/munge/munge.socket.2 /run/munge/munge.socket.2.lock
  setpriv --reuid munge --regid munge --clear-groups munged ||
    die 1 "munged did not start; its reason is above or in /var/log/munge/munged.log"
  munge -n | unmunge >/dev/null || die 1 "munged runs, but does not decode its own credential"
}

# Links instead of copies: `scontrol reconfigure` then reads a ConfigMap that has changed.
link_config() {
  local name
  require "$CONFIG/slurm.conf" "the ConfigMap slurm-config"
  install -d -m 0755 /etc/slurm
  for name in slurm.conf gres.conf cgroup.conf; do
    if [ -e "$CONFIG/$name" ]; then ln -sfn "$CONFIG/$name" "/etc/slurm/$name"; fi
  done
  install -d -o slurm -g slurm -m 0755 /run/slurm /var/log/slurm
}

write_slurmdbd_conf() {
  require "$CONFIG/slurmdbd.conf" "the ConfigMap slurm-config"
  require "$DB_PASSWORD" "the key password of the Secret slurm-db-credentials"
  local password
  password=$(cat "$DB_PASSWORD")
  case $password in
    *[[:space:]\"\'#\\]*)
      die 1 "$DB_PASSWORD holds a space, quote, # or backslash, which slurmdbd.conf cannot carry"
      ;;
  esac
  # slurmdbd refuses the file unless it is SlurmUser's alone.
  install -o slurm -g slurm -m 0600 /dev/null /etc/slurm/slurmdbd.conf
  { cat "$CONFIG/slurmdbd.conf" && printf '\nStoragePass=%s\n' "$password"; } \
    >/etc/slurm/slurmdbd.conf
}

# wait_for HOST PORT: until it accepts connections; 1 after WAIT_SECONDS, so that the pod shows it.
wait_for() {
  local end=$((SECONDS + WAIT_SECONDS))
  until timeout 2 bash -c ': <"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null; do
    [ "$SECONDS" -lt "$end" ] || die 1 "$1:$2 did not answer within $WAIT_SECONDS s"
    log "waiting for $1:$2"
    # In the background, so that SIGTERM ends the wait at once.
    sleep 2 &
    wait $!
  done
}

# Prints the devices that gres.conf names for this node, one a line.
list_devices() {
  local line words nodes files
  while read -r line; do
    words=${line%%#*}
    nodes=$(sed -nE 's/.*NodeName=([^ ]+).*/\1/Ip' <<<"$words")
    files=$(sed -nE 's/.*[[:space:]]File=([^ ]+).*/\1/Ip' <<<" $words")
    [ -n "$files" ] || continue
    if [ -z "$nodes" ] || scontrol show hostnames "$nodes" | grep -qxF "$SLURM_NODE_NAME"; then
      scontrol show hostnames "$files"
    fi
  done </etc/slurm/gres.conf
}

# slurmd waits 19 s for a device that is missing, and then dies without its number.
check_devices() {
  [ -e /etc/slurm/gres.conf ] || return 0
  local files file missing='' have=0 declared=0
  files=$(list_devices)
  for file in $files; do
    declared=$((declared + 1))
    if [ -e "$file" ]; then have=$((have + 1)); else missing+=" $file"; fi
  done
  [ -z "$missing" ] || die 1 "GPU_COUNT $have<$declared: gres.conf names devices that are not here:$missing"
}

run_controller() {
  link_config
  local conf=/etc/slurm/slurm.conf
  install -d -o slurm -g slurm -m 0700 "$(value $conf StateSaveLocation /var/lib/slurm)"
  case $(value $conf AccountingStorageType none) in
    */slurmdbd)
      wait_for "$(value $conf AccountingStorageHost localhost)" \
        "$(value $conf AccountingStoragePort 6819)"
      ;;
  esac
  exec slurmctld -D
}

run_compute() {
  [ -n "${SLURM_NODE_NAME:-}" ] || die 64 "SLURM_NODE_NAME is empty: set it to the node's NodeName"
  link_config
  local conf=/etc/slurm/slurm.conf controller
  install -d -m 0755 "$(value $conf SlurmdSpoolDir /var/spool/slurmd | sed "s/%n/$SLURM_NODE_NAME/")"
  check_devices
  controller=$(value $conf SlurmctldHost slurm-controller)
  wait_for "${controller%%(*}" "$(value $conf SlurmctldPort 6817)"
  exec slurmd -D -N "$SLURM_NODE_NAME"
}

run_database() {
  link_config
  write_slurmdbd_conf
  wait_for "$(value /etc/slurm/slurmdbd.conf StorageHost localhost)" \
    "$(value /etc/slurm/slurmdbd.conf StoragePort 3306)"
  exec slurmdbd -D
}

# Asks the daemon itself: a bare connection to its port would put an error in its log each time.
probe() {
  munge -n | unmunge >/dev/null || die 1 "munged does not answer"
  case $role in
    controller) timeout 8 scontrol ping | grep -q ' is UP' ;;
    compute) timeout 8 scontrol show slurmd "$SLURM_NODE_NAME" >/dev/null ;;
    database) timeout 8 sacctmgr --noheader --readonly show cluster >/dev/null ;;
  esac
}

case $role in
  controller | compute | database) ;;
  *) die 64 "SLURM_ROLE is '$role', but must be one of: controller compute database" ;;
esac
if [ "${1:-}" = probe ]; then
  probe
  exit
fi
trap 'exit 143' TERM INT
place_key
start_munged
log "starting as $role"
"run_$role"
