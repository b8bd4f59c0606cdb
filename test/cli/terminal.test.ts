import { afterAll, describe, expect, test } from "bun:test";
import { COMMANDS } from "../../cli/command/catalog.ts";
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
    ...["list", "list -o wide", "get", "pool list", "pool status training", "events", "plan"],
    ...["explain", "safety", "doctor", "instances", "token list"],
  ])("%s fits 80 columns, however long the names", async (line) => {
    const nodes = stub.nodes;
    const long = `training-h100-us-central1-production-${"0".repeat(20)}`;
    stub.nodes = nodes.map((node, i) => ({
      ...node,
      node_id: `${long}${i}`,
      kubernetes_node: `gke-${long}${i}`,
      region: "northamerica-northeast1",
      zone: "northamerica-northeast1-a",
      reasons: ["XID 79 on GPU 3 since 10:02, after two resets that did not help"],
    }));
    const { out } = await atTerminal(/^(get|explain)$/.test(line) ? `${line} ${long}1` : line, {
      columns: 80,
    });
    stub.nodes = nodes;
    const rows = Bun.stripANSI(out).split("\n");
    expect(rows.filter((row) => Bun.stringWidth(row) > 80)).toEqual([]);
    expect(rows.length).toBeGreaterThan(1);
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
    // It is looked up, whose cordon it has, and nothing is ordered.
    expect(stub.seen.map(({ method }) => method)).toEqual(["GET"]);
    const yes = await atTerminal("replace gpu-10", {}, "y");
    expect(yes).toMatchObject({ code: 0, out: expect.stringContaining("gpu-10 replacing") });
  });
});
