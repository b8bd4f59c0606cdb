/**
 * Measures a Slurm cluster as its users feel it: how fast jobs are accepted, how soon they start,
 * and how soon an idle node is drained. Every job has one name, and is cancelled on the way out.
 */
import type { SlurmTool } from "./slurm-tool.ts";

/** A dead controller blocks a client for 9 s (Slurm 22.05.8). */
const CALL_MS = 15_000;
const POLL_MS = 200;
const DRAIN_POLL_MS = 20;
/** Failures of the queue in a row until the bench gives up. */
const BLIND_MAX = 5;
const BENCH_REASON = "navarch:bench BENCH drain latency";
const JOB_MINUTES = 5;
const PENDING = /^(PENDING|CONFIGURING|REQUEUED|REQUEUE_HOLD|SPECIAL_EXIT|REQUEUE_FED)$/;
const FAILED = /^(BOOT_FAIL|CANCELLED|DEADLINE|FAILED|NODE_FAIL|OUT_OF_MEMORY|PREEMPTED|TIMEOUT)/;

export type BenchOptions = {
  name: string;
  jobs: number;
  parallel: number;
  partition: string | null;
  gpus: number;
  drainNode: string | null;
  rounds: number;
  limitMs: number;
};

export type BenchResult = {
  jobs: number;
  submit_per_s: number;
  /** From the call of sbatch to the first look at the queue that shows it started. */
  start_p50_ms: number;
  start_p99_ms: number;
  /** Mean time between two looks at the queue. */
  resolution_ms: number;
  /** From the call of scontrol to `drained`; `null` without a node. */
  drain_p50_ms: number | null;
  drain_p99_ms: number | null;
  failed: number;
};

export type BenchAnswer = { ok: true; value: BenchResult } | { ok: false; message: string };
const no = (message: string): { ok: false; message: string } => ({ ok: false, message });

type Job = { beganMs: number; startedMs: number | null; isOver: boolean; isFailed: boolean };

export async function runBench(
  options: BenchOptions,
  tool: SlurmTool,
  signal: AbortSignal,
  progress: (done: number) => void,
): Promise<BenchAnswer> {
  const jobs = new Map<string, Job>();
  const endMs = tool.monoMs() + options.limitMs;
  const isLate = (): boolean => signal.aborted || tool.monoMs() > endMs;
  try {
    const beganMs = tool.monoMs();
    const submitting = submitAll(options, tool, jobs, isLate);
    const watching = watchJobs(options, tool, jobs, { submitting, isLate, progress });
    const [submitted, watched] = await Promise.all([submitting, watching]);
    if (!submitted.ok) return submitted;
    if (!watched.ok) return watched;
    const drains = await measureDrains(options, tool, isLate);
    if (!drains.ok) return drains;
    const waits = [...jobs.values()].flatMap(({ startedMs, beganMs: since, isFailed }) =>
      startedMs === null || isFailed ? [] : [startedMs - since],
    );
    const seconds = Math.max(0.001, (submitted.endedMs - beganMs) / 1_000);
    const result = {
      jobs: options.jobs,
      submit_per_s: round(options.jobs / seconds),
      start_p50_ms: round(rankOf(waits, 0.5) ?? 0),
      start_p99_ms: round(rankOf(waits, 0.99) ?? 0),
      resolution_ms: round(watched.resolutionMs),
      drain_p50_ms: roundOr(rankOf(drains.ms, 0.5)),
      drain_p99_ms: roundOr(rankOf(drains.ms, 0.99)),
      failed: [...jobs.values()].filter(({ isFailed }) => isFailed).length,
    };
    return { ok: true, value: result };
  } finally {
    const isLeft = jobs.size < options.jobs || [...jobs.values()].some(({ isOver }) => !isOver);
    if (isLeft) await tool.run(["scancel", `--name=${options.name}`], CALL_MS);
  }
}

type Submitted = { ok: true; endedMs: number } | { ok: false; message: string };

