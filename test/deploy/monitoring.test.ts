/**
 * Rules and dashboard against the metrics that the product really has: every name and every label
 * in an expression is on a live page, promtool accepts each expression, and the rules fire and stop
 * as their own unit tests say.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import type { ConsoleCluster } from "../../reconciler/core/console/cluster.ts";
import type { Hpa } from "../../reconciler/core/console/hpa.ts";
import { HpaLog } from "../../reconciler/core/console/hpa-log.ts";
import { findPrometheus } from "../fixture/monitoring/prometheus.ts";
import { poolYaml, World } from "../world/world.ts";
import { fakePools } from "../world/agent-pools.ts";
import { openWorldApp } from "../world/app.ts";
import { DEPLOY, parseDocuments, readObjects, runTool } from "./object.ts";

const MONITORING = join(DEPLOY, "monitoring");
const RULES = join(MONITORING, "rule/navarch.rules.yml");
const IS_CI = process.env["CI"] === "true";

type Group = { name: string; rules: { alert: string; expr: string }[] };
type Target = { expr: string; legendFormat: string };
type Panel = { id: number; type: string; title: string; targets?: Target[] };
type Dashboard = { uid: string; panels: Panel[]; templating: { list: { name: string }[] } };

const [{ groups }] = parseDocuments(readFileSync(RULES, "utf8")) as [{ groups: Group[] }];
const dashboards = ["fleet", "autoscaling"].map((name): Dashboard => {
  return JSON.parse(readFileSync(join(MONITORING, `dashboard/navarch-${name}.json`), "utf8"));
});

const targets = dashboards.flatMap(({ panels }) => panels).flatMap((panel) => panel.targets ?? []);
const expressions = [...groups.flatMap((one) => one.rules), ...targets].map(({ expr }) => expr);

const HPA: Hpa = {
  ...{ namespace: "kai-ml", name: "web-hpa", uid: "u-1", target: "web", min: 2, max: 10 },
  ...{ current: 2, desired: 2, limit: null },
  metrics: [{ type: "Resource", metric: "cpu", measure: "utilization", value: 1, threshold: 2 }],
};
/** Names of the product's metrics. */
const NAMES = /\b(?:navarch|coordinator|ml_processing)_\w+/g;

describe("names and labels", () => {
  let world: World;
  const labels = new Map<string, Set<string>>();
  beforeAll(async () => {
    world = await World.open(poolYaml(2, ""));
    const app = openWorldApp(world, undefined, fakePools(["default/p"]));
    const log = new HpaLog();
    log.take([HPA], world.clock.wallMs());
    app.ports.console = { knownHpas: () => log } as unknown as ConsoleCluster;
    await world.until(() => world.serving().length === 2, 600);
    const page = (await app.call("GET", "/metrics", undefined, null)).text;
    for (const line of page.split("\n")) {
      const name = /^# HELP (\w+) /.exec(line)?.[1] ?? /^(\w+)/.exec(line)?.[1];
      if (name === undefined) continue;
      const known = labels.get(name) ?? new Set<string>();
      for (const [, label] of line.matchAll(/[{,](\w+)="/g)) if (label) known.add(label);
      labels.set(name, known);
    }
  });
  afterAll(() => world.close());

  test("C80: of every expression are the product's", () => {
    const used = new Set(expressions.flatMap((expr) => expr.match(NAMES) ?? []));
    const unknown = [...used].filter((name) => {
      const base = name.replace(/_bucket$/, "");
      return !labels.has(name) && !labels.has(base);
    });
    expect(unknown).toEqual([]);
    expect(used.size).toBeGreaterThan(20);
  });

  test("C80: that select series are labels of that metric, where the page has one", () => {
    const wrong = expressions.flatMap((expr) =>
      [...expr.matchAll(/\b((?:navarch|coordinator)_\w+)\{([^}]*)\}/g)].flatMap(
        ([, name = "", inside = ""]) => {
          const known = labels.get(name) ?? new Set();
          const asked = [...inside.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(
            ([, label = ""]) => label,
          );
          return known.size === 0
            ? []
            : asked.filter((one) => !known.has(one)).map((l) => name + l);
        },
      ),
    );
    expect(wrong).toEqual([]);
  });

  test("in legends are ones that the expression leaves", () => {
    const wrong = targets.flatMap(({ expr, legendFormat }) => {
      const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = ""]) => label);
      const kept = [...expr.matchAll(/\bby \(([^)]*)\)/g)].map(([, list = ""]) =>
        list.split(/, */),
      );
      if (kept.length > 0) return shown.filter((label) => !kept.some((one) => one.includes(label)));
      const names = expr.match(NAMES) ?? [];
      const known = new Set(names.flatMap((name) => [...(labels.get(name) ?? [])]));
      return known.size === 0 ? [] : shown.filter((label) => !known.has(label));
    });
    expect(wrong).toEqual([]);
  });
});

