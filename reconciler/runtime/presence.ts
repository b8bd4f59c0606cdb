/**
 * Records each node's last report and sample. Memory only, bounded by the fleet; a restart clears
 * it, because silence counts only while this process runs without a pause (law 9). Instants are
 * monotonic milliseconds of this process.
 */
import type { ServerConfig } from "../../schema/config.ts";
import type { NodeId } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { Sample } from "../../schema/report.ts";
import type { DrainSight } from "../core/fleet.ts";
import type { PresenceSight } from "../core/fold/presence.ts";
import type { Node } from "../../schema/node.ts";
import { PackedSample } from "./packed-sample.ts";

/** Changed in place: ten thousand nodes send a thousand reports a second. */
type Heard = {
  atMono: number;
  atWall: number;
  sample: PackedSample | null;
  /** When the sample arrived; before the first one, when the node was first heard. */
  sampleMono: number;
  /** The sample as last returned, while a reader holds it. */
  view: WeakRef<Sample> | null;
};

type Heartbeat = Pick<ServerConfig, "heartbeatTimeoutMs" | "heartbeatIntervalMs">;

export class Presence {
  private readonly heard = new Map<NodeId, Heard>();
  /** Since when this process has run without a pause; silence counts from here. */
  private attentiveSince: number;
  private lastPulseMono: number;
  private lastPulseWall: number;
  /** Until when a pause or a clock jump makes observations unreliable, and why. */
  private doubt: { untilMono: number; why: string } | null = null;

  constructor(mono: number, wall: number) {
    this.attentiveSince = mono;
    this.lastPulseMono = mono;
    this.lastPulseWall = wall;
  }

  /** A report of this node came in. */
  note(node: NodeId, mono: number, wall: number, sample: Sample | null): void {
    let heard = this.heard.get(node);
    if (heard === undefined) {
      heard = { atMono: mono, atWall: wall, sample: null, sampleMono: mono, view: null };
      this.heard.set(node, heard);
    }
    heard.atMono = mono;
    heard.atWall = wall;
    if (sample === null) return;
    heard.view = null;
    heard.sample ??= new PackedSample();
    if (heard.sample.put(sample)) heard.sampleMono = mono;
  }

  forget(node: NodeId): void {
    this.heard.delete(node);
  }

  /**
   * Called by a timer and every activation. A long gap means that this process did not run
   * (SIGSTOP, migration, a blocked loop), so silence in it does not count.
   */
  pulse(mono: number, wall: number, graceMs: number): void {
    const gapMs = mono - this.lastPulseMono;
    const jumpMs = Math.abs(wall - this.lastPulseWall - gapMs);
    if (gapMs > PULSE_MS + STALL_MS) {
      this.attentiveSince = mono;
      const why = `this process was paused for ${Math.round(gapMs / 1000)} s`;
      this.doubt = { untilMono: mono + graceMs, why };
    } else if (jumpMs > JUMP_MS) {
      const why = `the wall clock jumped by ${Math.round(jumpMs / 1000)} s`;
      this.doubt = { untilMono: mono + graceMs, why };
    }
    if (this.doubt !== null && mono >= this.doubt.untilMono) this.doubt = null;
    this.lastPulseMono = mono;
    this.lastPulseWall = wall;
  }

  /** Agents learn a shorter interval with their next report, so silence counts from then. */
  adopt(before: Heartbeat, next: Heartbeat, mono: number): void {
    if (next.heartbeatTimeoutMs >= before.heartbeatTimeoutMs) return;
    this.attentiveSince = mono + before.heartbeatIntervalMs;
  }

  /** Why observations are unreliable, or `null`. */
  doubtful(): string | null {
    return this.doubt?.why ?? null;
  }

  /** Milliseconds since the last pause of this process. */
  attentiveMs(mono: number): number {
    return Math.max(0, mono - this.attentiveSince);
  }

  /** Whether a report of the node came since this process started. */
  isHeard(node: NodeId): boolean {
    return this.heard.has(node);
  }

