#!/bin/sh
# Installs, upgrades or rolls back a release of the chart kai, and checks that it works. Every call
# of helm and kubectl names its context: the caller's current one is neither used nor changed when
# --context is given.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)

usage() {
  cat <<'TEXT'
usage: helm-deploy.sh --env=staging|production [options]
       helm-deploy.sh --list-versions --release=NAME
       helm-deploy.sh --rollback=REVISION --release=NAME [--env=…]

  --context=NAME           context of the kubeconfig (default: the current one)
  --registry=HOST[/PATH]   registry of both images (default: the images' own names)
  --tag=TAG                tag of both images (default: the charts' appVersion)
  --env=ENV                staging or production; selects the values file
  --release=NAME           name of the release (default: kai-ENV)
  --namespace=NAME         namespace of the release (default: that of the values file)
  --rollback=REVISION      go back to a revision
  --list-versions          show the revisions of the release
  --list-releases          show all releases
  --dry-run                render and check on the server, change nothing
  --canary                 watch the first new pods before the rest is replaced
  --canary-weight=PERCENT  share of the replicas that are new at first, at least one (10)
  --canary-time=MINUTES    how long the canary is watched (10)
  --health-threshold=PCT   share of ready replicas below which the deployment has failed (95)
  --critical-services=A,B  Deployments that are checked (coordinator-service)
TEXT
}

fail() {
  echo "helm-deploy.sh: $*" >&2
  exit 1
}

whole() {
  case $2 in '' | *[!0-9]*) fail "--$1=$2: expected a whole number" ;; esac
}

CONTEXT='' REGISTRY='' TAG='' ENVIRONMENT='' RELEASE='' NAMESPACE='' ROLLBACK=''
ACTION=deploy CANARY='' WEIGHT=10 MINUTES=10 THRESHOLD=95 SERVICES=coordinator-service
HISTORY_MAX=10
TIMEOUT=10m

for argument in "$@"; do
  value=${argument#*=}
  case $argument in
    --context=*) CONTEXT=$value ;;
    --registry=*) REGISTRY=${value%/} ;;
    --tag=*) TAG=$value ;;
    --env=*) ENVIRONMENT=$value ;;
    --release=*) RELEASE=$value ;;
    --namespace=*) NAMESPACE=$value ;;
    --rollback=*) ACTION=rollback ROLLBACK=$value ;;
    --list-versions) ACTION=versions ;;
    --list-releases) ACTION=releases ;;
    --dry-run) ACTION=dry-run ;;
    --canary) CANARY=yes ;;
    --canary-weight=*) WEIGHT=$value ;;
    --canary-time=*) MINUTES=$value ;;
    --health-threshold=*) THRESHOLD=$value ;;
    --critical-services=*) SERVICES=$value ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && fail "unknown option $argument" ;;
  esac
done

whole canary-weight "$WEIGHT"
whole canary-time "$MINUTES"
whole health-threshold "$THRESHOLD"
[ "$ACTION" != rollback ] || whole rollback "$ROLLBACK"
[ "$THRESHOLD" -le 100 ] || fail "--health-threshold=$THRESHOLD: expected 0 to 100"

case $ENVIRONMENT in
  staging) DEFAULT_NAMESPACE=kai-system-staging ;;
  production) DEFAULT_NAMESPACE=kai-system ;;
  '')
    # The history of a release is read without an environment; its name tells the namespace.
    case $ACTION,$RELEASE in
      deploy,* | dry-run,*) fail "--env is missing: staging or production" ;;
      *,*staging*) DEFAULT_NAMESPACE=kai-system-staging ;;
      *) DEFAULT_NAMESPACE=kai-system ;;
    esac
    ;;
  *) fail "--env=$ENVIRONMENT: expected staging or production" ;;
esac
NAMESPACE=${NAMESPACE:-$DEFAULT_NAMESPACE}
RELEASE=${RELEASE:-${ENVIRONMENT:+kai-$ENVIRONMENT}}
if [ -z "$RELEASE" ] && [ "$ACTION" != releases ]; then fail "--release is missing"; fi

run_helm() {
  if [ -n "$CONTEXT" ]; then helm --kube-context "$CONTEXT" "$@"; else helm "$@"; fi
}

run_kubectl() {
  if [ -n "$CONTEXT" ]; then kubectl --context "$CONTEXT" "$@"; else kubectl "$@"; fi
}

# Calls the function $1 with the rest and the flags of the charts' values.
with_values() {
  name=$1
  shift
  set -- "$@" -f "$HERE/kai/values-$ENVIRONMENT.yaml" --set "global.namespace=$NAMESPACE"
  if [ -n "$REGISTRY" ]; then
    set -- "$@" --set "coordinator.image.repository=$REGISTRY/navarch/control-plane"
    set -- "$@" --set "infrastructure.agent.image.repository=$REGISTRY/navarch/node"
  fi
  if [ -n "$TAG" ]; then
    set -- "$@" --set-string "coordinator.image.tag=$TAG"
    set -- "$@" --set-string "infrastructure.agent.image.tag=$TAG"
  fi
  "$name" "$@"
}

