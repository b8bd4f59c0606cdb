/**
 * Merges light samples and full checks into the latest readings of every GPU; older readings are
 * not kept. Pure but for its own memory.
 */
import type { GpuSample } from "../../schema/gpu.ts";
import type { Sample } from "../../schema/report.ts";
import type { NvmlCheck, NvmlSample } from "../port/reading.ts";
import { makeSamples } from "../probe/identity.ts";
import type { Load } from "../host/machine.ts";

export class Readings {
  readonly #load: () => Load;
  #gpus: GpuSample[] = [];
  #atMs: number | null = null;
  /** Return codes and recovery action of the last check, by UUID. */
  #known = new Map<string, string>();

  constructor(load: () => Load) {
    this.#load = load;
  }

  get gpus(): readonly GpuSample[] {
    return this.#gpus;
  }

  /** Later samples are compared with this check. */
  check(samples: GpuSample[], check: NvmlCheck, atMs: number): void {
    this.#gpus = samples;
    this.#atMs = atMs;
    this.#known = marksOf(check);
  }

  /** Merges a light sample; true if a GPU differs from the last check, and one should follow. */
  sample(sample: NvmlSample, atMs: number): boolean {
    const before = new Map(this.#gpus.map((gpu) => [gpu.uuid, gpu]));
    this.#gpus = makeSamples(sample.gpus).map((gpu) => ({ ...before.get(gpu.uuid), ...gpu }));
    this.#atMs = atMs;
    const marks = marksOf(sample);
    const same = marks.size === this.#known.size;
    return !same || [...marks].some(([uuid, mark]) => this.#known.get(uuid) !== mark);
  }

  /** The driver does not answer: the GPUs that were read stay, and nothing is known of them. */
  silence(atMs: number): void {
    this.#gpus = this.#gpus.map(({ index, uuid }) => ({ index, uuid }));
    if (this.#atMs !== null) this.#atMs = atMs;
  }

  /** For the report; `null` before the first reading. */
  format(): Sample | null {
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