async function submitAll(
  { name, jobs: count, parallel, partition, gpus }: BenchOptions,
  tool: SlurmTool,
  jobs: Map<string, Job>,
  isLate: () => boolean,
): Promise<Submitted> {
  const where = partition === null ? [] : [`--partition=${partition}`];
  const asked = gpus === 0 ? [] : [`--gres=gpu:${gpus}`];
  const quiet = ["--output=/dev/null", "--error=/dev/null", "--chdir=/"];
  const words = ["--parsable", `--job-name=${name}`, `--time=${JOB_MINUTES}`, ...quiet];
  const argv = ["sbatch", ...words, ...where, ...asked, "--wrap=:"];
  let left = count;
  let failure: string | null = null;
  const work = async (): Promise<void> => {
    while (left > 0 && failure === null) {
      if (isLate()) failure = "stopped before all jobs were submitted";
      left -= 1;
      const beganMs = tool.monoMs();
      const answer = failure === null ? await tool.run(argv, CALL_MS) : no(failure);
      if (!answer.ok) {
        failure ??= answer.message;
        return;
      }
      const id = answer.output.trim().split(";")[0] ?? "";
      if (/^\d+$/.test(id)) {
        jobs.set(id, { beganMs, startedMs: null, isOver: false, isFailed: false });
      } else failure ??= `sbatch printed ${JSON.stringify(id.slice(0, 60))}, expected a job id`;
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  return failure === null ? { ok: true, endedMs: tool.monoMs() } : no(failure);
}

type Watched = { ok: true; resolutionMs: number } | { ok: false; message: string };

/** Looks at the queue until every job is over. */
async function watchJobs(
  options: BenchOptions,
  tool: SlurmTool,
  jobs: ReadonlyMap<string, Job>,
  on: {
    submitting: Promise<Submitted>;
    isLate: () => boolean;
    progress: (done: number) => void;
  },
): Promise<Watched> {
  let submitted: Submitted | null = null;
  void on.submitting.then((answer) => void (submitted = answer));
  const beganMs = tool.monoMs();
  const argv = ["squeue", "-h", "-t", "all", `--name=${options.name}`, "-o", "%i|%T"];
  for (let looks = 1, blind = 0; ; looks += 1) {
    await tool.sleep(POLL_MS);
    const isWhole = isSubmitted(submitted);
    if (isWhole === false) return { ok: true, resolutionMs: POLL_MS };
    if (on.isLate()) return no(`not all jobs ended within ${options.limitMs / 1_000} s`);
    const known = [...jobs];
    const answer = await tool.run(argv, CALL_MS);
    if (!answer.ok) {
      blind += 1;
      if (blind === BLIND_MAX) return no(answer.message);
      continue;
    }
    blind = 0;
    takeStates(known, answer.output, tool.monoMs());
    const over = [...jobs.values()].filter(({ isOver }) => isOver).length;
    on.progress(over);
    if (isWhole === true && over === options.jobs) {
      return { ok: true, resolutionMs: (tool.monoMs() - beganMs) / looks };
    }
  }
}

/** `null` = under way. */
function isSubmitted(answer: Submitted | null): boolean | null {
  return answer === null ? null : answer.ok;
}

/** A job that was submitted before the look and is not in the queue has ended. */
export function takeStates(
  known: readonly (readonly [string, Job])[],
  output: string,
  nowMs: number,
): void {
  const states = new Map<string, string>();
  for (const line of output.split("\n")) {
    const [id = "", state = ""] = line.trim().split("|");
    states.set(id, state);
  }
  for (const [id, job] of known) {
    const state = states.get(id) ?? "COMPLETED";
    if (PENDING.test(state)) continue;
    job.startedMs ??= nowMs;
    job.isFailed = FAILED.test(state);
    job.isOver = job.isFailed || state === "COMPLETED";
  }
}

type Drains = { ok: true; ms: number[] } | { ok: false; message: string };

async function measureDrains(
  { drainNode, rounds }: BenchOptions,
  tool: SlurmTool,
  isLate: () => boolean,
): Promise<Drains> {
  if (drainNode === null) return { ok: true, ms: [] };
  const ms: number[] = [];
  const change = (...more: string[]) =>
    tool.run(["scontrol", "update", `nodename=${drainNode}`, ...more], CALL_MS);
  try {
    for (let done = 0; done < rounds; done += 1) {
      const idle = await waitState(drainNode, /^idle$/, tool, isLate);
      if (idle !== null) return no(`${idle}; the drain was not measured`);
      const beganMs = tool.monoMs();
      const drained = await change("state=drain", `reason=${BENCH_REASON}`);
      if (!drained.ok) return drained;
      const late = await waitState(drainNode, /^drained$/, tool, isLate);
      if (late !== null) return no(late);
      ms.push(tool.monoMs() - beganMs);
      const released = await release(drainNode, tool);
      if (released !== null) return no(released);
    }
    return { ok: true, ms };
  } finally {
    if (ms.length < rounds) await release(drainNode, tool);
  }
}

/** Undrains only what the bench drained. */
async function release(node: string, tool: SlurmTool): Promise<string | null> {
  const shown = await tool.run(["sinfo", "-h", "-N", "-n", node, "-o", "%T|%E"], CALL_MS);
  if (!shown.ok) return `${node} may still be drained: ${shown.message}`;
  const [state = "", reason = ""] = (shown.output.split("\n")[0] ?? "").split("|");
  if (!/^drain/.test(state) || reason.trim() !== BENCH_REASON) return null;
  const words = ["scontrol", "update", `nodename=${node}`, "state=undrain"];
  const answer = await tool.run(words, CALL_MS);
  return answer.ok ? null : `${node} is still drained: ${answer.message}`;
}

/** `null` once the state is there, else why it is not. */
async function waitState(
  node: string,
  want: RegExp,
  tool: SlurmTool,
  isLate: () => boolean,
): Promise<string | null> {
  for (;;) {
    const shown = await tool.run(["sinfo", "-h", "-N", "-n", node, "-o", "%T"], CALL_MS);
    if (!shown.ok) return shown.message;
    const state = (shown.output.split("\n")[0] ?? "").trim();
    if (want.test(state)) return null;
    if (state === "") return `Slurm has no node ${node}`;
    // A person's drain, or a node that is down, will not end for a bench.
    if (want.source === "^idle$" && /^(drain|down|fail|maint|unk|power|inval|resv)/.test(state)) {
      return `${node} is ${state}, expected idle`;
    }
    // A user's job came first: the node is released again rather than kept from others.
    if (want.source === "^drained$" && /^draining/.test(state)) {
      return `${node} got a job before it was drained, and was released again`;
    }
    if (isLate()) return `${node} is still ${state}`;
    await tool.sleep(DRAIN_POLL_MS);
  }
}

/** Nearest rank; `null` of nothing. */
export function rankOf(values: readonly number[], share: number): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

const round = (value: number): number => Math.round(value * 10) / 10;
const roundOr = (value: number | null): number | null => (value === null ? null : round(value));
