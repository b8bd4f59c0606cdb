/**
 * The agents of a simulated fleet, one per running machine: when each reports, and which work its
 * machine has. Heartbeats fall on the simulation's grid.
 */
import type { InstanceId, NodeId } from "../../../schema/id.ts";
import { newSpeaker, type Speaker } from "../../world/agent.ts";
import { STEP_MS } from "./shape.ts";

export type Agent = Speaker & {
  readonly instance: InstanceId;
  readonly node: NodeId;
  /** Monotonic instants, as all in this file. */
  readonly startedAt: number;
  readonly offsetMs: number;
  /** Silent in this interval; beats before it arrived. */
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
    ...newSpeaker(instance, `s-${instance}`, hashOf(instance)),
    instance,
    node: node as NodeId,
    startedAt: at,
    offsetMs: (hashOf(instance) % places) * STEP_MS,
    quietFrom: 0,
    quietUntil: 0,
    noted: -1,
    worked: false,
    emptyAt: null,
  };
}

export const isQuiet = (agent: Agent, at: number): boolean => agent.quietUntil > at;

/** Silences it from `at` for `forMs`; extends an open interval. */
export function silence(agent: Agent, at: number, forMs: number): void {
  if (!isQuiet(agent, at)) agent.quietFrom = at;
  agent.quietUntil = Math.max(agent.quietUntil, at + forMs);
}

/** The newest beat at or before `at` of an agent that is never silent. */
function beatBefore(agent: Agent, at: number, heartbeatMs: number): number {
  return at - ((((at - agent.offsetMs) % heartbeatMs) + heartbeatMs) % heartbeatMs);
}

/** The newest beat that had arrived at `at`, or `null`. */
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
