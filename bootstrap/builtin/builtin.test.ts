/** The built-in templates: they parse, are valid shell, and take any value as one word. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";
import unit from "../../systemd/navarch-node.service" with { type: "text" };
import { parseTemplate } from "../template/parse.ts";
import { formatTemplate, type TemplateValues } from "../template/print.ts";
import { TEMPLATE_VARIABLES } from "../template/variable.ts";
import { AGENT_COMMANDS } from "./agent.ts";
import { KUBERNETES_JOIN_COMMANDS } from "./kubernetes-join.ts";
import { BUILTIN_NAMES, builtinCommands, BUILTINS } from "./builtin.ts";

const HOSTILE = "a'b \"$(touch pwned)`touch pwned`\n;#\\";
const ALL = Object.keys(TEMPLATE_VARIABLES);
const every = (value: string): TemplateValues =>
  Object.fromEntries(ALL.map((name) => [name, value]));

function print(template: string, values: TemplateValues): string {
  const answer = parseTemplate(template);
  if (!answer.ok) throw new Error(`${answer.message} at ${answer.at.line}:${answer.at.col}`);
  return formatTemplate(answer.template, values);
}

describe.each(BUILTIN_NAMES)("template %s", (name) => {
  test("is valid shell with any values, and with none", async () => {
    for (const template of BUILTINS[name]) {
      for (const values of [{}, every("x"), every(HOSTILE)]) {
        const script = print(template, values);
        const { exitCode, stderr } = await $`sh -n < ${new Response(script)}`.nothrow().quiet();
        expect(`${exitCode} ${stderr}`).toBe("0 ");
      }
    }
  });

  test("stops at its first error", () => {
    for (const template of BUILTINS[name]) expect(template.startsWith("set -eu\n")).toBe(true);
  });
});

/** Runs one command of `agent` with another folder in place of `/etc/navarch-node`. */
async function runSettings(values: TemplateValues, folder: string): Promise<string> {
  const template = AGENT_COMMANDS[1] ?? "";
  const script = print(template.replace("etc=/etc/navarch-node", `etc=${folder}/etc`), values);
  return $`cd ${folder} && sh < ${new Response(script)}`.nothrow().quiet().text();
}

describe("template agent", () => {
  test("lets the agent reboot the machine only if it is told to, and takes that back", () => {
    const [, , start = ""] = AGENT_COMMANDS;
    const allowed = print(start, { AllowCommands: "reboot" });
    expect(allowed).toContain(
      "ExecStart=navarch-node --allow-commands --metrics-addr=127.0.0.1:9410 $NAVARCH_NODE_FLAGS",
    );
    expect(allowed).not.toContain('rm -f "$drop"');
    const plain = print(start, {});
    expect(plain).not.toContain("--allow-commands");
    expect(plain).toContain('rm -f "$drop"');
  });

  test("writes the settings once, and only what systemd reads the same way", async () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-builtin-"));
    const values = {
      ControlPlane: "https://10.0.0.5:50051",
      NodeID: "node-1",
      Pool: "training",
      Zone: "zone with blanks",
      TokenFile: "/etc/navarch-node/token",
    };
    expect(await runSettings(values, folder)).toBe("settings written\n");
    expect(await runSettings(values, folder)).toBe("settings unchanged\n");
    const text = readFileSync(join(folder, "etc/environment"), "utf8");
    expect(text.split("\n").slice(1)).toEqual([
      "NAVARCH_SERVER=https://10.0.0.5:50051",
      "NODE_NAME=node-1",
      "NAVARCH_AUTH_TOKEN_FILE=/etc/navarch-node/token",
      "NAVARCH_NODE_FLAGS= --pool=training",
      "",
    ]);
    rmSync(folder, { recursive: true });
  });

  test("runs nothing that a value says", async () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-builtin-"));
    const known = { ControlPlane: "http://[fd00::1]:50051", NodeID: "node-1" };
    await runSettings(every(HOSTILE), folder);
    expect(await $`ls ${folder} ${folder}/etc`.text()).not.toMatch(/pwned|environment\n/);
    await runSettings({ ...every(HOSTILE), ...known, TokenFile: "" }, folder);
    expect(await $`ls ${folder}`.text()).toBe("etc\n");
    expect(readFileSync(join(folder, "etc/environment"), "utf8").split("\n").slice(1)).toEqual([
      "NAVARCH_SERVER=http://[fd00::1]:50051",
      "NODE_NAME=node-1",
      "NAVARCH_NODE_FLAGS=",
      "",
    ]);
    rmSync(folder, { recursive: true });
  });

  test("carries the unit to the letter", () => {
    const script = print(AGENT_COMMANDS[2] ?? "", {});
    expect(script).toContain(unit.trimEnd());
  });
});

