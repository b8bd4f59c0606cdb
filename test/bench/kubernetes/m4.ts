/**
 * M4: 750 of 1,500 nodes fail within a second, with 15 pods of 30 s grace on each; the time from
 * the first eviction to the end of the last of those 11,250 pods. Nobody orders a drain: the
 * verdicts lead to marks, drains, ends and purchases, all of it competing. Once without disruption
 * budgets and without controllers (the pods end and nobody restarts them, so that the bound is
 * eviction), once with budgets of 50 % whose pods their controllers restart elsewhere, and once
 * with a configuration that says nothing about safety.
 */
import type { AuditEntry } from "../../real/kubernetes/cluster.ts";
import { isProduct } from "../../real/kubernetes/joined.ts";
import { until } from "../../fixture/plane/plane.ts";
import { held, shown } from "../bench.ts";
import { heldBackOf, formatHeldBack } from "./held-back.ts";
import { parseMicro } from "./mark.ts";
import { type BenchRun, latencyOf, type Latency, type Outcome } from "./outcome.ts";
import { addWork, countPresent, type PodsMade } from "./pods.ts";
import { formatBound } from "./share.ts";
import { type Member, World } from "./world.ts";

type Size = { nodes: number; perNode: number; graceS: number; groups: number; defaultsMs: number };
const FULL: Size = { nodes: 1_500, perNode: 15, graceS: 30, groups: 75, defaultsMs: 90_000 };
const TINY: Size = { nodes: 8, perNode: 2, graceS: 1, groups: 2, defaultsMs: 8_000 };
const LIMIT_MS = 30 * 60_000;
/** What may drain or be replaced at once in the whole fleet, the lesser of both. */
const REPLACE_SHARE = 0.02;

/** The pods' own grace; a deadline so late that no pod is ever deleted past its budget. */
const POOL = "    drain: { grace_period: -1, timeout: 3h, fatal_timeout: 3h }\n";

type Drained = {
  seconds: number;
  evictionSeconds: number;
  accepted: number;
  /** Accepted more than once for one pod, pods deleted past a budget, pods left. */
  twice: number;
  deleted: number;
  left: number;
  /** Of the group that came closest: ready pods at the worst instant less what its budget wants. */
  spare: number;
  /** The least that the product granted itself between two looks, writes a second. */
  allowed: number;
  before: Latency;
  during: Latency;
  cpu: Record<string, number>;
};

