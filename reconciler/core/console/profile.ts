/**
 * Workload profiles: a pure function of quality, tier, priority and measured utilisation to the
 * resources, the pool and the placement of a workload (docs/queue.md#workload-profiles).
 */
import {
  type AllocationAsk,
  type PREFERENCES,
  type Profile,
  type ProfilePriority,
  QUALITIES,
  type Quality,
  type Tier,
  type Utilisation,
} from "../../../schema/console/profile.ts";

/** Millicores and mebibytes, so that all arithmetic is on whole numbers. */
type Base = { cpu: number; memory: number; gpu: number; pool: string; gpuLabel: string | null };

const MI = 1_024;
const CPU_POOL = "cpu-optimized";

const BASE: Readonly<Record<Quality, Base>> = {
  low: { cpu: 500, memory: 2 * MI, gpu: 0, pool: CPU_POOL, gpuLabel: null },
  medium: { cpu: 2_000, memory: 8 * MI, gpu: 1, pool: "gpu-optimized", gpuLabel: "nvidia-t4" },
  high: { cpu: 4_000, memory: 16 * MI, gpu: 2, pool: "gpu-high-end", gpuLabel: "nvidia-a100" },
};

/** The tier's number of each quality that it allows. */
const TIER_NUMBERS: Readonly<Record<Tier, Partial<Record<Quality, number>>>> = {
  free: { low: 10 },
  standard: { low: 30, medium: 20 },
  premium: { low: 50, medium: 40, high: 30 },
};

const CLASS_OF: Readonly<Record<ProfilePriority, string>> = {
  high: "high-priority-batch",
  medium: "medium-priority-batch",
  low: "low-priority-batch",
};

/** A resource above this share is loaded. */
const LOADED = 0.8;
const REDUCED: Readonly<Record<Exclude<ProfilePriority, "high">, number>> = {
  medium: 0.75,
  low: 0.5,
};
const CPU_FLOOR = 100;
/** 1Gi for an amount in Gi, 256Mi for one in Mi. */
const memoryFloor = (memory: number): number => (memory % MI === 0 ? MI : 256);

export type ProfileAsk = { quality: Quality; tier: Tier; priority: ProfilePriority };

export function profileOf(ask: ProfileAsk, utilisation: Utilisation): Profile {
  const { tier, priority } = ask;
  const reasons: string[] = [];
  const [quality, priorityNumber] = capped(ask, reasons);
  const base = BASE[quality];
  const reduced = tier === "free" ? spared(base, utilisation, reasons) : null;
  const { cpu, memory, gpu, pool, gpuLabel } =
    reduced ?? reduce(base, quality, priority, utilisation, reasons);
  return {
    quality,
    resources: { cpu: `${cpu}m`, memory: formatMemory(memory), gpu },
    nodeSelector: { "node-type": pool, ...(gpuLabel === null ? {} : { gpu: gpuLabel }) },
    tolerations: [{ key: "node-type", operator: "Equal", value: pool, effect: "NoSchedule" }],
    priorityClassName: CLASS_OF[priority],
    priorityNumber,
    pool,
    reasons,
  };
}

/** The best quality of the tier that is not above the one asked for, and its number. */
function capped({ quality, tier }: ProfileAsk, reasons: string[]): [Quality, number] {
  const numbers = TIER_NUMBERS[tier];
  const allowed = QUALITIES.filter((one) => numbers[one] !== undefined);
  const best = QUALITIES[Math.min(QUALITIES.indexOf(quality), allowed.length - 1)] ?? "low";
  if (best !== quality) {
    reasons.push(`quality ${quality} is capped to ${best}: tier ${tier} allows ${list(allowed)}`);
  }
  return [best, numbers[best] ?? 0];
}

const list = (all: readonly string[]): string => all.join(", ");
const isLoaded = (value: number | null): boolean => value !== null && value > LOADED;
const percent = (value: number | null): string => `${Math.round((value ?? 0) * 100)} %`;

/** A free workload is as small as a profile is: under load it stays so, whatever its priority. */
function spared(base: Base, utilisation: Utilisation, reasons: string[]): Base {
  const loaded = (["cpu", "memory", "gpu"] as const).filter((one) => isLoaded(utilisation[one]));
  if (loaded.length > 0) {
    const seen = loaded.map((one) => `${one} ${percent(utilisation[one])}`);
    reasons.push(`tier free gets the low profile under load: ${list(seen)} is above 80 %`);
  }
  return base;
}

