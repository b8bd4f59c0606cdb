/** The loader on the guide, its messages word for word, precedence and values. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { Config } from "../../schema/config.ts";
import { formatConfig } from "./secret.ts";
import { formatProblem } from "./problem.ts";
import { readConfig } from "./read.ts";

const FIXTURE = join(import.meta.dir, "../../test/fixture/config");

function fixture(name: string) {
  return { name: `${name}.yaml`, text: readFileSync(join(FIXTURE, `${name}.yaml`), "utf8") };
}

function load(...names: string[]) {
  return readConfig(names.map(fixture));
}

/** What is printed for a text, without the file's name; errors only unless asked. */
function printed(text: string, severity = "error"): string[] {
  return readConfig([{ name: "f", text }])
    .problems.filter((problem) => problem.severity === severity)
    .map((problem) => formatProblem(problem).replace(/^f:/, ""));
}

function config(text: string): Config {
  const answer = readConfig([{ name: "f", text }]);
  if (answer.config === null) throw new Error(answer.problems.map(formatProblem).join("\n"));
  return answer.config;
}

/** A pool that is complete, with more lines at its end. */
const pool = (more = "", name = "p") =>
  `pools:\n  - name: ${name}\n    provider: fake\n    instance_type: t\n` +
  `    scaling: {min_nodes: 1, max_nodes: 3}\n${more}`;

test("refuses wrong settings of a provider where they are written", () => {
  const wrong = "{gpu_count: 0, boot_delay: soon, class: exactly-once, price_per_hour: -1}";
  const said = printed(`providers: {fake: ${wrong}}\npools: []\n`).map((line) => {
    return line.replace(/^[\d:]+ providers\.fake\./, "");
  });
  expect(said.map((line) => line.split(" (")[0])).toEqual([
    "gpu_count: must be at least 1",
    'boot_delay: "soon" is not a duration',
    'class: "exactly-once" is not one of the allowed values',
    "price_per_hour: must not be negative",
  ]);
});

test("agents of a simulated fleet check every ten seconds, unless the file says otherwise", () => {
  const check = (more: string): number => config(`${pool()}${more}`).server.healthCheckIntervalMs;
  expect(check("")).toBe(60_000);
  expect(check("simulation: {enabled: false}\n")).toBe(60_000);
  const enabled = "simulation: {enabled: true}\n";
  expect(check(enabled)).toBe(10_000);
  expect(check(`${enabled}server: {health_check_interval: 30s}\n`)).toBe(30_000);
  expect(check(`${enabled}global: {agent: {health_check_interval: 40s}}\n`)).toBe(40_000);
});

test("warns of every key that has no effect, and of none where it is not written", () => {
  const bounds = "min_nodes: 1, max_nodes: 2";
  const pool = `{provider: fake, instance_type: t, ${bounds}}`;
  expect(printed(`server: {address: "a:1"}\npools: {a: ${pool}}\n`, "warning")).toEqual([]);
  const text = `
server: {address: "a:1", metrics_retention: 1h, auth: {node_token_file: /n}}
instance_manager: {stale_check_interval: 1m}
safety: {budgets: {gpu_reset: {pool: 1, domain: 1, fleet: 1}}}
providers: {fake: {endpoint: "https://x.y", rate_limit: {requests_per_second: 1}}}
pools: {a: {providers: [{name: fake, weight: 2}], instance_type: t, min_nodes: 1, max_nodes: 2}}
`;
  const ladder = "repair: {ladder: [gpu-reset, replace]}, strategy: cost";
  const two = `{${ladder}, providers: [{name: fake}, {name: aws}], instance_type: t, ${bounds}}`;
  const more = printed(`server: {address: "a:1"}\npools: {a: ${two}}\n`, "warning").join();
  expect(more).toContain("pools.a.repair.ladder: warning: gpu-reset is skipped in this version");
  expect(more).not.toContain("pools.a.strategy");
  const said = printed(text, "warning").filter((line) => line.includes("has no effect"));
  const paths = [
    "server.metrics_retention",
    "server.auth.node_token_file",
    "instance_manager.stale_check_interval",
    ...["pool", "domain", "fleet"].map((scope) => `safety.budgets.gpu_reset.${scope}`),
    "providers.fake.endpoint",
    "providers.fake.rate_limit",
  ];
  expect(said.map((line) => line.split(": ")[1])).toEqual(paths);
});