export async function m4({ tiny, nodes, runs, xid, say }: BenchRun): Promise<Outcome> {
  const size = tiny ? TINY : { ...FULL, nodes: nodes ?? FULL.nodes };
  const plain: Drained[] = [];
  for (let run = 1; run <= runs; run++) {
    const one = await drain(size, xid, false, say);
    plain.push(one);
    say(`  run ${run} of ${runs}: ${formatDrained(one)}`);
  }
  const worst = plain.toSorted((a, b) => b.seconds - a.seconds)[0];
  if (worst === undefined) throw new Error("no run");
  const budgeted = await drain(size, xid, true, say);
  say(`  with budgets: ${formatDrained(budgeted)}; ${budgeted.spare} ready pods above the closest`);
  const defaults = await holdBack(size, xid, say);
  const room = Math.max(1, Math.floor(size.nodes * REPLACE_SHARE));
  const pods = (size.nodes / 2) * size.perNode;
  const ratio = (key: keyof Latency, one: Drained): number => one.during[key] / one.before[key];
  return {
    figures: [
      held("first eviction to last pod gone, worst run", worst.seconds, "s", 360, 150),
      shown("of it first to last eviction", worst.evictionSeconds, "s"),
      shown("evictions a second", pods / worst.evictionSeconds, "count"),
      shown("pods", pods, "count"),
      shown("writes a second that the product allowed itself, least", worst.allowed, "count"),
      shown("runs", plain.length, "count"),
      shown("API read p99 before", worst.before.readP99, "ms"),
      shown("API read p99 during", worst.during.readP99, "ms"),
      shown("API write p99 before", worst.before.writeP99, "ms"),
      shown("API write p99 during", worst.during.writeP99, "ms"),
      held("API read p99 during over before, percent", 100 * ratio("readP99", worst), "%", 200),
      held("API write p99 during over before, percent", 100 * ratio("writeP99", worst), "%", 200),
      shown("budgets of 50 %: first eviction to last pod gone", budgeted.seconds, "s"),
      shown("budgets of 50 %: fewest ready pods above the budget", budgeted.spare, "count"),
      shown("budgets of 50 %: API read p99 during", budgeted.during.readP99, "ms"),
      shown("budgets of 50 %: API write p99 during", budgeted.during.writeP99, "ms"),
      held("defaults: nodes with a pod evicted", defaults.touched, "count", room),
    ],
    broken: [
      ...[...plain, budgeted].flatMap((one) => brokenOf(one)),
      ...(budgeted.spare < 0 ? [`a budget was violated by ${-budgeted.spare} pods`] : []),
      ...(defaults.touched > room ? [`defaults: ${defaults.touched} nodes, at most ${room}`] : []),
      ...(defaults.touched === 0 && !tiny ? ["defaults: nothing was drained at all"] : []),
      ...defaults.silent.map((id) => `defaults: the plan says nothing about ${id}`).slice(0, 3),
    ],
    notes: {
      bound: `${formatBound(worst.cpu)}; the product writes 200 times a second at most, from 20 up`,
      setUp:
        `${size.nodes} virtual nodes, ${size.perNode} pods of ${size.graceS} s grace on each ` +
        `that fails, XID ${xid}, etcd with fsync, writes_per_second_max 400`,
      defaults: defaults.told,
      elsewhere:
        "about 39 min for 11,683 evictions on 750 real nodes, bound by a client of 5/s; " +
        "250/279 s p50/p99 for 5,000 pods on virtual nodes; both on other hardware",
      clock:
        "the audit log's first eviction to the last end that a watch saw, one host's wall " +
        "clock; a deletion's time has whole seconds, so a grace period lasts up to 1 s less",
    },
    cpu: worst.cpu,
  };
}

/** As soon as it is known: all runs together take an hour. */
function formatDrained({ seconds, accepted, before, during, cpu }: Drained): string {
  const p99 = (key: "readP99" | "writeP99"): string =>
    `${before[key].toFixed(0)} -> ${during[key].toFixed(0)} ms`;
  return (
    `${seconds.toFixed(1)} s for ${accepted} evictions; API p99 of reads ${p99("readP99")}, of ` +
    `writes ${p99("writeP99")}; ${formatBound(cpu)}`
  );
}

function brokenOf({ twice, deleted, left }: Drained): string[] {
  return [
    ...(twice === 0 ? [] : [`${twice} pods were evicted twice`]),
    ...(deleted === 0 ? [] : [`${deleted} pods were deleted past their budgets`]),
    ...(left === 0 ? [] : [`${left} pods are still there`]),
  ];
}

const halfOf = (world: World): Member[] =>
  [...world.members.values()].filter((_, i) => i % 2 === 0);

async function openWorld(
  size: Size,
  open: boolean,
  controllers: boolean,
  say: (line: string) => void,
) {
  const parts = { controllers, scheduler: controllers };
  const cluster = { parts, podEndMs: null };
  return World.open({ size: size.nodes, open, watch: "pods", pool: POOL, cluster, say });
}

async function work(world: World, size: Size, budgets: boolean): Promise<[Member[], PodsMade]> {
  const failing = halfOf(world);
  const { perNode, graceS, groups } = size;
  const nodes = failing.map(({ object }) => object);
  const made = await addWork(world, { nodes, perNode, graceS, groups, budgets });
  await world.reopenObserver();
  return [failing, made];
}

