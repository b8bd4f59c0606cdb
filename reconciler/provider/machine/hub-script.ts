/**
 * The program that makes and removes what the machines of one bed share, as text: a network
 * namespace with a bridge, and a cable from it to the host. Pure.
 *
 * The control plane runs in the host's own namespace and not in the hub: it also has to reach a
 * database, a cluster, a cloud, which a namespace without a way out cannot. So the host gets one
 * end of a cable, with the gateway's address. The bridge itself stays out of the host, nothing in
 * the hub or in a machine has a default route, the host forwards nothing that comes in by that
 * cable, and an `unreachable` route of the last rank lies under it: should the cable be gone,
 * packets for machines end here and do not leave by the uplink.
 */
import type { Network, Place } from "./place.ts";
import { quote } from "./script.ts";

/** What beds on one computer agree on: who has which network, and the limit that was raised. */
export const RUN_DIR = "/run/navarch-machine";

/** Of all beds together: a machine takes about ten instances of inotify's 128. */
const INOTIFY_MIN = 1_024;
const INOTIFY = 8_192;

export type HubPlan = {
  /** The bed's own folder; it owns the claim. */
  folder: string;
  network: Network;
  /** Third octets in the order in which they are tried. */
  candidates: readonly number[];
  trees: readonly string[];
};

/** Every third octet once, from a place that the bed's folder decides: beds seldom meet. */
export function candidatesFrom(start: number): number[] {
  return Array.from({ length: 256 }, (_, index) => (start + index) % 256);
}

function formatClaim({ network, candidates }: HubPlan): string {
  return `mine=
for claim in ${RUN_DIR}/claim-*; do
  if [ -e "$claim" ] && [ "$(cat "$claim")" = "$folder" ]; then mine=\${claim##*-}; fi
done
if [ -z "$mine" ] && [ "$1" = up ]; then
  for n in ${candidates.join(" ")}; do
    [ ! -e "${RUN_DIR}/claim-$n" ] && [ ! -e "/sys/class/net/nvm$n" ] || continue
    [ ! -e "/run/netns/nvm$n-hub" ] || continue
    [ -z "$(ip -4 route show root "${network.base}.$n.0/24")" ] || continue
    ! ip -4 route show match "${network.base}.$n.0/24" | grep -qv '^default' || continue
    printf %s "$folder" >${RUN_DIR}/new
    mv ${RUN_DIR}/new "${RUN_DIR}/claim-$n"
    mine=$n
    break
  done
fi`;
}

function formatUp({ network }: HubPlan): string {
  return `up() {
  [ -n "$mine" ] || { echo 'no free network of ${network.base}' >&2; exit 70; }
  p=nvm$mine net=${network.base}.$mine limit=/proc/sys/fs/inotify/max_user_instances
  [ -e "/run/netns/$p-hub" ] || ip netns add "$p-hub"
  ip -n "$p-hub" link set lo up
  ip -n "$p-hub" link show dev br0 >/dev/null 2>&1 ||
    ip -n "$p-hub" link add br0 type bridge forward_delay 0
  ip -n "$p-hub" link set br0 up
  [ -e "/sys/class/net/$p" ] || ip link add "$p" type veth peer name host netns "$p-hub"
  ip -n "$p-hub" link set host master br0 up
  [ "$(cat "/proc/sys/net/ipv4/conf/$p/forwarding")" = 0 ] ||
    echo 0 >"/proc/sys/net/ipv4/conf/$p/forwarding"
  ip link set dev "$p" addrgenmode none
  ip addr replace "$net.1/24" dev "$p"
  ip link set "$p" up
  ip route replace unreachable "$net.0/24" metric 4294967295
  if [ "$(cat $limit)" -lt ${INOTIFY_MIN} ] && [ ! -e ${RUN_DIR}/inotify ]; then
    cat $limit >${RUN_DIR}/inotify
    { echo ${INOTIFY} >$limit; } 2>/dev/null || rm -f ${RUN_DIR}/inotify
  fi
  echo "$mine"
}`;
}

function formatDown({ network, trees }: HubPlan): string {
  const groups = trees.map((tree) => quote(tree)).join(" ");
  return `down() {
  if [ -n "$mine" ]; then
    p=nvm$mine
    ip route del unreachable "${network.base}.$mine.0/24" metric 4294967295 2>/dev/null || :
    [ ! -e "/sys/class/net/$p" ] || ip link del "$p"
    [ ! -e "/run/netns/$p-hub" ] || ip netns del "$p-hub"
    for tree in ${groups}; do
      tries=40
      while [ -d "$tree/$p-sup" ] && ! rmdir "$tree/$p-sup" 2>/dev/null; do
        tries=$((tries - 1)); [ "$tries" -gt 0 ] || break
        sleep 0.05
      done
    done
    rm -f "${RUN_DIR}/claim-$mine"
  fi
  # The last bed puts the limit back and takes away what the beds agreed on.
  for claim in ${RUN_DIR}/claim-*; do [ ! -e "$claim" ] || return 0; done
  if [ -e ${RUN_DIR}/inotify ]; then
    cat ${RUN_DIR}/inotify >/proc/sys/fs/inotify/max_user_instances
  fi
  rm -rf --one-file-system ${RUN_DIR}
}`;
}

/** `hub.sh up` prints the third octet of the bed's network; `hub.sh down` removes it all. */
export function formatHub(plan: HubPlan): string {
  return `#!/bin/sh
# The network that the machines of one bed share; written by navarch, safe to repeat.
set -eu
folder=${quote(plan.folder)}
while :; do
  mkdir -p ${RUN_DIR}
  exec 9>${RUN_DIR}/lock
  flock -w 60 9 || { echo 'another bed does not let go' >&2; exit 71; }
  # Whoever took everything away meanwhile took the file that is locked here with it.
  [ ${RUN_DIR}/lock -ef /proc/self/fd/9 ] && break
done
${formatClaim(plan)}
${formatUp(plan)}
${formatDown(plan)}
"$1"
`;
}

/** Ends every machine of the bed, then what they shared. The state folder itself stays. */
export function formatClear(folder: string): string {
  return `#!/bin/sh
# Ends every machine under ${folder}; written by navarch, safe to repeat.
for end in ${quote(folder)}/instance/*/end.sh; do
  [ ! -e "$end" ] || sh "$end" 30 cut 2>&1 &
done
wait
exec sh ${quote(folder)}/hub.sh down
`;
}

/** The bed's place out of what `hub.sh up` printed; `null` if it is no number. */
export function parseHub(text: string, at: (number: number) => Place): Place | null {
  const line = text.trim();
  return /^\d{1,3}$/.test(line) ? at(Number(line)) : null;
}
