/**
 * Who used the machine: on two cores the API server and etcd are as much of a bound as the product.
 * Adapter: /proc, clock.
 */
import { readCpuMs } from "../process.ts";

export class Shares {
  private readonly startMs = performance.now();
  private readonly before: { name: string; pid: number; cpuMs: number }[];

  constructor(processes: readonly (readonly [name: string, pid: number])[]) {
    this.before = processes.map(([name, pid]) => ({ name, pid, cpuMs: readCpuMs([pid]) }));
  }

  /** Percent of one core since it was opened, by name. */
  end(): Record<string, number> {
    const hundredthMs = (performance.now() - this.startMs) / 100;
    const shares: Record<string, number> = {};
    for (const { name, pid, cpuMs } of this.before) {
      const percent = (readCpuMs([pid]) - cpuMs) / hundredthMs;
      shares[name] = Math.round(percent * 10) / 10;
    }
    return shares;
  }
}
