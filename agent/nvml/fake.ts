/**
 * An NVML port in memory for tests of the agent's core: answers are set by the test, and each call
 * is recorded.
 */
import type { Nvml } from "../port.ts";
import { healthyGpu } from "./healthy.ts";
import type { NvmlAnswer, NvmlCheck, NvmlEvent, NvmlGpuCheck, NvmlSample } from "./reading.ts";

export type FakeNvml = Nvml & {
  /** The next answers, until set again. A sample is made from a check that is `ok`. */
  set(answer: NvmlAnswer<NvmlCheck>): void;
  /** Holds every call until `release` is called, as a hung driver would without the deadline. */
  hold(): void;
  release(): void;
  emit(event: NvmlEvent): void;
  readonly calls: { op: "sample" | "check"; deadlineMs: number }[];
  readonly closed: () => boolean;
};

/** A node of `count` GPUs that are well, with changes to some by index. */
export function healthyCheck(
  count = 8,
  changes: Readonly<Record<number, Partial<NvmlGpuCheck>>> = {},
): NvmlCheck {
  return {
    driverVersion: "570.86.16",
    nvmlVersion: "12.570.86.16",
    cudaVersion: "12.8",
    count,
    excluded: 0,
    gpus: Array.from({ length: count }, (_, index) => healthyGpu(index, changes[index])),
    missing: [],
  };
}

export function openFakeNvml(check: NvmlCheck = healthyCheck()): FakeNvml {
  let answer: NvmlAnswer<NvmlCheck> = { kind: "ok", value: check, durationMs: 1 };
  let events: NvmlEvent[] = [];
  let held: PromiseWithResolvers<void> | null = null;
  let closed = false;
  const calls: FakeNvml["calls"] = [];
  return {
    simulated: false,
    calls,
    closed: () => closed,
    async sample(deadlineMs): Promise<NvmlAnswer<NvmlSample>> {
      calls.push({ op: "sample", deadlineMs });
      await held?.promise;
      return answer.kind === "ok" ? { ...answer, value: { gpus: answer.value.gpus } } : answer;
    },
    async check(deadlineMs) {
      calls.push({ op: "check", deadlineMs });
      await held?.promise;
      return answer;
    },
    takeEvents: () => events.splice(0),
    close: () => {
      closed = true;
    },
    set: (next) => {
      answer = next;
    },
    hold: () => {
      held ??= Promise.withResolvers<void>();
    },
    release: () => {
      held?.resolve();
      held = null;
    },
    emit: (event) => {
      events = [...events, event];
    },
  };
}
