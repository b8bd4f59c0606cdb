import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compressHostlist, expandHostlist, HOSTLIST_NAMES_MAX } from "./hostlist.ts";
import { withCpuMs } from "../../../test/cpu-time.ts";

const names = (text: string): string => {
  const answer = expandHostlist(text);
  return answer.kind === "ok" ? answer.names.join(" ") : `! ${answer.message}`;
};

/** As `scontrol show hostnames` of 22.05.8 answers. */
test.each([
  ["n[0-2]", "n0 n1 n2"],
  ["n[01-03,7]x[1-2]", "n01x1 n01x2 n02x1 n02x2 n03x1 n03x2 n7x1 n7x2"],
  ["a,b,a", "a b a"],
  [
    "rack[1-2]node[01-02,5]",
    "rack1node01 rack1node02 rack1node5 rack2node01 rack2node02 rack2node5",
  ],
  ["n[1-2][3-4]", "n13 n14 n23 n24"],
  ["n[001-3]", "n001 n002 n003"],
  ["n[09-11]", "n09 n10 n11"],
  ["n1,,n2", "n1 n2"],
  [" n1 n2", "n1 n2"],
  ["", ""],
])("expandHostlist(%p)", (text, expected) => {
  expect(names(text)).toBe(expected);
});

test.each([
  ["n[2-1]", "2-1 runs backwards"],
  ["n[1-2]-ib", "Slurm takes no text after the last bracket"],
  ["n[a-b]", "is no list of numbers"],
  ["n[]", "is no list of numbers"],
  ["n[1-]", "is no list of numbers"],
  ["n[1, 2]", "is no list of numbers"],
  ["n[1", "is no host name"],
  ["n1]", "is no host name"],
  ["n[[1]]", "is no host name"],
  ["n;rm", "is no host name"],
  ["$(x)", "is no host name"],
  [`n[0-${HOSTLIST_NAMES_MAX}]`, "makes more than 65536 names"],
  ["a[0-999]b[0-999]", "makes more than 65536 names"],
  ["n[0-40000],m[0-40000]", "makes more than 65536 names"],
  ["n[1-9999999999999999]", "more than 15 digits"],
  [`${"a".repeat(65_000)}[0-65535]`, "a name has more than 255 characters"],
  [`${"a[0-9]".repeat(100)}`, "makes more than 65536 names"],
])("expandHostlist(%p) is an error", (text, expected) => {
  expect(names(text)).toContain(expected);
});

test("a limit of the caller's counts over all items", () => {
  expect(expandHostlist("n[0-3]", 4).kind).toBe("ok");
  expect(expandHostlist("n[0-1],m,x[0-1]", 4).kind).toBe("invalid");
});

test.each([
  [["n0", "n1", "n2"], "n[0-2]"],
  [["n2", "n0", "n1", "n0"], "n[0-2]"],
  [["n01", "n1", "n2", "n10"], "n[1-2,01,10]"],
  [["n9", "n10", "n11"], "n[9-11]"],
  [["n09", "n10", "n011"], "n[09-10,011]"],
  [["n099", "n100"], "n[099-100]"],
  [["b", "a", "a"], "a,b"],
  [["n1-ib", "n2-ib"], "n1-ib,n2-ib"],
  [["r1n1", "r1n2", "r2n1"], "r1n[1-2],r2n1"],
  [["10", "11"], "[10-11]"],
  [[], ""],
])("compressHostlist(%p)", (list, expected) => {
  expect(compressHostlist(list)).toBe(expected);
});

test("compressHostlist throws for what would be read as another list", () => {
  for (const name of ["", "a,b", "n[0-1]", "a b", "a\n", "ALL;"]) {
    expect(() => compressHostlist([name])).toThrow("is no NodeName");
  }
});

describe("for any names", () => {
  const part = fc.constantFrom("n", "gpu-", "a.b", "0", "00", "9", "10", "99", "099", "7_", "-");
  const name = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(""));
  const numbered = fc
    .tuple(fc.constantFrom("n", "r1n", "x0"), fc.nat(120), fc.nat(4))
    .map(([start, number, width]) => start + String(number).padStart(width, "0"));
  const list = fc.array(fc.oneof(name, numbered), { maxLength: 60 });

  test("the compressed list expands to exactly them, whatever their order", () => {
    fc.assert(
      fc.property(list, (all) => {
        const text = compressHostlist(all);
        const answer = expandHostlist(text);
        const back = answer.kind === "ok" ? answer.names : [];
        expect(back.length).toBe(new Set(all).size);
        expect(new Set(back)).toEqual(new Set(all));
        expect(compressHostlist(all.toReversed())).toBe(text);
      }),
    );
  });

  test("any text is expanded or refused, in little time", () => {
    const piece = fc.constantFrom("n", "[", "]", ",", "-", "0", "9", "65535", "[0-99]", " ", "é");
    const text = fc.array(piece, { maxLength: 40 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, (one) => {
        const answer = expandHostlist(one);
        if (answer.kind === "ok") {
          expect(answer.names.length).toBeLessThanOrEqual(HOSTLIST_NAMES_MAX);
          for (const each of answer.names) expect(each).toMatch(/^[A-Za-z0-9_.-]+$/);
        } else expect(answer.message.length).toBeLessThan(300);
      }),
    );
  });
});

test("expandHostlist() shows at most eighty characters of what it cannot read", () => {
  const text = `${"n".repeat(100)}[2-1`;
  expect(names(text)).toContain(`${"n".repeat(80)}…`);
  expect(names(text)).not.toContain("n".repeat(81));
  expect(names("n[2-")).toContain("n[2-");
  expect(names("n[2-")).not.toContain("…");
});

/** As long as a job's reservation or a pod's annotation may be. */
const LONG = 65_536;
const WORST: [name: string, text: string][] = [
  ["commas", ",".repeat(LONG)],
  ["commas before a closed bracket", `${",".repeat(LONG)}]`],
  ["commas after a bracket", `[${",".repeat(LONG)}`],
  ["open brackets", "[".repeat(LONG)],
  ["brackets in turn", "[]".repeat(LONG / 2)],
  ["closed brackets", "]".repeat(LONG)],
  ["open ranges", "[0,".repeat(LONG / 3)],
  ["spaces", " ".repeat(LONG)],
];

test.each(WORST)("expandHostlist() takes no more than a pass over %s", (_name, text) => {
  expect(withCpuMs(() => expandHostlist(text)).cpuMs).toBeLessThan(500);
});
