/**
 * Runs one full check for scripts and schedulers: findings, their verdict by the built-in policy,
 * and an exit status. It ends within ten seconds even if the driver hangs. The policy is loaded
 * only here, which saves the running agent its memory.
 */
import type { Finding } from "../../schema/finding.ts";
import type { GpuIdentity } from "../../schema/gpu.ts";
import type { NodeId } from "../../schema/id.ts";
import type { PolicyNode } from "../../schema/policy.ts";
import type { Expected, ProbeResult } from "../../schema/report.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { READ_DEADLINE_MS } from "../report/cadence.ts";
import { formatCheck } from "../report/check.ts";
import type { HostReading } from "../host/reading.ts";
import type { HostRound, HostWatch } from "../host/watch.ts";
import { makeGpuTable } from "../kernel/finding.ts";
import type { Bus, Clock, KernelCursor, KernelLog, Nvml } from "../port/port.ts";
import type { GpuTable } from "../kernel/finding.ts";
import type { Identity } from "../report/part.ts";
import type { Promises } from "../report/promise.ts";
import { makeHostFinding } from "../probe/finding.ts";
import { EMPTY_MEMORY, type ProbeMemory } from "../probe/probe.ts";
import { runProbes, type ProbeRound } from "../probe/run.ts";
import { parseInstant } from "../../schema/instant.ts";

/** The largest ring holds some 100,000 records; a larger file is not read to its end. */
const READS_MAX = 2_000;
const RECORDS_PER_READ = 1_000;

/** An answer that may pass is read again after this, as long as this after the start. */
const AGAIN_MS = 1_000;
const AGAIN_MS_MAX = 4_000;

export type OnceVerdict = "healthy" | "degraded" | "unhealthy" | "undetermined";
export const EXIT: Record<OnceVerdict, number> = {
  healthy: 0,
  degraded: 10,
  unhealthy: 11,
  undetermined: 12,
};

export type OnceResult = {
  node_id: NodeId;
  verdict: OnceVerdict;
  simulated: boolean;
  /** How many GPUs this machine must have, and the source; `null` without one. */
  expected: Expected | null;
  gpus: GpuIdentity[];
  /** Network ports, file systems and the like; `null` on a simulated node. */
  host: HostReading | null;
  findings: Finding[];
  probes: ProbeResult[];
};

export type OnceParts = {
  clock: Clock;
  nvml: Nvml;
  openKernelLog: (cursor: KernelCursor | null, gpus: () => GpuTable) => KernelLog | null;
  identity: Identity;
  promises: Promises;
  readBus: () => Bus;
  host: HostWatch | null;
  pool: string;
  labels: Record<string, string>;
};

/** `notes` go to stderr: what could not be judged, and why. */
export async function runOnce(parts: OnceParts): Promise<{ result: OnceResult; notes: string[] }> {
  const { clock, host, identity, nvml } = parts;
  const now = () => ({
    bootId: identity.bootId,
    wallMs: clock.wallMs(),
    monoMs: clock.monoMs(),
    uptimeMs: Math.max(0, clock.wallMs() - identity.bootWallMs),
    simulated: nvml.simulated,
  });
  // Conditions that the running agent has reported appear here too.
  host?.reportAgain();
  const looking = host?.look(now());
  const promised = parts.promises.all();
  const look = async (memory: ProbeMemory): Promise<ProbeRound> => {
    const answer = await nvml.check(READ_DEADLINE_MS);
    return runProbes(answer, memory, { ...now(), promised, bus: parts.readBus() });
  };
  const startMs = clock.monoMs();
  let round = await look(EMPTY_MEMORY);
  const seen = round.findings;
  while (round.open && clock.monoMs() - startMs < AGAIN_MS_MAX) {
    await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve));
    round = await look(round.memory);
    seen.push(...round.findings);
  }
  const around = (await looking) ?? [];
  const heard = readLog(parts, round);
  const findings = [...seen, ...around, ...heard.findings];
  const judged = await judgeAll(parts, round, host?.round ?? null, findings);
  return {
    result: {
      node_id: identity.nodeId,
      verdict: judged.verdict,
      simulated: nvml.simulated,
      expected: round.expected,
      gpus: round.gpus,
      host: host?.round?.reading ?? null,
      findings,
      probes: [...round.results, ...(host?.round?.results ?? []), heard.probe],
    },
    notes: judged.notes,
  };
}

function readLog(parts: OnceParts, round: ProbeRound): { findings: Finding[]; probe: ProbeResult } {
  const { clock, identity, nvml } = parts;
  const name = "kernel_log";
  const table = makeGpuTable(round.gpus, parts.readBus());
  const log = parts.openKernelLog(null, () => table);
  if (!log) {
    return { findings: [], probe: { name, outcome: "skipped", duration_ms: 0, message: null } };
  }
  const startMs = clock.monoMs();
  const findings: Finding[] = [];
  let deaf: string | null = null;
  for (let reads = 0, more = true; more && reads < READS_MAX; reads++) {
    const read = log.read(RECORDS_PER_READ);
    more = read.more && clock.monoMs() - startMs < 1_000;
    for (const record of read.out) {
      switch (record.kind) {
        case "finding":
          findings.push(record.finding);
          break;
        case "deaf":
          deaf = record.message;
          break;
        case "gap":
        case "hearing":
          break;
        default:
          unreachable(record);
      }
    }
  }
  log.close();
  if (deaf !== null) {
    const at = { wallMs: clock.wallMs(), bootId: identity.bootId, simulated: nvml.simulated };
    findings.push(makeHostFinding("kernel_log_deaf", deaf, at));
  }
  const outcome = deaf !== null ? "no_permission" : findings.length > 0 ? "finding" : "ok";
  const message = deaf?.slice(0, 256) ?? null;
  return { findings, probe: { name, outcome, duration_ms: clock.monoMs() - startMs, message } };
}

async function judgeAll(
  { clock, identity, labels, nvml, pool }: OnceParts,
  round: ProbeRound,
  host: HostRound | null,
  findings: Finding[],
): Promise<{ verdict: OnceVerdict; notes: string[] }> {
  const { compiledBuiltin } = await import("../../health/policy/builtin.ts");
  const { judgeReport } = await import("../../health/policy/judge.ts");
  const { holdFinding, releaseHeld, verdictOf } = await import("../../health/policy/hold.ts");
  const node: PolicyNode = {
    id: identity.nodeId,
    pool,
    labels,
    gpu_count: round.gpus.length,
    driver_version: round.gpus[0]?.driver_version ?? "",
    fake: nvml.simulated,
  };
  const { judgements, errors } = judgeReport(findings, compiledBuiltin, node, []);
  const nowMs = clock.wallMs();
  const { bootId } = identity;
  let held: Parameters<typeof holdFinding>[0] = [];
  findings.forEach((finding, i) => {
    const judgement = judgements[i];
    // After the clock was set back, an old line would be in the future.
    const atMs = Math.min(parseInstant(finding.at), nowMs);
    if (judgement) held = holdFinding(held, finding, judgement, atMs, bootId);
  });
  const check = formatCheck(round, host, [], nowMs);
  // The check is newer than the log, so it can end conditions that the log began.
  held = releaseHeld(held, { bootId, check, nowMs, resetSeen: false });
  const notes = errors.map(({ rule, message }) => `rule ${rule}: ${message}`);
  const worst = verdictOf(held);
  // Proven damage decides, even if other parts could not be checked.
  if (worst === "unhealthy") return { verdict: worst, notes };
  if (!round.conclusive) return { verdict: "undetermined", notes };
  return { verdict: worst === "degraded" ? "degraded" : "healthy", notes };
}
