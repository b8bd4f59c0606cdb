import { describe, expect, test } from "bun:test";
import type { KubeFact } from "../../../schema/node.ts";
import { kubeOf } from "../../../test/world/part.ts";
import { isNewRefusal, refuseMark, markRefused } from "./mark.ts";

const LONG = "x".repeat(601);

/** How often of `tries` the same refusal is recorded. */
function recorded(tries: number, messageOf: (i: number) => string): number[] {
  let kube: KubeFact = kubeOf();
  const at: number[] = [];
  for (let i = 1; i <= tries; i++) {
    if (isNewRefusal(kube, "cordon", messageOf(i))) at.push(i);
    kube = refuseMark(kube, "cordon", { message: messageOf(i) }, i);
  }
  return at;
}

describe("refuseMark()", () => {
  test("counts, and keeps since when it has been the same", () => {
    const first = refuseMark(kubeOf(), "cordon", { message: "forbidden" }, 10);
    expect(first.refusals).toBe(1);
    expect(first.refusal).toEqual({ what: "cordon", message: "forbidden", since: 10, at: 10 });
    const second = refuseMark(first, "cordon", { message: "quota" }, 20);
    expect(second.refusals).toBe(2);
    expect(second.refusal).toEqual({ what: "cordon", message: "quota", since: 10, at: 20 });
    const other = refuseMark(second, "uncordon", { message: "quota" }, 30);
    expect(other.refusal).toEqual({ what: "uncordon", message: "quota", since: 30, at: 30 });
  });

  test("keeps 600 characters of what the API server says", () => {
    expect(refuseMark(kubeOf(), "cordon", { message: LONG }, 1).refusal?.message).toBe(
      "x".repeat(600),
    );
  });
});

describe("isNewRefusal()", () => {
  test("records the first one, whatever an older version left behind", () => {
    const { refusal } = refuseMark(kubeOf(), "cordon", { message: "forbidden" }, 1);
    const left = kubeOf({ refusals: 0, ...(refusal === undefined ? {} : { refusal }) });
    expect(isNewRefusal(left, "cordon", "forbidden")).toBe(true);
  });

  test("records the same refusal ever more rarely", () => {
    expect(recorded(40, () => "forbidden")).toEqual([1, 2, 4, 8, 16, 32]);
    expect(recorded(9, () => LONG)).toEqual([1, 2, 4, 8]);
  });

  test("records another reason at once, as long as it does not change all the time", () => {
    const half = recorded(12, (i) => (i <= 5 ? "forbidden" : "quota"));
    expect(half).toEqual([1, 2, 4, 6, 8]);
    const changing = recorded(70, (i) => `at ${i}`);
    expect(changing).toEqual([...Array.from({ length: 32 }, (_, i) => i + 1), 64]);
  });

  test("takes another call for news, although its reason is the same", () => {
    let kube = kubeOf();
    for (let i = 0; i < 4; i++) kube = refuseMark(kube, "cordon", { message: "forbidden" }, i);
    expect(isNewRefusal(kube, "cordon", "forbidden")).toBe(false);
    expect(isNewRefusal(kube, "uncordon", "forbidden")).toBe(true);
  });
});

test("markRefused() names the Node and the reason", () => {
  const said = markRefused(kubeOf({ name: "gpu-1" }), "cordon", "forbidden");
  expect(said).toBe("Kubernetes does not cordon Node gpu-1: forbidden");
});