// A standby shows its copy of the fleet: what is added up over replicas would count it twice.
test("C64: the dashboards take the fleet's gauges once, however many replicas show them", () => {
  const own = ["navarch_leader", "navarch_agent_streams"];
  const wrong = targets.flatMap(({ expr }) =>
    [...expr.matchAll(NAMES)]
      .filter(({ 0: name }) => !own.includes(name) && !name.startsWith("navarch_node_gpu_"))
      .filter(({ index }) => {
        return !/\b(max(?: by \([^)]*\) )?|rate|increase)\($/.test(expr.slice(0, index));
      })
      .map(() => expr),
  );
  expect(wrong).toEqual([]);
});

describe("the rules", () => {
  test("are the same for the Prometheus Operator", () => {
    const [rule] = readObjects("monitoring/prometheus-rule.yaml");
    expect(rule).toMatchObject({ kind: "PrometheusRule", spec: { groups } });
    const chart = join(DEPLOY, "helm/navarch/files/prometheus-rule.yaml");
    expect(parseDocuments(readFileSync(chart, "utf8"))).toEqual([{ groups }]);
  });

  test("are each exercised by a unit test that sees them fire and not fire", () => {
    type Case = { alertname: string; exp_alerts: unknown[] };
    const text = readFileSync(join(MONITORING, "rule/navarch.test.yml"), "utf8");
    const [{ tests }] = parseDocuments(text) as [{ tests: { alert_rule_test: Case[] }[] }];
    const cases = tests.flatMap((one) => one.alert_rule_test);
    const fires = cases.filter((one) => one.exp_alerts.length > 0).map((one) => one.alertname);
    const names = groups.flatMap((one) => one.rules.map((rule) => rule.alert));
    expect([...new Set(fires)].sort()).toEqual(names.toSorted());
  });
});

const promtool = findPrometheus("promtool");
if (promtool === null) console.error("SKIPPED: promtool is not here: apt-get install prometheus");

test("promtool is here to judge expressions with", () => {
  if (IS_CI) expect(promtool).not.toBeNull();
});

describe.skipIf(promtool === null)("promtool", () => {
  const tool = promtool ?? "";

  test("accepts the rules, and finds that they fire and stop as they should", () => {
    expect(runTool([tool, "check", "rules", RULES])).toContain("rules found");
    runTool([tool, "test", "rules", join(MONITORING, "rule/navarch.test.yml")]);
  }, 60_000);

  test("C64, C80: accepts every expression of the dashboards", () => {
    const folder = mkdtempSync(join(tmpdir(), "navarch-dashboard-"));
    try {
      const rules = targets.map(({ expr }, at) => {
        return { record: `panel:${at}`, expr: expr.replaceAll(/\$\w+/g, "a") };
      });
      const path = join(folder, "dashboard.yml");
      writeFileSync(path, stringify({ groups: [{ name: "dashboard", rules }] }));
      expect(runTool([tool, "check", "rules", path])).toContain(`${rules.length} rules found`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 60_000);
});

test("a dashboard's panels have ids of their own and variables that it declares", () => {
  for (const { panels, templating } of dashboards) {
    const ids = panels.map((panel) => panel.id);
    expect(new Set(ids).size).toBe(ids.length);
    const declared = templating.list.map((one) => one.name).sort();
    const used = JSON.stringify(panels).matchAll(/\$\{?(\w+)/g);
    expect([...new Set([...used].map(([, name = ""]) => name))].sort()).toEqual(declared);
  }
});
