/** The agent's state for its metrics: a snapshot, so that a scrape never calls the driver. */
import { type Finding, SEVERITIES } from "../../schema/finding.ts";
import type { GpuIdentity, GpuSample } from "../../schema/gpu.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { Check, Expected, ProbeResult, ReportReply } from "../../schema/report.ts";
import type { HostReading } from "../host/reading.ts";
import type { NvmlAnswer, NvmlCheck } from "../port/reading.ts";
import type { AgentParts } from "./part.ts";
import type { ProbeRound } from "../probe/run.ts";
import type { SpoolStats } from "../spool/spool.ts";

/** Counts findings since the start for metrics; keeps the newest of each for the last verdict. */
export class Tally {
  /** The newest finding of each fault, oldest first; bounded. */
  readonly recent = new Map<string, Finding>();
  /** The last full check, and whether a finding is newer. */
  check: Check | null = null;
  isOutdated = false;
  /** The control plane's last verdict, and when it came (monotonic). */
  heard: { verdict: string | null; monoMs: number } | null = null;

  /** Last XID per GPU UUID. */
  readonly lastXid = new Map<string, Finding>();
  /** Findings by kind. */
  readonly kinds = new Map<string, number>();
  /** Faults of the machine around the GPUs by reason, suppressed repetitions included. */
  readonly host = new Map<string, number>();

  note(findings: readonly Finding[]): void {
    this.isOutdated ||= findings.length > 0;
    for (const finding of findings) {
      const { kind, reason, metrics } = finding;
      this.#remember(finding);
      this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
      if (kind === "host" && typeof reason === "string") {
        const repeated = metrics?.["repeated"];
        const times = 1 + (typeof repeated === "number" ? repeated : 0);
        this.host.set(reason, (this.host.get(reason) ?? 0) + times);
      }
      if (kind === "xid" && finding.gpu_uuid !== null && !finding.foreign) {
        this.lastXid.set(finding.gpu_uuid, finding);
      }
    }
  }

  /** A full check that includes what was noted before. */
  conclude(check: Check): void {
    this.check = check;
    this.isOutdated = false;
  }

  hear({ verdict }: ReportReply, monoMs: number): void {
    this.heard = { verdict: verdict ?? null, monoMs };
  }

  /** The least severe, then oldest, is dropped first. */
  #remember(finding: Finding): void {
    const { kind, code, reason, gpu_uuid, pci, foreign } = finding;
    if (foreign) return;
    const key = `${kind}/${code ?? reason}/${gpu_uuid ?? pci}`;
    this.recent.delete(key);
    this.recent.set(key, finding);
    if (this.recent.size <= LIMIT.heldFindingsMax) return;
    const ranks = [...this.recent].map(([name, { severity }]) => {
      return { name, rank: SEVERITIES.indexOf(severity) };
    });
    const least = ranks.reduce((low, one) => (one.rank < low.rank ? one : low));
    this.recent.delete(least.name);
  }
}

export type AgentView = {
  simulated: boolean;
  gpus: readonly GpuIdentity[];
  samples: readonly GpuSample[];
  probes: readonly ProbeResult[];
  present: number | null;
  expected: Expected | null;
  /** True if the last call into the driver missed its deadline, `null` before the first. */
  unresponsive: boolean | null;
  /** Abandoned probe children that still exist. */
  abandoned: number;
  spool: SpoolStats;
  /** Wall time of the last acknowledgement, or `null`. */
  ackedAtMs: number | null;
  connected: boolean;
  /** Last XID per GPU UUID. */
  lastXid: ReadonlyMap<string, Finding>;
  /** Findings since the start, by kind. */
  findings: ReadonlyMap<string, number>;
  /** Evidence for the last verdict: see `Tally`. */
  tally: Pick<Tally, "recent" | "check" | "isOutdated" | "heard">;
  /** The last full check, `null` if it failed. */
  check: NvmlCheck | null;
  /** Faults of the machine around the GPUs since the start, by reason. */
  hostEvents: ReadonlyMap<string, number>;
  host: HostReading | null;
  /** How late the last heartbeat was, milliseconds. */
  lagMs: number;
};

type DriverView = Pick<AgentView, "unresponsive" | "abandoned"> & {
  /** The last call into the driver gave readings; without them the earlier ones are of the past. */
  answers: boolean;
};
export const UNASKED: DriverView = { unresponsive: null, abandoned: 0, answers: false };

/** The state of the driver by its last answer. */
export function driverOf(answer: NvmlAnswer<unknown>, abandoned: number): DriverView {
  const unresponsive = answer.kind === "unresponsive" || answer.kind === "stuck";
  const answers = answer.kind === "ok";
  if ("abandoned" in answer) return { unresponsive, abandoned: answer.abandoned, answers };
  return { unresponsive, abandoned: unresponsive ? abandoned : 0, answers };
}

/** `now` holds the private state of the core. */
export function makeView(
  { host, nvml, sender, spool }: AgentParts,
  round: ProbeRound | null,
  tally: Tally,
  {
    answers,
    check,
    ...now
  }: Pick<AgentView, "samples" | "ackedAtMs" | "check" | "lagMs"> & DriverView,
): AgentView {
  // Known GPUs of a driver that does not answer may be there or not.
  const isKnown = answers || round?.gpus.length === 0;
  return {
    simulated: nvml.simulated,
    gpus: round?.gpus ?? [],
    probes: round?.results ?? [],
    present: isKnown ? (round?.present ?? null) : null,
    check: answers ? check : null,
    expected: round?.expected ?? null,
    spool: spool.stats(),
    connected: sender.connected(),
    tally,
    lastXid: tally.lastXid,
    findings: tally.kinds,
    hostEvents: tally.host,
    host: host?.round?.reading ?? null,
    ...now,
  };
}
