import { describe, expect, test } from "bun:test";
import { formatHold, readHold } from "./hold.ts";

const KEY = "navarch.dev/hold";
const read = (annotation?: string, label?: string) =>
  readHold({
    annotations: annotation === undefined ? {} : { [KEY]: annotation },
    labels: label === undefined ? {} : { [KEY]: label },
  });

describe("readHold()", () => {
  test.each(["true", "True", "TRUE", "yes", "Yes", "1", "on", "ON", " true "])(
    "holds with %j, as annotation and as label",
    (value) => {
      expect(read(value)).toEqual({ held: true, unclear: null });
      expect(read(undefined, value)).toEqual({ held: true, unclear: null });
    },
  );

  test.each(["false", "False", "no", "0", "off", "OFF"])("does not hold with %j", (value) => {
    expect(read(value)).toEqual({ held: false, unclear: null });
    expect(read(undefined, value)).toEqual({ held: false, unclear: null });
    expect(read()).toEqual({ held: false, unclear: null });
  });

  test("holds if either says so", () => {
    expect(read("false", "true").held).toBe(true);
    expect(read("on", "off").held).toBe(true);
  });

  test.each(["", "maybe", "2", "until monday", "disabled"])("holds with %j, and says so", (value) => {
    expect(read(value)).toEqual({ held: true, unclear: value });
    expect(formatHold("gpu-1", value)).toContain(JSON.stringify(value));
  });

  test("bounds what it repeats", () => {
    expect(read("x".repeat(10_000)).unclear).toHaveLength(64);
  });
});
