#!/bin/sh
# Installs, upgrades or removes the Navarch node agent on one machine.
#
#   curl -fsSL https://CONTROL-PLANE/install.sh | sh -s -- --join-token TOKEN
#
# What is trusted, and why. The control plane writes its release key into this text when it serves
# it. With that key the script checks the signature of SHA256SUMS, and with SHA256SUMS each file. So
# everything rests on how this text came here: over https, over SSH, in an image or in user data it
# is sound; over plain http anybody on the way could have changed it, and the script says so. The
# whole of it is in bootstrap/install/README.md.
#
# Nothing happens before the last line has arrived: all others only define what it uses.
set -eu

# Filled in by the control plane: its address, its Ed25519 key (SPKI, base64), and
# "VERSION SHA256" of the SHA256SUMS that it has at the moment.
SERVER_DEFAULT=''
RELEASE_KEY=''
RELEASE_SUMS=''

usage() {
  cat <<'END'
usage: install.sh [flags]
  --server URL               control plane (default: the one that served this script)
  --join-token TOKEN         token for joining; other users see a command line, so prefer the next
  --join-token-file FILE     the same from a file; NAVARCH_JOIN_TOKEN is read too
  --ca-fingerprint sha256:…  trust the control plane's own CA, if this is its fingerprint
  --client-cert-file FILE    certificate to show, where the control plane asks for one
  --client-key-file FILE     its key
  --key-fingerprint sha256:… the release key must have this fingerprint
  --version V                this release (default: the control plane's newest)
  --pool NAME                pool of this node
  --allow-upgrades           the control plane may put newer agents in place (navarch upgrade
                             agents): it can then run any program as root here
  --no-allow-upgrades        take that back; without either flag it stays as it is
  --no-start                 enable the unit, do not start it
  --root DIR                 install into a folder, such as an image; nothing is started
  --dry-run                  say what would change, change nothing
  --uninstall                remove everything that this script installed
  --keep-state               with --uninstall: keep the node's identity, credential and spool
END
}

say() { printf '%s\n' "$*"; }
complain() { printf 'navarch: %s\n' "$*" >&2; }
die() {
  complain "$*"
  exit 1
}
bad_usage() {
  complain "$*"
  usage >&2
  exit 2
}

take() {
  case $1 in
    --server) server=$2 ;;
    --join-token) token=$2 ;;
    --join-token-file) token_from=$2 ;;
    --ca-fingerprint) ca_pin=$2 ;;
    --client-cert-file) cert_from=$2 ;;
    --client-key-file) key_from=$2 ;;
    --key-fingerprint) key_pin=$2 ;;
    --version) version=${2#v} ;;
    --pool) pool=$2 ;;
    --root) root=${2%/} ;;
    *) bad_usage "unknown flag $1" ;;
  esac
}

parse() {
  server='' token=${NAVARCH_JOIN_TOKEN:-} token_from='' ca_pin='' key_pin='' version='' pool=''
  root='' start=1 dry='' mode=install keep='' upgrades='' cert_from='' key_from=''
  while [ $# -gt 0 ]; do
    case $1 in
      --allow-upgrades) upgrades=yes ;;
      --no-allow-upgrades) upgrades=no ;;
      --no-start) start='' ;;
      --dry-run) dry=1 ;;
      --uninstall) mode=uninstall ;;
      --keep-state) keep=1 ;;
      -h | --help) mode=help ;;
      --*=*) take "${1%%=*}" "${1#*=}" ;;
      --*)
        [ $# -ge 2 ] || bad_usage "$1 needs a value"
        take "$1" "$2"
        shift
        ;;
      *) bad_usage "unexpected argument $1" ;;
    esac
    shift
  done
  # An inherited variable would reach every program that this script starts.
  unset NAVARCH_JOIN_TOKEN
}

# allowed WHAT VALUE: only characters that mean nothing to a shell, a unit file or a URL's reader.
allowed() {
  case $2 in *[!A-Za-z0-9._~:/+=@%\[\]-]*) die "$1: unexpected character in \"$2\"" ;; esac
}

