import { describe, expect, test } from "bun:test";
import { parseFlags, type Flag, type Flags } from "./flag.ts";

const SPEC: readonly Flag[] = [
  { name: "server", short: "s", kind: "text", env: ["A_SERVER", "B_SERVER"], help: "server" },
  { name: "output", short: "o", kind: "text", help: "form" },
  { name: "label", kind: "texts", help: "labels" },
  { name: "wait", kind: "switch", env: ["WAIT"], help: "wait" },
];

function read(argv: string[], env: Record<string, string> = {}): Flags {
  const answer = parseFlags(SPEC, argv, env);
  if (!answer.ok) throw new Error(answer.message);
  return answer.flags;
}

function refusal(argv: string[], env: Record<string, string> = {}): string {
  const answer = parseFlags(SPEC, argv, env);
  return answer.ok ? "accepted" : answer.message;
}

describe("parseFlags()", () => {
  test.each([
    "--server x",
    "--server=x",
    "-server x",
    "-server=x",
    "-s x",
    "-s=x",
    "list --server x",
  ])("reads %s", (line) => {
    expect(read(line.split(" ")).text("server")).toBe("x");
  });

  test("reads a short flag with its value attached", () => {
    expect(read(["-ojson"]).text("output")).toBe("json");
  });

  test("keeps every value of a repeated flag and the last of a single one", () => {
    const flags = read(["--label", "a=1", "--label=b=2", "-s", "x", "-s", "y"]);
    expect(flags.texts("label")).toEqual(["a=1", "b=2"]);
    expect(flags.text("server")).toBe("y");
  });

  test("leaves words, a lone dash, numbers and all after -- alone", () => {
    expect(read(["a", "-", "-5", "--wait", "b", "--", "--server"]).rest).toEqual([
      "a",
      "-",
      "-5",
      "b",
      "--server",
    ]);
  });

  test("takes the first variable that is not empty, and a flag before it", () => {
    const env = { A_SERVER: "", B_SERVER: "env" };
    expect(read([], env).text("server")).toBe("env");
    expect(read([], env).from("server")).toBe("env");
    expect(read(["-s", "x"], env).text("server")).toBe("x");
    expect(read(["-s", "x"], env).from("server")).toBe("flag");
    expect(read([]).from("server")).toBeNull();
  });

  test("reads a switch, its value and its variable", () => {
    expect(read(["--wait"]).on("wait")).toBe(true);
    expect(read(["--wait=false"]).on("wait")).toBe(false);
    expect(read([], { WAIT: "1" }).on("wait")).toBe(true);
    expect(refusal(["--wait=maybe"])).toBe('--wait: expected true or false, found "maybe"');
  });

  test("refuses an unknown flag with the nearest one", () => {
    expect(refusal(["--sever", "x"])).toBe("unknown flag --sever: did you mean --server?");
    expect(refusal(["-sever", "x"])).toBe("unknown flag -sever: did you mean --server?");
    expect(refusal(["--zebra=1"])).toBe("unknown flag --zebra");
  });

  test("refuses a flag without its value", () => {
    expect(refusal(["--server"])).toBe("--server needs a value");
    expect(refusal(["--server", "--wait"])).toBe("--server needs a value, found the flag --wait");
  });

  test("throws on a flag that is not declared, which is a bug", () => {
    expect(() => read([]).text("sever")).toThrow("not declared");
  });
});
