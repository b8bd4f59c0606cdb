import { expect, test } from "bun:test";
import type { Bound } from "./bind.ts";
import { NvmlDriver } from "./driver.ts";

/** A library with one GPU that tells its name and, at the first `noise` times, no serial number. */
function libraryOf(noise: number): Bound {
  let left = noise;
  return {
    path: "/made-up",
    missing: [],
    has: () => true,
    call: (name, ...args) => {
      if (name === "nvmlDeviceGetSerial") return left-- > 0 ? 999 : 0;
      const [first, second] = args;
      if (name === "nvmlDeviceGetCount_v2" && first instanceof Uint32Array) first[0] = 1;
      if (name === "nvmlDeviceGetHandleByIndex_v2" && second instanceof BigUint64Array) {
        second[0] = 7n;
      }
      if (name === "nvmlDeviceGetUUID" && second instanceof Uint8Array) {
        second.set(Buffer.from("GPU-1"));
      }
      return name.startsWith("nvmlEvent") ? 3 : 0;
    },
  };
}

function codes(noise: number, rounds: number): (number | undefined)[] {
  const driver = new NvmlDriver(
    libraryOf(noise),
    () => 0,
    () => 0,
  );
  return Array.from({ length: rounds }, () => {
    const answer = driver.check();
    return answer.kind === "ok" ? answer.value.gpus[0]?.rc : undefined;
  });
}

test("check() tells an unknown error at the introduction once, and a lasting one each time", () => {
  expect(codes(1, 4)).toEqual([999, 0, 0, 0]);
  expect(codes(9, 4)).toEqual([999, 999, 999, 999]);
});
