/**
 * `--watch` against a control plane that changes, goes away and comes back.
 */
import { afterAll, expect, test } from "bun:test";
import { COMMANDS } from "../../cli/command/catalog.ts";
import { runCommandLine } from "../../cli/run.ts";
import { endReading, json, navarch, startReading } from "./spawn.ts";
import { openStub, TOKEN } from "./stub.ts";

afterAll(endReading);
const envOf = (url: string) => ({ NAVARCH_SERVER: url, NAVARCH_AUTH_TOKEN: TOKEN });

test("list --watch prints what is new, outlives a restart, and ends on Ctrl-C", async () => {
  const first = openStub();
  const { child, said, until } = startReading(["list", "--watch"], envOf(first.url));
  const rows = () => said.out.trim().split("\n");
  await until(() => said.out.includes("gpu-10"), "the first table");
  const before = rows().length;
  const changed = { ...first.nodes[0], status: "NODE_STATUS_CORDONED" } as (typeof first.nodes)[0];
  first.nodes = [changed, ...first.nodes.slice(1)];
  await until(() => rows().length > before, "the changed row");
  expect(rows().slice(before)).toEqual([expect.stringContaining("Cordoned")]);
  expect(rows().slice(before)[0]).toContain(changed.node_id);
  await first.close();
  await until(() => said.err.includes("trying again"), "the warning");
  const second = openStub({ port: first.port });
  second.nodes = [{ ...changed, node_id: "gpu-after" }, ...second.nodes];
  await until(() => said.out.includes("gpu-after"), "the restarted control plane");
  child.kill("SIGINT");
  await child.exited;
  expect(child.signalCode).toBe("SIGINT");
  expect(said.err.split("\n").filter((line) => line !== "")).toHaveLength(1);
  await second.close();
}, 30_000);

test("list --watch -o json prints one object a line", async () => {
  const stub = openStub();
  const { child, said, until } = startReading(["watch", "nodes", "-o", "json"], envOf(stub.url));
  await until(() => said.out.split("\n").length > stub.nodes.length, "every node");
  const ids = said.out
    .trim()
    .split("\n")
    .map((line) => (json(line) as { node_id: string }).node_id);
  expect(ids.sort()).toEqual(stub.nodes.map((node) => node.node_id).sort());
  child.kill("SIGTERM");
  await child.exited;
  await stub.close();
}, 30_000);

test("--watch ends at once where asking again would not help", async () => {
  const stub = openStub();
  const env = { NAVARCH_SERVER: stub.url, NAVARCH_AUTH_TOKEN: TOKEN };
  expect((await navarch(["get", "nosuch", "-w"], env)).code).toBe(3);
  await stub.close();
  expect((await navarch(["pool", "list", "-w"], env)).code).toBe(5);
  expect((await navarch(["events", "-w"], env)).code).toBe(5);
});

test("on a terminal each answer takes the place of the last, in its size of that moment", async () => {
  const stub = openStub();
  const drawn: string[][] = [];
  let size = { columns: 80, rows: 24 };
  const enough = new Error("enough");
  let rounds = 0;
  const run = runCommandLine(COMMANDS, {
    program: "navarch",
    argv: ["list", "-w"],
    env: { NAVARCH_SERVER: stub.url, NAVARCH_AUTH_TOKEN: TOKEN },
    out: () => undefined,
    err: () => undefined,
    tty: true,
    columns: 80,
    screen: { size: () => size, draw: (lines) => void drawn.push([...lines]) },
    ask: () => null,
    wallMs: () => Date.UTC(2026, 0),
    monoMs: () => performance.now(),
    sleep: async () => {
      rounds += 1;
      size = { columns: 60, rows: 5 };
      if (rounds === 2) await stub.close();
      if (rounds === 3) throw enough;
    },
    home: "/nonexistent",
    root: false,
  });
  await expect(run).rejects.toBe(enough);
  expect(drawn).toHaveLength(3);
  expect(drawn[0]?.[0]).toMatch(/^navarch list -w +00:00:00Z$/);
  expect(drawn[0]?.join("\n")).toContain("gpu-10");
  expect(Math.max(...(drawn[1] ?? []).map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(
    60,
  );
  expect(drawn[1]?.length).toBeLessThanOrEqual(4);
  expect(drawn[1]?.at(-1)).toMatch(/^… \d+ more lines$/);
  expect(drawn[2]?.[1]).toStartWith("cannot reach ");
});
