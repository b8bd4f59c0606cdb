/**
 * The virtual controller behind the port `SlurmClient`, with what can go wrong between it and the
 * product. A fault is decided for each call when it is made, from the random source of the world.
 */
import type { SlurmAnswer, SlurmClient } from "../../../reconciler/core/slurm/client.ts";
import type { Clock } from "../../../reconciler/core/clock.ts";
import { SlurmRefusal, type VirtualSlurm } from "./controller.ts";

export type SlurmFault = {
  /** The controller is away: each call ends after `timeoutMs` with nothing done. */
  down: boolean;
  /** Share of calls that are done while their answer is lost. */
  lostAnswers: number;
  /** Share of calls that are lost before they are done. */
  lostCalls: number;
  /** From the call to the work. */
  latencyMs: number;
  /** What a call takes to give up. */
  timeoutMs: number;
};

export const NO_SLURM_FAULT: SlurmFault = {
  down: false,
  lostAnswers: 0,
  lostCalls: 0,
  latencyMs: 0,
  timeoutMs: 10_000,
};

export type FakeSlurm = SlurmClient & {
  fault: SlurmFault;
  /** Calls made, by kind. */
  readonly calls: Record<string, number>;
  /** When the queue was last shown to a caller that got the answer; monotonic. */
  shownAt: number;
};

export function openFakeSlurm(slurm: VirtualSlurm, clock: Clock, random: () => number): FakeSlurm {
  const calls: Record<string, number> = {};
  const wait = (ms: number): Promise<void> | null =>
    ms === 0 ? null : new Promise((resolve) => void clock.after(ms, resolve));
  const call = async <T>(kind: string, work: () => T): Promise<SlurmAnswer<T>> => {
    calls[kind] = (calls[kind] ?? 0) + 1;
    const { down, lostAnswers, lostCalls, latencyMs, timeoutMs } = fake.fault;
    const fate = random();
    if (down || fate < lostCalls) {
      await wait(timeoutMs);
      return { kind: "failed", message: "Unable to contact slurm controller (connect failure)" };
    }
    await wait(latencyMs);
    try {
      const value = work();
      if (fate >= lostCalls + lostAnswers) return { kind: "ok", value };
    } catch (error) {
      if (!(error instanceof SlurmRefusal)) throw error;
      return { kind: "refused", message: error.message };
    }
    await wait(timeoutMs);
    return { kind: "failed", message: `no answer within ${timeoutMs} ms` };
  };
  const each = (names: readonly string[], work: (name: string) => void) => (): null => {
    for (const name of names) work(name);
    return null;
  };
  const fake: FakeSlurm = {
    fault: NO_SLURM_FAULT,
    calls,
    shownAt: Number.NEGATIVE_INFINITY,
    describe: () => "a virtual controller",
    nodes: (names) =>
      call("nodes", () => {
        const list = slurm.nodes();
        return names === undefined ? list : list.filter(({ name }) => names.includes(name));
      }),
    jobs: async () => {
      const answer = await call("jobs", () => slurm.jobs());
      if (answer.kind === "ok") fake.shownAt = clock.monoMs();
      return answer;
    },
    reservations: () => call("reservations", () => slurm.reservations()),
    update: (names, change) =>
      call(
        "update",
        each(names, (name) => slurm.update(name, change, "api")),
      ),
    remove: (names) =>
      call(
        "remove",
        each(names, (name) => slurm.remove(name, "api")),
      ),
    signal: (jobs) =>
      call(
        "signal",
        each(jobs, (job) => slurm.signal(job, "api")),
      ),
    requeue: (job, hold) =>
      call("requeue", () => {
        slurm.requeue(job, hold, "api");
        return null;
      }),
  };
  return fake;
}
