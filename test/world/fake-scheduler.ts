/**
 * A scheduler in memory, for tests: records what it was asked, refuses a stale fence as a real
 * target with generations does, and refuses or loses answers on demand.
 */
import type { DrainSight } from "../../reconciler/core/fleet.ts";
import type { Fence } from "../../reconciler/core/provider.ts";
import type { Scheduler, SchedulerAnswer } from "../../reconciler/core/kubernetes/scheduler.ts";

export type FakeScheduler = Scheduler & {
  /** Nodes cordoned by the product now. */
  readonly cordoned: Set<string>;
  /** Every call that had an effect, in order: `cordon n1`. */
  readonly calls: string[];
  work: Map<string, DrainSight>;
  /** Answers given instead of acting, first in first out. */
  answers: SchedulerAnswer[];
  state(): SchedulerState;
};

/** Its whole state, from which another one may go on. */
export type SchedulerState = {
  cordoned: readonly string[];
  fences: readonly (readonly [string, number])[];
};

export function openFakeScheduler(from?: SchedulerState): FakeScheduler {
  const fences = new Map<string, number>(from?.fences);
  const fake: FakeScheduler = {
    name: "fake",
    cluster: null,
    cordoned: new Set(from?.cordoned),
    calls: [],
    work: new Map(),
    answers: [],
    cordon: async (node, _why, fence) => act("cordon", node, fence, () => fake.cordoned.add(node)),
    uncordon: async (node, _why, fence) =>
      act("uncordon", node, fence, () => fake.cordoned.delete(node)),
    drain: async (node, _options, fence) => act("drain", node, fence, () => undefined),
    left: (node) => fake.work.get(node) ?? { kind: "empty", seenAt: Number.POSITIVE_INFINITY },
    state: () => ({ cordoned: [...fake.cordoned], fences: [...fences] }),
  };
  function act(verb: string, node: string, fence: Fence, effect: () => unknown): SchedulerAnswer {
    const planned = fake.answers.shift();
    if (planned !== undefined && planned.kind === "refused") return planned;
    if (fence.fence < (fences.get(node) ?? 0))
      return { kind: "refused", message: `stale fence ${fence.fence}` };
    fences.set(node, fence.fence);
    effect();
    fake.calls.push(`${verb} ${node}`);
    return planned ?? { kind: "ok" };
  }
  return fake;
}
