/** What a person sees on a real terminal: a watched table in its place, and progress that vanishes. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type OnTerminal, screenOf, startOnTerminal } from "./pty.ts";
import { navarch } from "./spawn.ts";
import { openStub, TOKEN } from "./stub.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-pty-"));
const started: OnTerminal[] = [];
afterAll(() => {
  for (const one of started) one.kill();
  rmSync(folder, { recursive: true });
});

function start(args: string[], env: Record<string, string> = {}, cols = 80): OnTerminal {
  const one = startOnTerminal(args, env, { cols, rows: 24 });
  started.push(one);
  return one;
}

test("list -w draws in its place, in the size of the moment, and ends on Ctrl-C", async () => {
  const stub = openStub();
  const screen = start(["list", "-w"], { NAVARCH_SERVER: stub.url, NAVARCH_AUTH_TOKEN: TOKEN });
  const shown = () => screen.lines().join("\n");
  await screen.until(() => shown().includes("gpu-10"), "the first table");
  expect(screen.lines()[0]).toMatch(/^navarch list -w +\d\d:\d\d:\d\dZ$/);
  expect(Math.max(...screen.lines().map((line) => line.length))).toBeLessThanOrEqual(80);
  const [, ...rest] = stub.nodes;
  stub.nodes = rest;
  await screen.until(() => !shown().includes("gpu-10"), "the row that went away");
  expect(shown()).toContain("gpu-2");
  const before = screen.raw().length;
  screen.resize({ cols: 50, rows: 6 });
  const after = () => screen.raw().slice(before).split("\x1b[H").slice(1);
  await screen.until(() => after().some((text) => /… \d+ more lines/.test(text)), "fewer lines");
  const small = screenOf(after().find((text) => /more lines/.test(text)) ?? "");
  expect(Math.max(...small.map((line) => line.length))).toBeLessThanOrEqual(50);
  expect(small.filter((line) => line !== "").length).toBeLessThanOrEqual(6);
  screen.type("\x03");
  expect(await screen.ended).toMatchObject({ signal: "SIGINT" });
  await stub.close();
}, 60_000);

const BAR = /\[=*>? *\] +\d+%/;

test("simulate run shows how far it is, and leaves nothing of that", async () => {
  const out = join(folder, "run");
  const screen = start(["simulate", "run", "basic-fleet", "--seed", "7", "--out", out]);
  expect((await screen.ended).code).toBe(0);
  expect(screen.raw()).toMatch(BAR);
  expect(screen.lines().join("\n")).not.toMatch(BAR);
  expect(screen.lines()).toContain(`passed: ${out}`);
  const piped = await navarch([
    "simulate",
    "run",
    "basic-fleet",
    "--seed",
    "7",
    "--out",
    `${out}2`,
  ]);
  expect(piped).toMatchObject({ code: 0, err: "" });
  expect(piped.out).not.toMatch(/[\r\x1b]|elapsed/);
}, 60_000);

/** The folder's name may be too long for a line of the screen. */
const inOneLine = (text: string): string => text.trim().replaceAll(/\s+/g, " ");

test("backup counts its bytes, of as many as the control plane says", async () => {
  const bytes = Buffer.concat([Buffer.from("SQLite format 3\0"), Buffer.alloc(8 * 1_048_576)]);
  const server = Bun.serve({
    port: 0,
    fetch: () =>
      new Response(
        new ReadableStream({
          async pull(controller) {
            for (let at = 0; at < bytes.length; at += 1_048_576) {
              controller.enqueue(bytes.subarray(at, at + 1_048_576));
              await Bun.sleep(110);
            }
            controller.close();
          },
        }),
        { headers: { "navarch-bytes": String(bytes.length) } },
      ),
  });
  const file = join(folder, "fleet.backup");
  const env = { NAVARCH_SERVER: `http://127.0.0.1:${server.port}` };
  const screen = start(["backup", "--out", file], env);
  expect((await screen.ended).code).toBe(0);
  expect(screen.raw()).toContain("the control plane copies its database");
  expect(screen.raw()).toMatch(/\[=+> *\] +\d+% {2}\d\.\d of 8\.0 MiB/);
  expect(inOneLine(screen.lines().join("\n"))).toBe(`${file} ${bytes.length} bytes`);
  expect(statSync(file).size).toBe(bytes.length);
  // A terminal that can do nothing gets the lines alone, as a pipe does.
  const dumb = start(["backup", "--out", `${file}2`], { ...env, TERM: "dumb" });
  expect((await dumb.ended).code).toBe(0);
  expect(inOneLine(dumb.raw())).toBe(`${file}2 ${bytes.length} bytes`);
  await server.stop(true);
}, 60_000);

test("upgrade agents --wait shows how many have the release, and wipes that at the end", async () => {
  let asked = 0;
  const view = () => ({
    upgrade: {
      id: "u1",
      to: "0.2.0",
      by: "admin",
      have: Math.min(4, asked),
      total: 4,
      max_unavailable: "10%",
      nodes: [],
      paused: null,
      rollback: false,
      state: asked < 4 ? "running" : "done",
      why: null,
    },
  });
  const server = Bun.serve({
    port: 0,
    fetch: ({ method }) => {
      if (method === "GET") asked += 1;
      return Response.json(view());
    },
  });
  const env = { NAVARCH_SERVER: `http://127.0.0.1:${server.port}` };
  const screen = start(["upgrade", "agents", "--to", "0.2.0", "--wait"], env);
  expect((await screen.ended).code).toBe(0);
  expect(screen.raw()).toContain("upgrade  [==========>         ]  50%  2 of 4");
  expect(screen.lines().join("\n")).not.toMatch(BAR);
  expect(screen.lines()).toContain("Agents to 0.2.0: done, 4 of 4 nodes have it");
  await server.stop(true);
}, 60_000);
