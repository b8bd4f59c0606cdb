import { describe, expect, test } from "bun:test";
import { readHold } from "../core/kubernetes/hold.ts";
import { isNews } from "../core/kubernetes/mark.ts";
import { readNode } from "./read-node.ts";
import { sayKept } from "../core/say/hold.ts";

const said = (unclear: string | null) => sayKept({ code: "node_held", node: "gpu-1", unclear });

const BARE = readNode({ metadata: { name: "gpu-1", uid: "u", resourceVersion: "1" } });
if (BARE === null) throw new Error("a Node was made");

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

  test.each(["", "maybe", "2", "until monday", "disabled"])(
    "holds with %j, and says so",
    (value) => {
      expect(read(value)).toEqual({ held: true, unclear: value });
      expect(said(value)).toContain(JSON.stringify(value));
    },
  );

  const near = ["Hold", "HOLD", "holds", "on-hold", "hodl"];
  test.each(near)("holds for the key %j, and says so", (name) => {
    const key = `navarch.dev/${name}`;
    for (const hold of [
      readHold({ annotations: { [key]: "true" }, labels: {} }),
      readHold({ annotations: {}, labels: { [key]: "true" } }),
    ]) {
      expect(hold).toEqual({ held: true, unclear: `${key}=true` });
      expect(said(hold.unclear)).toBe(
        `${key}=true on Node gpu-1 is taken for navarch.dev/hold, so the Node is held`,
      );
    }
    expect(readHold({ annotations: { [key]: "no" }, labels: {} }).held).toBe(false);
  });

  const others = ["pool", "threshold", "hold-reason", "gold", "session"];
  test.each(others)("does not hold for the key %j", (name) => {
    const given = { [`navarch.dev/${name}`]: "true" };
    expect(readHold({ annotations: given, labels: given }).held).toBe(false);
    expect(readHold({ annotations: {}, labels: { "example.com/Hold": "true" } }).held).toBe(false);
  });

  test("a label under a misspelt key is news", () => {
    const label = (labels: Record<string, string>) => ({ ...BARE, labels });
    expect(isNews(label({}), label({ "navarch.dev/Hold": "true" }))).toBe(true);
    expect(isNews(label({}), label({ "example.com/a": "true" }))).toBe(false);
    expect(isNews(BARE, { ...BARE, ips: ["10.0.0.1"] })).toBe(true);
  });

  test("bounds what it repeats", () => {
    expect(read("x".repeat(10_000)).unclear).toHaveLength(64);
  });
});
