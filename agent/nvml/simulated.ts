/**
 * Simulates GPUs for demonstrations and fleets without hardware: only by an explicit flag, marked
 * everywhere, and never in place of a missing driver. Faults come from a file that another process
 * may change at any time.
 * Adapter: reads the fault file.
 */
import { readFileSync, statSync } from "node:fs";
import * as v from "valibot";
import type { Bus, Clock, Nvml } from "../port/port.ts";
import type { NvmlAnswer, NvmlCheck, NvmlEvent } from "../port/reading.ts";
import { makeBus, makeCheck, uuidOf } from "./simulated-gpu.ts";
import { count, integer, reading } from "../../schema/number.ts";

export type SimulatedOptions = {
  count: number;
  name: string;
  /** Unique per node: GPU UUIDs depend on it. */
  seed: string;
  clock: Clock;
  faultPath?: string | null;
};

const optional = v.nullable(reading);
const flag = v.nullable(v.boolean());

/** Readings that a fault may replace, by the names of `reading.ts`. */
export const GpuFault = v.strictObject({
  /** Not listed by the driver, but on the PCI bus. */
  missing: v.optional(v.boolean()),
  /** Gone from the PCI bus too. */
  offBus: v.optional(v.boolean()),
  /** Kernel driver bound to it instead of NVIDIA's. */
  boundDriver: v.optional(v.nullable(v.string())),
  /** 15 is lost, 16 needs a reset (docs/reference/nvml.md#return-codes). */
  rc: v.optional(integer),
  /** Listed but not opened: the return code of opening (999, 3, 17, …). */
  openCode: v.optional(integer),
  temperatureCelsius: v.optional(optional),
  memoryTemperatureCelsius: v.optional(optional),
  powerWatts: v.optional(optional),
  throttleReasons: v.optional(optional),
  recoveryAction: v.optional(optional),
  processes: v.optional(optional),
  migEnabled: v.optional(flag),
  eccCorrectedVolatile: v.optional(optional),
  eccUncorrectedVolatile: v.optional(optional),
  remapPending: v.optional(flag),
  remapFailure: v.optional(flag),
  sramThresholdExceeded: v.optional(flag),
  pcieWidth: v.optional(optional),
  pcieReplay: v.optional(optional),
  /** The NVLink fabric: state (3 joined), status (0 good), health mask and summary. */
  fabric: v.optional(
    v.strictObject({
      state: integer,
      status: integer,
      healthMask: v.nullable(count),
      healthSummary: v.nullable(count),
    }),
  ),
  /** Links that are down. */
  linksDown: v.optional(v.array(count)),
});

const MODES = ["ok", "unresponsive", "crashed", "stuck", "library", "driver", "version"] as const;

/** The fault file: JSON, replaced by rename. */
export const SimulatedFaults = v.strictObject({
  /** State of the whole driver. */
  mode: v.optional(v.picklist(MODES)),
  /** By index. */
  gpus: v.optional(v.record(v.pipe(v.string(), v.regex(/^\d+$/)), GpuFault)),
  /** Reported once each, by ascending id. */
  events: v.optional(v.array(v.strictObject({ id: count, gpu: count, type: count, data: count }))),
});
export type SimulatedFaults = v.InferOutput<typeof SimulatedFaults>;
export type GpuFault = v.InferOutput<typeof GpuFault>;

/** The GPUs and their PCI bus. */
export function openSimulatedGpus(options: SimulatedOptions): { nvml: Nvml; readBus: () => Bus } {
  const { faultPath = null } = options;
  const file = faultPath === null ? null : new FaultFile(faultPath);
  const readBus = (): Bus => {
    const faults = file?.load() ?? {};
    if (typeof faults === "string") return { kind: "unreadable", why: faults };
    return makeBus(options, faults);
  };
  return { nvml: openSimulatedNvml(options, file), readBus };
}

function openSimulatedNvml(options: SimulatedOptions, file: FaultFile | null): Nvml {
  const { clock } = options;
  const answer = async (deadlineMs: number): Promise<NvmlAnswer<NvmlCheck>> => {
    const faults = file?.load() ?? {};
    if (typeof faults === "string") return failed("other", 0, faults);
    return answerIn(options, faults, deadlineMs);
  };
  let lastEvent = 0;
  return {
    simulated: true,
    check: answer,
    async sample(deadlineMs) {
      const read = await answer(deadlineMs);
      return read.kind === "ok" ? { ...read, value: { gpus: read.value.gpus } } : read;
    },
    takeEvents(): NvmlEvent[] {
      const faults = file?.load() ?? {};
      const all = typeof faults === "string" ? [] : (faults.events ?? []);
      const fresh = all.filter((event) => event.id > lastEvent);
      lastEvent = Math.max(lastEvent, ...fresh.map((event) => event.id));
      return fresh.map(({ gpu, type, data }) => ({
        atMs: clock.wallMs(),
        uuid: uuidOf(options.seed, gpu),
        type,
        data,
        gpuInstance: null,
        computeInstance: null,
      }));
    },
    close() {},
  };
}

/** Read again when its inode, time or size changed; a missing file holds no faults. */
class FaultFile {
  readonly #path: string;
  #seen = "";
  #faults: SimulatedFaults | string = {};

  constructor(path: string) {
    this.#path = path;
  }

  /** The faults, or the file's error. */
  load(): SimulatedFaults | string {
    const stat = statSync(this.#path, { throwIfNoEntry: false });
    const seen = stat === undefined ? "" : `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
    if (seen === this.#seen) return this.#faults;
    this.#seen = seen;
    this.#faults = stat === undefined ? {} : this.#parse();
    return this.#faults;
  }

  #parse(): SimulatedFaults | string {
    try {
      const parsed = v.safeParse(SimulatedFaults, JSON.parse(readFileSync(this.#path, "utf8")));
      if (parsed.success) return parsed.output;
      const [issue] = parsed.issues;
      return `fault file ${this.#path}: ${v.getDotPath(issue) ?? "file"}: ${issue.message}`;
    } catch (error) {
      return `fault file ${this.#path}: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
}

type Reason = "library" | "driver" | "version" | "other";

function failed(reason: Reason, code: number, message: string): NvmlAnswer<never> {
  return { kind: "failed", failure: { reason, code, message }, durationMs: 0 };
}

async function answerIn(
  options: SimulatedOptions,
  faults: SimulatedFaults,
  deadlineMs: number,
): Promise<NvmlAnswer<NvmlCheck>> {
  const mode = faults.mode ?? "ok";
  switch (mode) {
    case "ok":
      return { kind: "ok", value: makeCheck(options, faults), durationMs: 1 };
    case "unresponsive":
      await new Promise<void>((resolve) => options.clock.after(deadlineMs, resolve));
      return { kind: "unresponsive", evidence: "simulated", abandoned: 1 };
    case "crashed":
      return { kind: "crashed", signal: "SIGSEGV", abandoned: 0 };
    case "stuck":
      return { kind: "stuck", abandoned: 3 };
    case "library":
      return failed("library", 12, "simulated: no library");
    case "driver":
      return failed("driver", 9, "simulated: kernel driver not loaded");
    case "version":
      return failed("version", 18, "simulated: driver and library versions differ");
    default:
      return mode satisfies never;
  }
}
