import { expect, test } from "bun:test";
import { SmallKube } from "../../../test/world/small-kube.ts";
import { VirtualClock } from "../../engine/clock.ts";
import { cleanUp } from "../cleanup.ts";
import { noFleet } from "../../../test/world/no-fleet.ts";
import { unbroken } from "../guard.ts";
import { Made } from "../made.ts";
import { readWorkflow, type Workflow } from "./read.ts";
import { type RunResult, runWorkflows, type RunWorld } from "./run.ts";
import { State } from "../state.ts";
import { type Run, TaskError, type TaskType } from "../task.ts";

const CM = "/api/v1/namespaces/default/configmaps";

/** Creates `count` configmaps, one after the other, as its id says. */
async function createAll(run: Run, id: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const path = `${CM}/${id}-${i}`;
    run.made.intend(path, path);
    const query = { fieldManager: run.fieldManager };
    const body = { metadata: { name: `${id}-${i}` } };
    const asked = {
      verb: "create",
      path: CM,
      query,
      body,
      timeoutMs: 1_000,
      lane: "status",
    } as const;
    const answer = await run.api.call(asked);
    if (answer.kind !== "ok") throw new TaskError(answer.message);
    run.made.confirm(path, (answer.body as { metadata: { uid: string } }).metadata.uid);
  }
}

const act = (name: string, perform: (run: Run, id: string) => Promise<void>): TaskType => ({
  name,
  isPrefixed: true,
  read:
    ({ id }) =>
    (run) =>
      perform(run, id),
});

const TYPES = new Map(
  [
    act("Three", (run, id) => createAll(run, id, 3)),
    act("Leaky", async (run, id) => {
      void createAll(run, id, 3).catch(() => undefined);
      throw new TaskError("failed beside its\n  writes");
    }),
    act("Swap", async (run) => {
      const rest = { timeoutMs: 1_000, lane: "status" } as const;
      await unbroken(run, async ({ api }) => {
        await api.call({ verb: "delete", path: `${CM}/before`, ...rest });
        await api.call({
          verb: "create",
          path: CM,
          body: { metadata: { name: "before" } },
          ...rest,
        });
      });
    }),
    act("Keep", async (run, id) => run.state.keepNodes(id, ["n"])),
    act("Use", async (run) => run.say("detail", run.state.nodes("kept").join())),
    act("Bug", async () => {
      throw new RangeError("no TaskError");
    }),
    { ...act("Dry", async (run) => run.say("info", "dry")), runsDry: true },
  ].map((type) => [type.name, type]),
);

const workflow = (name: string, ...tasks: string[]): Workflow => {
  const lines = tasks.map((task) => `- {id: ${task.split("/")[1]}, type: ${task.split("/")[0]}}`);
  const read = readWorkflow(`name: ${name}\ntasks:\n${lines.join("\n")}`, `${name}.yml`, TYPES);
  if (!read.ok) throw new Error(read.message);
  return read.workflow;
};

class Ground {
  readonly kube = new SmallKube();
  readonly clock = new VirtualClock();
  readonly made = new Made();
  readonly stop = new AbortController();
  readonly lines: string[] = [];

  async run(workflows: Workflow[], given: Partial<RunWorld> = {}): Promise<RunResult> {
    const running = runWorkflows(workflows, {
      api: this.kube,
      state: new State(),
      made: this.made,
      fleet: noFleet("none"),
      clock: this.clock,
      signal: this.stop.signal,
      say: (level, line) => this.lines.push(`${level} ${line}`),
      random: () => 0.5,
      fieldManager: "navarch-sim-1",
      isStrict: false,
      isDryRun: false,
      taints: false,
      readText: async (path, source) => `${source}/${path}`,
      pause: async () => undefined,
      ...given,
    });
    return this.until(running);
  }

  async until<T>(running: Promise<T>): Promise<T> {
    let isOver = false;
    const watched = running.finally(() => {
      isOver = true;
    });
    for (let i = 0; i < 10_000 && !isOver; i++) await this.clock.pass(50);
    return watched;
  }

  clean() {
    const { kube: api, made, clock } = this;
    const say = (): void => undefined;
    const rest = { fieldManager: "navarch-sim-1", timeoutMs: 60_000, keepsNodes: false };
    return this.until(cleanUp({ api, made, clock, say, ...rest }));
  }
}

const statuses = (result: RunResult): string[] =>
  result.workflows.flatMap(({ tasks }) => tasks.map(({ id, status }) => `${id} ${status}`));

test("W13: what one file keeps, the next knows", async () => {
  const ground = new Ground();
  const result = await ground.run([workflow("a", "Keep/kept"), workflow("b", "Use/u")]);
  expect(result).toMatchObject({ status: "passed", message: null });
  expect(ground.lines).toContain("detail n");
});

