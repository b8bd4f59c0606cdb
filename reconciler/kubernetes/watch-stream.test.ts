import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { LineSplitter, parseWatchLine } from "./watch-stream.ts";

const encode = (text: string) => new TextEncoder().encode(text);

describe("LineSplitter", () => {
  test("push() yields the same lines however the bytes are cut", () => {
    const lines = fc.array(fc.string({ unit: "binary" }).map((text) => text.replace(/\n/g, "")));
    const cuts = fc.array(fc.nat(400));
    fc.assert(
      fc.property(lines, cuts, fc.boolean(), (wanted, at, reuse) => {
        // Lone surrogates become replacement characters once, here, and not by the splitter.
        const texts = wanted.map((text) => new TextDecoder().decode(encode(text)));
        const bytes = encode(texts.map((text) => `${text}\n`).join(""));
        const points = [...at.map((n) => Math.min(n, bytes.length)), bytes.length].sort(
          (a, b) => a - b,
        );
        const splitter = new LineSplitter();
        const found: string[] = [];
        const buffer = new Uint8Array(bytes.length);
        let from = 0;
        for (const to of points) {
          // A stream may hand out one buffer again and again.
          const view = reuse ? buffer.subarray(0, to - from) : new Uint8Array(to - from);
          view.set(bytes.subarray(from, to));
          found.push(...(splitter.push(view) ?? []));
          from = to;
        }
        expect(found).toEqual(texts);
        expect(splitter.torn()).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  test("push() refuses a line without an end, whole or in pieces", () => {
    const splitter = new LineSplitter(10);
    expect(splitter.push(encode("a\n12345"))).toEqual(["a"]);
    expect(splitter.push(encode("67890"))).toEqual([]);
    expect(splitter.push(encode("1"))).toBeNull();
    expect(new LineSplitter(10).push(encode("x".repeat(11)))).toBeNull();
  });

  test("torn() tells a line that nobody ended", () => {
    const splitter = new LineSplitter();
    splitter.push(encode('{"a":1}\n{"b"'));
    expect(splitter.torn()).toBe(true);
  });
});

describe("parseWatchLine()", () => {
  test("reads the four kinds of events", () => {
    for (const type of ["ADDED", "MODIFIED", "DELETED", "BOOKMARK"] as const) {
      const line = JSON.stringify({ type, object: { metadata: { name: "a" } } });
      const event = { type, object: { metadata: { name: "a" } } };
      expect(parseWatchLine(line)).toEqual({ kind: "event", event });
    }
  });

  test.each([
    [{ kind: "Status", status: "Failure", code: 410, reason: "Expired", message: "too old" }],
    [{ kind: "Status", status: "Failure", code: 410, reason: "Gone", message: "gone" }],
    [{ kind: "Status", status: "Failure", reason: "Expired" }],
  ])("takes %j for an expired version", (object) => {
    const line = JSON.stringify({ type: "ERROR", object });
    expect(parseWatchLine(line)).toEqual({ kind: "end", end: { kind: "expired" } });
  });

  test("tells another error with its status and its desired to wait", () => {
    const details = { retryAfterSeconds: 3 };
    const object = { kind: "Status", code: 500, reason: "InternalError", message: "x", details };
    expect(parseWatchLine(JSON.stringify({ type: "ERROR", object }))).toEqual({
      kind: "end",
      end: { kind: "refused", status: 500, message: "InternalError: x", retryAfterMs: 3_000 },
    });
  });

  test("passes over what it does not know, and ends at what is no event", () => {
    expect(parseWatchLine("")).toEqual({ kind: "nothing" });
    expect(parseWatchLine('{"type":"LATER","object":{}}')).toEqual({ kind: "nothing" });
    for (const line of [
      "<html>",
      "null",
      "[]",
      '{"type":"ADDED"}',
      '{"type":"ERROR","object":1}',
    ]) {
      expect(parseWatchLine(line)).toMatchObject({ kind: "end", end: { kind: "lost" } });
    }
  });

  test("survives every text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
        expect(["event", "end", "nothing"]).toContain(parseWatchLine(line).kind);
      }),
    );
  });
});