upgrade() {
  run_helm upgrade "$RELEASE" "$HERE/kai" --install --namespace "$NAMESPACE" --atomic --wait \
    --timeout "$TIMEOUT" --history-max "$HISTORY_MAX" \
    --set infrastructure.namespace.create=false "$@"
}

upgrade_now() {
  run_helm upgrade "$RELEASE" "$HERE/kai" --install --namespace "$NAMESPACE" \
    --history-max "$HISTORY_MAX" --set infrastructure.namespace.create=false "$@"
}

dry_run() {
  run_helm upgrade "$RELEASE" "$HERE/kai" --install --namespace "$NAMESPACE" --dry-run=server \
    --set infrastructure.namespace.create=false "$@"
}

# Before the release, whose record lies in it; helm would make it without its labels.
namespace_of() {
  run_helm template "$RELEASE" "$HERE/kai" --namespace "$NAMESPACE" \
    --show-only charts/infrastructure/templates/namespace.yaml "$@"
}

make_namespace() {
  manifest=$(with_values namespace_of)
  printf '%s\n' "$manifest" | run_kubectl apply -f -
}

# Without it the pods would not start, and the release would be rolled back after the timeout.
require_secret() {
  for namespace in "$NAMESPACE" navarch; do
    run_kubectl -n "$namespace" get secret navarch-credentials >/dev/null 2>&1 ||
      fail "Secret navarch-credentials is missing in namespace $namespace: kubectl -n $namespace" \
        'create secret generic navarch-credentials --from-literal=auth-token=…'
  done
}

verify() {
  for service in $(echo "$SERVICES" | tr , ' '); do
    run_kubectl -n "$NAMESPACE" rollout status "deployment/$service" --timeout "$TIMEOUT" ||
      fail "$service has not rolled out: kubectl -n $NAMESPACE describe deployment $service"
  done
  count_ready
}

# Exits with 1 where fewer than the threshold of a Deployment's replicas are ready.
count_ready() {
  for service in $(echo "$SERVICES" | tr , ' '); do
    counts=$(run_kubectl -n "$NAMESPACE" get "deployment/$service" \
      -o 'jsonpath={.status.readyReplicas} {.spec.replicas}')
    ready=${counts%% *} wanted=${counts##* }
    # A kubectl that prints nothing has nothing to say against the rollout.
    [ -n "$wanted" ] || continue
    if [ $((${ready:-0} * 100)) -lt $((wanted * THRESHOLD)) ]; then
      fail "$service has ${ready:-0} of $wanted replicas ready, below $THRESHOLD %"
    fi
  done
}

report() {
  run_helm status "$RELEASE" --namespace "$NAMESPACE"
  run_kubectl -n "$NAMESPACE" get deployments,services,poddisruptionbudgets,resourcequotas
}

# The first new pods run beside the old ones while the rollout pauses. A first installation has
# nothing to run beside, and one replica with a volume cannot have a second pod.
canary() {
  target=deployment/coordinator-service
  run_kubectl -n "$NAMESPACE" get "$target" >/dev/null 2>&1 || return 0
  surge='{"spec":{"strategy":{"rollingUpdate":{"maxSurge":"'$WEIGHT'%","maxUnavailable":0}}}}'
  run_kubectl -n "$NAMESPACE" patch "$target" --type=merge -p "$surge" ||
    fail "--canary needs more than one replica of coordinator-service"
  with_values upgrade_now
  run_kubectl -n "$NAMESPACE" rollout pause "$target"
  echo "canary: the first new pods, at least one and $WEIGHT % of all, for $MINUTES minutes"
  left=$MINUTES
  while [ "$left" -gt 0 ]; do
    sleep 60
    left=$((left - 1))
    (count_ready) && continue
    run_kubectl -n "$NAMESPACE" rollout resume "$target"
    run_helm rollback "$RELEASE" --namespace "$NAMESPACE" --wait --timeout "$TIMEOUT"
    fail "the canary failed; the release before it is back"
  done
  run_kubectl -n "$NAMESPACE" rollout resume "$target"
}

case $ACTION in
  versions) run_helm history "$RELEASE" --namespace "$NAMESPACE" ;;
  releases) run_helm list --all-namespaces ;;
  dry-run) with_values dry_run ;;
  rollback)
    run_helm rollback "$RELEASE" "$ROLLBACK" --namespace "$NAMESPACE" --wait --timeout "$TIMEOUT" \
      --history-max "$HISTORY_MAX"
    verify
    report
    ;;
  deploy)
    make_namespace
    require_secret
    [ -z "$CANARY" ] || canary
    with_values upgrade
    verify
    report
    ;;
esac
