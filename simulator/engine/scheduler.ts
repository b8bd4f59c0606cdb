/**
 * A scheduler in memory whose whole state can be copied, so that a simulated universe may go on
 * twice from one moment. It refuses a stale fence as a target with generations would, as the
 * scheduler of `simulator/engine/fake-scheduler.ts` does.
 */
import type { Fence } from "../../reconciler/core/provider.ts";
import type { FakeScheduler } from "./fake-scheduler.ts";
import type { SchedulerAnswer } from "../../reconciler/core/scheduler.ts";

export type SchedulerState = {
  cordoned: readonly string[];
  fences: readonly (readonly [string, number])[];
};

export type ForkableScheduler = FakeScheduler & { state(): SchedulerState };

export function openForkableScheduler(from?: SchedulerState): ForkableScheduler {
  const fences = new Map<string, number>(from?.fences);
  const act = (verb: string, node: string, fence: Fence, effect: () => void): SchedulerAnswer => {
    const planned = fake.answers.shift();
    if (planned?.kind === "refused") return planned;
    if (fence.fence < (fences.get(node) ?? 0)) {
      return { kind: "refused", message: `stale fence ${fence.fence}` };
    }
    fences.set(node, fence.fence);
    effect();
    fake.calls.push(`${verb} ${node}`);
    return planned ?? { kind: "ok" };
  };
  const fake: ForkableScheduler = {
    name: "fake",
    cordoned: new Set(from?.cordoned),
    calls: [],
    work: new Map(),
    answers: [],
    cordon: async (node, _why, fence) =>
      act("cordon", node, fence, () => void fake.cordoned.add(node)),
    uncordon: async (node, _why, fence) =>
      act("uncordon", node, fence, () => void fake.cordoned.delete(node)),
    drain: async (node, _options, fence) => act("drain", node, fence, () => undefined),
    left: (node) => fake.work.get(node) ?? { kind: "empty", seenAt: Number.POSITIVE_INFINITY },
    state: () => ({ cordoned: [...fake.cordoned], fences: [...fences] }),
  };
  return fake;
}
