#!/usr/bin/env bash
# What `kubectl drain` would do with each pod of a node, one line a pod: its name, a tab, and one of
# `evict`, `keep` and `blocked`. Nothing is changed: every request is a dry run on the server.
#
#   KUBECONFIG=FILE kubectl-drain-plan.sh NODE [further flags of kubectl drain]
#
# kubectl says which pods it would evict, and names in its errors those that it may not touch; what
# it mentions in neither way it leaves alone. One pod that it may not touch ends the whole drain
# before the first eviction, so then it is asked once more with everything allowed, and what was in
# the errors is not counted.
set -euo pipefail
node=$1
shift
kubectl="${KUBECTL:-kubectl} --kubeconfig ${KUBECONFIG:-none}"

# An eviction that a budget refuses is tried again until the time-out; it was named before that.
drain() {
  $kubectl drain "$node" --dry-run=server --ignore-daemonsets --delete-emptydir-data \
    --grace-period=300 --timeout=5s "$@" 2>&1 || true
}
plan=$(drain "$@")
# The errors come last, each with the pods that it is about; warnings name pods too, before them.
errors=$(sed -n '/^error: /,$p' <<<"$plan")
blocked=$(tr ',] ' '\n\n\n' <<<"$errors")
if [ -n "$errors" ]; then plan=$(drain --force); fi

$kubectl get pods -A --field-selector "spec.nodeName=$node" --no-headers \
  -o custom-columns=NS:.metadata.namespace,NAME:.metadata.name |
  while read -r namespace name; do
    if grep -qxF -- "$namespace/$name" <<<"$blocked"; then
      verdict=blocked
    elif grep -qxF -- "evicting pod $namespace/$name (server dry run)" <<<"$plan"; then
      verdict=evict
    else
      verdict=keep
    fi
    printf '%s\t%s\n' "$name" "$verdict"
  done
