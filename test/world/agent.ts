/**
 * The agents of a simulated world: what each would say now, as the report that a real one sends.
 */
import * as v from "valibot";
import type { Clock } from "../../reconciler/core/clock.ts";
import type { DrainSight } from "../../reconciler/core/fleet.ts";
import type { Finding } from "../../schema/finding.ts";
import { Report } from "../../schema/report.ts";

/** What one simulated agent will say. */
export type Agent = {
  seq: number;
  boot: number;
  /** Findings not yet acknowledged. */
  spool: { seq: number; finding: Finding }[];
  active: string[];
  processes: number | null;
  quiet: boolean;
  registered: boolean;
  /** The pool that it names, as `--pool` says. */
  pool?: string;
  /** Its GPUs, which no other machine has. */
  uuids: string[];
};

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
  return {
    seq: 0,
    boot: 1,
    spool: [],
    active: [],
    processes: 0,
    quiet: false,
    registered: false,
    uuids: [0, 1].map((index) => `GPU-${id}-${index}`),
  };
}

/** An XID in the kernel log of the agent's machine, at wall milliseconds. */
export function logXid(agent: Agent, code: number, gpu: number, wallMs: number): void {
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
    boot_id: `boot-${agent.boot}` as Finding["boot_id"],
    severity: "fatal",
    message: `Xid ${code}`,
    metrics: { xid_code: code },
    source: "sim",
    foreign: false,
    injected: false,
    kmsg_seq: agent.seq,
  };
  agent.spool.push({ seq: agent.seq, finding });
}

/** What the agent of node `id` says at wall milliseconds. */
export function reportOf(id: string, agent: Agent, wallMs: number): Report {
  const at = new Date(wallMs).toISOString();
  const gpus = agent.uuids.map((uuid, index) => ({ index, uuid }));
  return v.parse(Report, {
    version: 1,
    node_id: id,
    boot_id: `boot-${agent.boot}`,
    stream: "s",
    agent_version: "t",
    simulated: true,
    sent_at: at,
    inventory: agent.registered
      ? null
      : {
          hostname: id,
          ...(agent.pool === undefined ? {} : { pool: agent.pool }),
          gpus: gpus.map((g) => ({
            ...g,
            name: "H100",
            pci_bus_id: `00000000:0${g.index}:00.0`,
          })),
        },
    sample: { at, gpus: gpus.map((g) => ({ ...g, processes: agent.processes })) },
    check: {
      at,
      conclusive: true,
      probes: [],
      expected_gpus: 2,
      present_gpus: 2,
      active: agent.active,
    },
    findings: agent.spool,
  });
}

/** What a scheduler that believes the agents sees of a node's work. */
export function leftOn(agent: Agent | undefined, clock: Clock): DrainSight {
  if (agent === undefined || agent.processes === null) {
    return { kind: "unknown", forMs: clock.monoMs() };
  }
  if (agent.processes === 0) return { kind: "empty", seenAt: clock.wallMs() };
  return { kind: "busy", remaining: agent.processes, message: `${agent.processes} left` };
}
