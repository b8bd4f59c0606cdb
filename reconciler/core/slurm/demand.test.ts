/** Pending jobs become demand of the right pool, and only those that more nodes would start. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { PoolName } from "../../../schema/id.ts";
import { type PoolPartition, type SlurmDemand, slurmDemand, slurmQueue } from "./demand.ts";
import { slurmNode } from "../../../test/world/memory-slurm.ts";
import type { SlurmJob, SlurmNode } from "./object.ts";

const TRAIN = "training" as PoolName;
const CLOUD = "cloud" as PoolName;
const POOLS: PoolPartition[] = [
  { pool: TRAIN, partition: "train", nodes: [] },
  { pool: CLOUD, partition: "cloud", nodes: [] },
];

function job(part: Partial<SlurmJob> = {}): SlurmJob {
  return {
    id: "1",
    state: "PENDING",
    user: "alice",
    name: "wrap",
    partition: "train",
    reason: "Resources",
    nodes: [],
    gpus: 8,
    nodeCount: 1,
    ...{ features: null, gpuTypes: [], requiredNodes: [] },
    submittedAt: 0,
    startedAt: null,
    tasks: 1,
    ...part,
  };
}

function of(jobs: SlurmJob[], pool = TRAIN): SlurmDemand {
  const demand = slurmDemand(jobs, POOLS).get(pool);
  if (demand === undefined) throw new Error("no demand");
  return demand;
}

const COUNTED = [
  null,
  "None",
  "(None)",
  "Resources",
  "Priority",
  "ReqNodeNotAvail",
  "ReqNodeNotAvail, UnavailableNodes:n1",
  "ReqNodeNotAvail,_UnavailableNodes:n[1-3]",
  "(Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions)",
  "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions",
];
const IGNORED = [
  "Dependency",
  "DependencyNeverSatisfied",
  "BeginTime",
  "JobHeldUser",
  "JobHeldAdmin",
  "job requeued in held state",
  "QOSMaxGRESPerUser",
  "QOSGrpNodeLimit",
  "AssocGrpGRES",
  "AssocMaxJobsLimit",
  "AssociationJobLimit",
  "PartitionNodeLimit",
  "PartitionDown",
  "Reservation",
  "Licenses",
  "JobArrayTaskLimit",
  "BadConstraints",
  "ReqNodeNotAvail, May be reserved for other job",
];

test("S43: Resources, Priority, ReqNodeNotAvail and none count", () => {
  for (const reason of COUNTED) {
    const { pending, waiting } = of([job({ reason })]);
    expect([reason, pending]).toEqual([reason, { jobs: 1, gpus: 8, nodes: 1 }]);
    expect(waiting.size).toBe(0);
  }
});

test("S43: a dependency, a begin time, a hold and limits do not count, and are known", () => {
  for (const reason of IGNORED) {
    const { pending, waiting, unknown } = of([job({ reason })]);
    expect([reason, pending.jobs, waiting.get(reason)]).toEqual([reason, 0, 1]);
    expect([...unknown]).toEqual([]);
  }
});

test("S43: a reason of a later release buys nothing, and is named", () => {
  const { pending, unknown } = of([job({ reason: "QuantumFlux" }), job({ reason: "Resources" })]);
  expect(pending.jobs).toBe(1);
  expect([...unknown]).toEqual([["QuantumFlux", 1]]);
});

test("S43: a held requeue does not count, whatever its reason", () => {
  for (const state of ["REQUEUE_HOLD", "PENDING+REQUEUE_HOLD", "SPECIAL_EXIT"]) {
    expect(of([job({ state, reason: "None" })]).pending.jobs).toBe(0);
  }
});

test("S43: GPUs and nodes of each waiting task of an array count", () => {
  const { pending, wide } = of([job({ tasks: 50, gpus: 16, nodeCount: 2 })]);
  expect(pending).toEqual({ jobs: 50, gpus: 800, nodes: 100 });
  expect(wide).toBe(50);
  const odd = of([job({ tasks: Number.POSITIVE_INFINITY, gpus: Number.NaN, nodeCount: -3 })]);
  expect(odd.pending).toEqual({ jobs: 1, gpus: 0, nodes: 1 });
});

test("S43: a job of several partitions counts once, for the first that has a pool", () => {
  const jobs = [job({ partition: "debug,cloud,train" })];
  expect(of(jobs, CLOUD).pending.jobs).toBe(1);
  expect(of(jobs, TRAIN).pending.jobs).toBe(0);
  expect(of([job({ partition: null })]).pending.jobs).toBe(0);
  expect(of([job({ partition: "debug" })]).pending.jobs).toBe(0);
});

test("S43: running jobs are part of the depth until their epilog ends", () => {
  const jobs = ["RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED"].map((state) => {
    return job({ state, reason: null, nodes: ["n0"], gpus: 2 });
  });
  const ended = ["COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "BOOT_FAIL"];
  jobs.push(...ended.map((state) => job({ state })), job({ gpus: 8 }));
  expect(slurmQueue(of(jobs), 77)).toEqual({
    pendingJobs: 1,
    queueDepth: 5,
    pendingGpus: 8,
    gpuDepth: 16,
    widePods: 5,
    observedAt: 77,
    source: "slurm",
  });
});

test("S43: each task counts at most once, and every sum is a whole number", () => {
  const word = fc.oneof(fc.constantFrom(...COUNTED, ...IGNORED), fc.string());
  const number = fc.oneof(fc.integer(), fc.double(), fc.constant(0xfffffffe));
  const some = fc.record({
    state: fc.oneof(fc.constantFrom("PENDING", "RUNNING", "COMPLETED"), fc.string()),
    reason: fc.option(word),
    partition: fc.constantFrom("train", "cloud", "cloud,train", "x", ",", null),
    gpus: number,
    nodeCount: number,
    tasks: fc.integer({ min: 1, max: 1_000 }),
  });
  fc.assert(
    fc.property(fc.array(some, { maxLength: 20 }), (parts) => {
      const jobs = parts.map((part) => job(part));
      const all = [...slurmDemand(jobs, POOLS).values()];
      const count = all.flatMap(({ pending, running, waiting }) => {
        return [pending.jobs, running.jobs, ...waiting.values()];
      });
      const tasks = jobs.reduce((sum, one) => sum + one.tasks, 0);
      expect(count.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(tasks);
      for (const demand of all) {
        const { pendingJobs, queueDepth, pendingGpus, gpuDepth } = slurmQueue(demand, 0);
        for (const sum of [pendingJobs, queueDepth, pendingGpus, gpuDepth]) {
          expect(Number.isInteger(sum) && sum >= 0).toBe(true);
        }
      }
    }),
  );
});

const row = (name: string, more: Partial<SlurmNode> = {}): SlurmNode =>
  slurmNode(name, { features: ["h100", "ib"], gres: "gpu:h100:8", ...more });
const H200 = { features: ["h200", "ib"], gres: "gpu:h200:8(S:0-1)" };
/** Two pools of one partition. */
const SHARED: PoolPartition[] = [
  { pool: TRAIN, partition: "train", nodes: [row("a0"), row("a1", { base: "DOWN" })] },
  { pool: CLOUD, partition: "train", nodes: [row("b0", H200), row("b1", H200)] },
];
const split = (one: Partial<SlurmJob>, pools = SHARED) => {
  const demands = slurmDemand([job(one)], pools);
  return [...demands.values()].map(({ pending, running }) => pending.jobs + running.jobs);
};

