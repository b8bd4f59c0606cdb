/**
 * Who was heard when, and what they last measured: memory only, bounded by the fleet. A restart loses it
 * on purpose, because silence is counted by an attentive clock that starts with the process (law 9).
 * All instants here are monotonic milliseconds of this process.
 */
import type { NodeId } from "../schema/id.ts";
import type { Sample } from "../schema/report.ts";
import type { DrainSight } from "./fleet.ts";

type Heard = { atMono: number; atWall: number; sample: Sample | null; sampleMono: number };

export class Presence {
  private readonly heard = new Map<NodeId, Heard>();
  /** Since when this process has looked without a pause; silence is never counted from before. */
  private attentiveSince: number;
  private lastTickMono: number;
  private lastTickWall: number;
  /** Until when a pause or a clock jump makes everything doubtful, and why. */
  private doubt: { untilMono: number; why: string } | null = null;

  constructor(mono: number, wall: number) {
    this.attentiveSince = mono;
    this.lastTickMono = mono;
    this.lastTickWall = wall;
  }

  /** A report of this node came in. */
  note(node: NodeId, mono: number, wall: number, sample: Sample | null): void {
    const before = this.heard.get(node);
    this.heard.set(node, {
      atMono: mono,
      atWall: wall,
      sample: sample ?? before?.sample ?? null,
      sampleMono: sample === null ? (before?.sampleMono ?? mono) : mono,
    });
  }

  forget(node: NodeId): void {
    this.heard.delete(node);
  }

  /**
   * Called by every activation. A gap much longer than the period means that this process did not run
   * (SIGSTOP, migration, a blocked loop): then its own silence is not anybody else's.
   */
  tick(mono: number, wall: number, periodMs: number, graceMs: number): void {
    const gapMs = mono - this.lastTickMono;
    const jumpMs = Math.abs(wall - this.lastTickWall - gapMs);
    if (gapMs > periodMs + STALL_MS) {
      this.attentiveSince = mono;
      this.doubt = { untilMono: mono + graceMs, why: `this process was paused for ${Math.round(gapMs / 1000)} s` };
    } else if (jumpMs > JUMP_MS) {
      this.doubt = { untilMono: mono + graceMs, why: `the wall clock jumped by ${Math.round(jumpMs / 1000)} s` };
    }
    if (this.doubt !== null && mono >= this.doubt.untilMono) this.doubt = null;
    this.lastTickMono = mono;
    this.lastTickWall = wall;
  }

  /** Why this process does not trust its own eyes, or `null`. */
  doubtful(): string | null {
    return this.doubt?.why ?? null;
  }

  /** Attentive milliseconds since the node was heard. */
  silentMs(node: NodeId, mono: number): number {
    const from = Math.max(this.heard.get(node)?.atMono ?? this.attentiveSince, this.attentiveSince);
    return Math.max(0, mono - from);
  }

  /** Wall time of the last report in this process's life. */
  heardAt(node: NodeId): number | null {
    return this.heard.get(node)?.atWall ?? null;
  }

  sample(node: NodeId): Sample | null {
    return this.heard.get(node)?.sample ?? null;
  }

  /** What the agent's process list says; a list older than `freshMs` says nothing. */
  left(node: NodeId, mono: number, freshMs: number): DrainSight {
    const heard = this.heard.get(node);
    if (heard === undefined || heard.sample === null || mono - heard.sampleMono > freshMs) return { kind: "unknown" };
    const { gpus } = heard.sample;
    if (gpus.length === 0) return { kind: "unknown" };
    let remaining = 0;
    let known = true;
    for (const gpu of gpus) {
      if (gpu.processes === null || gpu.processes === undefined) known = false;
      else remaining += gpu.processes;
    }
    if (remaining > 0) return { kind: "busy", remaining, message: `${remaining} GPU processes are left` };
    return known ? { kind: "empty" } : { kind: "unknown" };
  }

  /** Mean GPU utilisation in percent, or `null`. */
  utilization(node: NodeId): number | null {
    const gpus = this.heard.get(node)?.sample?.gpus ?? [];
    let sum = 0;
    let count = 0;
    for (const gpu of gpus) {
      if (typeof gpu.utilization_percent !== "number") continue;
      sum += gpu.utilization_percent;
      count++;
    }
    return count === 0 ? null : sum / count;
  }
}

/** A loop that is this much late was not running; above any pause of the collector, below any heartbeat timeout. */
const STALL_MS = 1_000;
/** safety.md §6: a wall clock that moved this far against the monotonic one is not to be trusted. */
const JUMP_MS = 60_000;
