/** V42: a pod without GPUs has none, and a dead driver under a pod with GPUs is still a fault. */
import { expect, test } from "bun:test";
import type { Nvml } from "../port/port.ts";
import type { NvmlAnswer, NvmlFailure } from "../port/reading.ts";
import { ownGpus, type PodGpus } from "./own-gpus.ts";

async function seen(reason: NvmlFailure["reason"], given: Partial<PodGpus>): Promise<string> {
  const failure = { reason, code: 9, message: "" } as NvmlFailure;
  const failed = async (): Promise<NvmlAnswer<never>> => ({
    kind: "failed",
    failure,
    durationMs: 1,
  });
  const nvml: Nvml = {
    simulated: false,
    sample: failed,
    check: failed,
    takeEvents: () => [],
    close: () => undefined,
  };
  const own = ownGpus(nvml, { visible: undefined, hasDevices: false, ...given });
  const [sample, check] = [await own.sample(1), await own.check(1)];
  expect(sample.kind).toBe(check.kind);
  return check.kind === "ok" ? `${check.value.count} GPUs` : check.kind;
}

test("V42: without a library, or a driver, and given none, it has zero GPUs", async () => {
  for (const visible of [undefined, "", "void", "none"]) {
    expect(await seen("library", { visible })).toBe("0 GPUs");
    expect(await seen("driver", { visible })).toBe("0 GPUs");
  }
  // A privileged pod has the machine's device files.
  expect(await seen("library", { hasDevices: true })).toBe("0 GPUs");
});

test("a fault of GPUs that it was given stays a fault", async () => {
  expect(await seen("driver", { visible: "GPU-1" })).toBe("failed");
  expect(await seen("library", { visible: "all" })).toBe("failed");
  expect(await seen("driver", { hasDevices: true })).toBe("failed");
  expect(await seen("version", {})).toBe("failed");
  expect(await seen("other", {})).toBe("failed");
});