  /**
   * Attentive milliseconds since the node was heard; `null` while it is too early to know. After an
   * outage of the server an agent may pause for longer than `timeoutMs` before it retries, and a
   * restart must not report it as silent.
   */
  silentMs(node: NodeId, mono: number, timeoutMs: number): number | null {
    const heard = this.heard.get(node);
    const attentive = this.attentiveMs(mono);
    if (heard === undefined) return attentive > patienceFor(timeoutMs) ? attentive : null;
    if (heard.atMono >= this.attentiveSince) return mono - heard.atMono;
    // Heard before the pause of this process: its agent may be backing off too.
    return Math.max(0, attentive - (patienceFor(timeoutMs) - timeoutMs));
  }

  /** The presence of every live node. */
  sights(nodes: Iterable<Node>, mono: number, timeoutMs: number): Map<NodeId, PresenceSight> {
    const sights = new Map<NodeId, PresenceSight>();
    for (const { id, phase } of nodes) {
      if (phase.kind === "gone") continue;
      sights.set(id, { silentMs: this.silentMs(id, mono, timeoutMs), heard: this.isHeard(id) });
    }
    return sights;
  }

  /** Wall time of the last report since this process started. */
  heardAt(node: NodeId): number | null {
    return this.heard.get(node)?.atWall ?? null;
  }

  /** The newest sample. The same object is returned until a newer sample comes. */
  sample(node: NodeId): Sample | null {
    const heard = this.heard.get(node);
    if (heard === undefined || heard.sample === null) return null;
    const held = heard.view?.deref();
    if (held !== undefined) return held;
    const made = heard.sample.view();
    heard.view = new WeakRef(made);
    return made;
  }

  /** The newest sample as stored; the next report overwrites it. */
  packed(node: NodeId): PackedSample | null {
    return this.heard.get(node)?.sample ?? null;
  }

  /** Work left according to the agent's process list, unless it is older than `freshMs`. */
  left(node: NodeId, mono: number, freshMs: number): DrainSight {
    const heard = this.heard.get(node);
    const from = Math.max(this.attentiveSince, heard?.sample == null ? 0 : heard.sampleMono);
    const unknown: DrainSight = { kind: "unknown", forMs: Math.max(0, mono - from) };
    if (heard === undefined || heard.sample === null || mono - heard.sampleMono > freshMs)
      return unknown;
    const { sample } = heard;
    if (sample.gpuCount === 0) return unknown;
    let remaining = 0;
    let known = true;
    for (let gpu = 0; gpu < sample.gpuCount; gpu++) {
      const processes = sample.reading(gpu, "processes");
      if (processes === null) known = false;
      else remaining += processes;
    }
    if (remaining > 0)
      return { kind: "busy", remaining, message: `${remaining} GPU processes are left` };
    if (!known) return unknown;
    return { kind: "empty", seenAt: Math.round(heard.atWall - (heard.atMono - heard.sampleMono)) };
  }

  /** Mean GPU utilisation in percent, or `null`. */
  utilization(node: NodeId): number | null {
    const load = this.load(node);
    return load === null || load.count === 0 ? null : load.sum / load.count;
  }

  /** Utilisation of the GPUs that show it, and when the sample came; `null` = there is none. */
  load(node: NodeId): { sum: number; count: number; atMono: number } | null {
    const heard = this.heard.get(node);
    if (heard === undefined || heard.sample === null) return null;
    const { sample, sampleMono: atMono } = heard;
    let sum = 0;
    let count = 0;
    for (let gpu = 0; gpu < sample.gpuCount; gpu++) {
      const percent = sample.reading(gpu, "utilization_percent");
      if (percent === null) continue;
      sum += percent;
      count++;
    }
    return { sum, count, atMono };
  }
}

/** How long a node may stay unheard after this process started. */
export function patienceFor(timeoutMs: number): number {
  return Math.max(timeoutMs, LIMIT.agentPauseMsMax * (1 + AGENT_JITTER));
}

/** Agents extend their pauses by up to this share. */
const AGENT_JITTER = 0.25;

/** The longest time between two pulses. */
export const PULSE_MS = 1_000;
/** A later pulse means a pause: above any garbage collection, below any heartbeat timeout. */
const STALL_MS = 1_000;
/** A larger difference between wall clock and monotonic clock makes observations unreliable. */
const JUMP_MS = 60_000;