test("S43: of several pools of a partition the first that could run a job has it", () => {
  expect(split({})).toEqual([1, 0]);
  for (const features of [
    "h200",
    "ib&h200",
    "[h200*2&x*1]",
    "ib&(h200|a100)",
    "(h200|a100)&ib",
    "h200*2",
  ]) {
    expect([features, ...split({ features })]).toEqual([features, 0, 1]);
  }
  expect(split({ features: "h100|h200" })).toEqual([1, 0]);
  for (const features of ["((h200", "h200&", ")", "", "&|", "(".repeat(5_000)]) {
    expect(split({ features }).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(1);
  }
  expect(split({ gpuTypes: ["H200"] })).toEqual([0, 1]);
  expect(split({ gpuTypes: ["h100"] })).toEqual([1, 0]);
  // Other nodes of the partition have these.
  for (const asked of [{ features: "a100" }, { gpuTypes: ["h100", "h200"] }]) {
    expect(split(asked)).toEqual([0, 0]);
    expect(
      slurmDemand([job(asked)], SHARED)
        .get(TRAIN)
        ?.waiting.get("Resources"),
    ).toBe(1);
  }
  // What Slurm does not list yet may have anything.
  const [first, second] = SHARED;
  if (first === undefined || second === undefined) throw new Error("no pools");
  expect(split({ features: "a100" }, [first, { ...second, nodes: [] }])).toEqual([0, 1]);
});

test("S43: a job that runs counts for the pool of its nodes", () => {
  const on = (...nodes: string[]) => split({ state: "RUNNING", reason: null, nodes });
  expect(on("a0")).toEqual([1, 0]);
  expect(on("b1")).toEqual([0, 1]);
  expect(on("b1", "x0")).toEqual([0, 1]);
  expect(on("x0")).toEqual([0, 0]);
  const over = slurmDemand([job({ state: "COMPLETED", nodes: ["x0"] })], SHARED).get(TRAIN);
  expect([...(over?.waiting ?? [])]).toEqual([]);
});

test("S43: a job that names nodes waits for a machine only where one of them has none", () => {
  expect(split({ requiredNodes: ["a0"] })).toEqual([0, 0]);
  expect(split({ requiredNodes: ["a0", "a1"] })).toEqual([1, 0]);
  expect(split({ requiredNodes: ["b0"] })).toEqual([0, 0]);
  for (const away of [{ bootTime: null }, { flags: ["POWERED_DOWN"] }, { base: "UNKNOWN" }]) {
    const nodes = [row("b0", { ...H200, ...away })];
    expect(split({ requiredNodes: ["b0"] }, [{ pool: CLOUD, partition: "train", nodes }])).toEqual([
      1,
    ]);
  }
});
