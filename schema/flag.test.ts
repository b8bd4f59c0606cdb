import { describe, expect, test } from "bun:test";
import { type FlagSpecs, parseFlags, formatFlags } from "./flag.ts";

const SPECS = {
  server: {
    kind: "text",
    short: "s",
    env: ["NAVARCH_SERVER"],
    default: "http://localhost:50051",
    help: "the server",
  },
  "node-id": { kind: "text", env: ["NODE_NAME"] },
  label: { kind: "list", value: "K=V", help: "a label" },
  once: { kind: "switch", help: "one check" },
  fake: { kind: "switch", env: ["FAKE"] },
} as const satisfies FlagSpecs;

function read(argv: string[], env = {}) {
  const answer = parseFlags(SPECS, argv, env);
  if (!answer.ok) throw new Error(answer.message);
  return answer;
}

describe("parseFlags()", () => {
  test("reads every form of a flag", () => {
    for (const argv of [
      ["--server", "a:1"],
      ["--server=a:1"],
      ["-server", "a:1"],
      ["-server=a:1"],
      ["-s", "a:1"],
    ]) {
      expect(read(argv).values.server).toBe("a:1");
    }
  });

  test("takes flag, then environment, then default", () => {
    expect(read([]).values.server).toBe("http://localhost:50051");
    expect(read([], { NAVARCH_SERVER: "e:1" }).values.server).toBe("e:1");
    expect(read(["--server=f:1"], { NAVARCH_SERVER: "e:1" }).values.server).toBe("f:1");
    expect(read([], { NODE_NAME: "" }).values["node-id"]).toBe(undefined);
    expect(read(["--node-id="], { NODE_NAME: "n" }).values["node-id"]).toBe("");
  });

  test("keeps words, ends at --, and repeats lists", () => {
    const { rest, values, given } = read([
      "list",
      "--label",
      "a=b",
      "--once",
      "x",
      "--label=c=d",
      "--",
      "--server",
    ]);
    expect(rest).toEqual(["list", "x", "--server"]);
    expect(values.label).toEqual(["a=b", "c=d"]);
    expect(values.once).toBe(true);
    expect([...given]).toEqual(["label", "once"]);
  });

  test("reads switches from words and refuses others", () => {
    expect(read(["--once=false"]).values.once).toBe(false);
    expect(read([], { FAKE: "1" }).values.fake).toBe(true);
    expect(parseFlags(SPECS, [], { FAKE: "maybe" })).toEqual({
      ok: false,
      message: "FAKE must be true or false",
    });
  });

  test("takes a value that looks like a flag or a negative number", () => {
    expect(read(["--node-id", "--x"]).values["node-id"]).toBe("--x");
    expect(read(["-1"]).rest).toEqual(["-1"]);
  });

  test("names the nearest flag and never a value", () => {
    expect(parseFlags(SPECS, ["--sevrer=secret"])).toEqual({
      ok: false,
      message: "unknown flag --sevrer (did you mean --server?)",
    });
    expect(parseFlags(SPECS, ["--zzz"])).toEqual({
      ok: false,
      message: "unknown flag --zzz (--help lists all)",
    });
    expect(parseFlags(SPECS, ["--server"])).toEqual({
      ok: false,
      message: "--server needs a value",
    });
    expect(parseFlags(SPECS, ["--constructor"])).toMatchObject({ ok: false });
  });
});

test("formatFlags() lists what has a help line", () => {
  expect(formatFlags(SPECS)).toBe(
    [
      "  -s, --server VALUE  the server (default http://localhost:50051) [NAVARCH_SERVER]",
      "      --label K=V     a label",
      "      --once          one check",
    ].join("\n"),
  );
});
