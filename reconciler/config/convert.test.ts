/** A configuration printed in either dialect reads back to itself. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import type { Config } from "../../schema/config.ts";
import { configFile, convertConfig } from "./convert.ts";
import type { Dialect } from "./layer.ts";
import { formatConfig } from "./secret.ts";
import { formatProblem } from "./problem.ts";
import { readConfig } from "./read.ts";

// Thousands of generated configurations, beside two other lanes of tests.
setDefaultTimeout(60_000);

function config(text: string): Config {
  const answer = readConfig([{ name: "f", text }]);
  if (answer.config === null) throw new Error(answer.problems.map(formatProblem).join("\n"));
  return answer.config;
}

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 });
const length = fc
  .tuple(fc.integer({ min: 1, max: 90 }), fc.constantFrom("ms", "s", "m", "h"))
  .map(([n, unit]) => `${n}${unit}`);
const share = fc.oneof(
  fc.integer({ min: 0, max: 9 }),
  fc.integer({ min: 0, max: 100 }).map((n) => `${n}%`),
);
const label = fc.constantFrom("a", "b.c", "x.io/y");

const { autoscaler } = fc.letrec((tie) => ({
  autoscaler: fc.oneof(
    { maxDepth: 2 },
    fc.record({ type: fc.constant("queue"), count: maybe(fc.constantFrom("pods", "gpus")) }),
    fc.record({
      type: fc.constant("reactive"),
      scale_up_threshold: fc.double({ min: 51, max: 100, noNaN: true }),
      step: maybe(fc.integer({ min: 1, max: 5 })),
    }),
    fc.record({
      type: fc.constant("scheduled"),
      schedule: fc.array(
        fc.record({
          days: maybe(fc.subarray(["mon", "Sunday", "FRI"], { minLength: 1 })),
          start_hour: fc.oneof(fc.integer({ min: 0, max: 11 }), fc.constant("07:45")),
          end_hour: fc.integer({ min: 12, max: 24 }),
          min_nodes: fc.constant(1),
          max_nodes: fc.integer({ min: 1, max: 9 }),
        }),
        { minLength: 1, maxLength: 3 },
      ),
      timezone: maybe(fc.constantFrom("UTC", "Europe/Oslo")),
      fallback: maybe(tie("autoscaler")),
    }),
    fc.record({ type: fc.constant("predictive"), fallback: maybe(tie("autoscaler")) }),
    fc.record({
      type: fc.constant("composite"),
      autoscalers: fc.array(tie("autoscaler"), { minLength: 1, maxLength: 2 }),
    }),
  ),
}));

const drain = fc.record({
  mode: maybe(fc.constantFrom("evict", "wait")),
  grace_period: maybe(fc.oneof(length, fc.constant(-1))),
  timeout: maybe(fc.oneof(length, fc.constant(0))),
  force: maybe(fc.boolean()),
});

const spend = fc.record({ max_per_hour: maybe(fc.constant(99.5)), max_instances: maybe(fc.nat()) });

const pool = fc.record({
  provider: fc.constantFrom("fake", "lambda", "east"),
  adopt: maybe(fc.boolean()),
  instance_type: fc.constantFrom("a100-8x", "gpu_1x_a10"),
  gpus: maybe(fc.integer({ min: 0, max: 64 })),
  region: maybe(fc.constant("r1")),
  zones: maybe(fc.constant(["z1", "z2"])),
  scaling: fc.record({
    min_nodes: fc.integer({ min: 0, max: 5 }),
    max_nodes: fc.integer({ min: 9, max: 20 }),
    cooldown_period: maybe(length),
    autoscaler: maybe(autoscaler),
  }),
  health: maybe(fc.record({ auto_replace: maybe(fc.boolean()), max_unavailable: maybe(share) })),
  labels: maybe(fc.dictionary(label, fc.constantFrom("", "v", "5"))),
  taints: maybe(
    fc.uniqueArray(
      fc.oneof(
        fc.constantFrom("a:NoSchedule", "b=:PreferNoSchedule"),
        fc.constant({ key: "x.y/z", value: "1", effect: "NoSchedule" }),
      ),
    ),
  ),
  ssh_private_key_path: fc.constant("~/key"),
  setup_commands: maybe(fc.constant(["a {{.Pool}}", "b\n  c\n"])),
  ssh_host_key: maybe(fc.constantFrom("known_hosts:/k", "insecure")),
  replacement: maybe(fc.constantFrom("surge", "drain-first")),
  command_timeout: maybe(length),
  drain: maybe(drain),
  spend: maybe(spend),
});

const refs = fc.record({
  name: fc.constant("many"),
  providers: fc.constant([
    { name: "gcp", priority: 0, regions: ["r1", "r2"], instance_type: "x" },
    { name: "east", weight: 3 },
  ]),
  strategy: fc.constantFrom("cost", "round-robin"),
  instance_type: fc.constant("h100-8x"),
  min_nodes: fc.constant(0),
  max_nodes: fc.constant(2),
});

const safety = fc.record({
  budgets: maybe(
    fc.record({
      isolate: maybe(fc.record({ pool: maybe(share), window: maybe(fc.constant("5m")) })),
      replace: maybe(fc.record({ domain: maybe(share), fleet: maybe(share) })),
    }),
  ),
  breaker: maybe(fc.record({ enabled: maybe(fc.boolean()), rate: maybe(fc.constant(2)) })),
  spend: maybe(spend),
});

const SLACK = "https://hooks.slack.com/services/T0/B0/c2VjcmV0";
const hook = fc.constantFrom(SLACK, "${HOOK}/x", "https://h.example/p?token=c2VjcmV0", "");

const notifier = fc.record({
  type: fc.constant("webhook"),
  webhook: fc.record({
    cordon_url: hook,
    drain_url: hook,
    drain_status_url: maybe(hook),
    headers: maybe(fc.constant({ Authorization: "Bearer c2VjcmV0c2VjcmV0", "X-Key": "${KEY}" })),
    timeout: maybe(length),
    secret_env: maybe(fc.constant("S")),
  }),
});

const raw = fc.record({
  safety: maybe(safety),
  server: fc.record({
    address: fc.constantFrom(":1", "[::1]:50051", "10.0.0.1:7"),
    heartbeat_interval: maybe(fc.constantFrom("100ms", "1.5s", "2m")),
    tls: maybe(fc.constant({ cert_file: "c", key_file: "k" })),
    notifier: maybe(notifier),
  }),
  providers: fc.constant({
    east: { type: "aws", region: "e", subnets: ["a=subnet-1"], prices: ["x=1.5", "y=2"] },
    fake: { boot_delay: "3s", rate_limit: 2 },
    static: { hosts: ["a", "root@b:22"] },
  }),
  defaults: fc.record({ drain: maybe(drain), labels: maybe(fc.constant({ d: "1" })) }),
  pools: fc
    .tuple(fc.array(pool, { minLength: 1, maxLength: 2 }), maybe(refs))
    .map(([pools, more]) => [
      ...pools.map((one, i) => ({ name: `p${i}`, ...one })),
      ...(more === undefined ? [] : [more]),
    ]),
});

describe("convertConfig()", () => {
  test("prints what reads back to the same configuration, through both dialects", () => {
    fc.assert(
      fc.property(raw, (given) => {
        let now = config(JSON.stringify(given));
        const first = now;
        for (const dialect of ["list", "map", "list"] satisfies Dialect[]) {
          now = config(convertConfig(now, dialect));
          expect(now).toEqual(first);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("prints what is accepted when secrets are hidden in it, too", () => {
    fc.assert(
      fc.property(raw, (given) => {
        const first = config(JSON.stringify(given));
        const shown = JSON.parse(formatConfig(first)) as Config;
        const text = convertConfig(shown, "list");
        expect(text).not.toContain("c2VjcmV0");
        expect(config(JSON.stringify(configFile(shown, "list")))).toEqual(config(text));
        const { notifier: _hidden, ...server } = config(text).server;
        const { notifier: _plain, ...before } = first.server;
        expect({ ...config(text), server }).toEqual({ ...first, server: before });
        // Printed once more it is the same.
        expect(convertConfig(config(text), "list")).toBe(text);
      }),
      { numRuns: 150 },
    );
  });

  test("keeps every fixture's meaning", () => {
    for (const name of ["v1", "v2", "v3c", "v7", "v11", "canonical", "pair-map"]) {
      const path = join(import.meta.dir, "../../test/fixture/config", `${name}.yaml`);
      const found = config(readFileSync(path, "utf8"));
      expect(config(convertConfig(found, "list"))).toEqual(found);
      expect(config(convertConfig(found, "map"))).toEqual(found);
    }
  });
});

test.each(["list", "map"] as const)(
  "convertConfig() keeps where machines join, as %s",
  (dialect: Dialect) => {
    const given = 'join: {server: "https://k.example.com/"}, agent_account: team/agents';
    const before = config(`kubernetes: {${given}}\npools: []\n`);
    expect(before.kubernetes.join).toEqual({ server: "https://k.example.com:443" });
    expect(before.kubernetes.agentAccount).toBe("team/agents");
    expect(config(convertConfig(before, dialect)).kubernetes).toEqual(before.kubernetes);
  },
);
