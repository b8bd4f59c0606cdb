/**
 * The POSIX shell programs that run on the machine. Arguments are never secret (`ps` shows them);
 * secret or long input comes on standard input with its length as an argument, so that a part is
 * never taken for the whole.
 *
 * How staleness is bounded (law 5). The machine keeps one fence an instance: `epoch attempt uuid`,
 * the uuid recreated by every claim. A claim with an older (epoch, attempt) is refused; a claim
 * that is let through writes its fence first and ends every command on record second. A command
 * goes on record first and compares the fence second, and only then becomes the pool's command. So
 * an outdated run starts nothing after a newer claim, and its commands are dead before the newer
 * run begins. flock(1) orders simultaneous claims; without it they could overwrite each other
 * within the few milliseconds between two lines of CLAIM.
 *
 * Files are written with cat(1), which names the reason of a failure: dash reports a full disk as
 * "I/O error".
 *
 * Arguments common to all: `$1` the instance's directory, `$2` the fence.
 */
import { quoteShell } from "../template/quote.ts";

/** Printed with the fence's uuid if the fence is outdated. */
export const STALE_WORD = "navarch-stale";
/** Exit code of an outdated fence; a setup command may use it too, hence the word above. */
export const STALE_CODE = 125;

const SAME_FENCE = `
fenced() { [ "$(cat "$1/fence" 2>/dev/null)" = "$2" ]; }
stale() { echo "${STALE_WORD} \${1##* }" >&2; exit ${STALE_CODE}; }
`;

// A pid may be reused; a pid with its start time and the boot is unique
// (proc_pid_stat(5): field 22; the name in field 2 may hold blanks and brackets, hence `##*) `).
const STARTED = `
started() {
  { read -r l <"/proc/$1/stat"; } 2>/dev/null || return 1
  l=\${l##*) }
  set -- $l
  echo "\${20}"
}
boot() { cat /proc/sys/kernel/random/boot_id; }
`;

/**
 * Ends a whole session, not only its process group: timeout(1) and shells with job control put
 * their children into groups of their own. A second of SIGTERM for dpkg and its like, then SIGKILL.
 * A daemon that made a session for itself is no longer part of the command and is left alone.
 */
const END_SESSION = `
members() {
  for f in /proc/[0-9]*/stat; do
    { read -r l <"$f"; } 2>/dev/null || continue
    p=\${l%% *} s=\${l##*) }
    case $s in Z* | X*) continue ;; esac
    s=\${s#* } s=\${s#* } s=\${s#* }
    [ "\${s%% *}" = "$1" ] && echo "$p"
  done
}
end() {
  [ "$3" = "$(boot)" ] || return 0
  if t=$(started "$1") && [ "$t" != "$2" ]; then return 0; fi
  n=0
  while m=$(members "$1"); [ -n "$m" ] && [ "$n" -lt 60 ]; do
    [ "$n" -eq 0 ] && kill -TERM $m 2>/dev/null
    [ "$n" -ge 10 ] && kill -KILL $m 2>/dev/null
    n=$((n + 1))
    sleep 0.1 2>/dev/null || sleep 1
  done
  [ -z "$m" ]
}
`;

/** Prints facts about the machine as `key=value` lines. Runs as the login user. */
export const LOOK = `
echo "kernel=$(uname -s)"
echo "arch=$(uname -m)"
echo "uid=$(id -u)"
echo "home=\${HOME:-/}"
echo "client=\${SSH_CONNECTION%% *}"
for t in bash setsid flock curl wget timeout zstd gzip sha256sum; do
  command -v "$t" >/dev/null 2>&1 && echo "tool=$t"
done
if e=$(sudo -n true 2>&1); then echo sudo=yes; else echo "nosudo=$(echo "$e" | tail -n 1)"; fi
`;

/**
 * `$2` epoch, `$3` attempt, `$4` the folder of this list of commands, `$5` `resume` or `afresh`.
 * Prints `stale EPOCH ATTEMPT`, or `done NAME` for each mark and last the new `fence …`.
 */