test("W7, W15: each API write is a detail, the first error stops the run, and each task's time is reported", async () => {
  const ground = new Ground();
  ground.kube.before = async ({ verb }) => {
    if (verb === "create") await new Promise<void>((go) => void ground.clock.after(100, go));
    return null;
  };
  const result = await ground.run([
    workflow("a", "Three/x", "Use/u", "Three/y"),
    workflow("b", "Three/z"),
  ]);
  expect(statuses(result)).toEqual(["x passed", "u failed", "y skipped", "z skipped"]);
  expect(result.message).toBe("a.yml: Use/u: unreferenced task ID kept");
  expect(result.workflows[0]?.tasks[0]?.ms).toBe(300);
  expect(ground.lines).toEqual([
    'info Starting workflow "a" (a.yml)',
    "info Starting task Three/x",
    ...Array.from({ length: 3 }, () => `detail POST ${CM}: 201`),
    "info Task Three/x completed in 300ms",
    "info Starting task Use/u",
    "info Task Use/u failed after 0s",
  ]);
  expect(ground.kube.objects.size).toBe(3);
});

test("a bug in a task fails that task, so that cleanup follows", async () => {
  const result = await new Ground().run([workflow("a", "Bug/b")]);
  expect(result.message).toBe("a.yml: Bug/b: internal error: no TaskError");
});

test("W9: after an interrupt no task sends anything more, and cleanup finds all", async () => {
  const ground = new Ground();
  ground.kube.before = async ({ verb }) => {
    if (verb !== "create") return null;
    // Interrupted while the second request is on its way.
    if (ground.kube.calls.length === 2) ground.stop.abort();
    await new Promise<void>((go) => void ground.clock.after(100, go));
    return null;
  };
  const result = await ground.run([workflow("a", "Three/x", "Three/y")]);
  expect(statuses(result)).toEqual(["x interrupted", "y skipped"]);
  expect(result).toMatchObject({ status: "interrupted", message: "a.yml: Three/x: interrupted" });
  expect([...ground.kube.objects.keys()]).toEqual([`${CM}/x-0`, `${CM}/x-1`]);
  expect(await ground.clean()).toEqual([]);
  expect(ground.kube.objects.size).toBe(0);
});

test("W9: an interrupt does not come between a deletion and what takes its place", async () => {
  const ground = new Ground();
  ground.kube.put(`${CM}/before`);
  ground.kube.before = async ({ verb }) => {
    if (verb === "delete") ground.stop.abort();
    await new Promise<void>((go) => void ground.clock.after(100, go));
    return null;
  };
  const result = await ground.run([workflow("a", "Swap/s", "Swap/t")]);
  expect(statuses(result)).toEqual(["s passed", "t interrupted"]);
  expect([...ground.kube.objects.keys()]).toEqual([`${CM}/before`]);
});

test("W9: writes that a failed task left behind end before the cleanup begins", async () => {
  const ground = new Ground();
  ground.kube.before = async ({ verb }) => {
    if (verb === "create") await new Promise<void>((go) => void ground.clock.after(100, go));
    return null;
  };
  const result = await ground.run([workflow("a", "Leaky/x")]);
  expect(result.message).toBe("a.yml: Leaky/x: failed beside its; writes");
  const created = ground.kube.objects.size;
  await ground.clock.pass(1_000);
  expect([created, ground.kube.objects.size]).toEqual([1, 1]);
  expect(await ground.clean()).toEqual([]);
  expect(ground.kube.objects.size).toBe(0);
});

test("a dry run writes nothing, and runs only the tasks that are made for it", async () => {
  const ground = new Ground();
  const result = await ground.run([workflow("a", "Three/x", "Dry/d")], { isDryRun: true });
  expect(statuses(result)).toEqual(["x skipped", "d passed"]);
  expect(ground.kube.calls).toEqual([]);
});

test("W23: a template is looked for beside the workflow file that names it", async () => {
  const ground = new Ground();
  const texts: string[] = [];
  const read = act("Read", async (run) => void texts.push(await run.readText("t.yml")));
  const types = new Map([["Read", read]]);
  const text = "tasks: [{id: a, type: Read}]";
  const workflows = ["x/w.yml", "y/w.yml"].map((path) => {
    const answer = readWorkflow(text, path, types);
    if (!answer.ok) throw new Error(answer.message);
    return answer.workflow;
  });
  await ground.run(workflows);
  expect(texts).toEqual(["x/w.yml/t.yml", "y/w.yml/t.yml"]);
});