name_paths() {
  case $root in '' | /*) ;; *) root=$(pwd)/$root ;; esac
  bin_dir=$root/usr/local/bin
  bin=$bin_dir/navarch-node
  # Beside the binary, because a rename is whole only within one file system.
  staged=$bin_dir/.navarch-node.new
  previous=$bin_dir/.navarch-node.previous
  etc=$root/etc/navarch-node
  settings=$etc/environment
  units=$root/etc/systemd/system
  unit=$units/navarch-node.service
  wanted=$units/multi-user.target.wants/navarch-node.service
  consent=$unit.d/allow-upgrades.conf
  state=$root/var/lib/navarch-node
  # Lies there while an install is under way, so that the next run finishes one that was cut short.
  pending=$etc/.install-pending
}

# The value of a setting that an earlier run wrote.
setting() { [ ! -f "$settings" ] || sed -n "s/^$1=//p" "$settings"; }

has() { command -v "$1" >/dev/null 2>&1; }
digest() { sha256sum <"$1" | cut -d ' ' -f 1; }
# sha256:AB:CD… and abcd… are one fingerprint.
plain_print() { printf %s "${1#sha256:}" | tr -d ':' | tr 'A-F' 'a-f'; }
# The first certificate or key of a PEM file, base64 without its line ends.
pem_body() { sed -n '/^-----BEGIN/,/^-----END/{/^-----END/q;/^-----/d;p;}' "$1" | tr -d '\r\n'; }

prepare() {
  [ "$(uname -s)" = Linux ] || die "this is $(uname -s); the agent runs on Linux only"
  case $(uname -m) in
    x86_64 | amd64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) die "no agent is made for $(uname -m); expected x86_64 or aarch64" ;;
  esac
  for tool in base64 sha256sum mktemp sed tr cut; do
    has "$tool" || die "$tool is missing on this machine"
  done
  if has curl; then getter=curl; elif has wget; then getter=wget; else
    die "neither curl nor wget is on this machine"
  fi
  if [ -z "$root" ] && [ -n "$start" ] && [ ! -d /run/systemd/system ]; then
    die "systemd does not run here; --no-start installs without it"
  fi
  [ -n "$server" ] || server=$SERVER_DEFAULT
  [ -n "$server" ] || server=$(setting NAVARCH_SERVER)
  [ -n "$server" ] || bad_usage "--server is missing"
  case $server in
    http://* | https://*) ;;
    *) server=http${ca_pin:+s}://$server ;;
  esac
  server=${server%/}
  if [ -n "$token_from" ]; then
    [ -r "$token_from" ] || die "--join-token-file: cannot read $token_from"
    token=$(cat "$token_from")
  fi
  case ${cert_from:+1}${key_from:+1} in
    '')
      # What an earlier run, or the control plane over SSH, has placed.
      if [ -f "$etc/client.pem" ]; then cert_from=$etc/client.pem key_from=$etc/client.key; fi
      ;;
    11) ;;
    *) bad_usage "--client-cert-file and --client-key-file belong together" ;;
  esac
  if [ -n "$cert_from" ]; then
    for each in "$cert_from" "$key_from"; do [ -r "$each" ] || die "cannot read $each"; done
  fi
  allowed --server "$server"
  allowed --pool "$pool"
  case $token in *[!A-Za-z0-9._~:/+=-]*) die "--join-token: unexpected character" ;; esac
  case $version in *[!A-Za-z0-9.+~-]* | .*) die "--version: unexpected \"$version\"" ;; esac
  case $server in
    https://*) private=1 ;;
    http://localhost | http://localhost:* | http://127.0.0.1 | http://127.0.0.1:*) private=1 ;;
    http://\[::1\]*) private=1 ;;
    *) private='' ;;
  esac
}

need_root() {
  [ -n "$root" ] || [ -n "$dry" ] || [ "$(id -u)" = 0 ] || die "run this as root: … | sudo sh -s -- …"
  if [ -z "$root" ] && has dpkg-query; then
    case $(dpkg-query -W -f '${Status}' navarch-node 2>/dev/null || :) in
      *' installed') die "navarch-node is a package here: use apt, or apt purge navarch-node" ;;
    esac
  fi
}

# One run at a time; the folder itself is the lock, so that none is left behind.
lock() {
  [ -z "$dry" ] && has flock && [ -d "$bin_dir" ] || return 0
  exec 9<"$bin_dir"
  flock -n 9 || die "another install is under way on this machine"
}

# fetch URL FILE: the whole file, or the end of this run with the server's own words.
fetch() {
  url=$1 file=$2
  set --
  if [ "$getter" = curl ]; then
    [ -z "$ca" ] || set -- --cacert "$ca"
    [ -z "$cert_from" ] || set -- "$@" --cert "$cert_from" --key "$key_from"
    # A redirect must not lead from a private way to an open one.
    case $url in https://*) set -- "$@" --proto-redir =https ;; esac
    status=$(curl -sSL --connect-timeout 15 --speed-limit 1000 --speed-time 60 --retry 3 "$@" \
      -o "$file" -w '%{http_code}' "$url") || die "cannot download $url"
    [ "$status" = 200 ] || die "$url: $status $(head -n 1 "$file" 2>/dev/null | cut -c 1-300 | tr -cd ' -~')"
  else
    [ -z "$ca" ] || set -- --ca-certificate="$ca"
    [ -z "$cert_from" ] || set -- "$@" --certificate="$cert_from" --private-key="$key_from"
    wget -q -T 60 "$@" -O "$file" "$url" || die "cannot download $url"
  fi
}

# The control plane's own CA: taken without trust, then compared with the fingerprint.
load_ca() {
  ca=''
  [ -n "$ca_pin" ] || { [ ! -f "$etc/ca.pem" ] || ca=$etc/ca.pem; return 0; }
  case $server in https://*) ;; *) die "--ca-fingerprint needs a server with https" ;; esac
  set --
  if [ "$getter" = curl ]; then
    [ -z "$cert_from" ] || set -- --cert "$cert_from" --key "$key_from"
    curl -fsSk "$@" "$server/ca.pem" -o "$tmp/shown.pem"
  else
    [ -z "$cert_from" ] || set -- --certificate="$cert_from" --private-key="$key_from"
    wget -q --no-check-certificate "$@" -O "$tmp/shown.pem" "$server/ca.pem"
  fi || die "cannot download $server/ca.pem"
  pem_body "$tmp/shown.pem" | base64 -d >"$tmp/ca.der" || :
  found=$(digest "$tmp/ca.der")
  [ "$found" = "$(plain_print "$ca_pin")" ] ||
    die "the CA of $server has fingerprint sha256:$found, not the expected one: stopped"
  # Made again of the very bytes that were compared: whatever came with them would be trusted, too.
  {
    say '-----BEGIN CERTIFICATE-----'
    base64 -w 64 "$tmp/ca.der"
    say '-----END CERTIFICATE-----'
  } >"$tmp/ca.pem"
  ca=$tmp/ca.pem
}

# The agent carries out what this key has signed, so it is kept for it, unless nothing but plain http
# vouches for it: then the agent trusts on first use, and says so.
load_key() {
  key=$RELEASE_KEY
  # Behind its second dot a join token has the fingerprint of the control plane that made it.
  case $token in nvj.*.*) token_pin=${token##*.} ;; *) token_pin='' ;; esac
  if [ -z "$key" ]; then
    # This text is a copy that no control plane served: its key has to be asked for.
    [ -n "$private$key_pin$token_pin" ] || die "plain http and no --key-fingerprint: refused"
    fetch "$server/releases/key.pem" "$tmp/given.pem"
    key=$(pem_body "$tmp/given.pem")
  fi
  print=$(printf %s "$key" | base64 -d | sha256sum | cut -d ' ' -f 1)
  if [ -n "$token_pin" ] && [ "$print" != "$token_pin" ]; then
    die "the release key has fingerprint sha256:$print, not that of the join token: stopped"
  fi
  kept=''
  if [ -f "$etc/release-key.pem" ]; then kept=$(pem_body "$etc/release-key.pem"); fi
  if [ -n "$kept" ] && [ "$kept" != "$key" ] && [ -z "$private$key_pin$token_pin" ]; then
    die "the release key is not the one that this machine knows: stopped (--key-fingerprint names it)"
  fi
  if [ -n "$key_pin" ]; then
    [ "$print" = "$(plain_print "$key_pin")" ] ||
      die "the release key has fingerprint sha256:$print, not the expected one: stopped"
  elif [ -z "$private" ]; then
    complain "WARNING: $server is plain http. Whoever is between this machine and it can change"
    complain "WARNING: what is installed here, this script included, and can read the join token."
    complain "WARNING: use https, or a copy of this script with --key-fingerprint."
  fi
  printf -- '-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n' "$key" >"$tmp/key.pem"
}

# OpenSSL before 3.0 has no way to check an Ed25519 signature from the command line.
can_verify() {
  has openssl && openssl pkey -pubin -in "$tmp/key.pem" -noout 2>/dev/null &&
    openssl pkeyutl -help 2>&1 | grep -q -e '-rawin'
}

load_sums() {
  if [ -z "$version" ]; then
    version=${RELEASE_SUMS%% *}
    if [ -z "$version" ]; then
      fetch "$server/releases/latest/VERSION" "$tmp/VERSION"
      version=$(head -n 1 "$tmp/VERSION" | tr -cd 'A-Za-z0-9.+~-')
    fi
  fi
  base=$server/releases/$version
  fetch "$base/SHA256SUMS" "$tmp/SHA256SUMS"
  if can_verify; then
    fetch "$base/SHA256SUMS.sig" "$tmp/SHA256SUMS.sig"
    openssl pkeyutl -verify -pubin -inkey "$tmp/key.pem" -rawin -in "$tmp/SHA256SUMS" \
      -sigfile "$tmp/SHA256SUMS.sig" >/dev/null 2>&1 ||
      die "SHA256SUMS of $version is not signed with release key sha256:$print: stopped"
  elif [ "$version $(digest "$tmp/SHA256SUMS")" = "$RELEASE_SUMS" ]; then
    say "no openssl 3 here: SHA256SUMS is the one that this script names"
  elif [ "$version" = "${RELEASE_SUMS%% *}" ]; then
    die "SHA256SUMS of $version is not the one that this script names: fetch the script again"
  elif [ -n "$private" ]; then
    complain "no openssl 3 here: the signature of SHA256SUMS is not checked, only the connection is"
  else
    die "no openssl 3 here, so the signature of $version cannot be checked: refused"
  fi
  # An old list, well signed, must not pass for a newer release.
  [ "$(printf '%s\n' "$version" | sha256sum | cut -d ' ' -f 1)" = "$(listed VERSION)" ] ||
    die "SHA256SUMS is not that of release $version: stopped"
}

# The checksum of one file; empty if the release has none of that name.
listed() {
  while read -r sum file; do
    if [ "$file" = "$1" ]; then printf %s "$sum"; fi
  done <"$tmp/SHA256SUMS"
}

download() {
  sum=$(listed "$1")
  [ -n "$sum" ] || die "release $version of $server has no $1"
  fetch "$base/$1" "$2"
  [ "$(digest "$2")" = "$sum" ] || die "$1: the checksum is not that of SHA256SUMS: stopped"
}

# Said before the first change of this run.
begin() {
  changed=1
  [ -z "$dry" ] || return 0
  # Files are for root alone unless said otherwise; folders on the way to them are not.
  (umask 022 && mkdir -p "$bin_dir" "$units" "${etc%/*}")
  mkdir -p "$etc"
  : >"$pending"
}

# put FILE MODE TARGET: writes what differs, by rename.
put() {
  if [ -f "$3" ] && [ "$(digest "$3")" = "$(digest "$1")" ]; then return 0; fi
  begin
  if [ -n "$dry" ]; then
    say "would write $3"
    return 0
  fi
  cp "$1" "$3.new"
  chmod "$2" "$3.new"
  mv -f "$3.new" "$3"
  say "wrote $3"
}

# Runs a program of a full path from a folder that is surely there.
from_top() { (cd / && "$@" </dev/null); }
# The version that a binary gives itself; empty if it cannot run here.
version_of() {
  from_top "$1" --version 2>/dev/null | head -n 1 | sed 's/^navarch-node //;s/ .*//' || :
}

