/**
 * M8 and the issue's own figure: a line "Xid 79" written to the kernel log of a real, compiled
 * agent → the API server acknowledged its Node unschedulable. The agents are those of the fake
 * cloud's machines; each fault leads to a whole replacement, so the pool renews itself while the
 * trials go on, one at a time. The end is the API server's own audit log; a log that is a file is
 * looked at every 100 ms, which is the slow way: the real device wakes the agent at once.
 */
import { injectXid } from "../../fixture/cloud/inject.ts";
import type { InstanceId } from "../../../schema/id.ts";
import { until } from "../../fixture/plane/plane.ts";
import { openCluster } from "../../real/kubernetes/cluster.ts";
import { Joined } from "../../real/kubernetes/joined.ts";
import { held, shown, spreadOf } from "../bench.ts";
import { LOGS_MARKS, readMarks } from "./mark.ts";
import type { BenchRun, Outcome } from "./outcome.ts";
import { formatBound, Shares } from "./share.ts";
import { wallMs } from "./talker.ts";
import { nameOf, OPEN } from "./world.ts";

const TRIALS = 200;
/** Agents alive at once: each is replaced after its trial, which takes about ten seconds. */
const AGENTS = 20;
const TRIAL_MS_MAX = 30_000;
/** Unequal: in step with the agents' looks, every trial would wait alike. */
const PAUSE_MS = 400;

type Trial = { node: string; object: string; writtenMs: number };

export async function m8({ tiny, xid, speed, say }: BenchRun): Promise<Outcome> {
  const trials = tiny ? 2 : TRIALS;
  const warm = tiny ? 0 : Math.ceil(trials / 10);
  const size = tiny ? 3 : AGENTS;
  const cluster = await openCluster({ tell: say, isSynced: true });
  const joined = new Joined(cluster, {
    size,
    more: OPEN,
    health: "max_unavailable: 100%",
    cadence: "",
    flags: LOGS_MARKS,
  });
  try {
    await joined.start(size);
    const shares = new Shares([
      ...cluster.pids().map((pid): [string, number] => [nameOf(pid), pid]),
      ["navarch", joined.plane.pid],
      ["bench", process.pid],
    ]);
    const done: Trial[] = [];
    for (let n = 0; n < warm + trials; n++) {
      done.push(await tryOne(joined, done, xid));
      await Bun.sleep((PAUSE_MS * (0.5 + ((n * 37) % 100) / 100)) / speed);
      if ((n + 1) % 20 === 0) say(`  ${n + 1} of ${warm + trials} trials`);
    }
    const cpu = shares.end();
    const judged = done.slice(warm);
    const { own, marked } = await readMarks(judged, {
      log: () => joined.plane.log(),
      audit: () => cluster.audit(),
    });
    const whole = judged.map((one) => (marked.get(one.object) ?? Number.NaN) - one.writtenMs);
    const [all, product] = [whole, judged.map(({ node }) => own.get(node) ?? Number.NaN)].map(
      (samples) => spreadOf(samples),
    );
    if (all === undefined || product === undefined) throw new Error("no figures");
    return {
      figures: [
        held("kernel log to Node acknowledged p99", all.p99, "ms", 1_000),
        shown("kernel log to Node acknowledged p50", all.p50, "ms"),
        shown("kernel log to Node acknowledged p90", all.p90, "ms"),
        shown("kernel log to Node acknowledged max", all.max, "ms"),
        shown("of it report parsed to acknowledged p50", product.p50, "ms"),
        shown("of it report parsed to acknowledged p99", product.p99, "ms"),
        shown("trials", all.count, "count"),
      ],
      broken: whole.some((ms) => !Number.isFinite(ms))
        ? ["a fault has no acknowledged mark in the audit log"]
        : [],
      notes: {
        bound: formatBound(cpu),
        setUp: `${size} compiled agents, XID ${xid}, log files read each 100 ms, etcd with fsync`,
        clock: "write and audit log by the wall clock of one host",
        elsewhere:
          "a quarantine 1.8 s after the event on a real cluster; managed services act " +
          "after about 10 min, on other hardware",
      },
      cpu,
    };
  } finally {
    const left = [...(await joined.close()), ...(await cluster.close())];
    if (left.length > 0) say(`left behind: ${left.join(", ")}`);
  }
}

/** A node that serves, is matched and was not used; its fault; until anybody can read the mark. */
async function tryOne(joined: Joined, done: readonly Trial[], xid: number): Promise<Trial> {
  const used = new Set(done.map(({ node }) => node));
  const subject = await until("a node for the next trial", 120_000, async () => {
    const nodes = await joined.plane.serving();
    return nodes.find((one) => one.kubernetes_node !== null && !used.has(one.node_id)) ?? null;
  });
  const object = subject.kubernetes_node ?? "";
  const instance = (subject.instance_id ?? "") as InstanceId;
  const writtenMs = wallMs();
  injectXid(joined.plane.cloudDir, instance, { xid });
  await until(`${object} is marked`, TRIAL_MS_MAX, async () => {
    const now = await joined.node(object);
    return now === null || now.spec.unschedulable === true ? true : null;
  });
  return { node: subject.node_id, object, writtenMs };
}
