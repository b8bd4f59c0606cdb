import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROBE_PROTOCOL } from "./message.ts";
import { openNvml } from "./parent.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-parent-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A child that answers at once, or never. */
function childOf(name: string, answers: boolean): string {
  const path = join(folder, name);
  const reading = `{ kind: "ok", value: { gpus: [] } }`;
  const reply = `{ kind: "reply", protocol: ${PROBE_PROTOCOL}, id, op, reading: ${reading} }`;
  const said = answers ? `process.send(${reply})` : "undefined";
  writeFileSync(path, `process.on("message", ({ id, op }) => ${said});`);
  return path;
}

/** A clock that moves only by `stall`, which runs what is due as a process does that wakes up. */
function createClock() {
  let now = 0;
  let due: { atMs: number; work: () => void }[] = [];
  return {
    wallMs: () => now,
    monoMs: () => now,
    after: (ms: number, work: () => void) => {
      const entry = { atMs: now + ms, work };
      due.push(entry);
      return () => void (due = due.filter((each) => each !== entry));
    },
    stall: (ms: number) => {
      now += ms;
      const ready = due.filter(({ atMs }) => atMs <= now);
      due = due.filter(({ atMs }) => atMs > now);
      for (const { work } of ready) work();
    },
  };
}

function open(script: string, clock: ReturnType<typeof createClock>) {
  return openNvml({ execArgv: [process.execPath, "run", script], childArgv: [], env: {}, clock });
}

test("sample() reads the answer that came while this process stood still", async () => {
  const clock = createClock();
  const nvml = open(childOf("quick.js", true), clock);
  const answer = nvml.sample(5_000);
  clock.stall(60_000);
  expect(await answer).toMatchObject({ kind: "ok" });
  nvml.close();
});

test("sample() gives up a silent child a second after such a stall, and else in time", async () => {
  for (const [stall, again] of [
    [60_000, 1_000],
    [5_000, 0],
  ] as const) {
    const clock = createClock();
    const nvml = open(childOf("silent.js", false), clock);
    const answer = nvml.sample(5_000);
    clock.stall(stall);
    clock.stall(again);
    expect(await answer).toMatchObject({ kind: "unresponsive" });
    nvml.close();
  }
});
