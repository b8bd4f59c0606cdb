import { afterAll, describe, expect, test } from "bun:test";
import { COMMANDS } from "../../cli/catalog.ts";
import { runCommandLine } from "../../cli/run.ts";
import type { World } from "../../cli/world.ts";
import { openStub, TOKEN } from "./stub.ts";

const stub = openStub();
afterAll(() => stub.close());

/** A terminal with a person before it, who gives `reply` to every question. */
async function atTerminal(line: string, more: Partial<World> = {}, reply = "") {
  let [out, err, asked] = ["", "", ""];
  const world: World = {
    program: "navarch",
    argv: line.split(" "),
    env: { NAVARCH_SERVER: stub.url, NAVARCH_AUTH_TOKEN: TOKEN, ...more.env },
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    tty: true,
    columns: 80,
    ask: (question) => {
      asked += question;
      return reply;
    },
    wallMs: () => Date.now(),
    monoMs: () => performance.now(),
    sleep: () => Promise.resolve(),
    home: "/nonexistent",
    root: false,
    ...(more.columns === undefined ? {} : { columns: more.columns }),
  };
  const code = await runCommandLine(COMMANDS, world);
  return { code, out, err, asked };
}

describe("on a terminal", () => {
  test("tables have colour and fit the width", async () => {
    const { out } = await atTerminal("list", { columns: 120 });
    expect(out).toContain("\u001b[31mUnhealthy\u001b[0m");
    expect(out).toContain("\u001b[32mHealthy\u001b[0m");
    const { out: wide } = await atTerminal("list", { columns: 90 });
    const widths = Bun.stripANSI(wide)
      .split("\n")
      .map((row) => Bun.stringWidth(row));
    expect(Math.max(...widths)).toBeLessThanOrEqual(90);
  });

  test.each([
    ["list --no-color", {}],
    ["list", { NO_COLOR: "1" }],
    ["list", { TERM: "dumb" }],
    ["list -o json", {}],
    ["list -o yaml", {}],
  ])("%s with %j has no colour", async (line, env) => {
    const { out } = await atTerminal(line, { env });
    expect(out).not.toContain("\u001b");
  });

  test("an order that ends a node is asked about", async () => {
    stub.seen.length = 0;
    const no = await atTerminal("terminate gpu-10", {}, "n");
    expect(no).toMatchObject({ code: 1, asked: "Terminate gpu-10? [y/N]" });
    expect(stub.seen).toEqual([]);
    const yes = await atTerminal("replace gpu-10", {}, "y");
    expect(yes).toMatchObject({ code: 0, out: expect.stringContaining("gpu-10 replacing") });
  });
});
