import { afterAll, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
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
  let armed = 0;
  let due: { atMs: number; work: () => void }[] = [];
  return {
    wallMs: () => now,
    monoMs: () => now,
    /** How often anything was armed. */
    armed: () => armed,
    after: (ms: number, work: () => void) => {
      const entry = { atMs: now + ms, work };
      armed += 1;
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

/** Says that it opened a GPU each time that somebody writes `step` into the file. */
function steppingChild(): { script: string; step(): void; answer(): void } {
  const path = join(folder, "stepping.js");
  const orders = join(folder, "orders");
  writeFileSync(orders, "");
  writeFileSync(
    path,
    `const fs = require("node:fs"); let done = 0; let asked = null;
    process.on("message", (message) => { asked = message; });
    setInterval(() => {
      const lines = fs.readFileSync(${JSON.stringify(orders)}, "utf8").split("\\n").filter(Boolean);
      for (const line of lines.slice(done)) {
        done += 1;
        if (line === "step") process.send({ kind: "step", protocol: ${PROBE_PROTOCOL} });
        else process.send({ kind: "reply", protocol: ${PROBE_PROTOCOL}, ...asked,
          reading: { kind: "ok", value: { gpus: [] } } });
      }
    }, 5);`,
  );
  return {
    script: path,
    step: () => appendFileSync(orders, "step\n"),
    answer: () => appendFileSync(orders, "answer\n"),
  };
}

test("check() waits for a child that opens one GPU after the other, and not for ever", async () => {
  const clock = createClock();
  const child = steppingChild();
  const nvml = open(child.script, clock);
  const answer = nvml.check(8_000);
  // Six seconds each: 18 in all, of 20 at the most.
  for (let gpu = 0; gpu < 3; gpu++) {
    const before = clock.armed();
    clock.stall(6_000);
    child.step();
    while (clock.armed() === before) await Bun.sleep(1);
  }
  child.answer();
  expect(await answer).toMatchObject({ kind: "ok" });

  const hung = nvml.check(8_000);
  await Bun.sleep(0);
  for (let gpu = 0; gpu < 2; gpu++) {
    const before = clock.armed();
    clock.stall(7_900);
    child.step();
    while (clock.armed() === before) await Bun.sleep(1);
  }
  clock.stall(4_200);
  expect(await hung).toMatchObject({ kind: "unresponsive" });
  nvml.close();
});

test("sample() gives up a silent child a second after such a stall, and else in time", async () => {
  for (const [stall, again] of [
    [60_000, 1_000],
    // A child that never answered has the time that starting may take.
    [8_000, 0],
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
