#!/bin/sh
# Writes a new munge key to build/shared/munge/munge.key, and creates the namespace for its Secret if
# the cluster can be reached. Arguments go to `navarch slurm munge-key` (--force replaces the key).
set -eu
cd "$(dirname "$0")/.."

if [ -x bin/navarch ]; then PATH=$PWD/bin:$PATH; fi
key=build/shared/munge/munge.key
mkdir -p "$(dirname "$key")"
navarch slurm munge-key --out "$key" "$@"

if kubectl get --raw /readyz --request-timeout=5s >/dev/null 2>&1; then
  kubectl apply -f k8s-manifests/hpc-slurm/namespace.yaml
else
  echo "The cluster does not answer: create the namespace before the Secret." >&2
fi