place_binary() {
  name=navarch-node-linux-$arch
  sum=$(listed "$name")
  [ -n "$sum" ] || die "release $version of $server has no agent for $arch ($name)"
  before=''
  if [ -f "$bin" ]; then
    [ "$(digest "$bin")" != "$sum" ] || return 0
    before=$(version_of "$bin")
    before=${before:-unknown}
  fi
  begin
  if [ -n "$dry" ]; then
    say "would install navarch-node $version as $bin${before:+, in place of $before}"
    return 0
  fi
  download "$name" "$staged"
  chmod 0755 "$staged"
  if [ -z "$(version_of "$staged")" ]; then
    why=$(from_top "$staged" --version 2>&1 | head -n 1 | cut -c 1-200 | tr -cd ' -~' || :)
    die "the agent does not run on this machine (it needs glibc 2.17): ${why:-no word}"
  fi
  sync "$staged" 2>/dev/null || sync
  [ -z "$before" ] || ln -f "$bin" "$previous"
  mv -f "$staged" "$bin"
  if has restorecon; then restorecon "$bin" || :; fi
}

place_unit() {
  if [ -f "$unit" ] && ! grep -q navarch-node/environment "$unit"; then
    complain "$unit was not written by this script and stays as it is"
    return 0
  fi
  download navarch-node.service "$tmp/unit"
  put "$tmp/unit" 0644 "$unit"
}

