/**
 * The template `kubernetes-join`: a machine with containerd, kubelet and kubeadm becomes a node of
 * the cluster. The control plane makes a token for this setup; it is kept in a temporary file of
 * root, because every user could read it on kubeadm's command line. The hash of the cluster's key
 * prevents interception. The file's form, v1beta4, is that of kubeadm 1.31 and newer.
 */

const CHECK = `set -eu
missing=''
for tool in containerd kubelet kubeadm; do
  command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
  echo "the image lacks$missing: use one that has them, or install them in a command before" >&2
  exit 1
fi
for value in {{if .KubernetesServer}}server{{else}}''{{end}} \\
  {{if .KubernetesJoinToken}}token{{else}}''{{end}} \\
  {{if .KubernetesCAHash}}hash{{else}}''{{end}}; do
  [ -n "$value" ] || { echo "the control plane knows no cluster to join" >&2; exit 1; }
done`;

// Kubernetes, "Container runtimes" and "Installing kubeadm": forwarding, bridged traffic, no swap.
const PREPARE = `set -eu
printf 'overlay\\nbr_netfilter\\n' >/etc/modules-load.d/navarch-kubernetes.conf
for module in overlay br_netfilter; do
  modprobe "$module" 2>/dev/null || echo "module $module is not loaded" >&2
done
conf=/etc/sysctl.d/90-navarch-kubernetes.conf
printf '%s = 1\\n' net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables \\
  net.bridge.bridge-nf-call-ip6tables >"$conf"
sysctl -q -p "$conf" || echo "some settings of $conf could not be made" >&2
swapoff -a
systemctl enable --quiet --now containerd`;

const JOIN = `set -eu
if [ -s /etc/kubernetes/kubelet.conf ]; then
  echo "joined already"
  exit 0
fi
# What a join that was cut short leaves behind would stop the next one in kubeadm's own checks.
if [ -e /etc/kubernetes/bootstrap-kubelet.conf ] || [ -e /etc/kubernetes/pki/ca.crt ]; then
  kubeadm reset --force
fi
server={{.KubernetesServer}}
server=\${server#https://}
id=''
{{if and .Provider .Region .InstanceID}}
id=navarch://{{.Provider}}/{{.Region}}/{{.InstanceID}}
# Not in the form of a name of any cloud: better none than one that YAML reads as something else.
case "$id" in *[!A-Za-z0-9._:/@=-]*) id='' ;; esac
{{end}}
conf=$(mktemp)
trap 'rm -f "$conf"' EXIT
chmod 600 "$conf"
{
  echo 'apiVersion: kubeadm.k8s.io/v1beta4'
  echo 'kind: JoinConfiguration'
  echo 'discovery:'
  echo '  bootstrapToken:'
  printf '    apiServerEndpoint: "%s"\\n' "$server"
  printf '    token: "%s"\\n' {{.KubernetesJoinToken}}
  echo '    caCertHashes:'
  printf '      - "%s"\\n' {{.KubernetesCAHash}}
  echo 'nodeRegistration:'
  echo '  kubeletExtraArgs:'
  echo '    - name: node-labels'
  printf '      value: "navarch.dev/pool=%s"\\n' {{if .Pool}}{{.Pool}}{{else}}''{{end}}
  if [ -n "$id" ]; then
    echo '    - name: provider-id'
    printf '      value: "%s"\\n' "$id"
  fi
} >"$conf"
kubeadm join --config "$conf"
systemctl enable --quiet --now kubelet`;

export const KUBERNETES_JOIN_COMMANDS: readonly string[] = [CHECK, PREPARE, JOIN];
