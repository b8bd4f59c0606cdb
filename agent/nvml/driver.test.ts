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

test("check() reports an unknown error of identification once, a lasting one each time", () => {
  expect(codes(1, 4)).toEqual([999, 0, 0, 0]);
  expect(codes(9, 4)).toEqual([999, 999, 999, 999]);
});

test.each([
  [1, 0, { remapPending: true, remapFailure: false }],
  [0, 1, { remapPending: false, remapFailure: true }],
])(
  "check() reads remapping pending %d and failed %d each from its own word",
  (pending, failure, expected) => {
    const library = libraryOf(0);
    const driver = new NvmlDriver(
      {
        ...library,
        // `nvmlDeviceGetRemappedRows(device, corrRows, uncRows, isPending, failureOccurred)`.
        call: (name, ...args) => {
          if (name !== "nvmlDeviceGetRemappedRows") return library.call(name, ...args);
          [3, 5, pending, failure].forEach((value, at) => {
            const out = args[at + 1];
            if (out instanceof Uint32Array) out[0] = value;
          });
          return 0;
        },
      },
      () => 0,
      () => 0,
    );
    const answer = driver.check();
    expect(answer.kind === "ok" ? answer.value.gpus[0] : null).toMatchObject({
      ...expected,
      remappedCorrectable: 3,
      remappedUncorrectable: 5,
    });
  },
);
