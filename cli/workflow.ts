/**
 * Runs workflows for `navarch sim workflow`: reads all files, runs their tasks, and cleans up once
 * at the end, also after a failure or an interrupt.
 */
import { extname } from "node:path";
import type { KubeApi } from "../reconciler/kubernetes/api.ts";
import { REAL_CLOCK } from "../reconciler/kubernetes/connect.ts";
import { formatDuration } from "../schema/duration.ts";
import { seeded } from "../simulator/engine/random.ts";
import { cleanUp } from "../simulator/workflow/cleanup.ts";
import { expandList } from "../simulator/workflow/file-list.ts";
import { Made } from "../simulator/workflow/made.ts";
import { readWorkflow, type Workflow } from "../simulator/workflow/run/read.ts";
import { REPORTS } from "../simulator/workflow/run/report.ts";
import { type RunReport, type RunResult, runWorkflows } from "../simulator/workflow/run/run.ts";
import { State } from "../simulator/workflow/state.ts";
import { type Say, TaskError } from "../simulator/workflow/task.ts";
import { EXIT } from "./failure.ts";
import type { GoFlags } from "./go-flag.ts";
import { type Interrupt, INTERRUPTS, watchInterrupts } from "./interrupt.ts";
import { openKube } from "./kube.ts";
import {
  drawFieldManager,
  drawSeed,
  FileError,
  InputLines,
  listFiles,
  readTemplate,
  readText,
  wantWritable,
  writeReport,
} from "./workflow-file.ts";
import { openFleet } from "./plane-fleet.ts";
import type { World } from "./world.ts";

/** A run cannot begin; the message is the last line. */
class Unready extends Error {}

/** Exit status: 0 done, 1 failed, 130 or 143 interrupted. */
export async function runWorkflowFiles(world: World, flags: GoFlags): Promise<number> {
  const fail = (message: string): number => {
    world.err(`error: ${oneLine(message)}\n`);
    return EXIT.failed;
  };
  try {
    await wantReport(flags.text("report"));
    if (flags.number("cleanup.timeout") === 0) {
      throw new Unready("'cleanup.timeout' must be above 0");
    }
    const workflows = await readFiles(flags.text("workflow"));
    const kube = await openKube(world, flags);
    if (!kube.ok) return fail(kube.message);
    for (const warning of kube.warnings) world.err(`warning: ${warning}\n`);
    try {
      const say = openSay(world, flags.number("v"));
      return await perform({ world, flags, api: kube.api, say }, workflows);
    } finally {
      // An open connection would keep the process running.
      kube.api.close();
    }
  } catch (cause) {
    if (cause instanceof Unready || cause instanceof FileError) return fail(cause.message);
    throw cause;
  }
}

async function readFiles(list: string): Promise<Workflow[]> {
  const expanded = expandList(list);
  if (!expanded.ok) throw new Unready(expanded.message);
  const workflows: Workflow[] = [];
  for (const path of await listFiles(expanded.items)) {
    const read = readWorkflow(await readText(path), path);
    if (!read.ok) throw new Unready(`${path}: ${read.message}`);
    workflows.push(read.workflow);
  }
  return workflows;
}

/** A task's id or a server's message may have several. */
const oneLine = (text: string): string => {
  const lines = text.split(/[\r\n]/).map((line) => line.trim());
  return lines.filter((line) => line !== "").join("; ");
};

/** The log goes to standard error, as that of the Go program. */
export function openSay(world: World, verbosity: number): Say {
  return (level, line) => {
    if (level === "detail" && verbosity < 4) return;
    world.err(`${level === "warning" ? "warning: " : ""}${oneLine(line)}\n`);
  };
}

const openRandom = (flags: GoFlags): (() => number) =>
  seeded(flags.isGiven("seed") ? flags.number("seed") : drawSeed());

type Setting = { world: World; flags: GoFlags; api: KubeApi; say: Say };

