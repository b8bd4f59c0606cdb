/**
 * M2: a verdict received by the reconciler → the API server acknowledged the Node unschedulable;
 * one node at a time, steady load: 1,000 Node objects whose kubelets renew their leases, 1,000
 * agents that report every 10 s, one fatal fault every 2 s for 11 minutes. The first tenth is
 * warm-up. Each node fails once. `auto_replace` is off, so that what follows a mark is not in the
 * way of the next.
 */
import { held, shown, spreadOf } from "../bench.ts";
import { readMarks } from "./mark.ts";
import { type BenchRun, latencyOf, type Outcome } from "./outcome.ts";
import { until } from "../../fixture/plane/plane.ts";
import { formatBound } from "./share.ts";
import { World } from "./world.ts";

const NODES = 1_000;
const SAMPLES = 300;
const EVERY_MS = 2_000;

export async function m2({ tiny, nodes, speed, xid, say }: BenchRun): Promise<Outcome> {
  const samples = tiny ? 6 : Math.min(SAMPLES, nodes === null ? SAMPLES : Math.floor(nodes * 0.9));
  const warm = Math.ceil(samples / 9);
  const size = tiny ? samples + warm : (nodes ?? NODES);
  const world = await World.open({ size, open: true, watch: "nodes", marksOnly: true, say });
  try {
    const everyMs = EVERY_MS / speed;
    await Bun.sleep(tiny ? 500 : 10_000);
    const before = latencyOf(await world.probes());
    const shares = world.shares();
    const chosen = [...world.members.values()].slice(0, warm + samples);
    const sent: Record<string, number> = {};
    const startMs = performance.now();
    for (const [i, member] of chosen.entries()) {
      // Unequal pauses: in step with the product's own second, every sample would wait alike.
      const dueMs = startMs + i * everyMs + ((i * 617) % 1_000) * (everyMs / 4_000);
      await Bun.sleep(Math.max(0, dueMs - performance.now()));
      Object.assign(sent, (await world.fail([member], 0, xid)).sent);
      if ((i + 1) % 50 === 0) say(`  ${i + 1} of ${chosen.length}`);
    }
    await until("every node is marked", 30_000, async () => {
      const seen = await world.unschedulable();
      return chosen.every(({ object }) => seen.has(object)) ? true : null;
    });
    const during = latencyOf(await world.probes());
    const cpu = shares.end();
    const judged = chosen.slice(warm);
    const { own, marked } = await readMarks(judged, {
      log: () => world.plane.log(),
      audit: () => world.cluster.audit(),
    });
    const inside = judged.map(({ node }) => own.get(node) ?? Number.NaN);
    const outside = judged.map(
      ({ node, object }) => (marked.get(object) ?? Number.NaN) - (sent[node] ?? Number.NaN),
    );
    const [mine, theirs] = [spreadOf(inside), spreadOf(outside)];
    return {
      figures: [
        held("verdict parsed to acknowledged p99", mine.p99, "ms", 150, 100),
        held("verdict parsed to acknowledged p50", mine.p50, "ms", 150, 15),
        shown("verdict parsed to acknowledged p90", mine.p90, "ms"),
        shown("verdict parsed to acknowledged max", mine.max, "ms"),
        shown("report sent to answered by audit log p50", theirs.p50, "ms"),
        shown("report sent to answered by audit log p99", theirs.p99, "ms"),
        shown("API read p99 before", before.readP99, "ms"),
        shown("API read p99 during", during.readP99, "ms"),
        shown("API write p99 before", before.writeP99, "ms"),
        shown("API write p99 during", during.writeP99, "ms"),
        shown("samples", mine.count, "count"),
        shown("nodes", size, "count"),
      ],
      broken: [...inside, ...outside].some((ms) => !Number.isFinite(ms))
        ? ["a verdict has no acknowledged mark in the product's log or in the audit log"]
        : [],
      notes: {
        bound: formatBound(cpu),
        setUp: `${size} virtual nodes, one XID ${xid} each ${everyMs} ms, etcd with fsync`,
        clock: "both instants by the product's own wall clock, whole ms: error up to 1 ms",
        elsewhere: "26/48/165/373 ms p50/p90/p99/max on 50,000 virtual nodes, other hardware",
      },
      cpu,
    };
  } finally {
    const left = await world.close();
    if (left.length > 0) say(`left behind: ${left.join(", ")}`);
  }
}
