/**
 * Recommends a pool's size: a pure function of the autoscaler's configuration and one snapshot. In
 * every type a size outside min…max is brought back first, and no recommendation leaves them.
 */
import type { Autoscaler } from "../../../schema/config.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { formatDuration } from "../../../schema/duration.ts";
import { recommendExternal } from "./external.ts";
import { forecast } from "./forecast.ts";
import { recommendIdle, stepOf } from "./idle-size.ts";
import { formatWindow, windowAt } from "./scheduled.ts";
import {
  clamp,
  enforce,
  hold,
  type Recommendation,
  size,
  sizeByLoad,
  type Snapshot,
} from "./snapshot.ts";
import { stepSurplus, type Surplus } from "./surplus.ts";

type Of<T extends Autoscaler["type"]> = Extract<Autoscaler, { type: T }>;

/** Utilisation in percent that `predictive` keeps below, and the one that it then aims for. */
const PREDICTED_PERCENT_MAX = 80;
const PREDICTED_PERCENT_GOAL = 70;

/** Share of the upper threshold that fewer nodes may reach, so that noise buys none again. */
const TOLERATED = 0.9;

/** Keeps the rounding error of a floating-point sum from adding a node. */
const EPSILON = 1e-9;

/** A size (perhaps the present one), or `hold` when nothing usable is known. */
export function recommend(autoscaler: Autoscaler, snapshot: Snapshot): Recommendation {
  return enforce(snapshot) ?? clamp(ask(autoscaler, snapshot), snapshot);
}

function ask(autoscaler: Autoscaler, snapshot: Snapshot): Recommendation {
  switch (autoscaler.type) {
    case "reactive":
      return recommendReactive(autoscaler, snapshot);
    case "queue":
      return patient(autoscaler, recommendQueue(autoscaler, snapshot), snapshot);
    case "scheduled":
      return recommendScheduled(autoscaler, snapshot);
    case "predictive":
      return recommendPredictive(autoscaler, snapshot);
    case "composite":
      return recommendComposite(autoscaler, snapshot);
    case "idle":
      return recommendIdle(autoscaler, snapshot);
    case "external":
      return patient(autoscaler, recommendExternal(autoscaler, snapshot), snapshot);
    default:
      return unreachable(autoscaler);
  }
}

type Patient = Of<"queue" | "external">;

/** A smaller size once fewer were needed for `scale_down_after`; until then the present size. */
function patient(autoscaler: Patient, answer: Recommendation, snapshot: Snapshot): Recommendation {
  const step = stepPatient(autoscaler, answer, snapshot);
  if (step === null || step.surplus === null) return answer;
  const { because } = answer;
  const after = formatDuration(autoscaler.scaleDownAfterMs);
  if (step.isDue) {
    const nodes = Math.min(step.to, snapshot.desired);
    const most = `the most of the last ${after}: ${nodes}`;
    return size(nodes, nodes === step.asked ? because : `${because}, ${most}`);
  }
  const since = formatDuration(Math.floor((snapshot.mono - step.surplus.since) / 1_000) * 1_000);
  return size(snapshot.desired, `${because}; fewer for ${since} of scale_down_after ${after}`);
}

function stepPatient(autoscaler: Patient, answer: Recommendation, snapshot: Snapshot) {
  const { desired, surplus, mono } = snapshot;
  const bounded = clamp(answer, snapshot);
  if (bounded.kind === "hold") return null;
  const before = surplus.get(autoscaler) ?? null;
  const sizes = { to: bounded.nodes, size: desired };
  const step = stepSurplus(before, sizes, autoscaler.scaleDownAfterMs, mono);
  return { ...step, asked: bounded.nodes };
}

/** What a part that waits before it gives nodes up has to remember until the next evaluation. */
export function surplusOf(part: Autoscaler, snapshot: Snapshot, isScaled: boolean): Surplus | null {
  const before = snapshot.surplus.get(part) ?? null;
  switch (part.type) {
    case "idle": {
      const step = stepOf(part, snapshot);
      // One that fired goes on if nothing was removed now.
      const fires = step !== null && step.remove.length > 0 && !isScaled;
      const since = fires ? (before?.since ?? snapshot.mono) : (step?.surplusSince ?? null);
      return since === null ? null : { since, peak: 0 };
    }
    case "queue":
      return stepPatient(part, recommendQueue(part, snapshot), snapshot)?.surplus ?? null;
    case "external":
      return stepPatient(part, recommendExternal(part, snapshot), snapshot)?.surplus ?? null;
    case "reactive":
    case "scheduled":
    case "predictive":
    case "composite":
      return null;
    default:
      return unreachable(part);
  }
}

