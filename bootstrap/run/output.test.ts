/** Bounded output and the mask: nothing secret comes through, whatever was cut where. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { withCpuMs } from "../../test/cpu-time.ts";
import { cleanText, createMask } from "./mask.ts";
import { OutputBuffer, PART_BYTES } from "./output.ts";

const SECRET = "s3cr3t-token-0123456789";

function feed(buffer: OutputBuffer, text: string, chunkBytes: number): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    buffer.push(bytes.subarray(at, at + chunkBytes));
  }
}

describe("createMask()", () => {
  const mask = createMask([SECRET, "two\nlines-of-it", "p@ss/w'rd"]);
  const cases: [string, string][] = [
    [`a ${SECRET} b`, "a *** b"],
    [`${SECRET}${SECRET}`, "***"],
    ["lines-of-it", "***"],
    ["x=p%40ss%2Fw'rd", "x=***"],
    ["'p@ss/w'\\''rd'", "'***'"],
    [`ends with ${SECRET.slice(0, 9)}`, "ends with ***"],
    [`s3cr3t-\x1b[1mtoken-0123456789`, "***"],
    ["nothing", "nothing"],
    ["two", "two"],
  ];
  for (const [given, covered] of cases) {
    test(`covers ${JSON.stringify(given)}`, () => expect(mask.text(given)).toBe(covered));
  }

  const token = `${"aZ09_-".repeat(7)}x`;
  for (const prefix of ["nva.", "nvt.", "nvj.", "nvn.bm9kZQ.", "nvn.bm9kZQ.12."]) {
    test(`covers every ${prefix} token, also one that nobody told`, () => {
      const given = `NAVARCH_TOKEN=${prefix}${token} x`;
      expect(createMask([]).text(given)).toBe("NAVARCH_TOKEN=*** x");
      for (let end = prefix.length; end < prefix.length + token.length; end++) {
        expect(createMask([]).text(`a ${`${prefix}${token}`.slice(0, end)}`)).toBe("a ***");
      }
    });
  }

  test("takes no ordinary word for a token", () => {
    const words = "nvt. env.HOME=1 nva.yes, conv.abcdefghijklmnopqrstuvwxyz nvidia.com/gpu";
    expect(createMask([]).text(`${words}\n`)).toBe(`${words}\n`);
  });

  test("hides a secret in a long key, piece by piece", () => {
    const key = Array.from({ length: 400 }, (_, index) => `piece-${index}`).join("");
    expect(createMask([key]).text(`key ${key} end`)).toMatch(/^key \*+ end$/);
  });

  test("hides nothing for secrets that are too short to be any", () => {
    expect(createMask(["", "a", "  ", "no"]).text("a no b")).toBe("a no b");
  });
});

describe("cleanText()", () => {
  const cases: [string, string][] = [
    ["a\x1b[31mred\x1b[0m", "ared"],
    ["\x1b]0;title\x07x", "x"],
    ["10%\r20%\r\n", "10%\n20%\n"],
    ["\x1b[2J\x08\x7f\x9b", "\ufffd\ufffd\ufffd"],
    ["a\tb\n", "a\tb\n"],
    ["\u202eabc", "\ufffdabc"],
  ];
  for (const [given, clean] of cases) {
    test(`cleans ${JSON.stringify(given)}`, () => expect(cleanText(given)).toBe(clean));
  }

  test("leaves no control character in any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(cleanText(text)).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
      }),
    );
  });

  test("is linear in hostile text", () => {
    const { cpuMs } = withCpuMs(() => {
      for (const part of ["\x1b]", "\x1b[", "\x1b[;", "\r", "\x1b]a"]) {
        cleanText(part.repeat(100_000 / part.length));
      }
    });
    expect(cpuMs).toBeLessThan(5_000);
  });
});

describe("OutputBuffer", () => {
  test("keeps a short text whole", () => {
    const buffer = new OutputBuffer(createMask([]));
    expect(buffer.read()).toEqual({ head: "", tail: "", droppedBytes: 0 });
    feed(buffer, "hällo\nworld", 3);
    expect(buffer.read()).toEqual({ head: "hällo\nworld", tail: "", droppedBytes: 0 });
  });

  test("keeps head and tail and counts what lies between, to the byte", () => {
    const sizes = fc.tuple(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 1, max: 90 }));
    fc.assert(
      fc.property(sizes, fc.integer({ min: 8, max: 64 }), ([chars, chunk], part) => {
        const letters = ["a", "é", "€", "😀"];
        const text = Array.from({ length: chars }, (_, at) => letters[(at * 7) % 4]).join("");
        const buffer = new OutputBuffer(createMask([]), part);
        feed(buffer, text, chunk);
        const { head, tail, droppedBytes } = buffer.read();
        expect(text.startsWith(head)).toBe(true);
        expect(text.endsWith(tail)).toBe(true);
        const kept = Buffer.byteLength(head) + Buffer.byteLength(tail);
        expect(kept + droppedBytes).toBe(Buffer.byteLength(text));
        expect(Buffer.byteLength(head)).toBeLessThanOrEqual(part);
        expect(Buffer.byteLength(tail)).toBeLessThanOrEqual(part + 3);
        if (droppedBytes === 0) expect(head + tail).toBe(text);
      }),
      { numRuns: 400 },
    );
  });

  test("shows no four letters of a secret in a row, wherever chunks and cuts fall", () => {
    // None of the filler's letters is in the secret, so that every leak shows.
    const filler = fc.string({ unit: fc.constantFrom("x", "y", "\n", "é"), maxLength: 60 });
    const text = fc.array(fc.oneof(filler, fc.constant(SECRET)), { maxLength: 25 });
    const numbers = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 4, max: 80 }));
    const stop = fc.integer({ min: 0, max: 1_500 });
    fc.assert(
      fc.property(text, numbers, stop, (parts, [chunk, part], end) => {
        const buffer = new OutputBuffer(createMask([SECRET]), part);
        feed(buffer, Buffer.from(parts.join("")).subarray(0, end).toString("latin1"), chunk);
        const { head, tail } = buffer.read();
        for (let at = 0; at + 4 <= SECRET.length; at++) {
          const piece = SECRET.slice(at, at + 4);
          expect(`${head}|${tail}`).not.toContain(piece);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("takes 200 MB without keeping more than its bound", () => {
    const buffer = new OutputBuffer(createMask([SECRET]));
    const chunk = Buffer.alloc(65_536, "line of output\n");
    const start = performance.now();
    const before = process.memoryUsage().rss;
    for (let at = 0; at < 3_200; at++) buffer.push(chunk);
    const { head, tail, droppedBytes } = buffer.read();
    expect(head.length).toBe(PART_BYTES);
    expect(tail.length).toBe(PART_BYTES);
    expect(droppedBytes).toBe(3_200 * 65_536 - 2 * PART_BYTES);
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1_024 * 1_024);
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});