test("loads a file that has a withdrawn key, and says what took its place", () => {
  const pool = "{provider: fake, instance_type: t, min_nodes: 1, max_nodes: 2}";
  const own = "custom_metrics: {port: 6443, service: navarch/navarch-custom-metrics}";
  const text = `server: {address: "a:1", ${own}}\npools: {a: ${pool}}\n`;
  expect(readConfig([{ name: "f", text }]).config?.pools).toHaveLength(1);
  expect(printed(text, "warning")).toEqual([
    "1:26: server.custom_metrics: warning: has no effect any more (use Prometheus Adapter or KEDA " +
      "(docs/queue.md), and delete the APIService v1beta2.custom.metrics.k8s.io if it names " +
      "navarch-custom-metrics)",
  ]);
});

describe("readConfig() on the guide", () => {
  for (const names of [["v1"], ["v2"], ["v3c"], ["v7"], ["v11"], ["v1", "v6"], ["canonical"]]) {
    test(`loads ${names.join(" with ")}`, () => {
      const { config: found, problems } = load(...names);
      expect(problems.filter((problem) => problem.severity === "error")).toEqual([]);
      expect(v.parse(Config, found)).toEqual(found as Config);
    });
  }

  test("loads V1 with an implied provider and its own scaling", () => {
    const found = load("v1").config;
    expect(found?.providers).toEqual([
      {
        name: "lambda",
        type: "lambda",
        implied: true,
        spend: { perHourMax: null, perMonthMax: null, instancesMax: null },
        settings: { apiKeyEnv: "LAMBDA_API_KEY" },
      } as never,
    ]);
    const [workers] = found?.pools ?? [];
    expect(workers?.scaling).toEqual({
      minNodes: 2,
      maxNodes: 50,
      cooldownMs: 300_000,
      autoscaler: { type: "reactive", scaleUpThreshold: 80, scaleDownThreshold: 20, step: 1 },
    });
    expect(workers?.labels).toEqual({
      cluster: "prod",
      "navarch.dev/pool": "k8s-gpu-workers",
      pool: "k8s-gpu-workers",
      workload: "training",
    });
    expect(load("v1").problems.map((problem) => problem.code)).toEqual([
      "wildcard",
      "implied_provider",
    ]);
  });

  test("reads no autoscaler in V2, and every interval in V3c", () => {
    expect(load("v2").config?.pools[0]?.scaling.autoscaler).toBeNull();
    expect(load("v3c").config?.server).toMatchObject({
      host: "0.0.0.0",
      port: 50_051,
      heartbeatIntervalMs: 30_000,
      heartbeatTimeoutMs: 90_000,
      healthCheckIntervalMs: 60_000,
      autoscaleIntervalMs: 30_000,
      healthPolicyPath: "/etc/navarch/health-policy.yaml",
    });
  });

  test("refuses V6 alone with exactly one error, the missing scaling", () => {
    const { config: found, problems } = load("v6");
    const errors = problems.filter((problem) => problem.severity === "error");
    expect(found).toBeNull();
    expect(errors.map((problem) => [problem.path, problem.line])).toEqual([
      ["pools[0].scaling", 3],
    ]);
  });

  test("lays V6 over V1 by the pool's name", () => {
    const [workers, other] = load("v1", "v6").config?.pools ?? [];
    expect(other).toBeUndefined();
    expect(workers?.bootstrap.setupCommands.length).toBe(3);
    expect(workers?.scaling.maxNodes).toBe(50);
  });

  test("reads both pools of V11 with their own temper", () => {
    const pools = load("v11").config?.pools ?? [];
    expect(pools.map((one) => [one.name as string, one.scaling.cooldownMs])).toEqual([
      ["training", 600_000],
      ["inference", 120_000],
    ]);
    expect(pools.map((one) => one.health.unhealthyThreshold)).toEqual([2, 1]);
  });

  test("loads upstream's sample with a timeout of less than two heartbeats, and warns", () => {
    const text = `server:
  address: "127.0.0.1:50051"
  heartbeat_interval: 10s
  heartbeat_timeout: 15s
pools: {p: {provider: fake, instance_type: t, min_nodes: 0, max_nodes: 1}}
providers: {fake: {type: fake, gpu_count: 8}}
`;
    const { config: found, problems } = readConfig([{ name: "f", text }]);
    expect(found?.server).toMatchObject({ heartbeatTimeoutMs: 15_000 });
    expect(problems.map(formatProblem)).toEqual([
      "f:4:22: server.heartbeat_timeout: warning: 15s is less than twice heartbeat_interval 10s " +
        "(one lost heartbeat makes a healthy node silent)",
    ]);
  });

  test("normalises the worked pair to identical JSON", () => {
    const [list, map] = [load("pair-list"), load("pair-map")];
    expect(list.problems).toEqual([]);
    expect(map.problems).toEqual([]);
    if (list.config === null || map.config === null) throw new Error("not loaded");
    expect(formatConfig(list.config)).toBe(formatConfig(map.config));
    expect(list.config.server.externalAddress).toBe("http://nav.example.net:50051");
  });

  test.each([
    ["nav.example:1", "", "http://nav.example:1"],
    ["nav.example:1", "tls: { own_ca: true },", "https://nav.example:1"],
    ["http://proxy.example:1", "tls: { own_ca: true },", "http://proxy.example:1"],
  ])("an external address %s with %p is dialled as the server serves", (address, tls, expected) => {
    const found = config(`server: { ${tls} external_address: "${address}" }\n${pool("")}`);
    expect(found.server.externalAddress).toBe(expected);
  });
});