export const CLAIM = `
set -u
umask 077
${STARTED}${END_SESSION}
i=$1
mkdir -p "$i/$4" || exit 1
if command -v flock >/dev/null 2>&1; then
  exec 9>"$i/lock"
  flock -w 20 9 || { echo "another claim does not end" >&2; exit 1; }
fi
if { read -r e a u <"$i/fence"; } 2>/dev/null; then
  case $e$a in
    *[!0-9]*) ;;
    *)
      if [ "$e" -gt "$2" ] || { [ "$e" -eq "$2" ] && [ "$a" -gt "$3" ]; }; then
        echo "stale $e $a"
        exit 0
      fi
      ;;
  esac
fi
fence="$2 $3 $(cat /proc/sys/kernel/random/uuid)"
echo "$fence" | cat >"$i/fence.tmp" && mv -f "$i/fence.tmp" "$i/fence" || exit 1
for r in "$i"/running.*; do
  [ -f "$r" ] || continue
  case $r in
    *.tmp) ;;
    *)
      read -r sid start boot name <"$r"
      end "$sid" "$start" "$boot" || { echo "$name of an earlier run does not end" >&2; exit 1; }
      ;;
  esac
  rm -f "$r"
done
rm -f "$i/$4"/*.sh
[ "$5" = resume ] || rm -f "$i/$4"/*.done
for d in "$i/$4"/*.done; do
  [ -f "$d" ] && d=\${d##*/} && echo "done \${d%.done}"
done
echo "fence $fence"
`;

/**
 * Becomes a command. `$1` instance, `$2` fence, `$3` record, `$4` file, `$5` interpreter, `$6` the
 * umask to give it, `$7` its name.
 */
const BECOME = `
${STARTED}${SAME_FENCE}
echo "$$ $(started $$) $(boot) $7" | cat >"$3.tmp" && mv -f "$3.tmp" "$3" || exit 1
fenced "$1" "$2" || { rm -f "$3"; stale "$2"; }
umask "$6"
exec "$5" "$4"
`;

/**
 * `$3` folder, `$4` name, `$5` interpreter, `$6` bytes on standard input: the command's text. Ends
 * as the command does. The mark is written only after success, whole or not at all; it is not
 * synced: a power cut within the kernel's write-back time can keep a mark and lose what it stands
 * for, which shows as an agent that never reports, and the next attempt starts afresh.
 */
export const RUN = `
set -u
mask=$(umask)
umask 077
${SAME_FENCE}
d="$1/$3"
f="$d/$4.sh"
r="$1/running.\${2##* }"
cat >"$f" || exit 1
if [ "$(wc -c <"$f")" -ne "$6" ]; then
  rm -f "$f"
  echo "the command did not arrive whole" >&2
  exit 1
fi
setsid /bin/sh -c ${quoteShell(BECOME)} navarch "$1" "$2" "$r" "$f" "$5" "$mask" "$4" </dev/null &
{ wait $!; } 2>/dev/null
code=$?
rm -f "$r" "$f"
[ "$code" -eq 0 ] || exit "$code"
fenced "$1" "$2" || stale "$2"
echo 0 | cat >"$d/$4.tmp" && mv -f "$d/$4.tmp" "$d/$4.done"
`;

/** Ends the command of this fence and closes the fence, so that no further one starts. */
export const STOP = `
set -u
umask 077
${STARTED}${SAME_FENCE}${END_SESSION}
fenced "$1" "$2" && echo "\${2% *} ended" >"$1/fence.tmp" && mv -f "$1/fence.tmp" "$1/fence"
r="$1/running.\${2##* }"
{ read -r sid start boot name <"$r"; } 2>/dev/null || exit 0
end "$sid" "$start" "$boot" || { echo "its processes do not end" >&2; exit 1; }
rm -f "$r"
`;

/** `$3` path, `$4` mode, `$5` bytes on standard input: a small file, secret until it is whole. */
export const PLACE = `
set -u
umask 077
${SAME_FENCE}
fenced "$1" "$2" || stale "$2"
d=\${3%/*}
[ -d "\${d:-/}" ] || mkdir -p -m 0755 "$d" || exit 1
t="$3.$$.tmp"
trap 'rm -f "$t"' EXIT
cat >"$t" || exit 1
[ "$(wc -c <"$t")" -eq "$5" ] || { echo "it did not arrive whole" >&2; exit 1; }
fenced "$1" "$2" || stale "$2"
chmod "$4" "$t" && mv -f "$t" "$3"
`;

