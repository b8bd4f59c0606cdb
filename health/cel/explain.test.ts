/** Mistakes in conditions are explained in their author's terms, and all of them are listed. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compileCondition } from "./condition.ts";
import { withCpuMs } from "../../test/cpu-time.ts";

/** `COL: message` of every mistake; empty = it compiles. */
function mistakesOf(text: string): string[] {
  const made = compileCondition(text);
  if (made.ok) return [];
  return [made, ...made.more].map(({ at, message }) => `${at?.line}:${at?.col}: ${message}`);
}

const operator = (written: string, meant: string, what = "instead") =>
  `"${written}" is not an operator here: write "${meant}" ${what}`;

describe("compileCondition() explains", () => {
  test.each([
    ['event.event_type = "xid"', `1:18: ${operator("=", "==", "to compare")}`],
    ['event.event_type === "xid"', `1:18: ${operator("===", "==", "to compare")}`],
    ['event.event_type <> "xid"', `1:18: ${operator("<>", "!=")}`],
    ["node.fake & true", `1:11: ${operator("&", "&&")}`],
    ["node.fake | true", `1:11: ${operator("|", "||")}`],
    ["node.fake and true", `1:11: ${operator("and", "&&")}`],
    ["node.fake OR true", `1:11: ${operator("OR", "||")}`],
    ["not node.fake", `1:1: ${operator("not", "!")}`],
    ["event.metrics.xid_code in (79, 48)", "1:27: a list is written in square brackets, as in"],
    ['event.metrics.xid_code == "79"', "1:27: event.metrics.xid_code is a number and is compared"],
    ['"79" == event.metrics.xid_code', "1:1: event.metrics.xid_code is a number and is compared"],
    ['event.metrics["xid_code"] > "5"', "1:29: event.metrics.xid_code is a number and is compared"],
    ["event.event_type == 79", "1:21: event.event_type is text and is compared with the number 79"],
    ["event.event_type in [79]", "1:22: event.event_type is text and is compared with the number"],
    ["event.gpu_index == node.pool", "1:20: event.gpu_index is a number and is compared with node"],
    ["node.fake == 1", "1:14: node.fake is true or false and is compared with the number 1"],
    ["event.gpu_index", "1:1: condition gives number, expected bool"],
    ['event.event_type in "xid"', "1:1: in looks inside a list"],
    ['event.event_type.contain("x")', "1:1: there is no method contain; did you mean contains?"],
    ["xid_code == 79", "1:1: unknown name xid_code; did you mean event.metrics.xid_code?"],
    ["gpu_index == 0", "1:1: unknown name gpu_index; did you mean event.gpu_index?"],
    ["event.event_type == xid", '1:21: unknown name xid; text is written in quotes: "xid"'],
    ['size(event.message) == "3"', "1:1: a number and text cannot be combined by =="],
  ])("%s", (text, message) => {
    const [only = "", ...more] = mistakesOf(text);
    expect(only).toStartWith(message);
    expect(more).toEqual([]);
  });

  test("every mistake of one condition, where it stands in the text", () => {
    const text = 'event.evnt_type = "xid"\n  and event.metrics.xid_code == "79" or node.pol = 5';
    expect(mistakesOf(text)).toEqual([
      `1:17: ${operator("=", "==", "to compare")}`,
      `2:3: ${operator("and", "&&")}`,
      `2:38: ${operator("or", "||")}`,
      `2:50: ${operator("=", "==", "to compare")}`,
      "1:7: event has no field evnt_type; did you mean event.event_type?",
      '2:33: event.metrics.xid_code is a number and is compared with the text "79", which is never ' +
        "equal: write 79 without quotes",
      "2:46: node has no field pol; did you mean node.pool?",
    ]);
  });

  test.each([
    'event.event_type == "a = b and c" // not = wrong & all',
    'event.metrics.serial_id == "0079" && event.metrics["power_uuid"] != "5"',
    "event.metrics.anything == 5 || event.metrics.anything == 'five'",
    "event.event_type in ['xid', 'sxid'] && event.gpu_index in [0, 1.0]",
    "node.fake == true && has(event.metrics.xid_code) && -1 == event.gpu_index",
  ])("nothing in what is right: %s", (text) => {
    expect(mistakesOf(text)).toEqual([]);
  });

  test("anything, without an exception and in bounded time", () => {
    const word = fc.constantFrom(
      ...["event.event_type", "==", "=", "&", "|", "and", "or", "not", "(", ")", "[", "1", '"x"'],
      ...[",", "in", "<>", "===", "node.fake", "\n", "//", "'", "=!", "&&&", "|||"],
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), fc.constantFrom(" ", ""), (words, gap) => {
        const { result: found, cpuMs } = withCpuMs(() => mistakesOf(words.join(gap)));
        expect(found.length).toBeLessThan(200);
        expect(cpuMs).toBeLessThan(1_000);
      }),
      { numRuns: 2_000 },
    );
  });
});
