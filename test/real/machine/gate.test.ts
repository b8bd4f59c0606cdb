/** Who asks for machines gets them or a failure; who does not ask gets a line that says how. */
import { describe, expect, test } from "bun:test";
import { askedBy, judgeGate } from "./gate.ts";

const never = (): string | null => {
  throw new Error("nobody asked");
};

describe("askedBy()", () => {
  test.each([
    [{}, null],
    [{ NAVARCH_MACHINES: "1" }, "NAVARCH_MACHINES=1"],
    [{ NAVARCH_MACHINES: "0", CI: "1" }, null],
    [{ CI: "true" }, "CI=true"],
    [{ NAVARCH_MACHINES: "1", CI: "true" }, "NAVARCH_MACHINES=1"],
  ])("reads %p", (env, asked) => expect(askedBy(env)).toBe(asked));
});

describe("judgeGate()", () => {
  test("skips where nobody asks, and does not even look", () => {
    expect(judgeGate({}, never)).toBe("set NAVARCH_MACHINES=1");
  });

  test("runs where they are asked for and can be had", () => {
    expect(judgeGate({ CI: "true" }, () => null)).toBeNull();
    expect(judgeGate({ NAVARCH_MACHINES: "1" }, () => null)).toBeNull();
  });

  test("fails with who asked and the reason where they cannot be had", () => {
    const look = () => "machines need root";
    expect(() => judgeGate({ CI: "true" }, look)).toThrow("CI=true, but machines need root");
  });
});
