/**
 * What the agent knows at this moment, for its own metrics: a snapshot, so that a scrape never
 * waits for anything and never calls the driver.
 */
import type { Finding } from "../../schema/finding.ts";
import type { GpuIdentity, GpuSample } from "../../schema/gpu.ts";
import type { Expected, ProbeResult } from "../../schema/report.ts";
import type { HostReading } from "../host/reading.ts";
import type { NvmlAnswer, NvmlCheck } from "../reading.ts";
import type { AgentParts } from "./part.ts";
import type { ProbeRound } from "../probe/run.ts";
import type { SpoolStats } from "../spool/spool.ts";
import type { Tally } from "./tally.ts";

export type AgentView = {
  simulated: boolean;
  gpus: readonly GpuIdentity[];
  samples: readonly GpuSample[];
  probes: readonly ProbeResult[];
  present: number | null;
  expected: Expected | null;
  /** True if the last call into the driver missed its deadline, `null` before the first. */
  unresponsive: boolean | null;
  /** Probe children that were given up and are not yet gone. */
  abandoned: number;
  spool: SpoolStats;
  /** Wall time of the last acknowledgement, or `null`. */
  ackedAtMs: number | null;
  connected: boolean;
  /** Last XID per GPU UUID. */
  lastXid: ReadonlyMap<string, Finding>;
  /** Findings since the start, by kind. */
  findings: ReadonlyMap<string, number>;
  /** What the driver answered to the last full check, `null` if it did not. */
  check: NvmlCheck | null;
  /** What happened to the machine around the GPUs since the start, by reason. */
  hostEvents: ReadonlyMap<string, number>;
  /** The last look at that machine, or `null`. */
  host: HostReading | null;
  /** How late the last heartbeat was, milliseconds. */
  lagMs: number;
};

type DriverView = Pick<AgentView, "unresponsive" | "abandoned">;
export const UNASKED: DriverView = { unresponsive: null, abandoned: 0 };

/** What the driver's last answer says of the driver. */
export function driverOf(answer: NvmlAnswer<unknown>, abandoned: number): DriverView {
  const unresponsive = answer.kind === "unresponsive" || answer.kind === "stuck";
  if ("abandoned" in answer) return { unresponsive, abandoned: answer.abandoned };
  return { unresponsive, abandoned: unresponsive ? abandoned : 0 };
}

/** The snapshot; `now` is what the core keeps to itself. */
export function makeView(
  { host, nvml, sender, spool }: AgentParts,
  round: ProbeRound | null,
  tally: Tally,
  now: Pick<
    AgentView,
    "samples" | "unresponsive" | "abandoned" | "ackedAtMs" | "check" | "lagMs"
  >,
): AgentView {
  return {
    simulated: nvml.simulated,
    gpus: round?.gpus ?? [],
    probes: round?.results ?? [],
    present: round?.present ?? null,
    expected: round?.expected ?? null,
    spool: spool.stats(),
    connected: sender.connected(),
    lastXid: tally.lastXid,
    findings: tally.kinds,
    hostEvents: tally.host,
    host: host?.round?.reading ?? null,
    ...now,
  };
}
