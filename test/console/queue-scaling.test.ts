/** C56: tasks of the demand queue as a signal of the node autoscaler, beside its other ones. */
import { expect, test } from "bun:test";
import { recommend } from "../../reconciler/core/scaling/recommend.ts";
import { demandProblem } from "../../reconciler/core/scaling/demand.ts";
import { composite, idle, NOW, queue, snap } from "../world/autoscaler.ts";

const perNode = { ...queue(), jobsPerNode: 1 } as const;
const tasks = (queueDepth: number, gpuDepth = queueDepth) => ({ queueDepth, gpuDepth });
const rest = { min: 0, max: 100, spare: 100 };

function sized(desired: number, jobs: number | null, own: number | null, isSilent = false) {
  const more = { queueDepth: jobs, gpuDepth: jobs, waiting: isSilent ? 0 : jobs };
  const got = recommend(
    perNode,
    snap(desired, { ...rest, ...more, tasks: own === null ? null : tasks(own) }),
  );
  return got.kind === "size" ? got.nodes : got.cause;
}

test("C56: the target is the maximum over the signals", () => {
  expect(sized(4, 6, 9)).toBe(9);
  expect(sized(4, 9, 6)).toBe(9);
  expect(sized(4, 9, null)).toBe(9);
});

test("C56: a pool shrinks only as far as all signals agree", () => {
  expect(sized(8, 2, 5)).toBe(5);
  expect(sized(8, 5, 2)).toBe(5);
  expect(sized(8, 8, 0)).toBe(8);
  expect(sized(8, 0, 0)).toBe(0);
});

test("C56: beside a signal that is lost, tasks buy nodes and take none", () => {
  expect(sized(4, null, 9)).toBe(9);
  expect(sized(4, null, 2)).toBe("unknown");
  expect(sized(4, null, null)).toBe("unknown");
});

test("C56: where no other signal was ever heard, tasks alone decide", () => {
  expect(sized(4, null, 2, true)).toBe(2);
  const silent = { pushed: null, seen: null };
  const seen = { ...tasks(3), pendingJobs: 3, pendingGpus: 3, observedAt: NOW, source: "queue" };
  expect(demandProblem(perNode, silent, NOW, 30_000)).not.toBeNull();
  expect(demandProblem(perNode, { ...silent, tasks: seen }, NOW, 30_000)).toBeNull();
});

test("C56: GPUs are counted where the pool counts GPUs, and only in parts of type queue", () => {
  const gpus = { ...perNode, count: "gpus", jobsPerNode: 8 } as const;
  const from = snap(1, { ...rest, queueDepth: 1, gpuDepth: 8, waiting: 0, tasks: tasks(3, 24) });
  expect(recommend(gpus, from)).toMatchObject({ nodes: 3 });
  expect(recommend(composite("max", idle(), gpus), from)).toMatchObject({ nodes: 3 });
});
