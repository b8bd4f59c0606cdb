#!/bin/sh
# Runs the pinned Bun for the scripts of package.json. npm runs no install script of any package
# (.npmrc): npm 9 and 10, which Debian's Node brings, do not read the list of those that may. The
# one that is needed puts Bun's own binary in place of a notice, and is run here, once.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
bun="$root/node_modules/bun/bin/bun.exe"
if [ ! -e "$bun" ]; then
  echo "Bun is not installed: run npm install" >&2
  exit 1
fi
if [ "$(head -c 5 "$bun" | tr -d '\0')" = "echo " ]; then
  (cd "$root/node_modules/bun" && node install.js) >&2
fi
# Bun reads the limit of a test from here alone (not from bunfig.toml, and a preload sets it for the
# first file only): ten times what any test needs, for a busy machine. A later --timeout wins.
if [ "${1-}" = test ]; then
  shift
  exec "$bun" test --timeout=60000 "$@"
fi
exec "$bun" "$@"
