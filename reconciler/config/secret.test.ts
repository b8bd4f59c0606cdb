import { describe, expect, test } from "bun:test";
import { configOf } from "../../test/world/setting.ts";
import { poolYaml } from "../../test/world/world.ts";
import { formatConfig, hideSecrets } from "./secret.ts";

const JOIN = "abcdef.0123456789abcdef";

describe("hideSecrets()", () => {
  test.each([
    [`kubeadm join 10.0.0.1:6443 --token ${JOIN} --discovery-token-ca-cert-hash sha256:aa`, JOIN],
    [`kubeadm join 10.0.0.1:6443 --token=${JOIN} --certificate-key deadbeef01`, "deadbeef01"],
    ["curl -sfL https://get.k3s.io | K3S_TOKEN=hunter2 sh -", "hunter2"],
    ["export DB_PASSWORD='hunter two'; run", "hunter two"],
    ['tool --api-key "hunter2" up', "hunter2"],
    ["docker login -u ann --password hunter2 registry", "hunter2"],
    ["git clone https://ann:hunter2@git.example/x", "hunter2"],
    ["curl https://x.example/install?key=hunter2 -o x", "hunter2"],
    ["curl -H 'Authorization: Basic aHVudGVyMg==' x", "aHVudGVyMg=="],
    ["docker swarm join --token SWMTKN-1-0123456789abcdefghijklmnop 10.0.0.1", "SWMTKN"],
    ["rke2 agent --token K10aabbccddeeff00112233445566::server:hunter2", "hunter2"],
  ])("takes the secret out of %s, and leaves the command", (text, secret) => {
    const shown = hideSecrets(text);
    expect(shown).not.toContain(secret);
    expect(shown).toContain("[redacted]");
    expect(shown.split(" ")[0]).toBe(text.split(" ")[0] ?? "");
  });

  test.each([
    "kubeadm join --discovery-token-ca-cert-hash sha256:0123456789abcdef --token {{.JoinToken}}",
    "tool --token-file /etc/token --password-stdin < /etc/password",
    'export API_KEY=$API_KEY TOKEN="$TOKEN"',
    "curl https://get.example/install.sh | sh",
    "apt-get install -y nvidia-driver-580.95.05 libnvidia.so",
  ])("leaves %s as it is", (text) => {
    expect(hideSecrets(text)).toBe(text);
  });
});

test("formatConfig() shows neither a join command's token nor the path of a web hook", () => {
  const join = `    setup_commands: ["kubeadm join 10.0.0.1:6443 --token ${JOIN}"]\n`;
  const key = "    ssh_user: ubuntu\n    ssh_private_key_path: /k\n";
  const config = configOf(poolYaml(1, join + key));
  const hook = "https://hooks.example/services/T000/hunter2";
  config.server.notifier = {
    type: "webhook",
    cordonUrl: hook,
    uncordonUrl: "https://hooks.example/${HOOK_PATH}",
    drainUrl: "https://hooks.example",
    drainStatusUrl: null,
    timeoutMs: 1,
    headers: { "X-Key": "hunter2" },
    secretEnv: null,
    retry: { attempts: 1, initialMs: 1, maxMs: 1 },
  };
  const text = formatConfig(config);
  expect(text).not.toContain(JOIN);
  expect(text).not.toContain("hunter2");
  expect(text).toContain("kubeadm join 10.0.0.1:6443 --token [redacted]");
  expect(JSON.parse(text).server.notifier).toMatchObject({
    cordonUrl: "https://hooks.example/[redacted]",
    uncordonUrl: "https://hooks.example/${HOOK_PATH}",
    drainUrl: "https://hooks.example",
  });
});

test("formatConfig() shows no header that traces are sent with, unless it is a variable", () => {
  const config = configOf(poolYaml(1));
  const headers = { "X-Honeycomb-Team": "hunter2", "Api-Key": "${KEY}" };
  config.server.tracing = { otlpEndpoint: "https://api.example/v1/traces", headers };
  expect(JSON.parse(formatConfig(config)).server.tracing).toEqual({
    otlpEndpoint: "https://api.example/v1/traces",
    headers: { "X-Honeycomb-Team": "[redacted]", "Api-Key": "${KEY}" },
  });
});

test("formatConfig() shows a viewer no program or script, whatever secret is in it", () => {
  const setUp = "    setup_commands: ['login hunter2']\n    ssh_private_key_path: /k\n";
  const config = configOf(poolYaml(1, setUp));
  const [provider] = config.providers;
  if (provider === undefined) throw new Error("no provider");
  const scripts = { start: "key hunter2", stop: "hunter2", list: "hunter2", batchStart: "hunter2" };
  const settings = { ...scripts, command: "/opt/buy --as hunter2", protocol: "shell" };
  const scripted = { ...config, providers: [{ ...provider, settings }] };
  const shown = formatConfig(scripted, true);
  expect(shown).not.toContain("hunter2");
  expect(shown).toContain('"protocol": "shell"');
  expect(shown).toContain("[hidden: a program; operators may read it]");
  expect(formatConfig(scripted)).toContain("login hunter2");
});
