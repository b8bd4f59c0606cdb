/**
 * Runs a scenario for `simulate run` and `simulate interactive`: writes the run directory and
 * returns the exit status.
 */
import type { CompiledPolicy } from "../health/policy/compile.ts";
import type { RunFolder } from "../simulator/report/folder.ts";
import type { Report } from "../simulator/run/report.ts";
import type { Semantics } from "../simulator/run/check.ts";
import type { Progress, RunOptions } from "../simulator/run/runner.ts";
import type { RunResult } from "../simulator/run/result.ts";
import type { Scenario, Threshold } from "../simulator/scenario/scenario.ts";
import type { Context } from "./command.ts";
import { EXIT, failure, type Failure } from "./failure.ts";
import { openProgress } from "./progress.ts";
import { isForMachines } from "./show.ts";

/** Exit status of a failed assertion, expectation or threshold, and of an interrupted run. */
const FAILED = 8;
const INTERRUPTED = 130;
export type Plan = {
  scenario: Scenario;
  text: string;
  policy: CompiledPolicy;
  seed: number;
  semantics: Semantics;
  thresholds: readonly Threshold[];
  real: boolean;
  speed: number;
  out: string;
  listen: string | null;
  /** Simulates agents without events too. */
  whole: boolean;
  debug: boolean;
  /** Runs until it is interrupted. */
  stays: boolean;
};

export async function simulate(context: Context, plan: Plan): Promise<number | Failure> {
  const { runScenario } = await import("../simulator/run/runner.ts");
  const { RunFolder: Opener } = await import("../simulator/report/folder.ts");
  const { formatHead } = await import("../simulator/report/console.ts");
  const host = await import("../simulator/run/host.ts");
  const { world } = context;
  const quiet = isForMachines(context.format);
  const tell = (text: string): void => (quiet ? world.err(text) : world.out(text));
  const { stress, fleet } = plan.scenario;
  const nodes = fleet.length + (stress?.fleetGen?.totalNodes ?? 0);
  const time = plan.real ? `real, ${plan.speed} times as fast` : "virtual";
  tell(formatHead(plan.scenario, nodes, plan.seed, time));
  const folder = openFolder(Opener, plan);
  if ("ok" in folder) return folder;
  const begunMono = world.monoMs();
  const startedAt = new Date(world.wallMs()).toISOString();
  const signals = host.watchSignals();
  const listening: { close: () => Promise<void> }[] = [];
  try {
    const options = await optionsOf(context, plan, folder, tell);
    const result = await runScenario({
      ...options,
      isAborted: signals.isAborted,
      rssMb: host.rssMb,
      time: plan.real ? host.openRealTime(plan.speed) : await openVirtual(),
      opened: await opener(plan, tell, listening),
    });
    const wall = {
      started_at: startedAt,
      seconds: Math.round(world.monoMs() - begunMono) / 1_000,
      rss_mb: host.rssMb(),
      activations: result.activations,
    };
    return await finish(context, plan, folder, { ...result.report, wall }, result);
  } catch (error) {
    folder.abandon();
    if (error instanceof ListenError) return failure(EXIT.failed, "listen", error.message);
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return failure(EXIT.failed, "harness", `internal error of the simulation: ${message}`);
  } finally {
    signals.close();
    for (const one of listening) await one.close();
  }
}

class ListenError extends Error {}

function openFolder(kind: typeof RunFolder, plan: Plan): RunFolder | Failure {
  try {
    return new kind(plan.out, plan.text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return failure(EXIT.failed, "unwritable", `cannot write the run directory: ${message}`);
  }
}

async function openVirtual(): Promise<RunOptions["time"]> {
  const { VirtualClock } = await import("../simulator/engine/clock.ts");
  return new VirtualClock();
}

async function optionsOf(
  context: Context,
  plan: Plan,
  folder: RunFolder,
  tell: (text: string) => void,
): Promise<Omit<RunOptions, "isAborted" | "rssMb" | "time" | "opened">> {
  const { formatProgress } = await import("../simulator/report/console.ts");
  const { world } = context;
  const bar = openProgress(world, "simulate", "share");
  const progress = (now: Progress): void => {
    bar.show(now.elapsedMs, now.totalMs, formatProgress(now));
  };
  const { scenario, policy, seed, semantics, thresholds, stays } = plan;
  return {
    scenario,
    policy,
    seed,
    semantics,
    thresholds,
    stays,
    analytic: !plan.whole && !plan.real,
    sink: {
      line: (line) => folder.line(line),
      log: (name, line) => {
        folder.log(name, line);
        if (plan.debug) world.err(`${name ?? "control-plane"} ${line}\n`);
      },
      say: (message) => tell(`${message}\n`),
      progress,
    },
  };
}

async function opener(
  plan: Plan,
  tell: (text: string) => void,
  listening: { close: () => Promise<void> }[],
): Promise<NonNullable<RunOptions["opened"]>> {
  const { listenOn } = await import("../simulator/run/listen.ts");
  const { ADMIN_TOKEN } = await import("../simulator/stack/plane.ts");
  return ({ plane, idle }) => {
    if (plan.listen === null) return;
    const answer = listenOn(plan.listen, plane, () => idle.refresh());
    if (!answer.ok) throw new ListenError(answer.message);
    listening.push(answer);
    tell(`Listening  http://${answer.address}  token ${ADMIN_TOKEN}\n`);
  };
}

async function finish(
  context: Context,
  plan: Plan,
  folder: RunFolder,
  report: Report,
  result: RunResult,
): Promise<number> {
  const { formatResult } = await import("../simulator/report/console.ts");
  const { world } = context;
  const { stress } = plan.scenario;
  const unwritten = folder.finish(result, report, {
    reportFile: stress?.reportFile ?? null,
    htmlFile: stress?.htmlReportFile ?? null,
    logFile: stress?.logFile ?? null,
  });
  for (const message of unwritten) world.err(`warning: ${message}\n`);
  if (isForMachines(context.format)) world.out(`${JSON.stringify(report, null, 2)}\n`);
  else world.out(formatResult(report, folder.path));
  if (report.outcome === "interrupted") return plan.stays ? EXIT.done : INTERRUPTED;
  return report.outcome === "passed" ? EXIT.done : FAILED;
}