# Without this drop-in the agent cannot write beside its own program (systemd/allow-upgrades.conf).
# The text is here, not in the release, so that consent is this machine's own and never downloaded.
place_consent() {
  case $upgrades in
    yes)
      cat >"$tmp/consent" <<'END'
# Written by install.sh --allow-upgrades. It trusts the control plane with this machine: whoever can
# write here can run a program as root with the agent's next start.
[Service]
ReadWritePaths=/usr/local/bin
END
      [ -n "$dry" ] || (umask 022 && mkdir -p "$unit.d")
      put "$tmp/consent" 0644 "$consent"
      ;;
    no)
      [ -f "$consent" ] || return 0
      begin
      if [ -n "$dry" ]; then
        say "would remove $consent"
        return 0
      fi
      rm -f "$consent"
      rmdir "$unit.d" 2>/dev/null || :
      say "removed $consent"
      ;;
  esac
}

# Lines that somebody else put there, such as the control plane over SSH, are kept.
place_settings() {
  if [ -f "$tmp/ca.pem" ]; then put "$tmp/ca.pem" 0644 "$etc/ca.pem"; fi
  if [ -n "$private$key_pin$token_pin" ]; then put "$tmp/key.pem" 0644 "$etc/release-key.pem"; fi
  if [ -n "$cert_from" ]; then
    put "$key_from" 0600 "$etc/client.key"
    put "$cert_from" 0644 "$etc/client.pem"
  fi
  flags=$(setting NAVARCH_NODE_FLAGS)
  if [ -n "$pool" ]; then
    flags=$(say " $flags" | sed 's/ --pool=[^ ]*//g;s/^ *//')
    flags="--pool=$pool${flags:+ $flags}"
  fi
  {
    say "# Written by install.sh, and again when that runs with other flags. Settings of your own"
    say "# belong into /etc/default/navarch-node, whose lines win."
    say "NAVARCH_SERVER=$server"
    say "NAVARCH_JOIN_TOKEN_FILE=/etc/navarch-node/join-token"
    if [ -f "$tmp/ca.pem" ] || [ -f "$etc/ca.pem" ]; then
      say "NAVARCH_CA_FILE=/etc/navarch-node/ca.pem"
    fi
    if [ -n "$cert_from" ]; then
      say "NAVARCH_CLIENT_CERT_FILE=/etc/navarch-node/client.pem"
      say "NAVARCH_CLIENT_KEY_FILE=/etc/navarch-node/client.key"
    fi
    if [ -n "$flags" ]; then say "NAVARCH_NODE_FLAGS=$flags"; fi
    if [ -f "$settings" ]; then
      sed -E '/^#/d;/^NAVARCH_(SERVER|JOIN_TOKEN_FILE|CA_FILE|NODE_FLAGS|CLIENT_CERT_FILE|CLIENT_KEY_FILE)=/d' \
        "$settings"
    fi
  } >"$tmp/environment"
  put "$tmp/environment" 0644 "$settings"
}

