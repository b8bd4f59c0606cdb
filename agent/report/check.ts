/** Formats a round of all probes for the report and for the log at the start. Pure. */
import type { Check } from "../../schema/report.ts";
import type { HostRound } from "../host/watch.ts";
import type { NvmlCheck } from "../port/reading.ts";
import type { ProbeRound } from "../probe/run.ts";

/** Bound of `Check.active` in the contract. */
const ACTIVE_MAX = 256;

/** `own` are conditions of the agent itself; a list that is too long is cut at its end. */
export function formatCheck(
  round: ProbeRound,
  host: HostRound | null,
  own: readonly string[],
  atMs: number,
): Check {
  return {
    at: new Date(atMs).toISOString(),
    conclusive: round.conclusive,
    probes: [...round.results, ...(host?.results ?? [])],
    expected_gpus: round.expected?.gpus ?? null,
    expected_from: round.expected?.from ?? null,
    present_gpus: round.present,
    active: [...own, ...round.active, ...(host?.active ?? [])].slice(0, ACTIVE_MAX),
  };
}

/** `8 × NVIDIA H100`, one entry for each kind. */
export function counted(names: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} × ${name}`);
}

/** The result of the first round, for the log. */
export function makeFound(
  round: ProbeRound,
  check: NvmlCheck | null,
  host: HostRound | null,
): Record<string, unknown> {
  const ports = host?.reading.ports ?? null;
  const rates = ports?.map(({ layer, gigabits, state }) => `${layer} ${gigabits} Gb/s ${state}`);
  const systems = host?.reading.fileSystems ?? null;
  const modes = check?.gpus.map(({ persistence }) => persistence) ?? [];
  return {
    gpus: counted(round.gpus.map(({ name }) => name)),
    expected_gpus: round.expected?.gpus ?? null,
    driver: check?.driverVersion ?? null,
    persistence_off: modes.filter((mode) => mode === false).length,
    network_ports: rates === undefined ? null : counted(rates),
    file_systems: systems?.map(({ path, type }) => `${path} ${type}`) ?? null,
    peermem: host?.reading.peermem ?? null,
    active: [...round.active, ...(host?.active ?? [])].slice(0, 16),
  };
}
