/**
 * `docs/metrics.md`: every metric of the control plane, from a page that it printed, and of the
 * agent, from the calls that print its page.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { COUNTER, DCGM } from "../../agent/report/metrics.ts";
import { ROOT } from "../../build/product.ts";
import { formatNodeResources } from "../../reconciler/http/metrics/node-resource.ts";
import { noDemandQueue } from "../../reconciler/core/console/demand.ts";
import { poolYaml, World } from "../world/world.ts";
import { fakePools, type FakePools } from "../world/agent-pools.ts";
import { openWorldApp } from "../world/app.ts";
import { code, formatHead, formatTable, readProse } from "./markdown.ts";

type Metric = { name: string; type: string; help: string };

export async function formatMetrics(): Promise<string> {
  const head = formatHead("Metrics", "the pages that both programs print");
  const page = await formatPage();
  const labels = readLabels(page);
  const control = metricsOf(page).map(({ name, type, help }) => {
    const known = labels.get(name) ?? [];
    return [code(name), type, known.map(code).join(", "), help];
  });
  const agent = agentMetrics().map(({ name, type, help }) => [code(name), type, help]);
  const first = formatTable(["metric", "type", "labels", "meaning"], control);
  const second = formatTable(["metric", "type", "meaning"], agent);
  return `${head}${readProse("metrics")}${first}${readProse("agent-metrics")}${second}`;
}

/** A page of a fleet with one pool of two nodes. */
async function formatPage(): Promise<string> {
  const slurm = 'slurm: { nodes: "n[0-1]" }';
  const yaml = `${poolYaml(2, `    ${slurm}\n`)}slurm: { enabled: true }\n`;
  const world = await World.open(yaml, { slurm: { nodes: 2 } });
  try {
    const depth = [{ class: "batch", priority: "low", pool: "p", tasks: 1 }] as const;
    const figures = () => ({ depth, perSecond: 1, meanSeconds: 1, backlogSeconds: 1 });
    const queue = { ...noDemandQueue(""), figures };
    const app = openWorldApp(world, undefined, toldPools(), queue);
    await world.until(() => world.serving().length === 2, 600);
    const page = (await app.call("GET", "/metrics", undefined, null)).text;
    return page + formatShares();
  } finally {
    await world.close();
  }
}

/** One AgentPool to which something has happened. */
function toldPools(): FakePools {
  const pools = fakePools(["default/p"]);
  for (const view of pools.views) view.last = { scale_up_attempt: 0 };
  return pools;
}

/** What a cluster adds, and `navarch exporter` serves alone. */
function formatShares(): string {
  const node = { name: "n", labels: {}, allocatable: ["8"], uses: () => [] };
  const labels = [{ key: "a", name: "a" }];
  const view = { resources: ["cpu"], labels, stale: null, nodes: () => [node] };
  return [...formatNodeResources(view)]
    .map((bytes) =>
      Buffer.from(bytes)
        .toString()
        .replaceAll(/(?<=,)a=/g, "LABEL="),
    )
    .join("");
}

function metricsOf(page: string): Metric[] {
  const types = new Map(
    [...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = "", type = ""]) => [name, type]),
  );
  return [...page.matchAll(/^# HELP (\S+) (.+)$/gm)].map(([, name = "", help = ""]) => {
    return { name, type: types.get(name) ?? "", help };
  });
}

/** Labels of the series on the page; of metrics without a series, as they are declared. */
function readLabels(page: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>(Object.entries(declaredLabels()));
  for (const [, name = "", inner = ""] of page.matchAll(/^(\w+)\{(.*)\} \S+$/gm)) {
    const keys = [...inner.matchAll(/(?:^|,)(\w+)="/g)].map(([, key = ""]) => key);
    found.set(name, keys);
  }
  return found;
}

const GPU = ["pool", "node_id", "gpu_index", "gpu_uuid"];

/** Labels of series that are written as text, which neither the page nor a pattern shows. */
const WRITTEN: Readonly<Record<string, string[]>> = {
  navarch_node_gpu_temperature_celsius: GPU,
  navarch_node_gpu_utilization_percent: GPU,
  navarch_node_gpu_memory_used_bytes: GPU,
  navarch_node_gpu_power_watts: GPU,
  navarch_gpu_xid_errors_total: ["pool", "node_id", "gpu_index", "xid"],
  navarch_provider_offer_backoff_seconds: ["provider", "region", "type"],
};

/** Name, buckets if any, labels. */
const MADE = /this\.(?:counter|histogram)\(\s*"(\w+)"(?:,\s*\[[^\]]*\])?([\s",\w]*)\)/g;

/** What stands in the source: the labels of a counter, and the keys given to a series. */
function declaredLabels(): Record<string, string[]> {
  const labels: Record<string, string[]> = {};
  for (const text of sourcesOf("reconciler/*metrics*.ts")) {
    for (const [, name = "", keys = ""] of text.matchAll(MADE)) {
      labels[name] = [...keys.matchAll(/"(\w+)"/g)].map(([, key = ""]) => key);
    }
    for (const [, variable = "", name = ""] of text.matchAll(
      /const (\w+) = new Series\(\s*"(navarch_\w+)"/g,
    )) {
      const added = new RegExp(`\\b${variable}\\.add\\(\\{([^}]*)\\}`).exec(text)?.[1] ?? "";
      labels[name] = [...added.matchAll(/(\w+)\s*(?::[^,]*)?(?:,|$)/g)].map(([, key = ""]) => key);
    }
  }
  return { ...labels, ...WRITTEN };
}

/** The agent's page needs a machine to be full, so its names come from where they are written. */
function agentMetrics(): Metric[] {
  const text = sourcesOf("agent/report/metrics.ts").join("");
  const metrics = new Map<string, Metric>();
  const add = (name: string, help: string) =>
    metrics.set(name, { name, type: COUNTER.test(name) ? "counter" : "gauge", help });
  for (const [suffix, help] of DCGM) add(`DCGM_FI_DEV_${suffix}`, help);
  for (const [, name = "", help = ""] of text.matchAll(/\b\w+\(\s*"(\w+)",\s*"([^"]+)",/g)) {
    add(name, help);
  }
  for (const name of new Set(text.match(/\b(?:navarch_|DCGM_FI_DEV_)\w+/g))) {
    if (!metrics.has(name) && name !== "DCGM_FI_DEV_") {
      throw new Error(`agent/report/metrics.ts: ${name} is not understood`);
    }
  }
  return [...metrics.values()];
}

function sourcesOf(pattern: string): string[] {
  const listed = Bun.spawnSync(["git", "ls-files", pattern], { cwd: ROOT });
  return listed.stdout
    .toString()
    .split("\n")
    .filter((path) => path !== "" && !path.endsWith(".test.ts"))
    .map((path) => readFileSync(join(ROOT, path), "utf8"));
}
