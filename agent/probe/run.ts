/**
 * Runs one round: every probe looks at every GPU, and changes since the last round become findings.
 * An unreadable driver ends no earlier fault. Pure: the driver's answer and the memory go in, the
 * report's parts and the next memory come out.
 */
import type { Finding } from "../../schema/finding.ts";
import type { GpuIdentity, GpuSample } from "../../schema/gpu.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { Expected, ProbeOutcome, ProbeResult } from "../../schema/report.ts";
import type { NvmlAnswer, NvmlCheck } from "../port/reading.ts";
import { alikeProbe } from "./alike.ts";
import { clockProbe } from "./clock.ts";
import { busProbe, placeUnknown } from "./bus.ts";
import { isComingUp, isInstalling } from "./coming-up.ts";
import { countProbe, isUnexplained } from "./count.ts";
import { judgeDriver } from "./driver.ts";
import { eccProbe } from "./ecc.ts";
import { expectGpus, presentGpus } from "./expect.ts";
import { fabricProbe } from "./fabric.ts";
import { faultProbe } from "./fault.ts";
import { judgeChange } from "./finding.ts";
import { nameUnknown, makeCheckSamples, makeIdentities, rememberGpu } from "./identity.ts";
import { memoryProbe } from "./memory.ts";
import { migProbe } from "./mig.ts";
import { isBlind, isOpen } from "./mute.ts";
import { nvlinkProbe } from "./nvlink.ts";
import { pcieProbe } from "./pcie.ts";
import { isRestrained, permissionConditions } from "./permission.ts";
import { persistenceProbe } from "./persistence.ts";
import { powerProbe } from "./power.ts";
import {
  type Condition,
  type GpuMemory,
  type Learned,
  type Probe,
  type ProbeContext,
  type ProbeMemory,
  type ProbeOut,
  isLost,
  isUnknown,
  formatGpuKey,
} from "./probe.ts";
import { recoveryProbe } from "./recovery.ts";
import { remapProbe } from "./remap.ts";
import { temperatureProbe } from "./temperature.ts";
import { utilizationProbe } from "./utilization.ts";

/** The order is that of the results only. */
export const PROBES: readonly Probe[] = [
  busProbe,
  countProbe,
  alikeProbe,
  faultProbe,
  recoveryProbe,
  eccProbe,
  remapProbe,
  temperatureProbe,
  powerProbe,
  clockProbe,
  nvlinkProbe,
  fabricProbe,
  pcieProbe,
  utilizationProbe,
  memoryProbe,
  migProbe,
  persistenceProbe,
];

export type ProbeRound = {
  /** Conditions that are new or worse since the last round, the worst first. */
  findings: Finding[];
  results: ProbeResult[];
  /** Keys of all current conditions (`formatKey`). */
  active: string[];
  memory: ProbeMemory;
  /** Lost GPUs included, by the identity they had; empty without driver or library. */
  gpus: GpuIdentity[];
  samples: GpuSample[];
  /** False if a GPU could not be judged, or the node is still coming up. */
  conclusive: boolean;
  /** The next reading decides about a GPU, and should follow soon. */
  open: boolean;
  present: number;
  expected: Expected | null;
};

export function runProbes(
  answer: NvmlAnswer<NvmlCheck>,
  memory: ProbeMemory,
  ctx: ProbeContext,
): ProbeRound {
  const known = memory.bootId === ctx.bootId ? memory : forgetBoot(memory);
  if (answer.kind !== "ok") return runBlind(answer, known, ctx);
  const check = placeUnknown(nameUnknown(answer.value, known), ctx.bus);
  const looked = PROBES.map((probe) => ({ probe, out: probe.look(check, known, ctx) }));
  // The time was spent in the driver.
  const results = looked.map(({ probe, out }) =>
    formatResult(probe.name, out.outcome, 0, out.message),
  );
  const found: Condition[] = looked.flatMap(({ out }) => out.conditions);
  const conditions = [...found, ...permissionConditions(check, looked)];
  const blind = looked.flatMap(({ probe, out }) => out.blind.map((uuid) => ({ probe, uuid })));
  const carried = Object.keys(known.held).filter((key) => isUnseen(key, check, blind, ctx));
  const change = judgeChange(conditions, known.held, carried, ctx);
  const learned = looked.map(({ out }) => out.learned);
  const next = remember(check, known, learned, ctx);
  return {
    findings: change.findings,
    results: [formatResult("driver", "ok", answer.durationMs, check.driverVersion), ...results],
    active: change.active,
    memory: { ...next, held: change.held },
    gpus: makeIdentities(next),
    samples: makeCheckSamples(check.gpus),
    conclusive: isConclusive(check, known, ctx, looked),
    open: isOpen(check, known),
    present: presentGpus(check),
    expected: expectGpus(check, next, ctx),
  };
}

