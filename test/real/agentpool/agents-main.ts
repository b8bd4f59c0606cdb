/**
 * Proof: thousands of workers of AgentPools join a control plane on a real API server, each with a
 * token bound to its pod, and report at the default cadence while claims come. All have one source
 * address, as behind one NAT, which may send 16 requests without a credential at once.
 *
 *     npm run once -- agentpool-agents
 */
import { parseArgs } from "node:util";
import { readCpuNs } from "../../bench/cpu-clock.ts";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import type { Figures } from "../../once/record.ts";
import { PoolBed } from "./bed.ts";
import { type CrowdPod, WorkerCrowd } from "./worker-crowd.ts";

const { values } = parseArgs({
  options: {
    figures: { type: "string" },
    pools: { type: "string", default: "40" },
    workers: { type: "string", default: "50" },
    claims: { type: "string", default: "1000" },
    restS: { type: "string", default: "90" },
  },
});
const [pools, workers] = [Number(values.pools), Number(values.workers)];
const [burst, restS] = [Number(values.claims), Number(values.restS)];
const all = pools * workers;
const SLOTS = 2;
const CALLERS = 16;
const LIMIT = { p99Ms: 200, writesPerSecond: 2 };

const poolOf = (name: string): string =>
  JSON.stringify({
    ...{ apiVersion: "velda.io/v1", kind: "AgentPool" },
    metadata: { name, namespace: "default" },
    spec: {
      autoscaler: {
        ...{ minReplicas: workers, maxReplicas: workers, minIdle: 0 },
        ...{ maxIdle: workers * SLOTS, defaultSlotsPerAgent: SLOTS },
      },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: "agent", image: "agent" }] },
      },
    },
  });

await buildStale();
const bed = await PoolBed.open({}, { nodes: Math.ceil(all / 100), cadence: "" });
const { plane } = bed;
const names = Array.from({ length: pools }, (_, i) => `p${i}`);
for (const name of names) await bed.apply(poolOf(name));

const pods: CrowdPod[] = [];
await until("all pods run", 1_200_000, async () => {
  pods.length = 0;
  for (const pool of names) {
    for (const { metadata, status } of await bed.pods(pool)) {
      if (status.phase === "Running") pods.push({ name: metadata.name, uid: metadata.uid, pool });
    }
  }
  if (pods.length < all) throw new Error(`${pods.length} do`);
  return true;
});

const cpuMs = (): number => (readCpuNs(plane.pid) ?? Number.NaN) / 1e6;
/** Writes of the control plane to the API server since it started. */
async function writes(): Promise<number> {
  const text = await (await plane.fetch("/metrics")).text();
  const found = [...text.matchAll(/^navarch_kube_writes_total\{.*\} (\d+)$/gm)];
  return found.reduce((sum, [, count]) => sum + Number(count), 0);
}
/** As the control plane tells. */
async function idleWorkers(): Promise<number> {
  const text = await (await plane.fetch("/metrics")).text();
  const found = text.matchAll(/^navarch_agentpool_workers\{.*status="Idle".*\} (\d+)$/gm);
  return [...found].reduce((sum, [, count]) => sum + Number(count), 0);
}

const crowd = new WorkerCrowd(bed.cluster, plane.url);
const begun = performance.now();
const usedAt = cpuMs();
await crowd.start(pods);
const startedS = (performance.now() - begun) / 1_000;
await until("all have joined", 600_000, async () => {
  const idle = await idleWorkers();
  if (idle >= all) return true;
  throw new Error(`${idle} have: ${JSON.stringify([...crowd.failures])}`);
});
const joinS = (performance.now() - begun) / 1_000;
const joinCpuMs = cpuMs() - usedAt;
const failedWhileJoining = [...crowd.failures.values()].reduce((sum, one) => sum + one, 0);

// Status writes of the joins end.
await Bun.sleep(20_000);
const [used, sent, heard, at] = [cpuMs(), await writes(), crowd.replies, performance.now()];
await Bun.sleep(restS * 1_000);
const elapsedMs = performance.now() - at;
const corePercent = ((cpuMs() - used) / elapsedMs) * 100;
const writesPerSecond = ((await writes()) - sent) / (elapsedMs / 1_000);
const reportsPerSecond = (crowd.replies - heard) / (elapsedMs / 1_000);

const times: number[] = [];
let placed = 0;
let asked = 0;
async function askAll(): Promise<void> {
  while (asked < burst) {
    const pool = names[asked++ % names.length] ?? "";
    const from = performance.now();
    const { state } = await bed.claim(pool);
    times.push(performance.now() - from);
    if (state === "running") placed++;
  }
}
await Promise.all(Array.from({ length: CALLERS }, askAll));
times.sort((a, b) => a - b);
const rank = (share: number): number => times[Math.ceil(times.length * share) - 1] ?? Number.NaN;
// All are there still, and none was lost meanwhile.
const podsAfter = (await Promise.all(names.map((name) => bed.uids(name)))).flat();
const kept = new Set(pods.map(({ uid }) => uid));
const replaced = podsAfter.filter((uid) => !kept.has(uid)).length;
const peak = /VmHWM:\s*(\d+) kB/.exec(await Bun.file(`/proc/${plane.pid}/status`).text())?.[1];
crowd.stop();
await bed.close();

const figures: Figures = {
  workers: all,
  pools,
  "agents started after, s": startedS,
  "all joined and idle after, s": joinS,
  "joins a second": all / joinS,
  "control plane's CPU for a join, ms": joinCpuMs / all,
  "reports that failed while they joined": failedWhileJoining,
  "reports a second at rest": reportsPerSecond,
  "writes a second at rest": writesPerSecond,
  "percent of a core at rest": corePercent,
  "claims at once": times.length,
  "placed at once": placed,
  "claim answered, p50 ms": rank(0.5),
  "claim answered, p99 ms": rank(0.99),
  "workers replaced": replaced,
  "control plane, peak MiB": Math.round(Number(peak ?? Number.NaN) / 1_024),
};
console.log(JSON.stringify(figures, null, 2), JSON.stringify([...crowd.failures]));
if (values.figures !== undefined) await Bun.write(values.figures, JSON.stringify(figures, null, 2));
const isPlaced = placed === times.length && rank(0.99) <= LIMIT.p99Ms;
const isWell = replaced === 0 && writesPerSecond <= LIMIT.writesPerSecond;
process.exit(isPlaced && isWell ? 0 : 1);
