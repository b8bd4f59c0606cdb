import { expect, test } from "bun:test";
import fc from "fast-check";
import type { CommandId } from "../../../schema/id.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { openHandRunner } from "../../../test/world/rehearsal.ts";
import { RunLog } from "./run-log.ts";
import { KEPT_MAX, QUEUE_MAX, type RunRecord, WorkflowRuns } from "./runs.ts";

const by = { name: "token:a", role: "admin", remote: "10.0.0.1", request: "r" } as const;

function open({ isRecorded = true } = {}) {
  const clock = new VirtualClock();
  const runner = openHandRunner();
  const rows: RunRecord[] = [];
  let serial = 0;
  const runs = new WorkflowRuns({
    runner,
    clock,
    log: () => undefined,
    newId: () => `w${++serial}`,
    record: async (row) => rows.push(row) > 0 && isRecorded,
  });
  const submit = (text: string, key: string | null = null) =>
    runs.submit({ text, templates: {} }, { by, key: key as CommandId | null, cleanup: false });
  const states = (): string =>
    runs
      .list()
      .reverse()
      .map(({ state }) => state)
      .join();
  return { clock, runner, rows, runs, submit, states };
}

test("W54: one workflow runs at a time, in order, with a row at its start and at its end", async () => {
  const { clock, runner, rows, runs, submit, states } = open();
  expect(submit("Sleep a")).toMatchObject({ kind: "ok", run: { id: "w1", name: "of a" } });
  submit("Sleep b\nSleep c");
  await clock.pass(0);
  expect(states()).toBe("running,queued");
  expect(rows.map(({ id, verb }) => `${id} ${verb}`)).toEqual(["w1 start"]);
  expect(runner.begun[0]?.order.fieldManager).toBe("navarch-workflow-w1");
  await clock.pass(7);
  runner.begun[0]?.end(null);
  await clock.pass(0);
  expect(states()).toBe("passed,running");
  runner.begun[1]?.end("Sleep/b: broke");
  await clock.pass(0);
  expect(states()).toBe("passed,failed");
  expect(runs.get("w1")?.run).toMatchObject({ duration_ms: 7, error: null });
  expect(runs.get("w2")?.run).toMatchObject({
    error: "Sleep/b: broke",
    tasks: [
      { state: "failed", duration_ms: 5 },
      { id: "c", state: "waiting" },
    ],
  });
  const ends = rows.filter(({ verb }) => verb === "end");
  expect(ends.map(({ id, code, detail, name }) => [id, code, detail, name])).toEqual([
    ["w1", "ok", "passed", "token:a"],
    ["w2", "failed", "Sleep/b: broke", "token:a"],
  ]);
});

test("W54: a workflow without its audit row does not run", async () => {
  const { clock, runner, submit, runs } = open({ isRecorded: false });
  submit("Sleep a");
  await clock.pass(0);
  expect(runner.begun).toEqual([]);
  expect(runs.get("w1")?.run.error).toContain("audit row of its start could not be written");
});

test("W54: the queue is bounded, text that cannot be read takes no place in it", async () => {
  const { clock, submit, runner, states } = open();
  submit("Sleep a");
  await clock.pass(0);
  for (let i = 0; i < QUEUE_MAX; i++) expect(submit("Sleep b").kind).toBe("ok");
  expect(submit("Sleep c")).toMatchObject({ kind: "full" });
  expect(submit("!")).toEqual({
    ...{ kind: "invalid", isYaml: true, message: "line 1: found !" },
  });
  expect(submit("")).toEqual({ kind: "invalid", isYaml: false, message: "test  has no tasks" });
  runner.begun[0]?.end(null);
  await clock.pass(0);
  expect(submit("Sleep c").kind).toBe("ok");
  expect(states().split(",")).toHaveLength(QUEUE_MAX + 2);
});

test("W54: a key makes a repeated submission the same run", async () => {
  const { clock, submit, runner } = open();
  const [first, again] = [submit("Sleep a", "k"), submit("Sleep a", "k")];
  expect(again).toEqual(first);
  expect(submit("Sleep a", "other")).toMatchObject({ run: { id: "w2" } });
  await clock.pass(0);
  expect(runner.begun).toHaveLength(1);
});

