/** A pool's queue over a Slurm sink: unknown while Slurm is, and added to the pods of Kubernetes. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../../simulator/engine/clock.ts";
import type { PoolName } from "../../schema/id.ts";
import { openFakeScheduler } from "../../test/world/fake-scheduler.ts";
import { openMemorySlurm, slurmJob, slurmNode } from "../../test/world/memory-slurm.ts";
import { configOf, poolYaml } from "../../test/world/setting.ts";
import type { QueueSight } from "../core/fleet.ts";
import type { SchedulerCluster } from "../core/kubernetes/scheduler.ts";
import { Slurm } from "../slurm/slurm.ts";
import { Queues } from "./queue-sight.ts";

const P = "p" as PoolName;
const PODS: QueueSight = {
  ...{ pendingJobs: 1, queueDepth: 3, pendingGpus: 2, gpuDepth: 6, widePods: 0 },
  ...{ observedAt: 5, source: "kubernetes" },
};

function begin(extra: string, pods: QueueSight | null = null) {
  const clock = new VirtualClock();
  const memory = openMemorySlurm(clock, "n0");
  const log: string[] = [];
  const slurm = new Slurm({ client: memory.client, clock, log: () => undefined, pollMs: 5_000 });
  const scheduler = openFakeScheduler();
  const cluster = { queue: () => pods } as Partial<SchedulerCluster> as SchedulerCluster;
  const queues = new Queues({
    config: () => config,
    targets: { slurm, scheduler: { ...scheduler, cluster: pods === null ? null : cluster } },
    log: (_level, message, fields) => void log.push(`${message} ${JSON.stringify(fields)}`),
  });
  const config = configOf(poolYaml(1, extra));
  return { clock, memory, slurm, queues, log };
}

test("S43: a pool's partition in Slurm is its queue; unknown while Slurm does not answer", async () => {
  const { clock, memory, slurm, queues, log } = begin("    slurm: { partition: compute }\n");
  expect(queues.of(P)).toBeNull();
  memory.jobs.push(slurmJob("1"), slurmJob("2", { state: "PENDING", reason: "Resources" }));
  memory.jobs.push(slurmJob("3", { state: "PENDING", reason: "Odd" }));
  slurm.start(() => undefined);
  await clock.pass(100);
  expect(queues.of(P)).toMatchObject({ pendingJobs: 1, queueDepth: 2, gpuDepth: 16 });
  expect(queues.of(P)?.source).toBe("slurm");
  expect(log).toEqual([
    'pending jobs have an unknown reason and buy no node {"pool":"p","reason":"Odd","jobs":1}',
  ]);
  memory.trouble = () => "Unable to contact slurm controller";
  await clock.pass(6_000);
  expect(queues.of(P)).toBeNull();
  slurm.stop();
});

test("S43: pods and jobs of one pool are added; a pool without a partition has its pods", async () => {
  const both = begin("    slurm: { partition: compute }\n", PODS);
  both.memory.jobs.push(slurmJob("2", { state: "PENDING", reason: "Priority" }));
  both.slurm.start(() => undefined);
  await both.clock.pass(100);
  expect(both.queues.of(P)).toMatchObject({ pendingJobs: 2, queueDepth: 4, gpuDepth: 14 });
  expect(both.queues.of(P)?.observedAt).toBe(5);
  both.slurm.stop();
  expect(begin("", PODS).queues.of(P)).toBe(PODS);
});

test("S43: what a pool's NodeNames have in Slurm tells which jobs are its own", async () => {
  const { clock, memory, slurm, queues } = begin(
    '    slurm: { partition: compute, nodes: "n[0-1]" }\n',
  );
  const asks = { state: "PENDING", reason: "Resources", features: "h200" };
  memory.jobs.push(slurmJob("2", { state: "PENDING", reason: "Resources" }), slurmJob("3", asks));
  slurm.start(() => undefined);
  await clock.pass(100);
  // n1 is not listed: what it has is not known.
  expect(queues.of(P)).toMatchObject({ pendingJobs: 2 });
  memory.nodes.set("n1", slurmNode("n1"));
  await clock.pass(6_000);
  expect(queues.of(P)).toMatchObject({ pendingJobs: 1 });
  slurm.stop();
});
