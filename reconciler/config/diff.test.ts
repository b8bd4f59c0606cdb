import { describe, expect, test } from "bun:test";
import { configOf } from "../../test/world/setting.ts";
import { diffConfigs } from "./diff.ts";
import { keepFixed, takesRestart } from "./restart.ts";

const HOOK = "https://hooks.example.net/services/T0/B0/";
const yamlOf = (given: { hook?: string; token?: string; command?: string; pools?: string }) => `
server:
  notifier:
    type: webhook
    webhook:
      cordon_url: ${HOOK}${given.hook ?? "first"}
      headers: { Authorization: "Bearer ${given.token ?? "0123456789abcdef"}" }
providers: { "a.b": { type: fake, gpu_count: 2 } }
pools:
  - name: p.q
    provider: a.b
    instance_type: t
    scaling: { min_nodes: 1, max_nodes: 4 }
    setup_commands: ["join --token ${given.command ?? "one"}"]
    ssh_private_key_path: /key
${given.pools ?? ""}`;
const ONE = configOf(yamlOf({}));
const POOL = "  - { name: r, adopt: true, scaling: { min_nodes: 0, max_nodes: 3 } }\n";

describe("diffConfigs()", () => {
  test("finds nothing between equal files in both dialects", () => {
    expect(diffConfigs(ONE, configOf(yamlOf({})))).toEqual([]);
    const map = "pools: { p: { provider: fake, instance_type: t, min_nodes: 1, max_nodes: 2 } }\n";
    const list =
      "pools: [{ name: p, provider: fake, instance_type: t, " +
      "scaling: { min_nodes: 1, max_nodes: 2 } }]\n";
    expect(diffConfigs(configOf(map), configOf(list))).toEqual([]);
  });

  test("notices a changed secret, and shows none", () => {
    const other = configOf(yamlOf({ hook: "second", token: "fedcba9876543210", command: "two" }));
    const changes = diffConfigs(ONE, other);
    const keys = ["cordon_url", "headers.Authorization"].map((key) => {
      return `server.notifier.webhook.${key}`;
    });
    expect(changes.map(({ key }) => key)).toEqual([...keys, "pools.p.q.setup_commands"]);
    const text = JSON.stringify(changes);
    for (const secret of ["first", "second", "0123456789", "fedcba", "token one", "token two"]) {
      expect(text).not.toContain(secret);
    }
  });

  test("shows a whole pool or provider as one change", () => {
    const both = yamlOf({ pools: POOL }).replace('"a.b": {', '"c": { type: fake }, "a.b": {');
    const more = configOf(both);
    expect(diffConfigs(ONE, more)).toEqual([
      { key: "providers.c", before: null, after: "fake", restart: false },
      {
        key: "pools.r",
        before: null,
        after: "at existing machines, 0 to 3 nodes",
        restart: false,
      },
    ]);
    expect(diffConfigs(more, ONE).map(({ key, after }) => [key, after])).toEqual([
      ["providers.c", null],
      ["pools.r", null],
    ]);
  });

  test("keys a pool's providers by their names, whatever their order", () => {
    const withRefs = (refs: string) =>
      configOf(`pools: [{ name: p, providers: [${refs}], instance_type: t,
        scaling: { min_nodes: 0, max_nodes: 1 } }]`);
    const [fake, own] = ["{ name: fake, priority: 1 }", "{ name: machine, priority: 2 }"];
    const both = withRefs(`${fake}, ${own}`);
    expect(diffConfigs(both, withRefs(`${own}, ${fake}`))).toEqual([]);
    expect(diffConfigs(both, withRefs(`${own}, { name: fake, priority: 3 }`))).toEqual([
      { key: "pools.p.providers.fake.priority", before: "1", after: "3", restart: false },
    ]);
  });
});

describe("keepFixed()", () => {
  const running = configOf("server: { address: ':1', external_address: a.example:2 }\npools: []\n");

  test.each([
    ["server: { address: ':2' }", ["server.address", "server.external_address"]],
    ["server: { address: '127.0.0.1:1', external_address: a.example:2 }", ["server.address"]],
    [
      "server: { address: ':1', external_address: a.example:2, tls: { own_ca: true } }",
      ["server.external_address", "server.tls"],
    ],
    [
      "server: { address: ':1', external_address: a.example:2, auth: { allow_anonymous: true } }\n" +
        "kubernetes: { enabled: false, mirror: { taint: true }, ready: node }",
      ["server.auth.allow_anonymous", "kubernetes.enabled", "kubernetes.mirror"],
    ],
    ["server: { address: ':1', external_address: a.example:2, heartbeat_interval: 1s }", []],
  ])("%p keeps %p", (text, kept) => {
    const next = configOf(`${text}\npools: []\n`);
    const answer = keepFixed(running, next);
    expect(answer.kept).toEqual(kept);
    expect(answer.config.server.port).toBe(1);
    expect(answer.config.kubernetes.mirror).toEqual(running.kubernetes.mirror);
    expect(answer.config.kubernetes.ready).toBe(next.kubernetes.ready);
    expect(answer.config.server.heartbeatIntervalMs).toBe(next.server.heartbeatIntervalMs);
    // What was read is not changed in place.
    expect(keepFixed(next, next)).toEqual({ config: next, kept: [] });
  });
});

test.each([
  ["server.tls.own_ca", true],
  ["server.tls", true],
  ["server.address", true],
  ["server.auth.metrics_auth", false],
  ["kubernetes.ready", false],
  ["kubernetes.join.server", true],
  ["pools.server.address", false],
  ["providers.x.api_key_file", false],
])("takesRestart(%p) is %p", (key, expected) => {
  expect(takesRestart(key)).toBe(expected);
});