describe("readConfig() messages", () => {
  const cases: [string, string, string][] = [
    [
      "a misspelled key",
      pool("").replace("max_nodes: 3", "max_nodes: 3, cooldown_perod: 5m"),
      '5:43: pools[0].scaling.cooldown_perod: unknown field (did you mean "cooldown_period"?)',
    ],
    [
      "a misspelled threshold",
      pool("    health:\n      unhealthy_treshold: 2\n"),
      "7:7: pools[0].health.unhealthy_treshold: unknown field " +
        '(did you mean "unhealthy_threshold"?)',
    ],
    [
      "a misspelled key of the map dialect",
      "pools:\n  blue:\n    provider: fake\n    instance_type: t\n    min_nods: 1\n" +
        "    max_nodes: 3\n",
      '5:5: pools.blue.min_nods: unknown field (did you mean "min_nodes"?)',
    ],
    [
      "a key of the server",
      pool("    heartbeat_interval: 30s\n"),
      "6:5: pools[0].heartbeat_interval: belongs under server",
    ],
    [
      "no provider",
      pool("").replace("    provider: fake\n", ""),
      '2:5: pools[0] "p": needs provider or providers, or adopt: true for machines that are not bought',
    ],
    [
      "two kinds of provider",
      pool("    providers: [{name: fake}]\n"),
      '6:5: pools[0] "p": provider and providers exclude each other',
    ],
    [
      "an unknown provider",
      `providers: {lambda: {}, gcp: {}}\n${pool("").replace("fake", "lamda")}`,
      '4:15: pools[0].provider: provider "lamda" is not defined ' +
        '(defined: lambda, gcp; did you mean "lambda"?)',
    ],
    [
      "a provider without a type",
      `providers: {gcp-us: {project: x}}\n${pool()}`,
      "1:13: providers.gcp-us.type: required unless the provider is named after its type " +
        "(lambda, gcp, aws, coreweave, kwok, fake, docker, ssh, static, machine, command)",
    ],
    [
      "no instance type",
      pool("").replace("    instance_type: t\n", ""),
      "2:5: pools[0].instance_type: required",
    ],
    [
      "no room",
      pool("").replace("max_nodes: 3", "max_nodes: 0"),
      "5:40: pools[0].scaling.max_nodes: must be at least 1",
    ],
    [
      "a minimum above the maximum",
      pool("").replace("min_nodes: 1", "min_nodes: 5"),
      "5:26: pools[0].scaling: min_nodes 5 is above max_nodes 3",
    ],
    [
      "a negative minimum",
      pool("").replace("min_nodes: 1", "min_nodes: -1"),
      "5:26: pools[0].scaling.min_nodes: must not be negative",
    ],
    [
      "thresholds the wrong way round",
      pool("    autoscaler: {type: reactive, scale_up_threshold: 60, scale_down_threshold: 80}\n"),
      "6:80: pools[0].autoscaler: " + "scale_down_threshold 80 must be below scale_up_threshold 60",
    ],
    [
      "setup without a key",
      pool("    setup_commands: [x]\n"),
      "6:5: pools[0].ssh_private_key_path: required because setup_commands is set",
    ],
    [
      "a template",
      pool('    ssh_private_key_path: /k\n    setup_commands: [a, "b {{.ControlPlan}}"]\n'),
      "7:30: pools[0].setup_commands[1]: unknown variable {{.ControlPlan}} " +
        "(did you mean .ControlPlane?)",
    ],
    [
      "a template of the product that there is not",
      pool("    ssh_private_key_path: /k\n    setup_commands: [a, {template: agnt}]\n"),
      '7:36: pools[0].setup_commands[1].template: unknown template "agnt" (did you mean agent?)',
    ],
    [
      "a mapping in place of a command",
      pool("    ssh_private_key_path: /k\n    setup_commands: [a, {templat: agent}]\n"),
      '7:26: pools[0].setup_commands[1].templat: unknown field (did you mean "template"?)',
    ],
    [
      "a template in a block of text",
      pool(
        "    ssh_private_key_path: /k\n    setup_commands:\n      - |\n        a\n" +
          "        b {{.Pol}}\n",
      ),
      "10:13: pools[0].setup_commands[0]: unknown variable {{.Pol}} (did you mean .Pool?)",
    ],
    [
      "a name used twice",
      `${pool()}  - {name: p, provider: fake, instance_type: t, min_nodes: 0, max_nodes: 1}\n`,
      '6:12: pools[1].name: "p" already used at line 2',
    ],
    [
      "a name in other case",
      `${pool()}  - {name: P, provider: fake, instance_type: t, min_nodes: 0, max_nodes: 1}\n`,
      '6:5: pools[1]: "P" and "p" of line 2 differ in case only (rename one of them)',
    ],
    [
      "a duration without a unit",
      `server: {heartbeat_interval: 30}\n${pool()}`,
      "1:30: server.heartbeat_interval: 30 has no unit (write 30s)",
    ],
    [
      "a short heartbeat timeout",
      `server: {heartbeat_interval: 30s, heartbeat_timeout: 20s}\n${pool()}`,
      "1:54: server.heartbeat_timeout: 20s must be above heartbeat_interval 30s, best " +
        "twice as long",
    ],
    [
      "a retired document",
      "apiVersion: navarch.io/v1\nkind: Pool\nspec: {}\n",
      "1:1: apiVersion: apiVersion/kind documents are a retired format " +
        "(run navarch config convert f)",
    ],
    [
      "upstream's other names",
      `server: {grpc_port: 1}\nproviders: {lambda: {api_key: x, api_key_secret: y}}\n${pool()}`,
      "1:10: server.grpc_port: unknown field (write server.address)",
    ],
    [
      "a key written twice",
      `server: {address: ":1"}\nserver: {}\n${pool()}`,
      "2:1: server: written twice, first at line 1, column 1 (keep one of them)",
    ],
    [
      "an unquoted yes",
      pool("    health: {auto_replace: yes}\n"),
      '6:28: pools[0].health.auto_replace: expected true or false, found text "yes" (write true)',
    ],
    [
      "a word that every object of JavaScript has",
      pool("    health: {auto_replace: constructor}\n"),
      '6:28: pools[0].health.auto_replace: expected true or false, found text "constructor"',
    ],
    [
      "a quoted number",
      pool("").replace("max_nodes: 3", 'max_nodes: "3"'),
      '5:40: pools[0].scaling.max_nodes: expected a whole number, found text "3" ' +
        "(write 3 without quotes)",
    ],
    [
      "an abstract type that the provider does not sell",
      pool("").replace("fake", "lambda").replace("type: t", "type: l4-1x"),
      '4:20: pools[0].instance_type: "l4-1x" has no instance type at provider "lambda" ' +
        "(it exists at gcp, aws)",
    ],
    [
      "a key of another autoscaler",
      pool("    autoscaler: {type: queue, growth_factor: 2}\n"),
      "6:31: pools[0].autoscaler.growth_factor: is not a field of a queue autoscaler " +
        "(it belongs to predictive)",
    ],
    [
      "a setting of another provider",
      `providers: {lambda: {gpu_count: 8}}\n${pool()}`,
      "1:22: providers.lambda.gpu_count: is not a setting of a lambda provider " +
        "(it belongs to fake, machine)",
    ],
    [
      "an unknown autoscaler",
      pool("    autoscaler: {type: magic}\n"),
      '6:24: pools[0].autoscaler.type: "magic" is not one of the allowed values ' +
        "(allowed: reactive, queue, scheduled, predictive, composite, idle, external)",
    ],
    [
      "an API server that kubeadm cannot dial",
      `kubernetes: {join: {server: "http://10.0.0.1:6443"}}\n${pool()}`,
      "1:29: kubernetes.join.server: expected https://host:port without a path, found " +
        '"http://10.0.0.1:6443" (write for example "https://10.0.0.1:6443")',
    ],
    [
      "an account without its namespace",
      `kubernetes: {agent_account: navarch-node-agent}\n${pool()}`,
      "1:29: kubernetes.agent_account: expected NAMESPACE/NAME of a service account, found " +
        '"navarch-node-agent" (for example navarch/navarch-node-agent)',
    ],
    [
      "two labels with one name in Prometheus",
      `kubernetes: {node_resources: {labels: [a.b/c, a.b.c]}}\n${pool()}`,
      "1:39: kubernetes.node_resources.labels: labels a.b/c and a.b.c are both a_b_c in Prometheus",
    ],
    [
      "a resource that cannot exist",
      `kubernetes: {node_resources: {resources: [cpu, "gpu count"]}}\n${pool()}`,
      '1:42: kubernetes.node_resources.resources: "gpu count" is no name of Kubernetes',
    ],
    [
      "days in their length",
      `server: {metrics_retention: 2d}\n${pool()}`,
      "1:29: server.metrics_retention: 2d uses the unit d, which varies (write 48h)",
    ],
    [
      "a reserved label",
      pool("    labels: {pool: other}\n"),
      "6:13: pools[0].labels: the label pool is always the pool's name (remove it)",
    ],
    [
      "C39: a taint that evicts running pods",
      pool("    taints: ['a=b:NoExecute']\n"),
      "6:14: pools[0].taints[0]: the effect NoExecute is not written: it evicts running pods past " +
        "their disruption budgets (write NoSchedule)",
    ],
    [
      "C39: a taint of Kubernetes' own controllers",
      pool("    taints: [{key: node.kubernetes.io/unreachable, effect: NoSchedule}]\n"),
      "6:14: pools[0].taints[0]: node.kubernetes.io/unreachable is a reserved key (choose a key of " +
        "your own)",
    ],
    [
      "C39: a taint without an effect",
      pool("    taints: [{key: a}]\n"),
      "6:14: pools[0].taints[0].effect: required",
    ],
    [
      "C39: a text that is no taint",
      pool("    taints: [a=b]\n"),
      "6:14: pools[0].taints[0]: not a taint (write key=value:NoSchedule, key:NoSchedule, or a " +
        "mapping with key, value and effect)",
    ],
    [
      "C39: an unknown effect",
      pool("    taints: [a=b:Never]\n"),
      "6:14: pools[0].taints[0]: Never is not an effect (write NoSchedule or PreferNoSchedule)",
    ],
    [
      "C39: two taints of one key and effect",
      pool("    taints: ['a=b:NoSchedule', {key: a, value: c, effect: NoSchedule}]\n"),
      "6:32: pools[0].taints[1]: there are two taints a:NoSchedule (a Node can have one of them)",
    ],
    [
      "a bare port",
      `server: {address: 50051}\n${pool()}`,
      '1:19: server.address: expected text, found the number 50051 (write "50051")',
    ],
    [
      "a port that no one can dial",
      `server: {address: ":0"}\n${pool()}`,
      "1:19: server.address: port 0 is allowed only with --test-port-file (the default is :50051)",
    ],
  ];
  for (const [what, text, expected] of cases) {
    test(`names ${what}`, () => expect(printed(text)).toContain(expected));
  }

  test("tells every problem of one run in the order of the text", () => {
    const text =
      "server: {heartbeat_interval: 5, adress: x}\nproviders: {gcp-us: {}}\npools:\n" +
      "  - {name: a, provider: nope, scaling: {min_nodes: 1}}\n  - {provider: fake}\nextra: 1\n";
    const problems = readConfig([{ name: "f", text }]).problems;
    const places = problems.map((problem) => problem.line * 1_000 + problem.col);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    const errors = problems.filter((problem) => problem.severity === "error");
    expect(errors.map((problem) => problem.path)).toEqual([
      "server.heartbeat_interval",
      "server.adress",
      "providers.gcp-us.type",
      "pools[0].instance_type",
      "pools[0].provider",
      "pools[0].scaling.max_nodes",
      "pools[1].name",
      "extra",
    ]);
  });

  test("never repeats a value that may be a secret", () => {
    const key = "secret_team_0123456789abcdef0123456789";
    const text = `providers: {lambda: {api_key: ${key}, api_key_env: "${key}!"}}\n${pool()}`;
    expect(
      readConfig([{ name: "f", text }])
        .problems.map(formatProblem)
        .join("\n"),
    ).not.toContain("0123456789abcdef");
    expect(printed(text, "warning").some((line) => line.includes("looks like a secret"))).toBe(
      true,
    );
  });

  test("warns without refusing", () => {
    expect(printed("server: {}\n", "warning")).toEqual([
      "1:1: server.address: warning: listens on every interface, which does not tell nodes what " +
        "to dial (set server.external_address)",
      "1:1: pools: warning: no pools: nodes that report are watched, and none is ever created",
    ]);
    const text = pool("    strategy: cost\n    health: {max_unavailable: 0}\n");
    const codes = readConfig([{ name: "f", text }]).problems.map((problem) => problem.code);
    expect(codes).toEqual(["wildcard", "implied_provider", "strategy", "zero_unavailable"]);
  });

  test("warns of a max_price over a price that neither the cloud nor the file tells", () => {
    const told = (type: string, ref: string, prices = "") =>
      readConfig([
        {
          name: "f",
          text: `providers: { c: { type: ${type}${prices} } }
pools:
  - name: p
    instance_type: t
    providers: [{ name: c, max_price: 40${ref} }]
    scaling: { min_nodes: 0, max_nodes: 1 }
`,
        },
      ])
        .problems.filter(({ code }) => code === "price")
        .map(({ message }) => message);
    const unknown = (types: string, market = "on-demand") =>
      `provider "c" tells no price of ${types} (${market}), and with max_price nothing is ` +
      "bought at an unknown price";
    const reserved = ", market: reserved, reservation: cr-1";
    expect(told("aws", reserved)).toEqual([unknown("t", "reserved")]);
    expect(told("aws", reserved, ", prices: [t=31]")).toEqual([]);
    expect(told("aws", ", market: spot")).toEqual([]);
    expect(told("gcp", ", market: spot")).toEqual([unknown("t", "spot")]);
    const two = ", instance_types: [t, tt, u]";
    expect(told("coreweave", two, ", prices: [tt=31]")).toEqual([unknown("t, u")]);
    expect(told("lambda", "")).toEqual([]);
  });

  test("W41: refuses virtual nodes and real machines in one pool, and takes two pools", () => {
    const told = (one: string, other: string, more = "") =>
      readConfig([
        {
          name: "f",
          text: `pools:
  - name: p
    instance_type: h100-8x
    providers: [{ name: ${one} }, { name: ${other} }]
    scaling: { min_nodes: 0, max_nodes: 1 }
${more}`,
        },
      ])
        .problems.filter(({ severity }) => severity === "error")
        .map(({ message }) => message);
    const why = (type: string) =>
      `virtual nodes of a kwok provider and machines of ${type} in one pool`;
    expect(told("kwok", "aws")).toEqual([why("aws")]);
    expect(told("coreweave", "kwok")).toEqual([why("coreweave")]);
    expect(told("kwok", "fake")).toEqual([]);
    const pool = (name: string, provider: string): string =>
      `  - name: ${name}\n    instance_type: h100-8x\n    provider: ${provider}\n` +
      "    scaling: { min_nodes: 0, max_nodes: 1 }\n";
    const text = `pools:\n${pool("p", "kwok")}${pool("q", "coreweave")}`;
    const { problems } = readConfig([{ name: "f", text }]);
    const two = problems.filter(({ severity }) => severity === "error");
    expect(two).toEqual([]);
  });

  test("W41: takes further types of virtual nodes as NAME=GPUS alone", () => {
    const told = (types: string) =>
      readConfig([{ name: "f", text: `providers: { kwok: { types: [${types}] } }\n` }])
        .problems.filter(({ path }) => path.includes("types"))
        .map(({ message }) => message);
    expect(told("gd-8xh100ib-i128=8, gb200-4x=4")).toEqual([]);
    for (const odd of ["a", "a=0", "a=65", "=8", "a=8.5"]) {
      expect(told(odd)).toEqual([`expected NAME=GPUS, from 1 to 64, found "${odd}"`]);
    }
  });
});