test("W54: cancel ends what runs, and what waits never begins", async () => {
  const { clock, submit, runs, runner, rows, states } = open();
  submit("Sleep a");
  submit("Sleep b");
  await clock.pass(0);
  expect(runs.cancel("w2", "token:b").kind).toBe("ok");
  expect(runs.get("w2")?.run.error).toBe("cancelled by token:b before it began");
  expect(runs.cancel("w1", "token:b").kind).toBe("ok");
  expect(runs.cancel("w1", "token:c").kind).toBe("ok");
  await clock.pass(0);
  expect(states()).toBe("cancelled,cancelled");
  expect(runs.get("w1")?.run.error).toBe("cancelled by token:b: interrupted");
  expect(runner.begun).toHaveLength(1);
  expect(rows.at(-1)).toMatchObject({ id: "w1", verb: "end", code: "cancelled" });
  expect([runs.cancel("w1", "x"), runs.cancel("none", "x")]).toEqual([
    { kind: "ended" },
    { kind: "unknown" },
  ]);
});

test("W54: a run that takes a day is ended, so that others get their turn", async () => {
  const { clock, submit, runs, states } = open();
  submit("Sleep a");
  submit("Sleep b");
  await clock.pass(24 * 3_600_000 + 1);
  expect(states()).toBe("failed,running");
  expect(runs.get("w1")?.run.error).toBe("ran longer than 24 h: interrupted");
});

test("W54: close() interrupts the run, waits for its end, and takes nothing more", async () => {
  const { clock, submit, runs, rows, states } = open();
  submit("Sleep a");
  submit("Sleep b");
  await clock.pass(0);
  const closed = runs.close(30_000);
  await clock.pass(0);
  await closed;
  expect(states()).toBe("cancelled,cancelled");
  expect(rows.map(({ verb }) => verb)).toEqual(["start", "end"]);
  expect(submit("Sleep c")).toEqual({ kind: "closed" });
});

test("W54: ended runs are forgotten, the newest last", async () => {
  const { clock, submit, runs, runner } = open();
  for (let i = 0; i < KEPT_MAX + 3; i++) {
    submit("Sleep a");
    await clock.pass(0);
    runner.begun[i]?.end(null);
    await clock.pass(0);
  }
  expect(runs.list()).toHaveLength(KEPT_MAX);
  expect([runs.get("w3"), runs.get("w4")?.run.id]).toEqual([null, "w4"]);
});

test("W54: a follower gets every event once, in order, or is told how many are gone", async () => {
  const text = fc.string({ maxLength: 30 });
  const step = fc.oneof(
    fc.record({ tell: fc.array(text, { maxLength: 60 }) }),
    fc.record({ read: fc.integer({ min: 1, max: 3 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const log = new RunLog(new VirtualClock());
      let told = 0;
      let after = 0;
      let seen = 0;
      const read = (): void => {
        const page = log.page(after);
        const seqs = page.events.map(({ seq }) => seq);
        expect(seqs).toEqual(seqs.map((_, i) => after + page.dropped + i + 1));
        after = page.next;
        seen += page.dropped + seqs.length;
      };
      for (const one of steps) {
        if ("tell" in one) {
          for (const line of one.tell) log.tell({ kind: "line", level: "info", text: line });
          told += one.tell.length;
        } else for (let i = 0; i < one.read; i++) read();
      }
      log.end();
      for (let isOver = false; !isOver; read()) isOver = log.page(after).ended;
      expect([seen, after]).toEqual([told, told]);
    }),
    { numRuns: 200 },
  );
});

test("W54: a log keeps bounded text, and a far reader learns what it missed", async () => {
  const log = new RunLog(new VirtualClock());
  for (let i = 0; i < 2_000; i++) {
    log.tell({ kind: "line", level: "info", text: "x".repeat(10_000) });
  }
  const page = log.page(0);
  expect(page.dropped).toBeGreaterThan(1_800);
  expect(JSON.stringify(page).length).toBeLessThan(600 * 1_024);
  expect(page.events.at(-1)?.seq).toBe(2_000);
});