async function drain(
  size: Size,
  xid: number,
  budgets: boolean,
  say: (line: string) => void,
): Promise<Drained> {
  const world = await openWorld(size, true, budgets, say);
  try {
    const [failing, { uids, groupSize }] = await work(world, size, budgets);
    say(`  ${uids.size} pods run`);
    await Bun.sleep(Math.min(20_000, size.defaultsMs / 4));
    const before = latencyOf(await world.probes());
    const shares = world.shares();
    await world.fail(failing, 1_000, xid);
    world.keepJoining();
    let told = performance.now();
    let allowed = Number.POSITIVE_INFINITY;
    await until("every pod is gone", LIMIT_MS, async () => {
      const { ended } = await world.pods(true);
      await Bun.sleep(Math.min(2_000, size.defaultsMs / 16));
      allowed = Math.min(allowed, await world.allowed());
      if (performance.now() - told > 20_000) {
        told = performance.now();
        say(`  ${ended} pods have ended; at least ${allowed.toFixed(0)} writes a second so far`);
      }
      if (ended < uids.size) return null;
      const { gone } = await world.pods(false);
      return [...uids].every((uid) => gone[uid] !== undefined) ? true : null;
    });
    const cpu = shares.end();
    const during = latencyOf(await world.probes());
    const { gone, fewest } = await world.pods(false);
    const last = Math.max(...[...uids].map((uid) => gone[uid] ?? Number.NaN));
    const asked = evictionsOf(world.cluster.audit());
    return {
      seconds: (last - asked.firstMs) / 1_000,
      evictionSeconds: (asked.lastMs - asked.firstMs) / 1_000,
      accepted: asked.accepted,
      allowed,
      twice: asked.twice,
      deleted: asked.deleted,
      left: await countPresent(world, uids),
      spare: Math.min(...Object.values(fewest)) - Math.ceil(groupSize / 2),
      before,
      during,
      cpu,
    };
  } finally {
    const left = await world.close();
    if (left.length > 0) say(`left behind: ${left.join(", ")}`);
  }
}

type Asked = {
  firstMs: number;
  lastMs: number;
  accepted: number;
  twice: number;
  deleted: number;
  pods: Set<string>;
};

/** What the product asked of pods, by the API server's own audit log. */
function evictionsOf(entries: readonly AuditEntry[]): Asked {
  const asked = { firstMs: Number.POSITIVE_INFINITY, lastMs: 0, accepted: 0, twice: 0, deleted: 0 };
  const pods = new Set<string>();
  for (const one of entries) {
    const { user, verb, objectRef, responseStatus } = one;
    if (!isProduct(user.username) || objectRef?.resource !== "pods") continue;
    if (verb === "delete") asked.deleted++;
    if (verb !== "create" || objectRef.subresource !== "eviction") continue;
    asked.firstMs = Math.min(asked.firstMs, parseMicro(one.requestReceivedTimestamp));
    if (responseStatus?.code !== 201) continue;
    asked.lastMs = Math.max(asked.lastMs, parseMicro(one.stageTimestamp));
    asked.accepted++;
    const name = objectRef.name ?? "";
    if (pods.has(name)) asked.twice++;
    pods.add(name);
  }
  return { ...asked, pods };
}

type Defaults = { touched: number; told: string; silent: string[] };

/** How many nodes lose a pod while nothing is replaced, and what the plan tells of the others. */
async function holdBack(size: Size, xid: number, say: (line: string) => void): Promise<Defaults> {
  const world = await openWorld(size, false, false, say);
  try {
    const [failing] = await work(world, size, false);
    await world.fail(failing, 1_000, xid);
    await Bun.sleep(size.defaultsMs);
    const { pods } = evictionsOf(world.cluster.audit());
    // The i-th pod was bound to the node of that remainder.
    const touched = new Set([...pods].map((name) => Number(name.slice(5)) % failing.length));
    const back = heldBackOf(await world.plan(), new Set(failing.map(({ node }) => node)));
    const ended = world.plane.reality().terminated.length;
    const told =
      `${touched.size} of ${failing.length} nodes drained within ` +
      `${size.defaultsMs / 1_000} s, ${ended} instances ended; ${formatHeldBack(back)}`;
    say(`  defaults: ${told}`);
    const silent = ended === 0 ? back.silent : [];
    return { touched: touched.size, told, silent };
  } finally {
    const left = await world.close();
    if (left.length > 0) say(`left behind: ${left.join(", ")}`);
  }
}
