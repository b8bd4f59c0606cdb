#!/bin/sh
# Checks a Slurm cluster on Kubernetes, section by section; exits with 1 if one fails. Arguments go to
# `navarch slurm verify`, and SLURM_NAMESPACE names the namespace (default slurm).
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
if [ -x "$here/bin/navarch" ]; then PATH=$here/bin:$PATH; fi
exec navarch slurm verify "$@"