/** The file that kubeadm is given. */
async function joinConfigOf(values: TemplateValues, left: string | null = null): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "navarch-builtin-"));
  if (left !== null) await Bun.write(join(folder, "etc", left), "x");
  const script = print(KUBERNETES_JOIN_COMMANDS[2] ?? "", values)
    // Whatever this computer is itself a part of.
    .replaceAll("/etc/kubernetes/", "etc/")
    .replace('kubeadm join --config "$conf"', 'cat "$conf"')
    .replace("kubeadm reset --force", "echo '# reset'")
    .replace(/^systemctl .*$/m, "");
  const out = await $`cd ${folder} && sh < ${new Response(script)}`.nothrow().quiet().text();
  rmSync(folder, { recursive: true });
  return out;
}
const JOIN_VALUES = {
  KubernetesServer: "https://10.0.0.1:6443",
  KubernetesJoinToken: "abcdef.0123456789abcdef",
  KubernetesCAHash: "sha256:00",
  Pool: "a100",
};

describe("template kubernetes-join", () => {
  test("gives kubeadm everything in one file, of the form that kubeadm 1.31 knows", async () => {
    const named = { Provider: "metal", Region: "eu-1", InstanceID: "i/0 1" };
    for (const [more, id] of [
      [{}, null],
      [{ ...named, InstanceID: "i/01" }, "navarch://metal/eu-1/i/01"],
      [named, null],
      [{ ...named, Region: "" }, null],
    ] as const) {
      const args = [{ name: "node-labels", value: "navarch.dev/pool=a100" }];
      if (id !== null) args.push({ name: "provider-id", value: id });
      expect(Bun.YAML.parse(await joinConfigOf({ ...JOIN_VALUES, ...more }))).toEqual({
        apiVersion: "kubeadm.k8s.io/v1beta4",
        kind: "JoinConfiguration",
        discovery: {
          bootstrapToken: {
            apiServerEndpoint: "10.0.0.1:6443",
            token: "abcdef.0123456789abcdef",
            caCertHashes: ["sha256:00"],
          },
        },
        nodeRegistration: { kubeletExtraArgs: args },
      });
    }
  });
});

describe("template kubernetes-join, run again", () => {
  test.each([
    ["kubelet.conf", /^joined already\n$/],
    ["pki/ca.crt", /^# reset\napiVersion/],
    ["bootstrap-kubelet.conf", /^# reset\napiVersion/],
    ["other.conf", /^apiVersion/],
  ])("over %s does what is left to do", async (left, said) => {
    expect(await joinConfigOf(JOIN_VALUES, left)).toMatch(said);
  });
});

describe("builtinCommands()", () => {
  test("names the nearest template", () => {
    expect(builtinCommands("agent").ok).toBe(true);
    const answer = builtinCommands("kubernetes-joyn");
    expect(answer.ok ? "" : answer.error).toContain("did you mean kubernetes-join?");
    const other = builtinCommands("__proto__");
    expect(other.ok ? "" : other.error).toContain("there are agent");
  });
});