/** `$3` path, `$4` SHA-256. Exit 0 if the file has this sum, whatever its mode. */
export const SAME = `
s=$(sha256sum <"$3") 2>/dev/null || exit 1
[ "\${s%% *}" = "$4" ]
`;

/** As SAME, of a program. */
export const HAVE = `
[ -x "$3" ] || exit 1
s=$(sha256sum <"$3") || exit 1
[ "\${s%% *}" = "$4" ]
`;

/**
 * `$3` path, `$4` SHA-256, `$5…` what turns standard input into the file's bytes. Summed while it
 * is written, which saves a second of a hundred megabytes; `whole` says that all could be written.
 */
export const PUSH = `
set -u
umask 022
${SAME_FENCE}
fenced "$1" "$2" || stale "$2"
i=$1 fence=$2 path=$3 sha=$4
shift 4
d=\${path%/*}
[ -d "\${d:-/}" ] || mkdir -p "$d" || exit 1
rm -f "$path".*.part
t="$path.$$.part"
trap 'rm -f "$t"' EXIT
s=$({ "$@" | { tee "$t" && echo whole >&3; } | sha256sum; } 3>&1)
case $s in *whole*) ;; *) exit 1 ;; esac
case $s in
  *"$sha"*) ;;
  *)
    echo "what arrived has sha256 $(echo "$s" | sed -n 's/ .*//p'), expected $sha" >&2
    exit 1
    ;;
esac
fenced "$i" "$fence" || stale "$fence"
chmod 755 "$t" && mv -f "$t" "$path"
`;

/**
 * Triples of URL, host and port. Prints `ok N` for the first that answers, else `no N why` for
 * each. Certificates are not checked: this is a test of reachability, and nothing is sent. The
 * limit is five seconds each. A server that requires a client certificate counts as reachable: the
 * agent has one. (OpenSSL names the alert, GnuTLS only its consequence.)
 */
export const ADDRESS = `
asks() {
  case $1 in
    *"alert certificate required"* | *"alert handshake failure"*) return 0 ;;
    *"session has been invalidated"* | *"TLS fatal alert has been received"*) return 0 ;;
  esac
  return 1
}
n=0
while [ $# -ge 3 ]; do
  n=$((n + 1))
  if command -v curl >/dev/null 2>&1; then
    e=$(curl -kfsS -m 5 -o /dev/null "$1" 2>&1) && { echo "ok $n"; exit 0; }
    ! asks "$e" || { echo "ok $n"; exit 0; }
  elif command -v wget >/dev/null 2>&1; then
    e=$(timeout 6 wget -T 5 --no-check-certificate -O /dev/null "$1" 2>&1) &&
      { echo "ok $n"; exit 0; }
    ! asks "$e" || { echo "ok $n"; exit 0; }
  elif command -v bash >/dev/null 2>&1; then
    e=$(timeout 6 bash -c '
      exec 3<>"/dev/tcp/$2/$3" || exit 1
      case $1 in https:*) exit 0 ;; esac
      printf "GET /healthz HTTP/1.0\\r\\nHost: %s\\r\\n\\r\\n" "$2" >&3
      read -r l <&3
      case $l in *" 200"*) exit 0 ;; esac
      echo "$l"
      exit 1' bash "$@" 2>&1) && { echo "ok $n"; exit 0; }
  else
    e="the machine has neither curl nor wget nor bash"
  fi
  echo "no $n $(echo "$e" | tail -n 1)"
  shift 3
done
exit 1
`;

/** The command line of a program, with sudo if asked for. The login shell must be POSIX. */
export function programLine(sudo: boolean, program: string, args: readonly string[]): string {
  const words = ["/bin/sh", "-c", program.trim(), "navarch", ...args];
  const line = words.map((word) => (word === "" ? "''" : quoteShell(word))).join(" ");
  return sudo ? `sudo -n ${line}` : line;
}
