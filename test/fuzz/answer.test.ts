/**
 * A control plane of another age, or none at all, answers what it likes: the command line then says
 * so, or shows what it can read, and ends with a documented status.
 */
import { afterAll, expect, test } from "bun:test";
import fc from "fast-check";
import { COMMANDS } from "../../cli/command/catalog.ts";
import { EXIT } from "../../cli/failure.ts";
import { runCommandLine } from "../../cli/run.ts";
import type { World } from "../../cli/world.ts";
import { openStub, TOKEN } from "../cli/stub.ts";
import { mutate, mutations, odd } from "./mutate.ts";
import { PATIENCE_MS, runs } from "./runs.ts";

const stub = openStub();
afterAll(() => stub.close());

const LINES = [
  "list",
  "get gpu-2",
  "pool list",
  "pool status training",
  "instances",
  "explain gpu-2",
  "events",
  "plan",
  "safety",
  "policy show",
  "token list",
  "version",
];

async function run(
  line: string,
  form: string,
): Promise<{ code: number; out: string; err: string }> {
  const said = { out: "", err: "" };
  let now = Date.UTC(2026, 0);
  const world: World = {
    program: "navarch",
    argv: [...line.split(" "), "-o", form],
    env: { NAVARCH_SERVER: stub.url, NAVARCH_AUTH_TOKEN: TOKEN },
    out: (text) => void (said.out += text),
    err: (text) => void (said.err += text),
    tty: true,
    columns: 80,
    ask: () => null,
    wallMs: () => now,
    monoMs: () => performance.now(),
    sleep: async (ms) => void (now += ms),
    home: "/nonexistent",
    root: false,
  };
  return { code: await runCommandLine(COMMANDS, world), ...said };
}

async function answersOf(line: string): Promise<unknown[]> {
  stub.broken = null;
  stub.seen.length = 0;
  await run(line, "json");
  const headers = { authorization: `Bearer ${TOKEN}` };
  const gets = stub.seen.filter((one) => one.method === "GET").map(({ path }) => path);
  return Promise.all(
    gets.map(async (path) => (await fetch(`${stub.url}${path}`, { headers })).json()),
  );
}

test(
  "runCommandLine() ends whatever the control plane answers",
  async () => {
    const known = new Map<string, unknown[]>();
    for (const line of LINES) known.set(line, await answersOf(line));
    const document = fc.constantFrom(...LINES).chain((line) => {
      const [valid] = known.get(line) ?? [];
      const spoiled = mutations.map((all) => mutate(valid, all));
      const answer = fc.oneof({ weight: 8, arbitrary: spoiled }, { weight: 1, arbitrary: odd });
      return fc.tuple(fc.constant(line), answer);
    });
    const form = fc.constantFrom("table", "wide", "json", "jsonl", "yaml", "name");
    const statuses: readonly number[] = Object.values(EXIT);
    let strange = 0;
    await fc.assert(
      fc.asyncProperty(document, form, async ([line, answer], how) => {
        stub.broken = { status: 200, body: JSON.stringify(answer) ?? "" };
        const { code, out, err } = await run(line, how);
        expect(statuses).toContain(code);
        if (code !== EXIT.done && out === "") expect(err).not.toBe("");
        if (err.includes("this version cannot read its answer")) strange++;
        expect(out + err).not.toContain(TOKEN);
        // What was answered never drives the screen; the colours of a table are ours.
        expect(out.replace(/\u001b\[\d*m/g, "")).not.toContain("\u001b");
      }),
      runs(500),
    );
    expect(strange).toBeGreaterThan(0);
  },
  PATIENCE_MS,
);
