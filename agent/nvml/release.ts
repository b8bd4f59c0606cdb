/**
 * Releases the library for a while: a GPU can be reset only without clients, and the agent's own
 * probe child is one (docs/reference/nvml.md#functions). Until then every call answers `lent` at
 * once, which says nothing about the GPUs. Pure.
 */
import type { Nvml } from "../port.ts";
import type { NvmlAnswer } from "../reading.ts";

export type ReleasableNvml = {
  nvml: Nvml;
  /** Runs `work` while no child of the agent uses the library. Nothing it throws is kept. */
  lend<T>(work: () => Promise<T>): Promise<T>;
};

const LENT: NvmlAnswer<never> = {
  kind: "failed",
  failure: { reason: "lent", code: 0, message: "a GPU is being reset" },
  durationMs: 0,
};

export function releasableNvml(nvml: Nvml): ReleasableNvml {
  const asked = new Set<Promise<unknown>>();
  let lent = 0;
  const ask = async <T>(call: () => Promise<NvmlAnswer<T>>): Promise<NvmlAnswer<T>> => {
    if (lent > 0) return LENT;
    const answer = call();
    asked.add(answer);
    return await answer.finally(() => asked.delete(answer));
  };
  return {
    nvml: {
      simulated: nvml.simulated,
      sample: (deadlineMs) => ask(() => nvml.sample(deadlineMs)),
      check: (deadlineMs) => ask(() => nvml.check(deadlineMs)),
      takeEvents: () => nvml.takeEvents(),
      close: () => nvml.close(),
    },
    lend: async (work) => {
      lent++;
      try {
        // A call that is cut off would look like a crash; each ends by its own deadline.
        await Promise.all(asked);
        nvml.close();
        return await work();
      } finally {
        lent--;
      }
    },
  };
}
