/** What stands in the environment of a unit or a container reaches the agent, and flags win. */
import { expect, test } from "bun:test";
import { parseOptions, formatHelp } from "./option.ts";

const pool = (argv: string[], env: Record<string, string>): string | null => {
  const parsed = parseOptions(argv, env, "n1", 0);
  if (parsed.kind !== "options") throw new Error(JSON.stringify(parsed));
  return parsed.options.pool;
};

test("parseOptions() takes the pool from NAVARCH_POOL, and --pool before it", () => {
  expect(pool([], {})).toBeNull();
  expect(pool([], { NAVARCH_POOL: "training" })).toBe("training");
  expect(pool([], { NAVARCH_POOL: " training\n" })).toBe("training");
  expect(pool([], { NAVARCH_POOL: "" })).toBeNull();
  expect(pool(["--pool=serving"], { NAVARCH_POOL: "training" })).toBe("serving");
});

test("formatHelp() names the variable of each flag that has one", () => {
  const help = formatHelp();
  const line = help.split("\n").find((one) => one.includes("--pool NAME")) ?? "";
  expect(line).toContain("[NAVARCH_POOL]");
});

test("parseOptions() warns of a token that is set and empty", () => {
  const warned = (token: string | undefined) => {
    const answer = parseOptions([], { NAVARCH_AUTH_TOKEN: token }, "host", 0);
    return answer.kind === "options" ? answer.warnings : [answer];
  };
  expect(warned("")).toEqual([expect.stringContaining("NAVARCH_AUTH_TOKEN is set and empty")]);
  expect(warned(" \n")).toHaveLength(1);
  expect([warned(undefined), warned("a-token")]).toEqual([[], []]);
});
