/**
 * The agents of a simulated fleet, one for each machine that runs: what each has to say, when it
 * speaks, and what work is on its machine. Heartbeats fall on the grid of the simulation.
 */
import type { Finding } from "../../../schema/finding.ts";
import type { BootId, InstanceId, NodeId, StreamId } from "../../../schema/id.ts";
import type { Report } from "../../../schema/report.ts";
import { STEP_MS } from "./shape.ts";

export type Agent = {
  readonly instance: InstanceId;
  readonly node: NodeId;
  /** Monotonic instants, as all in this file. */
  readonly startedAt: number;
  readonly offsetMs: number;
  readonly stream: StreamId;
  seq: number;
  /** Not acknowledged yet. */
  spool: { seq: number; finding: Finding }[];
  registered: boolean;
  /** Says nothing in this stretch; beats before it were heard. */
  quietFrom: number;
  quietUntil: number;
  /** The newest beat that was passed on to the presence without a report. */
  noted: number;
  /** Work was placed on it; `emptyAt` is when the last of it leaves, once asked to. */
  worked: boolean;
  emptyAt: number | null;
};

/** A number that a name always has. */
export function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 13)) >>> 0;
}

export function newAgent(
  instance: InstanceId,
  node: string,
  at: number,
  heartbeatMs: number,
): Agent {
  const places = Math.max(1, Math.floor(heartbeatMs / STEP_MS));
  return {
    instance,
    node: node as NodeId,
    startedAt: at,
    offsetMs: (hashOf(instance) % places) * STEP_MS,
    stream: `s-${instance}` as StreamId,
    seq: 0,
    spool: [],
    registered: false,
    quietFrom: 0,
    quietUntil: 0,
    noted: -1,
    worked: false,
    emptyAt: null,
  };
}

export const isQuiet = (agent: Agent, at: number): boolean => agent.quietUntil > at;

/** Says nothing from `at` on, for so long; a stretch that is open already grows. */
export function silence(agent: Agent, at: number, forMs: number): void {
  if (!isQuiet(agent, at)) agent.quietFrom = at;
  agent.quietUntil = Math.max(agent.quietUntil, at + forMs);
}

/** The newest beat at or before `at` of an agent that speaks all the time. */
function beatBefore(agent: Agent, at: number, heartbeatMs: number): number {
  return at - ((((at - agent.offsetMs) % heartbeatMs) + heartbeatMs) % heartbeatMs);
}

/** The newest beat that could be heard at `at`, or `null`. */
export function lastBeat(agent: Agent, at: number, heartbeatMs: number): number | null {
  let beat = beatBefore(agent, at, heartbeatMs);
  if (beat >= agent.quietFrom && beat < agent.quietUntil)
    beat = beatBefore(agent, agent.quietFrom - 1, heartbeatMs);
  return beat >= agent.startedAt ? beat : null;
}

export function isBeat(agent: Agent, at: number, heartbeatMs: number): boolean {
  return at >= agent.startedAt && beatBefore(agent, at, heartbeatMs) === at;
}

export function nextBeat(agent: Agent, after: number, heartbeatMs: number): number {
  const from = Math.max(after, agent.startedAt - 1, agent.quietUntil - 1);
  return beatBefore(agent, from, heartbeatMs) + heartbeatMs;
}

const GPUS = [0, 1] as const;

/** An XID in the kernel log of the agent's machine. `at` is wall milliseconds. */
export function xid(agent: Agent, code: number, at: number): void {
  agent.seq++;
  const fatal = ![13, 31, 43, 45].includes(code);
  const finding: Finding = {
    kind: "xid",
    code,
    reason: null,
    pci: "0000:00:00.0",
    gpu_index: 0,
    gpu_uuid: `GPU-${agent.instance}-0`,
    mig: null,
    pid: null,
    process_name: null,
    at: new Date(at).toISOString(),
    boot_id: bootOf(agent),
    severity: fatal ? "fatal" : "warning",
    message: `Xid ${code}`,
    metrics: { xid_code: code },
    source: "sim",
    foreign: false,
    injected: false,
    kmsg_seq: agent.seq,
  };
  agent.spool.push({ seq: agent.seq, finding });
}

const bootOf = (agent: Agent): BootId => `boot-${hashOf(agent.instance)}` as BootId;

/** What the agent says at this beat. `at` is wall milliseconds. */
export function reportOf(agent: Agent, at: number): Report {
  const iso = new Date(at).toISOString();
  const uuid = (index: number): string => `GPU-${agent.instance}-${index}`;
  return {
    version: 1,
    node_id: agent.node,
    boot_id: bootOf(agent),
    stream: agent.stream,
    agent_version: "t",
    simulated: true,
    sent_at: iso,
    inventory: agent.registered
      ? null
      : {
          hostname: agent.node,
          provider: null,
          region: null,
          zone: null,
          instance_type: null,
          provider_ids: [],
          pool: null,
          labels: {},
          internal_ip: null,
          external_ip: null,
          kernel_version: null,
          driver_version: null,
          cuda_version: null,
          capabilities: [],
          gpus: GPUS.map((index) => ({
            index,
            uuid: uuid(index),
            name: "H100",
            pci_bus_id: `00000000:0${index}:00.0`,
          })),
        },
    sample: null,
    check: {
      at: iso,
      conclusive: true,
      probes: [],
      expected_gpus: 2,
      present_gpus: 2,
      active: [],
    },
    findings: agent.spool.slice(0, 64),
    gaps: [],
    results: [],
  };
}