function isConclusive(
  check: NvmlCheck,
  memory: ProbeMemory,
  ctx: ProbeContext,
  looked: readonly { probe: Probe; out: ProbeOut }[],
): boolean {
  if (isComingUp(check, memory, ctx) || isBlind(check, memory)) return false;
  return !isRestrained(check, looked, ctx) && !isUnexplained(check, memory, ctx);
}

/** After a boot, current conditions are reported under the new boot id, and durations restart. */
function forgetBoot(memory: ProbeMemory): ProbeMemory {
  const gpus = Object.entries(memory.gpus).map(([uuid, gpu]) => {
    const fabric = { fabricJoined: false, fabricSinceMs: null };
    const began = { softThermalSinceMs: null, unknownRounds: 0, slowRounds: 0 };
    return [uuid, { ...gpu, ...fabric, ...began }] as const;
  });
  return { ...memory, held: {}, gpus: Object.fromEntries(gpus) };
}

/** A round without an answer of the driver: one condition of the node, and all earlier ones. */
function runBlind(
  answer: Exclude<NvmlAnswer<NvmlCheck>, { kind: "ok" }>,
  memory: ProbeMemory,
  ctx: ProbeContext,
): ProbeRound {
  const { condition, outcome, conclusive, keepsGpus } = judgeDriver(answer);
  const isOver = (key: string) => condition !== null && /^driver\/.*\/node$/.test(key);
  const carried = Object.keys(memory.held).filter((key) => !isOver(key));
  const change = judgeChange(condition ? [condition] : [], memory.held, carried, ctx);
  const durationMs = "durationMs" in answer ? answer.durationMs : 0;
  const skipped = PROBES.map((probe) => formatResult(probe.name, "skipped", 0, null));
  const gpus = keepsGpus ? makeIdentities(memory) : [];
  return {
    findings: change.findings,
    results: [formatResult("driver", outcome, durationMs, condition?.message ?? null), ...skipped],
    active: change.active,
    memory: { ...memory, bootId: ctx.bootId, held: change.held },
    gpus,
    samples: [],
    conclusive: conclusive && !isInstalling(answer, memory, ctx),
    open: false,
    present: gpus.length,
    expected: expectGpus({ excluded: 0 }, memory, ctx),
  };
}

/** Bound of `ProbeResult.message` in the contract. */
const RESULT_CHARS_MAX = 256;

function formatResult(
  name: string,
  outcome: ProbeOutcome,
  durationMs: number,
  message: string | null,
): ProbeResult {
  const text = message?.slice(0, RESULT_CHARS_MAX) ?? null;
  return { name, outcome, duration_ms: Math.max(0, durationMs), message: text };
}

/** True if this round could not tell whether the condition still holds. */
function isUnseen(
  key: string,
  check: NvmlCheck,
  blind: readonly { probe: Probe; uuid: string }[],
  ctx: ProbeContext,
): boolean {
  const [kind, reason] = key.split("/");
  const name = key.slice(key.lastIndexOf("/") + 1);
  if (reason === "unlisted" || reason === "other_driver") return ctx.bus.kind === "unreadable";
  // A readable driver decides about loss and about all conditions of the node.
  if (name === "node" || kind === "lost") return false;
  // A GPU without a UUID at the beginning of the fault was named by its place.
  const gpu = check.gpus.find((each) => {
    const place = { ...each, uuid: null };
    return [each, place, { ...place, pciBusId: "" }].some((one) => formatGpuKey(one) === name);
  });
  if (gpu === undefined || isLost(gpu)) return true;
  return blind.some(
    ({ probe, uuid }) => uuid === gpu.uuid && probe.kinds.some((each) => key.startsWith(each)),
  );
}

/**
 * The memory after this round. With enough GPUs present, unlisted ones were exchanged and are
 * forgotten; otherwise they are reported as missing by name.
 */
function remember(
  check: NvmlCheck,
  memory: ProbeMemory,
  learned: readonly Record<string, Learned>[],
  ctx: ProbeContext,
): ProbeMemory {
  const present = presentGpus(check);
  const listed = check.gpus.length + (check.denied ?? 0);
  const baseline = Math.min(LIMIT.gpusPerNodeMax, Math.max(memory.expected ?? 0, listed));
  const next = { ...memory, expected: baseline === 0 ? null : baseline };
  const complete = present >= (expectGpus(check, next, ctx)?.gpus ?? 0);
  const gpus: Record<string, GpuMemory> = complete ? {} : { ...memory.gpus };
  for (const gpu of check.gpus) {
    if (isUnknown(gpu.uuid)) continue;
    const before = memory.gpus[gpu.uuid];
    gpus[gpu.uuid] = {
      ...(isLost(gpu) && before !== undefined ? before : rememberGpu(gpu, before)),
      ...Object.assign({}, ...learned.map((by) => by[gpu.uuid] ?? {})),
    };
  }
  const { driverVersion, cudaVersion } = check;
  return { ...next, bootId: ctx.bootId, driverVersion, cudaVersion, gpus };
}
