/**
 * The newest sample of one node in one typed array, plus the GPUs' UUIDs. A parsed sample of eight
 * GPUs is 4 KB in objects that the garbage collector traverses; packed it is under 2 KB, and the
 * next sample overwrites it in place.
 */
import { GPU_FLAGS, GPU_READINGS, type GpuSample } from "../../schema/gpu.ts";
import type { Sample } from "../../schema/report.ts";

/** Columns of a GPU's row. A flag is 0 or 1. NaN means unknown: no reading is NaN. */
const COLUMNS = ["index", "processes", ...GPU_READINGS, ...GPU_FLAGS] as const;
type Column = (typeof COLUMNS)[number];
const NUMBERS = ["processes", ...GPU_READINGS] as const;
const WIDTH = COLUMNS.length;

export class PackedSample {
  private at = "";
  private cpu: number | null = null;
  private memory: number | null = null;
  private cells = new Float64Array(0);
  private uuids: string[] = [];

  /**
   * Copies a sample and keeps no reference to it, except to strings that have changed. The answer
   * is whether it is another one: an agent whose sampler hangs repeats its last.
   */
  put(sample: Sample): boolean {
    const { gpus } = sample;
    const isOther = this.at !== sample.at;
    this.at = sample.at;
    this.cpu = sample.cpu_percent ?? null;
    this.memory = sample.memory_percent ?? null;
    if (this.uuids.length > gpus.length) this.uuids.length = gpus.length;
    const size = gpus.length * WIDTH;
    if (this.cells.length !== size) this.cells = new Float64Array(size);
    const { cells, uuids } = this;
    let cell = 0;
    for (const [position, gpu] of gpus.entries()) {
      // Keeps an equal string, because the garbage collector has already promoted the old one.
      if (uuids[position] !== gpu.uuid) uuids[position] = gpu.uuid;
      for (const column of COLUMNS) cells[cell++] = numberOf(gpu[column]);
    }
    return isOther;
  }

  get gpuCount(): number {
    return this.uuids.length;
  }

  /** UUID and index of the GPU at this position, as the agent reports them. */
  uuid(position: number): string {
    return this.uuids[position] ?? "";
  }
  index(position: number): number {
    return this.cells[position * WIDTH] ?? 0;
  }

  /** A reading of the GPU at this position, or `null` if unknown. */
  reading(position: number, column: Column): number | null {
    const value = this.cells[position * WIDTH + COLUMNS.indexOf(column)];
    return value === undefined || Number.isNaN(value) ? null : value;
  }

  /** A copy of the sample in which absent values are `null`. */
  view(): Sample {
    const gpus = this.uuids.map((uuid, position): GpuSample => {
      const one: GpuSample = { index: this.index(position), uuid };
      for (const column of NUMBERS) one[column] = this.reading(position, column);
      for (const column of GPU_FLAGS) {
        const flag = this.reading(position, column);
        one[column] = flag === null ? null : flag === 1;
      }
      return one;
    });
    return { at: this.at, cpu_percent: this.cpu, memory_percent: this.memory, gpus };
  }
}

function numberOf(value: number | boolean | null | undefined): number {
  return value === null || value === undefined ? Number.NaN : Number(value);
}
