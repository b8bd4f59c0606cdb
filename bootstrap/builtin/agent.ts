/**
 * The template `agent`: installs the binary, its settings and its unit, and enables it. The
 * checksum comes over SSH, so the download need not be trusted; a pushed binary is not downloaded.
 * A repeated run changes only what differs, and restarts the agent only then.
 */
import allowCommands from "../../systemd/allow-commands.conf" with { type: "text" };
import unit from "../../systemd/navarch-node.service" with { type: "text" };

const INSTALL = `set -eu
bin=/usr/local/bin/navarch-node
url={{.AgentURL}} sum={{.AgentSHA256}}
has() { s=$(sha256sum "$bin" 2>/dev/null) && [ "\${s%% *}" = "$sum" ]; }
pushed=\${NAVARCH_AGENT_FILE:-}
if [ -x "$bin" ] && { [ "$pushed" = "$bin" ] || [ -z "$sum" ] || has; }; then
  echo "$bin is there"
  exit 0
fi
if [ -z "$url" ] || [ -z "$sum" ]; then
  echo "no agent was pushed, and the control plane has none for $(uname -m)" >&2
  exit 1
fi
t=$bin.download
trap 'rm -f "$t"' EXIT
if command -v curl >/dev/null 2>&1; then
  curl -fsSLk --retry 3 --connect-timeout 10 -o "$t" "$url"
elif command -v wget >/dev/null 2>&1; then
  wget -q --tries=3 --timeout=10 --no-check-certificate -O "$t" "$url"
else
  echo "neither curl nor wget to download $url" >&2
  exit 1
fi
s=$(sha256sum "$t")
if [ "\${s%% *}" != "$sum" ]; then
  echo "$url has sha256 \${s%% *}, expected $sum" >&2
  exit 1
fi
chmod 755 "$t"
mv -f "$t" "$bin"
echo "$bin installed"`;

// systemd parses the file (systemd.exec(5), EnvironmentFile=). A value that it would change is
// refused if the agent needs it, and left out if the agent can find it.
const SETTINGS = `set -eu
etc=/etc/navarch-node
mkdir -p -m 755 "$etc"
t=$etc/environment.tmp
setting() {
  case $2 in
    *[!][A-Za-z0-9._:/@%+=,~-]*)
      echo "$1 cannot be $2" >&2
      exit 1
      ;;
  esac
  echo "$1=$2"
}
flag() {
  case $2 in '' | *[!A-Za-z0-9._:/@-]*) ;; *) printf ' --%s=%s' "$1" "$2" ;; esac
}
{
  echo "# Written by the control plane. Own settings belong into /etc/default/navarch-node."
  setting NAVARCH_SERVER {{.ControlPlane}}
  setting NODE_NAME {{.NodeID}}
  {{- if .TokenFile}}
  setting NAVARCH_AUTH_TOKEN_FILE {{.TokenFile}}
  {{- end}}
  if [ -f "$etc/ca.pem" ]; then echo "NAVARCH_CA_FILE=$etc/ca.pem"; fi
  if [ -f "$etc/client.pem" ]; then
    echo "NAVARCH_CLIENT_CERT_FILE=$etc/client.pem"
    echo "NAVARCH_CLIENT_KEY_FILE=$etc/client.key"
  fi
  printf 'NAVARCH_NODE_FLAGS='
  flag pool {{if .Pool}}{{.Pool}}{{else}}''{{end}}
  flag provider {{if .Provider}}{{.Provider}}{{else}}''{{end}}
  flag region {{if .Region}}{{.Region}}{{else}}''{{end}}
  flag zone {{if .Zone}}{{.Zone}}{{else}}''{{end}}
  flag instance-type {{if .InstanceType}}{{.InstanceType}}{{else}}''{{end}}
  echo
} >"$t"
chmod 644 "$t"
if cmp -s "$t" "$etc/environment"; then
  rm -f "$t"
  echo "settings unchanged"
else
  mv -f "$t" "$etc/environment"
  echo "settings written"
fi`;

const UNIT_END = "NAVARCH_UNIT_END";

const START = `set -eu
unit=/etc/systemd/system/navarch-node.service
cat >"$unit.tmp" <<'${UNIT_END}'
${unit.trimEnd().replaceAll("{{", '{{"{{"}}')}
${UNIT_END}
chmod 644 "$unit.tmp"
mv -f "$unit.tmp" "$unit"
drop=$unit.d/50-control-plane.conf
{{- if .AllowCommands}}
mkdir -p -m 755 "$unit.d"
cat >"$drop.tmp" <<'${UNIT_END}'
${allowCommands.trimEnd().replaceAll("{{", '{{"{{"}}')}
${UNIT_END}
chmod 644 "$drop.tmp"
mv -f "$drop.tmp" "$drop"
{{- else}}
rm -f "$drop"
{{- end}}
systemctl daemon-reload
systemctl enable --quiet navarch-node
# What would be started: the file by its place and time, for reading all of it takes a while.
run=$(stat -c '%i %s %Y %Z' /usr/local/bin/navarch-node
  cat /etc/navarch-node/environment "$unit"; [ ! -f "$drop" ] || cat "$drop")
run=$(echo "$run" | sha256sum)
mark=/run/navarch-node.started
if systemctl is-active --quiet navarch-node && [ "$(cat "$mark" 2>/dev/null)" = "$run" ]; then
  echo "navarch-node runs already"
  exit 0
fi
systemctl restart --no-block navarch-node
left=150
until systemctl is-active --quiet navarch-node; do
  left=$((left - 1))
  if [ "$left" -le 0 ]; then
    systemctl status --no-pager --lines=20 navarch-node >&2 || true
    echo "navarch-node does not start" >&2
    exit 1
  fi
  sleep 0.2
done
echo "$run" >"$mark"
echo "navarch-node runs"`;

export const AGENT_COMMANDS: readonly string[] = [INSTALL, SETTINGS, START];