describe("readConfig() precedence", () => {
  test("takes each field from pool, then defaults, then global, then the built-in", () => {
    const more =
      "    labels: {b: p}\n    drain: {force: false}\n    health: {max_unavailable: 2}\n";
    const found = config(
      "global: {ssh_key_names: [g], cooldown_period: 9m, ssh_user: glob, " +
        "health: {auto_replace: false}," +
        " agent: {server: cp.example:1, heartbeat_interval: 7s, health_check_interval: 20s}}\n" +
        "defaults: {cooldown_period: 8m, unhealthy_threshold: 4, labels: {a: d, b: d}, " +
        "drain: {timeout: 1h, force: true}, ssh_timeout: 3m}\n" +
        `server: {health_check_interval: 30s}\n${pool(more)}`,
    );
    const [only] = found.pools;
    expect(only?.sshKeys).toEqual(["g"]);
    expect(only?.scaling.cooldownMs).toBe(480_000);
    expect(only?.bootstrap).toMatchObject({ sshUser: "glob", sshTimeoutMs: 180_000, attempts: 3 });
    expect(only?.health).toEqual({
      unhealthyThreshold: 4,
      autoReplace: false,
      maxUnavailable: { kind: "nodes", nodes: 2 },
    });
    expect(only?.labels).toMatchObject({ a: "d", b: "p" });
    expect(only?.drain).toMatchObject({ timeoutMs: 3_600_000, force: false, mode: "evict" });
    expect(found.server).toMatchObject({
      externalAddress: "http://cp.example:1",
      heartbeatIntervalMs: 7_000,
      heartbeatTimeoutMs: 21_000,
      healthCheckIntervalMs: 30_000,
    });
  });

  test("keeps auto_replace true inside a health block that does not say it", () => {
    const found = config(pool("    health: {unhealthy_threshold: 3}\n"));
    expect(found.pools[0]?.health.autoReplace).toBe(true);
  });

  test("lets a later file replace an autoscaler of another type, and provider by providers", () => {
    const over =
      "pools:\n  p:\n    autoscaling: {type: queue}\n    providers: [{name: fake}, " +
      "{name: docker}]\n";
    const answer = readConfig([
      { name: "a", text: pool("    autoscaler: {type: reactive, step: 2}\n") },
      { name: "b", text: over },
    ]);
    expect(answer.config?.pools[0]?.scaling.autoscaler?.type).toBe("queue");
    expect(answer.config?.pools[0]?.providers.map((ref) => String(ref.name))).toEqual([
      "fake",
      "docker",
    ]);
  });
});

