/**
 * `navarch slurm bench`: measures the Slurm cluster of this computer's `slurm.conf` with jobs that
 * do nothing.
 */
import type { Command, Context, Outcome } from "../command.ts";
import { EXIT, failure, type Failure, usage } from "../failure.ts";
import { readSpan, textFlag } from "../flag.ts";
import { INTERRUPTS, type Interrupt, watchInterrupts } from "../interrupt.ts";
import { openProgress } from "../progress.ts";
import { show } from "../show.ts";
import { type BenchOptions, type BenchResult, runBench } from "../slurm-bench.ts";
import { COMMAND_DIR, openSlurmTool } from "../slurm-tool.ts";

const LIMIT_MS = 600_000;
const ROUNDS = 10;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export const slurmBench: Command = {
  name: ["slurm", "bench"],
  usage: "",
  summary: "measure how fast Slurm accepts, starts and drains",
  examples: ["navarch slurm bench --jobs 200 -o json", "navarch slurm bench --drain-node n0"],
  more: `Submits jobs that do nothing, polls the queue until all have ended, and prints how many
Slurm accepted per second and how long they waited to start. The wait begins with the call of
sbatch and ends when squeue shows the job started; resolution_ms is its error.

--drain-node drains and releases an idle node ${ROUNDS} times and prints how long each drain
took. It needs the rights of a Slurm operator, and does not touch a node that is not idle.
At the end, and after Ctrl-C, jobs are cancelled and the node is undrained.
Exit status: 1 a job failed or Slurm refused, 130 interrupted.`,
  flags: [
    textFlag("jobs", "N", "how many jobs (default 100)"),
    textFlag("parallel", "N", "how many to submit at once (default 8)"),
    textFlag("partition", "NAME", "partition of the jobs (default: the cluster's)"),
    textFlag("gpus", "N", "GPUs of each job (default 0)"),
    textFlag("drain-node", "NAME", "drain and release this idle node"),
    textFlag("limit", "T", "time limit for all (default 10m)"),
    COMMAND_DIR,
  ],
  words: { min: 0, max: 0 },
  lasts: () => true,
  reach: "offline",
  run: (context) => bench(context),
};

async function bench(context: Context): Outcome {
  const { flags, world } = context;
  const options = readOptions(context);
  if ("ok" in options) return options;
  const stop = new AbortController();
  let interrupt: Interrupt | null = null;
  const unwatch = watchInterrupts((signal) => {
    interrupt = signal;
    world.err("stopping: cancelling the jobs (Ctrl-C again exits at once)\n");
    stop.abort();
  });
  const progress = openProgress(world, "slurm bench", "count");
  try {
    const tool = openSlurmTool(world, flags.text("command-dir"));
    const draw = (done: number): void => progress.show(done, options.jobs);
    const answer = await runBench(options, tool, stop.signal, draw);
    progress.end();
    if (interrupt !== null) return INTERRUPTS[interrupt as Interrupt];
    if (!answer.ok) return failure(EXIT.failed, "slurm", answer.message);
    const { value } = answer;
    await show(context, { data: value, names: [], human: () => format(value) });
    return value.failed === 0 ? EXIT.done : EXIT.failed;
  } finally {
    progress.end();
    unwatch();
  }
}

function readOptions({ flags, world }: Context): BenchOptions | Failure {
  const counts: number[] = [];
  for (const [name, usual, least, most] of [
    ["jobs", 100, 1, 10_000],
    ["parallel", 8, 1, 64],
    ["gpus", 0, 0, 64],
  ] as const) {
    const text = flags.text(name) ?? String(usual);
    const count = /^\d{1,5}$/.test(text) ? Number(text) : -1;
    if (count < least || count > most) {
      return usage(`--${name}: expected ${least} to ${most}, found "${text}"`);
    }
    counts.push(count);
  }
  for (const name of ["partition", "drain-node"]) {
    const given = flags.text(name);
    if (given === null || NAME.test(given)) continue;
    return usage(`--${name} "${given}": expected one name`);
  }
  const limit = flags.text("limit");
  const span = limit === null ? null : readSpan("limit", limit);
  if (span?.ok === false) return span;
  if (span !== null && span.ms <= 0) return usage("--limit: must be above 0");
  const [jobs = 0, parallel = 0, gpus = 0] = counts;
  return {
    // Others may measure at the same time: the jobs are found by their name.
    name: `navarch-bench-${Math.floor(world.wallMs()).toString(36)}`,
    ...{ jobs, parallel, gpus, rounds: ROUNDS, limitMs: span?.ms ?? LIMIT_MS },
    partition: flags.text("partition"),
    drainNode: flags.text("drain-node"),
  };
}

function format(result: BenchResult): string {
  const { drain_p50_ms, drain_p99_ms, failed, jobs, resolution_ms } = result;
  const rows = [
    `Jobs:    ${jobs}, ${failed} failed`,
    `Submit:  ${result.submit_per_s}/s`,
    `Start:   p50 ${result.start_p50_ms} ms, p99 ${result.start_p99_ms} ms (± ${resolution_ms} ms)`,
  ];
  if (drain_p50_ms !== null) rows.push(`Drain:   p50 ${drain_p50_ms} ms, p99 ${drain_p99_ms} ms`);
  return `${rows.join("\n")}\n`;
}
