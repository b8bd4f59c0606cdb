/**
 * Records when each node was heard and its last sample: memory only, bounded by the fleet. A
 * restart clears it, because silence is counted by an attentive clock that starts with the process
 * (law 9). Instants are monotonic milliseconds of this process.
 */
import type { NodeId } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import type { Sample } from "../../schema/report.ts";
import type { DrainSight } from "../core/fleet.ts";
import type { PresenceSight } from "../core/fold/presence.ts";
import type { Node } from "../../schema/node.ts";
import { PackedSample } from "./packed-sample.ts";

/** Written in place: ten thousand nodes are heard a thousand times a second. */
type Heard = {
  atMono: number;
  atWall: number;
  sample: PackedSample | null;
  /** When the sample was taken in; before the first one, when the node was first heard. */
  sampleMono: number;
  /** The sample as last returned, while a reader holds it. */
  view: WeakRef<Sample> | null;
};

export class Presence {
  private readonly heard = new Map<NodeId, Heard>();
  /** Since when this process has run without a pause; silence is never counted from before. */
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
    heard.sampleMono = mono;
    heard.view = null;
    heard.sample ??= new PackedSample();
    heard.sample.put(sample);
  }

  forget(node: NodeId): void {
    this.heard.delete(node);
  }

  /**
   * A sign of life of this process, from a timer of its own and every activation. A long gap means
   * that it did not run (SIGSTOP, migration, a blocked loop), so silence in it is not the agents'.
   */
  pulse(mono: number, wall: number, graceMs: number): void {
    const gapMs = mono - this.lastPulseMono;
    const jumpMs = Math.abs(wall - this.lastPulseWall - gapMs);
    if (gapMs > PULSE_MS + STALL_MS) {
      this.attentiveSince = mono;
      this.doubt = {
        untilMono: mono + graceMs,
        why: `this process was paused for ${Math.round(gapMs / 1000)} s`,
      };
    } else if (jumpMs > JUMP_MS) {
      this.doubt = {
        untilMono: mono + graceMs,
        why: `the wall clock jumped by ${Math.round(jumpMs / 1000)} s`,
      };
    }
    if (this.doubt !== null && mono >= this.doubt.untilMono) this.doubt = null;
    this.lastPulseMono = mono;
    this.lastPulseWall = wall;
  }

  /** Why observations are unreliable, or `null`. */
  doubtful(): string | null {
    return this.doubt?.why ?? null;
  }

  /** Milliseconds for which this process has run without a pause. */
  attentiveMs(mono: number): number {
    return Math.max(0, mono - this.attentiveSince);
  }

  /** Whether a report of the node came in this process's life. */
  isHeard(node: NodeId): boolean {
    return this.heard.has(node);
  }

  /**
   * Attentive milliseconds since the node was heard; `null` for one that was never heard in this
   * life until it has been waited for long enough: before that nothing is known. An agent whose
   * server was away tries again after its longest pause at the latest, which may be longer than
   * `timeoutMs`: a restart must not call it silent for that.
   */
  silentMs(node: NodeId, mono: number, timeoutMs: number): number | null {
    const heard = this.heard.get(node);
    const attentive = this.attentiveMs(mono);
    if (heard === undefined) return attentive > patienceFor(timeoutMs) ? attentive : null;
    if (heard.atMono >= this.attentiveSince) return mono - heard.atMono;
    // Heard before this process was paused: its agent may be backing off, too.
    return Math.max(0, attentive - (patienceFor(timeoutMs) - timeoutMs));
  }

  /** Of every live node, for `fold`. */
  sights(nodes: Iterable<Node>, mono: number, timeoutMs: number): Map<NodeId, PresenceSight> {
    const sights = new Map<NodeId, PresenceSight>();
    for (const { id, phase } of nodes) {
      if (phase.kind === "gone") continue;
      sights.set(id, { silentMs: this.silentMs(id, mono, timeoutMs), heard: this.isHeard(id) });
    }
    return sights;
  }

  /** Wall time of the last report in this process's life. */
  heardAt(node: NodeId): number | null {
    return this.heard.get(node)?.atWall ?? null;
  }

  /**
   * The newest sample, made on demand; unknown readings are `null`. As long as no newer one came,
   * whoever holds it is given the same object again, so that "is it new?" can be asked by identity.
   */
  sample(node: NodeId): Sample | null {
    const heard = this.heard.get(node);
    if (heard === undefined || heard.sample === null) return null;
    const held = heard.view?.deref();
    if (held !== undefined) return held;
    const made = heard.sample.view();
    heard.view = new WeakRef(made);
    return made;
  }

  /** The newest sample as stored, to be read at once; the next report overwrites it. */
  packed(node: NodeId): PackedSample | null {
    return this.heard.get(node)?.sample ?? null;
  }

  /** What the agent's process list says; a list older than `freshMs` says nothing. */
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
    const sample = this.heard.get(node)?.sample ?? null;
    let sum = 0;
    let count = 0;
    for (let gpu = 0; gpu < (sample?.gpuCount ?? 0); gpu++) {
      const percent = sample?.reading(gpu, "utilization_percent") ?? null;
      if (percent === null) continue;
      sum += percent;
      count++;
    }
    return count === 0 ? null : sum / count;
  }
}

/** How long to wait for a node that was not heard since this process started. */
export function patienceFor(timeoutMs: number): number {
  return Math.max(timeoutMs, LIMIT.agentPauseMsMax * (1 + AGENT_JITTER));
}

/** Agents stretch their pauses by up to this share. */
const AGENT_JITTER = 0.25;

/** How often the process says that it runs. */
export const PULSE_MS = 1_000;
/**
 * A pulse this late means a pause: above any pause of the collector, below any heartbeat timeout.
 */
const STALL_MS = 1_000;
/** A wall clock that moved by more than this against the monotonic clock is not trusted. */
const JUMP_MS = 60_000;
