/**
 * Proof: many AgentPools at rest on a real API server, and a burst of claims where slots are free.
 * Pods run on KWOK nodes; those of the pool that is claimed have compiled agents with bound tokens,
 * the others have none and stay Pending in the pool's own words.
 *
 *     npm run once -- agentpool-fleet
 */
import { parseArgs } from "node:util";
import { readCpuNs } from "../../bench/cpu-clock.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import type { Figures } from "../../once/record.ts";
import { PoolBed } from "./bed.ts";

const { values } = parseArgs({
  options: {
    figures: { type: "string" },
    pools: { type: "string", default: "200" },
    workers: { type: "string", default: "50" },
    claims: { type: "string", default: "1000" },
    restS: { type: "string", default: "120" },
  },
});
const [pools, workers] = [Number(values.pools), Number(values.workers)];
const [burst, restS] = [Number(values.claims), Number(values.restS)];
const AGENTS = 10;
/** As many requests of one caller are read at once. */
const CALLERS = 16;
const LIMIT = { p99Ms: 200, writesPerSecond: 2, corePercent: 5 };
/** A node has room for 110 pods. */
const NODES = Math.ceil((pools * workers + AGENTS) / 100);

const poolOf = (name: string, autoscaler: Record<string, number>): string =>
  JSON.stringify({
    ...{ apiVersion: "velda.io/v1", kind: "AgentPool" },
    metadata: { name, namespace: "default" },
    spec: {
      autoscaler,
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: "agent", image: "agent" }] },
      },
    },
  });

await buildStale();
const bed = await PoolBed.open({}, { nodes: NODES });
const { plane } = bed;

/** Writes of the control plane to the API server since it started. */
async function writes(): Promise<number> {
  const text = await (await plane.fetch("/metrics")).text();
  const all = [...text.matchAll(/^navarch_kube_writes_total\{.*\} (\d+)$/gm)];
  return all.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** The server tells no count of what remains where a selector is given. */
async function countPods(): Promise<number> {
  const path = "/api/v1/pods?limit=1";
  type List = { items: unknown[]; metadata: { remainingItemCount?: number } };
  const { items, metadata } = await bed.cluster.json<List>(path);
  return items.length + (metadata.remainingItemCount ?? 0);
}

const begun = performance.now();
for (let i = 0; i < pools; i++) {
  const size = { minReplicas: workers, maxReplicas: workers, minIdle: 0, maxIdle: workers };
  await bed.apply(poolOf(`p${i}`, size));
}
await until("all workers are created", 1_200_000, async () => {
  const now = await countPods();
  if (now < pools * workers) throw new Error(`${now} are`);
  return true;
});
const upS = (performance.now() - begun) / 1_000;
await Bun.sleep(20_000);

const cpuMs = (): number => (readCpuNs(plane.pid) ?? Number.NaN) / 1e6;
const [used, sent] = [cpuMs(), await writes()];
await Bun.sleep(restS * 1_000);
const corePercent = (cpuMs() - used) / (restS * 10);
const writesPerSecond = ((await writes()) - sent) / restS;

const slots = Math.ceil(burst / AGENTS);
const wide = { minReplicas: AGENTS, maxReplicas: AGENTS, minIdle: 0, maxIdle: burst };
await bed.apply(poolOf("wide", { ...wide, defaultSlotsPerAgent: slots }));
await bed.waitPods("wide", AGENTS, 60_000);
await bed.join("wide");
await bed.claim("wide").then(({ id }) => bed.release(id));

const times: number[] = [];
const placed: boolean[] = [];
let asked = 0;
async function askAll(): Promise<void> {
  while (asked++ < burst) {
    const at = performance.now();
    const { state } = await bed.claim("wide");
    times.push(performance.now() - at);
    placed.push(state === "running");
  }
}
const burstAt = performance.now();
await Promise.all(Array.from({ length: CALLERS }, askAll));
const burstS = (performance.now() - burstAt) / 1_000;
times.sort((a, b) => a - b);
const rank = (share: number): number => times[Math.ceil(times.length * share) - 1] ?? Number.NaN;
const peak = /VmHWM:\s*(\d+) kB/.exec(await Bun.file(`/proc/${plane.pid}/status`).text())?.[1];
await bed.close();

const figures: Figures = {
  pools,
  "workers of each": workers,
  "all created after, s": upS,
  "writes a second at rest": writesPerSecond,
  "percent of a core at rest": corePercent,
  "claims at once": burst,
  "placed at once": placed.filter(Boolean).length,
  "all answered after, s": burstS,
  "claim answered, p50 ms": rank(0.5),
  "claim answered, p99 ms": rank(0.99),
  "control plane, peak MiB": Math.round(Number(peak ?? Number.NaN) / 1_024),
};
console.log(JSON.stringify(figures, null, 2));
if (values.figures !== undefined) await Bun.write(values.figures, JSON.stringify(figures, null, 2));
const isResting = writesPerSecond <= LIMIT.writesPerSecond && corePercent <= LIMIT.corePercent;
const isPlaced = placed.every(Boolean) && rank(0.99) <= LIMIT.p99Ms;
process.exit(isResting && isPlaced ? 0 : 1);
