/**
 * Who used the machine: on two cores the API server and etcd are as much of a bound as the product,
 * and somebody who has nothing to do with it may be in the way. Adapter: /proc, clock.
 */
import { readFileSync } from "node:fs";
import { readCpuMs } from "../process.ts";

/** USER_HZ is 100 on every Linux that Bun runs on (proc(5)); one tick is 10 ms. */
const TICK_MS = 10;

/** Milliseconds of all cores together since boot, worked and rested. */
function readMachineMs(): { busyMs: number; idleMs: number } {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  // user nice system idle iowait irq softirq steal; the guest's are in user and nice already.
  const ticks = line.split(/\s+/).slice(1, 9).map(Number);
  const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0);
  const all = ticks.reduce((sum, one) => sum + one, 0);
  return { busyMs: (all - idle) * TICK_MS, idleMs: idle * TICK_MS };
}

export class Shares {
  private readonly startMs = performance.now();
  private readonly machine = readMachineMs();
  private readonly before: { name: string; pid: number; cpuMs: number }[];

  constructor(processes: readonly (readonly [name: string, pid: number])[]) {
    this.before = processes.map(([name, pid]) => ({ name, pid, cpuMs: readCpuMs([pid]) }));
  }

  /**
   * Percent of one core since it was opened, by name; `others` is everybody else on the machine,
   * `idle` what nobody used.
   */
  end(): Record<string, number> {
    const hundredthMs = (performance.now() - this.startMs) / 100;
    const percent = (ms: number): number => Math.round((ms / hundredthMs) * 10) / 10;
    const shares: Record<string, number> = {};
    let ownMs = 0;
    for (const { name, pid, cpuMs } of this.before) {
      const usedMs = readCpuMs([pid]) - cpuMs;
      ownMs += usedMs;
      shares[name] = percent(usedMs);
    }
    const now = readMachineMs();
    const busyMs = now.busyMs - this.machine.busyMs;
    const idleMs = now.idleMs - this.machine.idleMs;
    return { ...shares, others: Math.max(0, percent(busyMs - ownMs)), idle: percent(idleMs) };
  }
}

/** One sentence for people: whether the machine had room left, and who used most of it. */
export function formatBound(cpu: Readonly<Record<string, number>>): string {
  const { idle = 0, others = 0, ...own } = cpu;
  const [most] = Object.entries(own).sort(([, a], [, b]) => b - a);
  const top = most === undefined ? "nobody" : `${most[0]} with ${most[1]} %`;
  const rest = `most of it ${top}, others on the machine ${others} %`;
  return idle < 20
    ? `the machine: ${idle} % of a core was idle, ${rest}`
    : `not the machine: ${idle} % of a core was idle, ${rest}`;
}
