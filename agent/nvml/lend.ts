/**
 * The library, given up for a while: a GPU is reset only while nobody holds it, and the agent's own
 * probe child counts (docs/reference/nvml.md#constants). Until it is given back every question is
 * answered at once with `lent`, which says nothing about the GPUs. Pure but for what it is given.
 */
import type { Nvml } from "../port.ts";
import type { NvmlAnswer } from "../reading.ts";

export type LendableNvml = {
  nvml: Nvml;
  /** Does `work` while no child of the agent is in the library. Nothing it throws is kept. */
  lend<T>(work: () => Promise<T>): Promise<T>;
};

const LENT: NvmlAnswer<never> = {
  kind: "failed",
  failure: { reason: "lent", code: 0, message: "a GPU is being reset" },
  durationMs: 0,
};

export function lendNvml(nvml: Nvml): LendableNvml {
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
        // A question that is cut off would look like a crash; each ends by its own deadline.
        await Promise.all(asked);
        nvml.close();
        return await work();
      } finally {
        lent--;
      }
    },
  };
}
