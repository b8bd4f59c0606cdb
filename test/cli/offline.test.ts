import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { whyNoAdapter } from "../../reconciler/core/adapter.ts";
import { PROVIDER_TYPES } from "../../schema/config/provider.ts";
import { json, navarch, startNavarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-offline-"));
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const CONFIG = `server: {address: "127.0.0.1:50051"}
providers:
  fake: {gpu_count: 4}
pools:
  - name: blue
    provider: fake
    instance_type: any-4gpu
    scaling:
      min_nodes: 1
      max_nodes: 6
`;
const good = file("good.yaml", CONFIG);
const typo = file("typo.yaml", CONFIG.replace("max_nodes", "max_noeds"));

const POLICY = `version: v1
metadata: {name: mine}
rules:
  - name: fatal
    condition: event.event_type == "xid" && event.metrics.xid_code in [79, 48]
    result: unhealthy
    hold: until_reboot
  - name: warm
    condition: event.event_type == "thermal" && event.metrics.temperature >= 85
    result: degraded
  - name: rest
    condition: "true"
    result: healthy
`;
const policy = file("policy.yaml", POLICY);

describe("navarch config init", () => {
  test("writes a configuration that is valid as it is, with its examples, and speaks TLS", async () => {
    const { code, out } = await navarch(["config", "init"]);
    expect(code).toBe(0);
    // Warned of: it buys nothing yet, and does not say what nodes dial. Its examples do.
    const bare = await navarch(["config", "validate", file("init.yaml", out)]);
    expect(bare.code).toBe(0);
    const examples = out.replace(/^( *)# (?=(providers|pools|external_address|  ))/gm, "$1");
    const filled = file("examples.yaml", examples);
    const strict = await navarch(["config", "validate", "--strict", filled]);
    expect([strict.code, strict.err]).toEqual([0, ""]);
    const shown = await navarch(["config", "show", join(folder, "init.yaml"), "--output", "json"]);
    expect(json(shown.out)).toMatchObject({ server: { tls: { own_ca: true } } });
  });
});

const LACKS: [string, string][] = [
  ["command", "/etc/navarch/provider"],
  ["lambda", "no API key: set LAMBDA_API_KEY"],
  ["aws", "ssh_private_key_path"],
  ["gcp", "ssh_private_key_path"],
  ["coreweave", "/etc/navarch/coreweave.kubeconfig"],
  ["kwok", "there is no cluster"],
];
describe.each(LACKS)("navarch config init --provider %s", (provider, lacks) => {
  test("writes what is valid, and warns of what this machine lacks alone", async () => {
    const out = join(folder, `${provider}-init.yaml`);
    expect((await navarch(["config", "init", "--provider", provider, "--out", out])).code).toBe(0);
    const text = await navarch(["config", "validate", "--strict", "--text-only", out]);
    expect(text).toEqual({ code: 0, out: `${out}: ok (1 pool, 1 provider)\n`, err: "" });
    const here = await navarch(["config", "validate", out]);
    // A named kubeconfig that cannot be read prevents the start.
    const needsCluster = provider === "coreweave" || provider === "kwok";
    expect(here.code).toBe(needsCluster ? 2 : 0);
    expect(here.err).toContain(lacks);
  });
});

describe("navarch config init --provider fake", () => {
  test("writes a file with which the control plane starts, and never over one", async () => {
    const out = join(folder, "fake-init.yaml");
    const args = ["config", "init", "--provider", "fake", "--out", out];
    expect((await navarch(args)).code).toBe(0);
    const again = await navarch(args);
    expect([again.code, again.err]).toEqual([2, `error: --out ${out}: exists already\n`]);
    const checked = await navarch(["config", "validate", "--strict", out]);
    expect(checked).toEqual({ code: 0, out: `${out}: ok (1 pool, 1 provider)\n`, err: "" });
    const state = join(folder, "fake-state");
    const port = join(folder, "fake-port");
    const own = ["--state", state, "--addr", "127.0.0.1:0", "--test-port-file", port];
    const child = startNavarch(["control-plane", "--config", out, ...own]);
    try {
      const written = () => existsSync(port) && readFileSync(port, "utf8").trim() !== "";
      const endMs = Date.now() + 9_000;
      while (!written() && Date.now() < endMs) await Bun.sleep(20);
      const server = `127.0.0.1:${readFileSync(port, "utf8").trim()}`;
      const pools = await navarch(["pool", "list", "-o", "name", "-s", server, "--state", state]);
      expect(pools).toEqual({ code: 0, out: "training\n", err: "" });
    } finally {
      child.kill("SIGTERM");
      await child.exited;
    }
  }, 30_000);

  test("refuses a provider that it does not know", async () => {
    const { code, err } = await navarch(["config", "init", "--provider", "fale"]);
    expect(code).toBe(2);
    expect(err).toContain('unknown provider "fale" (none, fake, kwok, command, lambda');
    expect(err).toContain('did you mean "fake"?');
  });
});

describe("navarch config validate", () => {
  test("says ok on standard output", async () => {
    const { code, out } = await navarch(["config", "validate", good]);
    expect({ code, out }).toEqual({ code: 0, out: `${good}: ok (1 pool, 1 provider)\n` });
  });

  test("refuses more nodes than a control plane can have", async () => {
    const path = file("many.yaml", CONFIG.replace("max_nodes: 6", "max_nodes: 4000000000"));
    const { code, err } = await navarch(["config", "validate", path]);
    expect([code, err]).toEqual([
      2,
      `${path}:10:18: pools[0].scaling.max_nodes: must be at most 100000\n`,
    ]);
  });

  test("prints every problem with its place, and ends with 2", async () => {
    const { code, out, err } = await navarch(["config", "validate", typo]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(
      `${typo}:10:7: pools[0].scaling.max_noeds: unknown field (did you mean "max_nodes"?)\n`,
    );
  });

  test("gives records to programs", async () => {
    const { code, out, err } = await navarch(["config", "validate", typo, "-o", "json"]);
    expect({ code, err }).toEqual({ code: 2, err: "" });
    expect(json(out)).toContainEqual({
      file: typo,
      line: 10,
      col: 7,
      path: "pools[0].scaling.max_noeds",
      code: "unknown_field",
      message: "unknown field",
      hint: 'did you mean "max_nodes"?',
      severity: "error",
    });
    expect(json((await navarch(["config", "validate", good, "-o", "json"])).out)).toEqual([]);
  });

  test("warns of what a control plane starts without", async () => {
    const text = `server:
  address: 127.0.0.1:1
  health_policy_path: /none/policy.yaml
providers:
  cloud: { type: lambda }
pools:
  - name: p
    providers: [{ name: cloud }, { name: docker }, { name: fake }]
    region: us-east-1
    instance_type: t
    min_nodes: 0
    max_nodes: 1
    setup_commands: ["true"]
    ssh_private_key_path: /none/key
    ssh_host_key: known_hosts:/none/hosts
    autoscaler: { type: reactive, scale_up_threshold: 0.8, scale_down_threshold: 0.2 }
    health: { max_unavailable: 0.2% }
`;
    const warned = file("warned-here.yaml", text);
    const { code, out, err } = await navarch(["config", "validate", warned]);
    expect({ code, out }).toEqual({ code: 0, out: `${warned}: ok (1 pool, 3 providers)\n` });
    const lines = err.split("\n").filter((line) => line.includes(" warning: "));
    const types = PROVIDER_TYPES.filter((type) => whyNoAdapter(type) === null).join(", ");
    const none = `have no adapter in this version (types with an adapter: ${types})`;
    expect(lines.map((line) => line.replace(`${warned}:`, ""))).toEqual([
      "3:23: server.health_policy_path: warning: health policy /none/policy.yaml is missing: " +
        "running on the built-in policy",
      "5:10: providers.cloud: warning: nothing can be bought here: no API key: set LAMBDA_API_KEY " +
        "or api_key_file, then restart",
      "8:42: pools[0].providers[1].name: warning: nothing can be bought here: " +
        `providers of type docker ${none}`,
      "14:27: pools[0].ssh_private_key_path: warning: /none/key cannot be read: ENOENT: no such file " +
        "or directory, open '/none/key' (no machine of the pool is bought before it can be used)",
      "15:19: pools[0].ssh_host_key: warning: /none/hosts: no such file or folder",
      "16:55: pools[0].autoscaler.scale_up_threshold: warning: 0.8 means 0.8 %: thresholds are " +
        "percentages from 0 to 100 (write 80 if 80 percent is meant)",
      "16:82: pools[0].autoscaler.scale_down_threshold: warning: 0.2 means 0.2 %: thresholds are " +
        "percentages from 0 to 100 (write 20 if 20 percent is meant)",
      "17:32: pools[0].health.max_unavailable: warning: is less than one percent " +
        "(write 20% if that is what is meant)",
    ]);
    expect((await navarch(["config", "validate", warned, "--strict"])).code).toBe(2);
  });

  test("names what a cloud's credential is refused for", async () => {
    const keys = file("aws-keys", "[p]\nrole_arn = r\nsource_profile = q\nmfa_serial = arn:mfa\n");
    const source = { executable: { command: "/bin/x" } };
    const whole = { audience: "a", subject_token_type: "t", token_url: "https://x" };
    const external = { type: "external_account", ...whole, credential_source: source };
    const token = file("google.json", JSON.stringify(external));
    const text = `
server: { address: "127.0.0.1:1" }
providers:
  aws: { region: us-east-1, image: ami-1, profile: p, credentials_file: ${keys} }
  gcp: { project: p1, credentials_file: ${token} }
pools:
  - { name: p, provider: aws, instance_type: t, min_nodes: 0, max_nodes: 1 }
`;
    const { err } = await navarch(["config", "validate", file("refused.yaml", text)]);
    expect(err).toContain(
      "providers.aws: warning: no call can be made here: profile p: mfa_serial",
    );
    expect(err).toContain("providers.gcp: warning: no call can be made here: credentials_file");
    expect(err).toContain("credential_source.executable is not run");
  });

  test("takes warnings for errors with --strict", async () => {
    const warned = file("warned.yaml", 'server: {address: "127.0.0.1:1"}\n');
    const [easy, strict] = await Promise.all([
      navarch(["config", "validate", warned]),
      navarch(["config", "validate", warned, "--strict"]),
    ]);
    expect([easy.code, strict.code]).toEqual([0, 2]);
    expect(easy.err).toContain("warning: no pools");
  });

  test("names a file that is not there", async () => {
    const { code, err } = await navarch(["config", "validate", join(folder, "none.yaml")]);
    expect(code).toBe(2);
    expect(err).toContain("none.yaml:1:1: no such file");
  });
});

describe("navarch config show", () => {
  test("prints the normal form, as YAML for people and JSON for programs", async () => {
    const [text, data] = await Promise.all([
      navarch(["config", "show", good]),
      navarch(["config", "show", good, "-o", "json"]),
    ]);
    expect(text.out).toContain("\npools:\n  - name: blue\n");
    expect(json(data.out)).toMatchObject({ pools: [{ name: "blue" }] });
    expect((await navarch(["config", "show", typo])).code).toBe(2);
    for (const [name, { out }] of [["shown.yaml", text] as const, ["shown.json", data] as const]) {
      const again = await navarch(["config", "validate", file(name, out)]);
      expect([again.code, again.err]).toEqual([0, ""]);
    }
  });
});

describe("navarch policy", () => {
  test("shows what it accepts", async () => {
    for (const form of ["yaml", "json"]) {
      const { out } = await navarch(["policy", "show", policy, "-o", form]);
      const again = await navarch(["policy", "validate", file(`policy.${form}`, out)]);
      expect(again.code).toBe(0);
    }
  });

  test("validates a good one and refuses a typo with its place", async () => {
    const bad = file("bad.yaml", POLICY.replace("event.event_type", "event.evnt_type"));
    const [fine, refused] = await Promise.all([
      navarch(["policy", "validate", policy]),
      navarch(["policy", "validate", bad]),
    ]);
    expect(fine).toMatchObject({
      code: 0,
      out: expect.stringContaining("policy.yaml: ok (3 rules, "),
    });
    expect(refused).toMatchObject({ code: 2, out: "" });
    expect(refused.err).toMatch(/bad\.yaml:5:\d+: rules\[0\]\.condition: .*event_type/);
  });

  test("shows the rules of a file in their order", async () => {
    const { out } = await navarch(["policy", "show", policy, "-o", "name"]);
    expect(out).toBe("fatal\nwarm\nrest\n");
  });

  const EVENTS = [
    { event_type: "HEALTH_EVENT_TYPE_XID", gpu_index: 1, metrics: { xid_code: "13" } },
    { event_type: "thermal", gpu_index: 0, metrics: { temperature: 88 } },
    { kind: "xid", code: 79, gpu_index: 3 },
  ];
  const lines = EVENTS.map((event) => JSON.stringify(event)).join("\n\n");

  test("test tells the rule of each event and the verdict", async () => {
    const events = file("events.jsonl", lines);
    const { code, out } = await navarch(["policy", "test", policy, "--events", events]);
    expect(code).toBe(0);
    expect(out).toMatchSnapshot();
    const piped = await navarch(["policy", "test", policy, "--events=-", "-o=json"], {}, lines);
    expect(json(piped.out)).toMatchObject({
      policy: "mine",
      verdict: "unhealthy",
      events: [
        { line: 1, rule: "rest", result: "healthy" },
        { line: 3, rule: "warm", result: "degraded" },
        { line: 5, rule: "fatal", result: "unhealthy", hold: "until_reboot" },
      ],
      errors: [],
    });
  });

  test("test ends with 1 when a condition fails on an event", async () => {
    const event = JSON.stringify({ event_type: "thermal", metrics: {} });
    const { code, err } = await navarch(["policy", "test", policy, "--events", "-"], {}, event);
    expect(code).toBe(1);
    expect(err).toContain('error: rule "warm" failed: ');
  });

  test("test names every line that is no event", async () => {
    const args = ["policy", "test", policy, "--events", "-"];
    const { code, out, err } = await navarch(args, {}, '{"kind":"xd"}\nnope\n');
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain('-:1: unknown kind "xd"');
    expect(err).toContain("-:2: not JSON");
  });
});

describe("navarch control-plane", () => {
  test.each([[["control-plane", "--config", typo]], [[`--config=${typo}`]], [["-config", typo]]])(
    "started as %p refuses a bad configuration with 2",
    async (args) => {
      const { code, out, err } = await navarch([...args, "--state", join(folder, "state")]);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).toContain('unknown field (did you mean "max_nodes"?)');
    },
  );

  test("warns about a token that everybody can see, and does not print it", async () => {
    const args = ["--config", typo, "--auth-token", "nvt.visible"];
    const { err } = await navarch(["control-plane", ...args, "--state", join(folder, "state")]);
    expect(err).toContain("warning: --auth-token is visible");
    expect(err).not.toContain("nvt.visible");
  });
});

test("navarch version has five lines, and the same as JSON", async () => {
  const [text, data] = await Promise.all([
    navarch(["version"]),
    navarch(["version", "-o", "json"]),
  ]);
  expect(text.out.match(/\n/g)).toHaveLength(5);
  const keys = ["version", "commit", "build_date", "runtime", "platform"];
  expect(Object.keys(json(data.out) as object)).toEqual(keys);
});

test("navarch restore makes nothing for a backup that does not exist", async () => {
  const state = join(folder, "restored");
  const { code, err } = await navarch(["restore", join(folder, "none.backup"), "--state", state]);
  expect([code, err]).toEqual([3, expect.stringContaining("no such file")]);
  expect(existsSync(state)).toBe(false);
});
