/** The agents of a simulated world: builds the report that each would send now. */
import type { Clock } from "../../reconciler/core/clock.ts";
import type { DrainSight } from "../../reconciler/core/fleet.ts";
import type { Finding } from "../../schema/finding.ts";
import type { BootId, NodeId, StreamId } from "../../schema/id.ts";
import type { AgentNotice, Report } from "../../schema/report.ts";

/** State of one simulated agent. */
export type Speaker = {
  readonly stream: StreamId;
  seq: number;
  boot: number;
  /** Findings not yet acknowledged. */
  spool: { seq: number; finding: Finding }[];
  active: string[];
  /** On each of its GPUs; `null` = unknown. */
  processes: number | null;
  registered: boolean;
  /** The pool of `--pool`. */
  pool?: string;
  /** Its GPUs, which no other machine has. */
  uuids: string[];
  /** The announced end of its machine. */
  notice?: AgentNotice;
};

export type Agent = Speaker & { quiet: boolean };

/** A copy that shares nothing that changes. */
export function copyAgent(agent: Agent): Agent {
  return {
    ...agent,
    spool: [...agent.spool],
    active: [...agent.active],
    uuids: [...agent.uuids],
  };
}

/** The agent of a machine named `id`. */
export function newAgent(id: string): Agent {
  return { ...newSpeaker(id, "s", 1), quiet: false };
}

/** It has not registered; its GPUs are named after `owner`. */
export function newSpeaker(owner: string, stream: string, boot: number): Speaker {
  return {
    stream: stream as StreamId,
    seq: 0,
    boot,
    spool: [],
    active: [],
    processes: 0,
    registered: false,
    uuids: [0, 1].map((index) => `GPU-${owner}-${index}`),
  };
}

const bootOf = ({ boot }: Speaker): BootId => `boot-${boot}` as BootId;

/** XIDs that an application's own mistake explains. */
const BY_APPLICATION: readonly number[] = [13, 31, 43, 45];

/** An XID in the kernel log of the agent's machine, at wall milliseconds. */
export function logXid(agent: Speaker, code: number, gpu: number, wallMs: number): void {
  agent.seq++;
  const finding: Finding = {
    kind: "xid",
    code,
    reason: null,
    pci: `0000:0${gpu}:00.0`,
    gpu_index: gpu,
    gpu_uuid: agent.uuids[gpu] ?? null,
    mig: null,
    pid: null,
    process_name: null,
    at: new Date(wallMs).toISOString(),
    boot_id: bootOf(agent),
    severity: BY_APPLICATION.includes(code) ? "warning" : "fatal",
    message: `Xid ${code}`,
    metrics: { xid_code: code },
    source: "sim",
    foreign: false,
    injected: false,
    kmsg_seq: agent.seq,
  };
  agent.spool.push({ seq: agent.seq, finding });
}

/** The report of node `id` at wall milliseconds; `isSampled` = with a sample. */
export function reportOf(id: string, agent: Speaker, wallMs: number, isSampled = true): Report {
  const at = new Date(wallMs).toISOString();
  const gpus = agent.uuids.map((uuid, index) => ({ index, uuid }));
  return {
    version: 1,
    node_id: id as NodeId,
    boot_id: bootOf(agent),
    stream: agent.stream,
    agent_version: "t",
    simulated: true,
    sent_at: at,
    inventory: agent.registered ? null : inventoryOf(id, agent),
    sample: isSampled
      ? { at, gpus: gpus.map((gpu) => ({ ...gpu, processes: agent.processes })) }
      : null,
    check: {
      at,
      conclusive: true,
      probes: [],
      expected_gpus: 2,
      present_gpus: 2,
      active: agent.active,
    },
    findings: agent.spool.slice(0, 64),
    gaps: [],
    results: [],
    ...(agent.notice === undefined ? {} : { notice: agent.notice }),
  };
}

function inventoryOf(hostname: string, { uuids, pool }: Speaker): NonNullable<Report["inventory"]> {
  return {
    hostname,
    provider: null,
    region: null,
    zone: null,
    instance_type: null,
    provider_ids: [],
    pool: pool ?? null,
    labels: {},
    internal_ip: null,
    external_ip: null,
    kernel_version: null,
    driver_version: null,
    cuda_version: null,
    capabilities: [],
    gpus: uuids.map((uuid, index) => ({
      index,
      uuid,
      name: "H100",
      pci_bus_id: `00000000:0${index}:00.0`,
    })),
  };
}

/** What a scheduler that believes the agents sees of a node's work. */
export function leftOn(agent: Agent | undefined, clock: Clock): DrainSight {
  if (agent === undefined || agent.processes === null) {
    return { kind: "unknown", forMs: clock.monoMs() };
  }
  if (agent.processes === 0) return { kind: "empty", seenAt: clock.wallMs() };
  return { kind: "busy", remaining: agent.processes, message: `${agent.processes} left` };
}
