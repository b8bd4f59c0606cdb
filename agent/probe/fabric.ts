/**
 * Reports GPUs that have not joined their NVLink fabric, and an unhealthy fabric. Without it, jobs
 * over several GPUs fail, and while a GPU waits for it CUDA does not start. After a boot the fabric
 * manager needs minutes.
 */
import { type Condition, type Look, type Probe, lookAtEach, onGpu } from "./probe.ts";
import type { NvmlFabric, NvmlGpuCheck } from "../port/reading.ts";
import { formatCode } from "../nvml/return-code.ts";
import { isLinkedNode, needsFabric } from "./link-promise.ts";
import { FABRIC_GRACE_MS } from "./nvlink.ts";

/** `nvmlGpuFabricState_t` (nvml.h, R525 and later). */
export const STATES = ["not supported", "not started", "in progress", "completed"] as const;
const NOT_SUPPORTED = 0;
const COMPLETED = 3;

/** A restarting fabric manager is back within seconds. */
const RESTART_MS = 300_000;

/** Summary of the third version (nvml.h, R580). */
export const SUMMARY = { NOT_SUPPORTED: 0, HEALTHY: 1, UNHEALTHY: 2, LIMITED_CAPACITY: 3 } as const;

type Flag = { name: string; shift: number; bad: number; grave: boolean; words: string };
/** Two-bit fields of the health mask by their names in nvml.h; 0 does not apply. */
export const FLAGS: readonly Flag[] = [
  { name: "DEGRADED_BW", shift: 0, bad: 1, grave: false, words: "degraded bandwidth" },
  { name: "ROUTE_RECOVERY", shift: 2, bad: 1, grave: false, words: "route recovery under way" },
  { name: "ROUTE_UNHEALTHY", shift: 4, bad: 1, grave: true, words: "route unhealthy" },
  {
    name: "ACCESS_TIMEOUT_RECOVERY",
    shift: 6,
    bad: 1,
    grave: false,
    words: "access timeout recovery under way",
  },
  { name: "GFM_STATE", shift: 14, bad: 2, grave: false, words: "fabric manager disconnected" },
];

/** Four bits: 0 does not apply, 1 none is wrong. */
export const MISFIT_SHIFT = 8;
export const MISFITS: Readonly<Record<number, string>> = {
  2: "system GUID differs",
  3: "chassis serial number differs",
  4: "no partition assigned",
  5: "too few NVLinks",
  6: "GPU firmware does not fit",
  7: "location does not fit",
  8: "GPU state does not fit",
};
const NO_PARTITION = 4;

type Fault = { reason: string; severity: Condition["severity"]; words: string };

export const fabricProbe: Probe = {
  name: "fabric",
  kinds: ["nvlink/fabric_"],
  look(check, memory, ctx) {
    const sameBoot = memory.bootId === ctx.bootId;
    const linked = isLinkedNode(check);
    return lookAtEach(check, ["nvmlDeviceGetGpuFabricInfoV"], (gpu): Look => {
      const { fabric } = gpu;
      if (fabric === null || fabric.state === NOT_SUPPORTED) return { read: false };
      if (fabric.state === COMPLETED) {
        const learned = { fabricJoined: true, fabricSinceMs: null };
        const matters = linked && gpu.migEnabled !== true;
        return { read: true, conditions: formatFault(gpu, matters, faultOf(fabric)), learned };
      }
      const before = sameBoot ? memory.gpus[gpu.uuid] : undefined;
      const joined = before?.fabricJoined === true;
      const sinceMs = before?.fabricSinceMs ?? (joined ? ctx.monoMs : ctx.monoMs - ctx.uptimeMs);
      const lastsMs = ctx.monoMs - sinceMs;
      const late = lastsMs >= (joined ? RESTART_MS : FABRIC_GRACE_MS);
      const learned = { fabricJoined: joined, fabricSinceMs: sinceMs };
      const fault = late ? pending(fabric, lastsMs) : null;
      const conditions = formatFault(gpu, needsFabric(check, gpu), fault);
      return { read: true, conditions, learned };
    });
  },
};

function pending({ state }: NvmlFabric, lastsMs: number): Fault {
  const minutes = Math.floor(lastsMs / 60_000);
  const words = `the fabric is ${STATES[state] ?? `in state ${state}`} after ${minutes} min`;
  return { reason: "fabric_pending", severity: "serious", words };
}

/** The fault of a joined fabric. */
function faultOf(fabric: NvmlFabric): Fault | null {
  if (fabric.status !== 0) {
    const words = `joining the fabric ended with ${formatCode(fabric.status)}`;
    return { reason: "fabric_status", severity: "serious", words };
  }
  const mask = fabric.healthMask ?? 0;
  const flags = FLAGS.filter(({ shift, bad }) => ((mask >>> shift) & 3) === bad);
  const misfit = (mask >>> MISFIT_SHIFT) & 15;
  const misfits = misfit > 1 ? [MISFITS[misfit] ?? `configuration problem ${misfit}`] : [];
  const said = [...flags.map(({ words }) => words), ...misfits].join(", ");
  const wrong = misfit > 1 && misfit !== NO_PARTITION;
  const unhealthy = fabric.healthSummary === SUMMARY.UNHEALTHY;
  const grave = unhealthy || wrong || flags.some((flag) => flag.grave);
  if (grave) {
    const words = `the fabric is unhealthy${said === "" ? "" : `: ${said}`}`;
    return { reason: "fabric_unhealthy", severity: "serious", words };
  }
  if (said === "" && fabric.healthSummary !== SUMMARY.LIMITED_CAPACITY) return null;
  const words = `the fabric has limits${said === "" ? "" : `: ${said}`}`;
  return { reason: "fabric_degraded", severity: "warning", words };
}

/** `matters` is false where no GPUs are linked or MIG is on: work needs no fabric there. */
function formatFault(gpu: NvmlGpuCheck, matters: boolean, fault: Fault | null): Condition[] {
  if (fault === null || gpu.fabric === null) return [];
  const { words } = fault;
  const { reason, severity } = matters
    ? fault
    : { reason: "fabric_degraded", severity: "warning" as const };
  const { state, status, healthMask, healthSummary } = gpu.fabric;
  const health = {
    ...(healthMask === null ? {} : { fabric_health_mask: healthMask }),
    ...(healthSummary === null ? {} : { fabric_health_summary: healthSummary }),
  };
  const metrics = { fabric_state: state, fabric_status: status, ...health };
  const message = `GPU ${gpu.index}: ${words}`;
  return [onGpu(gpu, { kind: "nvlink", reason, severity, message, metrics })];
}