describe("readConfig() values", () => {
  test("resolves abstract types by the provider's type, not its name", () => {
    const text =
      "providers: {gcp-us: {type: gcp}}\npools:\n  - name: p\n    instance_type: h100-8x\n" +
      "    region: r\n    providers: [{name: gcp-us}, {name: aws}]\n    min_nodes: 0\n" +
      "    max_nodes: 1\n";
    expect(config(text).pools[0]?.providers.map((ref) => ref.instanceType)).toEqual([
      "a3-highgpu-8g",
      "p5.48xlarge",
    ]);
  });

  test("reads windows of a schedule", () => {
    const window = (more: string) =>
      pool(
        `    autoscaler: {type: scheduled, schedule: [{min_nodes: 0, max_nodes: 3, ${more}}]}\n`,
      );
    const found = config(window('days: [FRI, sunday], start: "22:30", end: 6')).pools[0];
    expect(found?.scaling.autoscaler).toMatchObject({
      schedule: [{ days: [0, 5], startMinute: 1_350, endMinute: 360 }],
      timezone: "UTC",
    });
    expect(printed(window("start: 5, end: 5")).length).toBe(1);
    expect(printed(window("start: 24, end: 5")).length).toBe(1);
    expect(printed(window("days: [tuesdy], start: 1, end: 2"))[0]).toContain(
      'did you mean "tuesday"?',
    );
    const beyond = window("start: 1, end: 2").replace("max_nodes: 3, s", "max_nodes: 4, s");
    expect(printed(beyond)[0]).toContain("4 is above the pool's max_nodes 3");
  });

  test("refuses autoscalers that nest too deeply, in one error", () => {
    const nest = (depth: number): string =>
      depth === 0 ? "{type: queue}" : `{type: composite, autoscalers: [${nest(depth - 1)}]}`;
    expect(printed(pool(`    autoscaler: ${nest(3)}\n`))).toEqual([]);
    expect(printed(pool(`    autoscaler: ${nest(9)}\n`)).length).toBe(1);
  });

  test("reads the fake provider's settings as milliseconds", () => {
    const text =
      "providers:\n  fake: {gpu_count: 4, gpu_type: X, class: tag-only, boot_delay: 2s, " +
      "create_delay: 10ms, terminate_delay: 1s, settle: 5s, list_lag: 1s, price_per_hour: 2.5, " +
      "state_dir: /s, agent_path: /a, faults: /f}\n";
    expect(config(text + pool()).providers[0]?.settings).toEqual({
      gpuCount: 4,
      gpuType: "X",
      class: "tag-only",
      bootDelayMs: 2_000,
      createDelayMs: 10,
      terminateDelayMs: 1_000,
      settleMs: 5_000,
      listLagMs: 1_000,
      pricePerHour: 2.5,
      stateDir: "/s",
      agentPath: "/a",
      faults: "/f",
    });
  });

  test("follows anchors, aliases and merge keys, the nearer value winning", () => {
    const text =
      "pools:\n  - &base {name: a, provider: fake, instance_type: t, min_nodes: 1, " +
      "max_nodes: 3}\n" +
      "  - {<<: *base, name: b, max_nodes: 5}\n";
    const found = config(text).pools;
    expect(found.map((one) => [String(one.name), one.scaling.maxNodes])).toEqual([
      ["a", 3],
      ["b", 5],
    ]);
  });

  test("reads webhooks and leaves variables unexpanded", () => {
    const text =
      "server:\n  notifier:\n    type: webhook\n    webhook: {cordon_url: 'https://h/${T}', " +
      "drain_url: '', headers: {A: 'Bearer ${T}'}, retry: {attempts: 2}}\n";
    expect(config(text + pool()).server.notifier).toEqual({
      type: "webhook",
      cordonUrl: "https://h/${T}",
      uncordonUrl: null,
      drainUrl: null,
      drainStatusUrl: null,
      timeoutMs: 30_000,
      headers: { A: "Bearer ${T}" },
      secretEnv: null,
      retry: { attempts: 2, initialMs: 1_000, maxMs: 60_000 },
    });
    expect(printed(text.replace("'https://h/${T}'", "h/x") + pool()).length).toBe(1);
    expect(printed(text.replace("Bearer ${T}", "Bearer ${T") + pool()).length).toBe(1);
  });

  test("accepts auth flags beside the server's own keys", () => {
    const found = config(`server: {metrics_auth: true, allow_anonymous: TRUE}\n${pool()}`);
    expect(found.server.auth).toMatchObject({ metricsAuth: true, allowAnonymous: true });
  });
});

