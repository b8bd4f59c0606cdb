/**
 * Releases the library for a GPU reset, which needs the GPU without clients, the probe child
 * included (docs/reference/nvml.md#functions). Meanwhile every call answers `released`.
 */
import type { Nvml } from "../port/port.ts";
import type { NvmlAnswer } from "../port/reading.ts";

export type ReleasableNvml = {
  nvml: Nvml;
  /** Runs `work` while no probe child uses the library. */
  release<T>(work: () => Promise<T>): Promise<T>;
};

const RELEASED: NvmlAnswer<never> = {
  kind: "failed",
  failure: { reason: "released", code: 0, message: "a GPU is being reset" },
  durationMs: 0,
};

export function releasableNvml(nvml: Nvml): ReleasableNvml {
  const asked = new Set<Promise<unknown>>();
  let releases = 0;
  const ask = async <T>(call: () => Promise<NvmlAnswer<T>>): Promise<NvmlAnswer<T>> => {
    if (releases > 0) return RELEASED;
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
    release: async (work) => {
      releases++;
      try {
        // An interrupted call would look like a crash; each ends by its own deadline.
        await Promise.all(asked);
        nvml.close();
        return await work();
      } finally {
        releases--;
      }
    },
  };
}