function reduce(
  base: Base,
  quality: Quality,
  priority: ProfilePriority,
  utilisation: Utilisation,
  reasons: string[],
): Base {
  if (priority === "high") return base;
  const factor = REDUCED[priority];
  const result = { ...base };
  const because = (what: keyof Utilisation): string =>
    `${what} utilisation ${percent(utilisation[what])} is above 80 %, priority ${priority}`;
  if (isLoaded(utilisation.cpu)) {
    result.cpu = Math.max(CPU_FLOOR, Math.floor(base.cpu * factor));
    reasons.push(`cpu ${base.cpu}m is reduced to ${result.cpu}m: ${because("cpu")}`);
  }
  if (isLoaded(utilisation.memory)) {
    result.memory = reducedMemory(base.memory, factor);
    const change = `${formatMemory(base.memory)} is reduced to ${formatMemory(result.memory)}`;
    reasons.push(`memory ${change}: ${because("memory")}`);
  }
  const losesGpu = priority === "low" && quality !== "high" && base.gpu > 0;
  if (losesGpu && isLoaded(utilisation.gpu)) {
    Object.assign(result, { gpu: 0, pool: CPU_POOL, gpuLabel: null });
    reasons.push(`gpu ${base.gpu} is reduced to 0 in pool ${CPU_POOL}: ${because("gpu")}`);
  }
  return result;
}

/** Whole units of the amount's own suffix: 2Gi × 0.75 is 1Gi. */
export function reducedMemory(memory: number, factor: number): number {
  const unit = memory % MI === 0 ? MI : 1;
  return Math.max(memoryFloor(memory), Math.floor((memory / unit) * factor) * unit);
}

const formatMemory = (memory: number): string =>
  memory % MI === 0 ? `${memory / MI}Gi` : `${memory}Mi`;

/** Node labels of the pool that this quality asks for, before any reduction. */
export function poolOf(quality: Quality): string {
  return BASE[quality].pool;
}

const WEIGHT = { input: 0.25, resources: 0.3, subscription: 0.3, history: 0.1, preference: 0.05 };
const AVAILABILITY = { cpu: 0.3, memory: 0.3, gpu: 0.4 } as const;
const SUBSCRIPTION: Readonly<Record<Tier, number>> = { free: 0.25, standard: 0.5, premium: 1 };
const PREFERENCE: Readonly<Record<(typeof PREFERENCES)[number], number>> = {
  ...{ speed: 0.2, balanced: 0.5, quality: 0.8 },
};

/** Keeps a sum of weights that equals a threshold from missing it by a rounding error. */
const EPSILON = 1e-9;

/** The mean of the parts that are known, by weight; each is 0…1. */
function weighted(
  parts: readonly (readonly [weight: number, value: number | null])[],
): number | null {
  let [sum, weights] = [0, 0];
  for (const [weight, value] of parts) {
    if (value === null) continue;
    sum += weight * value;
    weights += weight;
  }
  return weights === 0 ? null : sum / weights;
}

/** Which quality suits the request, before the tier caps it. */
export function scoreOf(
  ask: Omit<AllocationAsk, "priority" | "quality">,
  utilisation: Utilisation,
): { score: number; quality: Quality } {
  const { tier, input = null, history = null, preference } = ask;
  const free = (value: number | null): number | null =>
    value === null ? null : Math.min(1, Math.max(0, 1 - value));
  const resources = weighted([
    [AVAILABILITY.cpu, free(utilisation.cpu)],
    [AVAILABILITY.memory, free(utilisation.memory)],
    [AVAILABILITY.gpu, free(utilisation.gpu)],
  ]);
  const score =
    weighted([
      [WEIGHT.input, input],
      [WEIGHT.resources, resources],
      [WEIGHT.subscription, SUBSCRIPTION[tier]],
      [WEIGHT.history, history],
      [WEIGHT.preference, preference === undefined ? null : PREFERENCE[preference]],
    ]) ?? 0;
  const quality = score >= 0.7 - EPSILON ? "high" : score >= 0.4 - EPSILON ? "medium" : "low";
  return { score, quality };
}