/** Every autoscaler inside `autoscaler`, itself included. */
export function flatten(autoscaler: Autoscaler): Autoscaler[] {
  switch (autoscaler.type) {
    case "reactive":
    case "queue":
    case "idle":
    case "external":
      return [autoscaler];
    case "scheduled":
    case "predictive": {
      const { fallback } = autoscaler;
      return [autoscaler, ...(fallback === null ? [] : flatten(fallback))];
    }
    case "composite":
      return [autoscaler, ...autoscaler.autoscalers.flatMap(flatten)];
    default:
      return unreachable(autoscaler);
  }
}

/** Mean GPU utilisation against two thresholds, one step at a time. */
function recommendReactive(autoscaler: Of<"reactive">, snapshot: Snapshot): Recommendation {
  const { scaleUpThreshold: up, scaleDownThreshold: down, step } = autoscaler;
  const { desired, utilization, registered } = snapshot;
  if (utilization === null) return hold("GPU utilisation is unknown", "unknown");
  const seen = `GPU utilisation ${formatPercent(utilization)}`;
  if (utilization > up + EPSILON) {
    const nodes = boundedGrowth(desired + step, (registered * utilization) / up, step, snapshot);
    const because = `${seen} is above ${formatPercent(up)}`;
    if (nodes > desired) return size(nodes, because);
    return size(desired, `${because}, and the nodes bought for it are still starting`);
  }
  if (utilization < down) {
    // Never so few that their load would buy a node again at once: the pool would flap for ever.
    const least = Math.ceil((registered * utilization) / (TOLERATED * up) - EPSILON);
    const nodes = Math.min(desired, Math.max(0, least, desired - step));
    const because = `${seen} is below ${formatPercent(down)}`;
    if (nodes < desired) return size(nodes, because);
    return size(desired, `${because}, but fewer nodes would be close to ${formatPercent(up)}`);
  }
  return size(desired, `${seen} is within ${formatPercent(down)} and ${formatPercent(up)}`);
}

/**
 * `wanted`, at most what the registered nodes' load explains (`need`), at least the present size:
 * a node that boots for fifteen minutes must not be bought again at every cooldown. One step above
 * the registered nodes is always allowed.
 */
function boundedGrowth(wanted: number, need: number, step: number, from: Snapshot): number {
  const explained = Math.max(Math.ceil(need - EPSILON), from.registered + step);
  return Math.max(from.desired, Math.min(wanted, explained));
}

/**
 * Pending and running jobs against jobs per node. A smaller queue takes idle nodes only: the depth
 * includes a running job, but not the node that it runs on.
 */
function recommendQueue({ count, jobsPerNode }: Of<"queue">, snapshot: Snapshot): Recommendation {
  const { queueDepth, gpuDepth, tasks = null, waiting, desired } = snapshot;
  const unit = count === "gpus" ? " GPUs" : "";
  const sizeFor = (depth: number, what: string): Recommendation => {
    const because = `${what} ${depth}${unit} at ${jobsPerNode} a node`;
    return sizeByLoad(Math.ceil(depth / jobsPerNode), because, snapshot);
  };
  const depth = count === "gpus" ? gpuDepth : queueDepth;
  const jobs =
    depth === null ? hold("queue depth is unknown", "unknown") : sizeFor(depth, "queue depth");
  if (tasks === null) return jobs;
  const own = sizeFor(count === "gpus" ? tasks.gpuDepth : tasks.queueDepth, "tasks");
  if (own.kind === "hold") return jobs;
  // The larger size counts: the pool shrinks only as far as both signals agree.
  if (jobs.kind === "size") return own.nodes > jobs.nodes ? own : jobs;
  const isOnlySignal = waiting === 0;
  return isOnlySignal || own.nodes > desired ? own : jobs;
}

/** The first open window narrows the bounds of the fallback, never beyond those of the pool. */
function recommendScheduled(autoscaler: Of<"scheduled">, snapshot: Snapshot): Recommendation {
  const window = windowAt(autoscaler, snapshot.now);
  const { fallback } = autoscaler;
  if (window === null) {
    if (fallback !== null) return recommend(fallback, snapshot);
    return hold("no window of the schedule is open", "quiet");
  }
  const inside = (nodes: number): number => Math.min(Math.max(nodes, snapshot.min), snapshot.max);
  const narrowed = { ...snapshot, min: inside(window.minNodes), max: inside(window.maxNodes) };
  const name = `scheduled window ${formatWindow(window)} in ${autoscaler.timezone}`;
  const forced = enforce(narrowed);
  if (forced !== null) return { ...forced, because: `${name}: ${forced.because}` };
  if (fallback === null) return size(snapshot.desired, `${name} holds it`);
  const answer = recommend(fallback, narrowed);
  return { ...answer, because: `${name}: ${answer.because}` };
}

