/**
 * The latest readings of every GPU, put together from light samples and full checks. Only the
 * latest are kept: a reading that was not sent in time is of no use. Pure but for its own memory.
 */
import type { GpuSample } from "../../schema/gpu.ts";
import type { Sample } from "../../schema/report.ts";
import type { NvmlCheck, NvmlSample } from "../reading.ts";
import { makeSamples } from "../probe/identity.ts";

type LoadNow = { cpuPercent: number | null; memoryPercent: number | null };

export class Readings {
  readonly #load: () => LoadNow;
  #gpus: GpuSample[] = [];
  #atMs: number | null = null;
  /** Return code and recovery action by UUID, as last seen: a change is a surprise. */
  #known = new Map<string, string>();

  constructor(load: () => LoadNow) {
    this.#load = load;
  }

  get gpus(): readonly GpuSample[] {
    return this.#gpus;
  }

  /** Takes what a check read. It is what samples are compared with from then on. */
  check(samples: GpuSample[], check: NvmlCheck, atMs: number): void {
    this.#gpus = samples;
    this.#atMs = atMs;
    this.#known = marksOf(check);
  }

  /** Takes a light sample over what the last check read; true if a full check should not wait. */
  sample(sample: NvmlSample, atMs: number): boolean {
    const before = new Map(this.#gpus.map((gpu) => [gpu.uuid, gpu]));
    this.#gpus = makeSamples(sample.gpus).map((gpu) => ({ ...before.get(gpu.uuid), ...gpu }));
    this.#atMs = atMs;
    const marks = marksOf(sample);
    const same = marks.size === this.#known.size;
    return !same || [...marks].some(([uuid, mark]) => this.#known.get(uuid) !== mark);
  }

  /** As it travels, or `null` before the first reading. */
  print(): Sample | null {
    if (this.#atMs === null) return null;
    const { cpuPercent, memoryPercent } = this.#load();
    return {
      at: new Date(this.#atMs).toISOString(),
      cpu_percent: cpuPercent,
      memory_percent: memoryPercent,
      gpus: this.#gpus,
    };
  }
}

function marksOf({ gpus }: NvmlSample): Map<string, string> {
  const mark = (gpu: NvmlSample["gpus"][number]) =>
    `${gpu.rc}/${gpu.openCode}/${gpu.recoveryAction}`;
  return new Map(gpus.map((gpu) => [gpu.uuid, mark(gpu)]));
}