# Never outside its own folder, where a run that is killed would leave it.
place_token() {
  [ -n "$token" ] || return 0
  if [ -f "$etc/join-token" ] && [ "$(cat "$etc/join-token")" = "$token" ]; then return 0; fi
  # The agent takes away a token that it has joined with, and keeps its digest.
  spent=$(printf %s "$token" | sha256sum | cut -d ' ' -f 1)
  if grep -qs "$spent.*\"done\":true" "$state/join.json"; then return 0; fi
  begin
  if [ -n "$dry" ]; then
    say "would write $etc/join-token"
    return 0
  fi
  printf '%s\n' "$token" >"$etc/join-token.new"
  mv -f "$etc/join-token.new" "$etc/join-token"
  say "wrote $etc/join-token"
}

enable_unit() {
  [ -z "$dry" ] || return 0
  if [ -n "$root" ] || [ ! -d /run/systemd/system ]; then
    (umask 022 && mkdir -p "${wanted%/*}")
    [ -L "$wanted" ] || ln -s /etc/systemd/system/navarch-node.service "$wanted"
  else
    [ -z "$changed" ] || systemctl daemon-reload
    systemctl enable --quiet navarch-node
  fi
}

# True when the unit is active within a minute; it is Type=notify, so the agent has said so itself.
# One that ended five times on the way needs no more patience.
becomes_active() {
  systemctl restart --no-block navarch-node
  left=60
  while [ "$left" -gt 0 ]; do
    sleep 1
    ! systemctl is-active --quiet navarch-node || return 0
    ends=$(systemctl show -p NRestarts --value navarch-node 2>/dev/null || :)
    [ "${ends:-0}" -lt 5 ] || return 1
    left=$((left - 1))
  done
  return 1
}