async function perform(setting: Setting, workflows: readonly Workflow[]): Promise<number> {
  const { world, flags, api, say } = setting;
  const [made, input, stop] = [new Made(), new InputLines(), new AbortController()];
  const fieldManager = drawFieldManager();
  const isCleaning = flags.on("cleanup");
  const interrupts: Interrupt[] = [];
  const endWatch = watchInterrupts(
    (interrupt) => {
      interrupts.push(interrupt);
      const next = isCleaning ? "cleaning up; a second signal ends at once" : "ending";
      say("info", `${interrupt}: ${next}`);
      stop.abort();
    },
    () => world.err(`error: interrupted again; left behind: ${namesOf(made)}\n`),
  );
  // `2>&1 | head` must not end a run before its cleanup.
  world.outlast?.();
  try {
    const startedAt = new Date(world.wallMs()).toISOString();
    const startedMs = world.monoMs();
    const result = await runWorkflows(workflows, {
      ...optionsOf(flags),
      api,
      state: new State(),
      made,
      fleet: openFleet(world, flags),
      clock: REAL_CLOCK,
      signal: stop.signal,
      say,
      fieldManager,
      readText: readTemplate,
      pause: openPause(world, input, stop.signal),
    });
    const left = isCleaning ? await sweep(setting, made, fieldManager) : null;
    const ms = Math.round(world.monoMs() - startedMs);
    const written = await report(flags.text("report"), { ...result, startedAt, ms, left });
    return finish(world, result, interrupts[0] ?? null, written);
  } finally {
    endWatch();
    input.close();
  }
}

export function optionsOf(flags: GoFlags) {
  return {
    random: openRandom(flags),
    isStrict: flags.on("strict"),
    isDryRun: flags.on("dry-run"),
    taints: flags.on("taint"),
  };
}

/** The names of what is left. */
export async function sweep({ flags, api, say }: Setting, made: Made, fieldManager: string) {
  const keepsNodes = !flags.on("cleanup.nodes");
  const timeoutMs = flags.number("cleanup.timeout");
  const clock = REAL_CLOCK;
  const left = await cleanUp({ api, made, clock, say, fieldManager, timeoutMs, keepsNodes });
  return left.map(({ name }) => name);
}

/** Why the report could not be written, or `null`. */
async function report(path: string, content: RunReport): Promise<string | null> {
  if (path === "") return null;
  try {
    await writeReport(path, REPORTS.get(extname(path))?.(content) ?? "");
    return null;
  } catch (cause) {
    if (cause instanceof FileError) return cause.message;
    throw cause;
  }
}

async function wantReport(path: string): Promise<void> {
  if (path === "") return;
  if (!REPORTS.has(extname(path))) {
    const known = [...REPORTS.keys()].join(", ");
    throw new Unready(`-report ${path}: expected the ending ${known}`);
  }
  await wantWritable(path);
}

function openPause(world: World, input: InputLines, signal: AbortSignal) {
  return async (prompt: string): Promise<void> => {
    world.out(`${prompt}\n`);
    await input.next(signal);
    if (signal.aborted) throw new TaskError("interrupted");
  };
}

/** The last line is the error: that of a task, or of the report. */
function finish(
  world: World,
  result: RunResult,
  interrupt: Interrupt | null,
  unwritten: string | null,
): number {
  if (unwritten !== null) world.err(`error: the report is not written: ${unwritten}\n`);
  if (result.message !== null) world.err(`error: ${oneLine(result.message)}\n`);
  if (interrupt !== null) return INTERRUPTS[interrupt];
  if (result.status !== "passed" || unwritten !== null) return EXIT.failed;
  const tasks = result.workflows.flatMap((workflow) => workflow.tasks);
  const ms = result.workflows.reduce((sum, workflow) => sum + workflow.ms, 0);
  const count = `${tasks.length} ${tasks.length === 1 ? "task" : "tasks"}`;
  world.err(`${count} completed in ${formatDuration(Math.round(ms))}\n`);
  return EXIT.done;
}

const NAMES_MAX = 10;

export function namesOf(made: Made): string {
  const names = made.all().map(({ name }) => name);
  if (names.length === 0) return "nothing";
  const more = names.length > NAMES_MAX ? ` and ${names.length - NAMES_MAX} more` : "";
  return `${names.slice(0, NAMES_MAX).join(", ")}${more}`;
}
