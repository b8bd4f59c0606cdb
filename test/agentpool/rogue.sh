#!/bin/sh
# rogue.sh POOL: makes the pod `rogue`, which carries the pool's labels and, by hand, its
# owner reference, as a person might; no agent of it ever joins.
set -eu
pool=${1:?usage: rogue.sh POOL}
k() { kubectl --kubeconfig "${KUBECONFIG:?}" -n default "$@"; }

uid=$(k get agentpool "$pool" -o 'jsonpath={.metadata.uid}')
labels=$(k get agentpool "$pool" -o 'jsonpath={.spec.template.metadata.labels}')
labels="${labels%\}},\"navarch.dev/agentpool\":\"$pool\"}"

k create -f - <<EOF
apiVersion: v1
kind: Pod
metadata:
  name: rogue
  labels: $labels
  ownerReferences:
  - apiVersion: velda.io/v1
    kind: AgentPool
    name: $pool
    uid: $uid
    controller: true
spec:
  containers:
  - {name: agent, image: "veldaio/agent:latest"}
EOF
