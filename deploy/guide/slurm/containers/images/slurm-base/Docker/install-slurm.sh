#!/bin/sh
# Installs Slurm's packages for the roles given as arguments into an image, once, at its build.
set -eu

packages="munge slurm-client slurm-wlm-basic-plugins tini"
for role in "${@:-none}"; do
  case $role in
    controller) packages="$packages slurmctld" ;;
    compute) packages="$packages slurmd" ;;
    database) packages="$packages slurmdbd" ;;
    *)
      echo "install-slurm.sh: '$role' is not one of: controller compute database" >&2
      exit 64
      ;;
  esac
done

export DEBIAN_FRONTEND=noninteractive
# Packages start their daemons when they are installed, which a build must not.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get update
# Unquoted: a list of words.
# shellcheck disable=SC2086
apt-get install --yes --no-install-recommends $packages
rm -f /usr/sbin/policy-rc.d
# The package made a key, and every container of this image would share it with its readers.
rm -f /etc/munge/munge.key
apt-get clean
rm -rf /var/lib/apt/lists/*