start_unit() {
  [ -z "$dry" ] && [ -z "$root" ] && [ -n "$start" ] || return 0
  [ -n "$changed" ] || ! systemctl is-active --quiet navarch-node || return 0
  if becomes_active; then return 0; fi
  complain "navarch-node does not become active; its last lines:"
  journalctl -u navarch-node -n 20 --no-pager -o cat >&2 || :
  if [ -f "$previous" ]; then
    mv -f "$previous" "$bin"
    systemctl restart --no-block navarch-node
    die "release $version did not start; ${before:-the one before} is back"
  fi
  die "navarch-node $version is installed and enabled, but does not start"
}

finish() {
  if [ -n "$dry" ]; then
    [ -n "$changed" ] || say "navarch-node $version is installed: nothing to do"
    return 0
  fi
  rm -f "$previous" "$pending"
  if [ -n "$before" ]; then say "upgraded navarch-node from $before to $version"
  elif [ -n "$fresh" ]; then say "installed navarch-node $version"
  elif [ -n "$resumed" ]; then say "finished an earlier install of navarch-node $version"
  elif [ -n "$changed" ]; then say "navarch-node $version was installed; its files are new"
  else say "navarch-node $version is installed: nothing to do"; fi
  if [ -n "$fresh" ] && [ -z "$token" ] && [ ! -f "$etc/token" ]; then
    complain "no join token was given: the control plane will not let this node in without one"
  fi
}

install_node() {
  prepare
  need_root
  lock
  umask 077
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"; [ -n "$dry" ] || rm -f "$staged"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  fresh='' changed='' resumed=''
  [ -f "$bin" ] || fresh=1
  if [ -f "$pending" ]; then changed=1 resumed=1; fi
  load_ca
  load_key
  load_sums
  place_binary
  place_unit
  place_consent
  place_settings
  place_token
  enable_unit
  start_unit
  finish
}

drop() {
  for each in "$@"; do
    [ -e "$each" ] || [ -L "$each" ] || continue
    found=1
    if [ -n "$dry" ]; then say "would remove $each"; else rm -rf "$each"; fi
  done
}

uninstall_node() {
  need_root
  found=''
  live=''
  if [ -z "$root$dry" ] && [ -d /run/systemd/system ]; then live=1; fi
  if [ -n "$live" ] && [ -f "$unit" ]; then systemctl disable --now --quiet navarch-node || :; fi
  drop "$wanted" "$unit" "$unit.d" "$unit.new" "$bin" "$staged" "$previous" "$etc"
  # What the agent's own upgrades leave.
  drop "$bin.previous" "$bin.previous.new" "$bin.next"
  [ -n "$keep" ] || drop "$state"
  if [ -n "$live" ]; then
    systemctl daemon-reload
    systemctl reset-failed navarch-node 2>/dev/null || :
  fi
  if [ -n "$found" ]; then say "navarch-node is removed"; else say "navarch-node is not installed"; fi
}

main() {
  parse "$@"
  name_paths
  case $mode in
    help) usage ;;
    install) install_node ;;
    uninstall) uninstall_node ;;
  esac
}

# Programs must not read the rest of this text when it comes through a pipe; and a line that arrived
# in part is a syntax error, so that it does nothing.
{ main "$@" </dev/null; exit; }
