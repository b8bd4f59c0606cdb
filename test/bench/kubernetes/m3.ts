/**
 * M3: time from the failure of 750 of 1,500 nodes within a second until an independent watch shows
 * all of them unschedulable. Configuration lifts the budgets and the breaker. Drains, terminations
 * and purchases run too, and compete with the marks. A second run with the default safety settings
 * shows that they hold back the same burst, and that the plan explains each node that waits.
 */
import { held, shown } from "../bench.ts";
import { heldBackOf, formatHeldBack } from "./held-back.ts";
import { markedOf } from "./mark.ts";
import { type BenchRun, latencyOf, type Latency, type Outcome } from "./outcome.ts";
import { until } from "../../fixture/plane/plane.ts";
import { formatBound } from "./share.ts";
import { World } from "./world.ts";

const NODES = 1_500;
/** Time in which the default settings isolate as many nodes as they allow. */
const DEFAULTS_MS = 30_000;
const BURST_MS = 1_000;
/** Default fleet-wide isolation budget (docs/reference/safety.md#budgets). */
const ISOLATE_SHARE = 0.1;
const LIMIT_MS = 180_000;
/** The product's own rate limit (`limiter.ts`). */
const MARKS = "150 nodes a second at most, after a burst of 50 to 150";

type Burst = {
  seconds: number;
  acknowledgedSeconds: number;
  lagMs: number;
  before: Latency;
  during: Latency;
  cpu: Record<string, number>;
  unread: number;
};

export async function m3({ tiny, nodes, runs, xid, say }: BenchRun): Promise<Outcome> {
  const size = tiny ? 12 : (nodes ?? NODES);
  const bursts: Burst[] = [];
  for (let run = 1; run <= runs; run++) {
    const one = await burst(size, xid, tiny, say);
    bursts.push(one);
    say(`  run ${run} of ${runs}: ${one.seconds.toFixed(2)} s`);
  }
  const worst = bursts.toSorted((a, b) => b.seconds - a.seconds)[0];
  if (worst === undefined) throw new Error("no run");
  const defaults = await holdBack(size, xid, tiny, say);
  const least = Math.min(...bursts.map(({ seconds }) => seconds));
  const failed = size / 2;
  const room = Math.max(1, Math.floor(size * ISOLATE_SHARE));
  const unread = bursts.reduce((sum, one) => sum + one.unread, 0);
  return {
    figures: [
      held("all read back unschedulable, worst run", worst.seconds, "s", 15, 5),
      shown("all read back unschedulable, best run", least, "s"),
      shown("last mark answered by audit log, worst run", worst.acknowledgedSeconds, "s"),
      shown("burst sent late by at most", worst.lagMs, "ms"),
      shown("API read p99 before", worst.before.readP99, "ms"),
      shown("API read p99 during", worst.during.readP99, "ms"),
      shown("API write p99 before", worst.before.writeP99, "ms"),
      shown("API write p99 during", worst.during.writeP99, "ms"),
      shown("runs", bursts.length, "count"),
      shown("nodes", size, "count"),
      shown("nodes that failed", failed, "count"),
      held("defaults: nodes marked", defaults.marked, "count", room),
      held("defaults: instances ended", defaults.ended, "count", room),
    ],
    broken: [
      ...(unread === 0 ? [] : [`${unread} nodes were not unschedulable when read back`]),
      ...(defaults.marked > room ? [`defaults: ${defaults.marked} marked, at most ${room}`] : []),
      ...(defaults.marked === 0 ? ["defaults: nothing was marked at all"] : []),
      ...defaults.silent.map((id) => `defaults: the plan says nothing about ${id}`).slice(0, 3),
    ],
    notes: {
      bound: `${formatBound(worst.cpu)}; the product marks ${MARKS}`,
      setUp: `virtual nodes, XID ${xid}, reports within ${BURST_MS} ms, etcd with fsync`,
      defaults: defaults.told,
      elsewhere:
        "304 s for 750 of 1,500 real nodes; 28.0/42.7 s p50/p99 for 1,000 virtual ones; " +
        "both on other hardware",
      clock: "first report handed to its socket to last sight of the watch, one host's wall clock",
    },
    cpu: worst.cpu,
  };
}

const halfOf = (world: World) => [...world.members.values()].filter((_, i) => i % 2 === 0);

async function burst(
  size: number,
  xid: number,
  tiny: boolean,
  say: (line: string) => void,
): Promise<Burst> {
  const world = await World.open({ size, open: true, watch: "nodes", say });
  try {
    await Bun.sleep(tiny ? 500 : 10_000);
    const before = latencyOf(await world.probes());
    const failing = halfOf(world);
    const shares = world.shares();
    const { sent, lagMs } = await world.fail(failing, tiny ? 100 : BURST_MS, xid);
    const seen = await until("all are unschedulable", LIMIT_MS, async () => {
      const now = await world.unschedulable();
      await Bun.sleep(100);
      return failing.every(({ object }) => now.has(object)) ? now : null;
    });
    const cpu = shares.end();
    const during = latencyOf(await world.probes());
    const first = Math.min(...Object.values(sent));
    const last = Math.max(...failing.map(({ object }) => seen.get(object) ?? Number.NaN));
    const marked = markedOf(world.cluster.audit());
    const answered = Math.max(...failing.map(({ object }) => marked.get(object) ?? Number.NaN));
    return {
      seconds: (last - first) / 1_000,
      acknowledgedSeconds: (answered - first) / 1_000,
      lagMs,
      before,
      during,
      cpu,
      unread: await countUnread(world, new Set(failing.map(({ object }) => object))),
    };
  } finally {
    const left = await world.close();
    if (left.length > 0) say(`left behind: ${left.join(", ")}`);
  }
}

type NodeList = { items: { metadata: { name: string }; spec: { unschedulable?: boolean } }[] };

/** Counts listed Nodes that are not unschedulable; Nodes removed meanwhile are not counted. */
async function countUnread(world: World, names: ReadonlySet<string>): Promise<number> {
  const { items } = await world.cluster.json<NodeList>("/api/v1/nodes");
  const off = items.filter(({ spec }) => spec.unschedulable !== true);
  return off.filter(({ metadata }) => names.has(metadata.name)).length;
}

type Defaults = { marked: number; ended: number; told: string; silent: string[] };

async function holdBack(
  size: number,
  xid: number,
  tiny: boolean,
  say: (line: string) => void,
): Promise<Defaults> {
  const world = await World.open({ size, open: false, watch: "nodes", say });
  try {
    const failing = halfOf(world);
    await world.fail(failing, tiny ? 100 : BURST_MS, xid);
    await Bun.sleep(tiny ? 3_000 : DEFAULTS_MS);
    const marked = await world.unschedulable();
    const waiting = failing.filter(({ object }) => !marked.has(object)).map(({ node }) => node);
    const back = heldBackOf(await world.plan(), new Set(waiting));
    const ended = world.plane.reality().terminated.length;
    const told = `${marked.size} of ${failing.length} marked; ${formatHeldBack(back)}`;
    say(`  defaults: ${told}`);
    return { marked: marked.size, ended, told, silent: back.silent };
  } finally {
    const left = await world.close();
    if (left.length > 0) say(`left behind: ${left.join(", ")}`);
  }
}
