/**
 * Proof: 1,000 virtual nodes with simulated agents, Nodes of a real API server and nodes of a real
 * slurmctld. XID 79 on one node every two seconds, and on 200 at once: from the verdict to the
 * drain in Slurm, by the clock of the control plane; and what it asks of slurmctld at rest.
 *
 *     npm run once -- slurm-fleet
 */
import { parseArgs } from "node:util";
import type { EventView } from "../../../schema/api.ts";
import { until } from "../../fixture/plane/plane.ts";
import type { Figures } from "../../once/record.ts";
import { KwokGround, rise } from "../workflow/kwok-ground.ts";
import { openSlurm } from "./cluster.ts";

const { values } = parseArgs({
  options: {
    figures: { type: "string" },
    nodes: { type: "string", default: "1000" },
    /** How many have a slurmd that runs; the others are CLOUD nodes that are powered down. */
    slurmd: { type: "string", default: "200" },
    single: { type: "string", default: "60" },
    burst: { type: "string", default: "200" },
  },
});
const total = Number(values.nodes);
const registered = Number(values.slurmd);
const [single, burst] = [Number(values.single), Number(values.burst)];
const LIMIT = { p99Ms: 1_000, burstMs: 15_000, rpcsPerMinute: 12 };
const REST_MS = 120_000;

const slurm = await openSlurm({ nodes: registered, cloud: total - registered });
const cloudNames = total === registered ? "" : `,c[0-${total - registered - 1}]`;
const ground = await KwokGround.open(total, {
  pool: `    health: { unhealthy_threshold: 1, auto_replace: false }
    slurm: { partition: compute, nodes: "n[0-${registered - 1}]${cloudNames}" }
`,
  config: `slurm: { enabled: true, conf: "${slurm.conf}" }
safety: { breaker: { enabled: false } }
`,
});
const { plane } = ground;

/** Requests that slurmctld has answered since it started. */
async function countRpcs(): Promise<number> {
  const out = await slurm.must("sdiag");
  const counts = [...out.matchAll(/^\s+REQUEST_\S+\s+\(\s*\d+\)\s+count:(\d+)/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Milliseconds from the verdict to the drain, of each node that has both. */
async function delays(nodes: ReadonlySet<string>): Promise<number[]> {
  const events = await allEvents();
  const first = (kind: string): Map<string, number> => {
    const found = new Map<string, number>();
    for (const event of events) {
      if (event.kind !== kind || event.node_id === null || !nodes.has(event.node_id)) continue;
      const at = Date.parse(event.at);
      found.set(event.node_id, Math.min(at, found.get(event.node_id) ?? at));
    }
    return found;
  };
  const [verdicts, drains] = [first("node.unhealthy"), first("slurm.drained")];
  return [...drains].flatMap(([node, at]) => {
    const since = verdicts.get(node);
    return since === undefined ? [] : [at - since];
  });
}

async function allEvents(): Promise<EventView[]> {
  const all: EventView[] = [];
  for (let after = 0; ; after = all.at(-1)?.id ?? 0) {
    const more = await plane.events(`&after=${after}`);
    all.push(...more);
    if (more.length === 0) return all;
  }
}

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * q) - 1)] ?? Number.NaN;

async function drainedInSlurm(): Promise<number> {
  // Rarely: each look costs slurmctld a list of all nodes.
  await Bun.sleep(1_000);
  const out = await slurm.must("scontrol", "-o", "show", "nodes");
  return out.split("\n").filter((line) => /State=\S*DRAIN/.test(line)).length;
}

const risen = await rise(ground, total, 400_000);
const nodes = (await plane.serving()).map(({ node_id }) => node_id);
await Bun.sleep(60_000);
const before = await countRpcs();
await Bun.sleep(REST_MS);
// The two calls of sdiag are no part of it.
const rpcsPerMinute = ((await countRpcs()) - before - 1) / (REST_MS / 60_000);

const lose = (node: string): Promise<void> =>
  ground.inject(node, { id: "gone", atMs: Date.now(), kind: "xid", code: 79, gpu: 0 });

const alone = nodes.slice(0, single);
for (const node of alone) {
  await lose(node);
  await Bun.sleep(2_000);
}
await until("all of them are drained", 120_000, async () =>
  (await drainedInSlurm()) >= single ? true : null,
);
const one = (await delays(new Set(alone))).sort((a, b) => a - b);

const many = nodes.slice(single, single + burst);
await Promise.all(many.map(lose));
await until("the burst is drained", 300_000, async () =>
  (await drainedInSlurm()) >= single + burst ? true : null,
);
const all = (await delays(new Set(many))).sort((a, b) => a - b);
const drained = await drainedInSlurm();
const planeMib = ground.rssMib(plane.pid);
const left = await ground.close();
await slurm.close();
if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);

const figures: Figures = {
  nodes: total,
  "slurmd that ran": registered,
  "serving, s": risen.servingS,
  "RPCs a minute at rest": rpcsPerMinute,
  "verdict to drained, p50 ms": quantile(one, 0.5),
  "verdict to drained, p99 ms": quantile(one, 0.99),
  "at once": all.length,
  "half of them drained after, ms": quantile(all, 0.5),
  "last of them drained after, ms": all.at(-1) ?? Number.NaN,
  "drained in Slurm at the end": drained,
  "control plane, RSS MiB": planeMib,
};
console.log(JSON.stringify(figures, null, 2));
if (values.figures !== undefined) await Bun.write(values.figures, JSON.stringify(figures, null, 2));
const isFast = quantile(one, 0.99) <= LIMIT.p99Ms && (all.at(-1) ?? Infinity) <= LIMIT.burstMs;
const isWhole = one.length === single && all.length === burst && drained === single + burst;
process.exit(isFast && isWhole && rpcsPerMinute <= LIMIT.rpcsPerMinute ? 0 : 1);
