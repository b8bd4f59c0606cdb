/**
 * What a figure was measured on: without it a number is not published.
 * Adapter: the machine's description.
 */
import { cpus, loadavg, release, totalmem } from "node:os";
import { readStamp } from "../../build/product.ts";

export type Machine = {
  cpu: string;
  cores: number;
  memoryGib: number;
  kernel: string;
  bun: string;
  commit: string;
  /** One-minute load before the run: on a shared machine it says how noisy the figures are. */
  load: number;
};

export async function readMachine(): Promise<Machine> {
  const all = cpus();
  const { commit } = await readStamp();
  return {
    cpu: all[0]?.model ?? "unknown",
    cores: all.length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    bun: Bun.version,
    commit,
    load: loadavg()[0] ?? 0,
  };
}

export function formatMachine(machine: Machine): string {
  const { cpu, cores, memoryGib, kernel, bun, commit, load } = machine;
  const host = `${cpu}, ${cores} cores, ${memoryGib} GiB, Linux ${kernel}`;
  return `${host}, Bun ${bun}, commit ${commit}, load before ${load.toFixed(2)}`;
}