describe("locate()", () => {
  test("reads past empty documents, and no further than a person would write", () => {
    expect(printed(`${"---\n".repeat(50)}${pool()}`)).toEqual([]);
    expect(printed(`${"---\n".repeat(5_000)}${pool()}`).join()).toContain("too many documents");
  });
});

describe("formatConfig()", () => {
  test("shows no secrets", () => {
    const text =
      "server:\n  notifier:\n    type: webhook\n" +
      "    webhook: {cordon_url: 'https://h/x?token=abc', " +
      "headers: {A: hunter2hunter2, B: 'Bearer ${T}'}}\n" +
      pool("    ssh_private_key_path: /k\n    setup_commands: ['x AKIAABCDEFGHIJKLMNOP y']\n");
    const json = formatConfig(config(text));
    for (const secret of ["hunter2", "token=abc", "AKIAABCDEFGHIJKLMNOP"]) {
      expect(json).not.toContain(secret);
    }
    expect(json).toContain("Bearer ${T}");
  });

  test("shows no web hook whose address is its secret, and one that is filled in as written", () => {
    for (const secret of [
      "https://hooks.slack.com/services/T0/B0/hunter2",
      "https://discord.com/api/webhooks/1/hunter2",
      "https://x.webhook.office.com/webhookb2/hunter2@y/IncomingWebhook/z",
    ]) {
      const hook = (url: string) =>
        `server: {notifier: {type: webhook, webhook: {cordon_url: '${url}'}}}\n${pool()}`;
      expect(formatConfig(config(hook(secret)))).not.toContain("hunter2");
      const warned = printed(hook(secret), "warning").join();
      expect(warned).toContain("cordon_url: warning: looks like a secret");
      const filled = secret.replace(/(services|webhooks|webhookb2)\/.*$/, "$1/${HOOK}");
      expect(formatConfig(config(hook(filled)))).toContain(filled);
    }
  });
});

test.each([
  ["grace_period: 5m, timeout: 1m", ["timeout (1m)"]],
  ["grace_period: 5m, timeout: 1m, fatal_timeout: 30s", ["timeout (1m)", "fatal_timeout (30s)"]],
  ["grace_period: 5m, timeout: 5m", []],
  ["grace_period: 5m, timeout: 0s", []],
  ["grace_period: -1, timeout: 1m", []],
  ["timeout: 1m", []],
])("readConfig() warns of a drain that cuts each pod's grace short: %s", (drain, limits) => {
  const all = printed(pool(`    drain: { ${drain} }\n`), "warning");
  const said = all.filter((line) => line.includes("grace_period"));
  expect(said).toHaveLength(limits.length);
  for (const [i, limit] of limits.entries()) {
    expect(said[i]).toContain(`pools[0].drain.grace_period: warning: is longer than ${limit}`);
  }
});