/**
 * The trend of the pool's own utilisation; a line through samples of different machines would be no
 * trend. It only recommends growth and leaves the rest to its fallback.
 */
function recommendPredictive(autoscaler: Of<"predictive">, snapshot: Snapshot): Recommendation {
  const { lookbackWindow, growthFactor, horizonMs, fallback } = autoscaler;
  const { history, utilization, desired, registered, intervalMs } = snapshot;
  const rest = (because: string, cause: "unknown" | "quiet", least = 0): Recommendation => {
    if (fallback === null) return hold(because, cause);
    const answer = recommend(fallback, snapshot);
    const said = { ...answer, because: `${because}: ${answer.because}` };
    const isBoughtBack = said.kind === "size" && said.cause === "signal" && said.nodes < least;
    return isBoughtBack ? { ...said, nodes: Math.min(least, desired) } : said;
  };
  if (utilization === null) return rest("GPU utilisation is unknown", "unknown");
  if (history.length < lookbackWindow) {
    return rest(`${history.length} of ${lookbackWindow} samples are there for a trend`, "quiet");
  }
  const seen = { history: history.slice(-lookbackWindow), utilization, intervalMs };
  const ahead = forecast(seen, horizonMs ?? intervalMs, growthFactor);
  const { utilization: predicted, samples, confidence } = ahead;
  const sure = `${samples} samples, confidence ${Math.round(confidence * 100)} %`;
  const when = formatDuration(ahead.horizonMs);
  const said = `predicted GPU utilisation ${formatPercent(predicted)} in ${when} (${sure})`;
  const max = PREDICTED_PERCENT_MAX;
  if (predicted <= max) {
    // What the prediction would buy again is not given up.
    const most = TOLERATED * max;
    const least = Math.ceil((registered * Math.max(predicted, utilization)) / most - EPSILON);
    return rest(`${said} is not above ${max} %`, "quiet", least);
  }
  const goal = PREDICTED_PERCENT_GOAL;
  const wanted = Math.max(Math.ceil((desired * predicted) / goal - EPSILON), desired + 1);
  const nodes = boundedGrowth(wanted, (registered * predicted) / goal, 1, snapshot);
  if (nodes > desired) return size(nodes, `${said} is above ${max} %`);
  return size(desired, `${said}, and the nodes bought for it are still starting`);
}

/**
 * Several autoscalers on one pool, in any order. A member without a usable signal abstains: it
 * votes neither for the present size nor for zero. When all abstain the size is held.
 */
function recommendComposite(autoscaler: Of<"composite">, snapshot: Snapshot): Recommendation {
  const { mode } = autoscaler;
  const answers = autoscaler.autoscalers.map((member) => recommend(member, snapshot));
  const votes = answers.filter((answer) => answer.kind === "size");
  const abstained = answers.filter((answer) => answer.kind === "hold");
  const silent = abstained.map((one) => one.because).join("; ");
  if (votes.length === 0) {
    const isLost = abstained.some((one) => one.cause === "unknown");
    return hold(silent, isLost ? "unknown" : "quiet");
  }
  const sizes = votes.map((vote) => vote.nodes);
  const mean = sizes.reduce((sum, one) => sum + one, 0) / sizes.length;
  const nodes =
    mode === "max" ? Math.max(...sizes) : mode === "min" ? Math.min(...sizes) : Math.ceil(mean);
  // All votes decide an average; the winners alone decide a maximum or minimum.
  const deciding = mode === "avg" ? votes : votes.filter((vote) => vote.nodes === nodes);
  const words = [...new Set(deciding.map((vote) => vote.because))].join("; ");
  const rest = silent === "" ? "" : ` (abstained: ${silent})`;
  const how = votes.length === 1 ? "" : `${mode} of ${votes.length}: `;
  const isUrgent = mode !== "avg" && deciding.some((vote) => vote.cause === "bounds");
  const because = `${how}${words}${rest}`;
  const isCut = deciding.some(({ cut }) => cut);
  return size(nodes, because, isUrgent ? "bounds" : "signal", isCut);
}

/** `91 %` or `90.5 %`: at most one decimal. */
function formatPercent(value: number): string {
  return `${Math.round(value * 10) / 10} %`;
}
