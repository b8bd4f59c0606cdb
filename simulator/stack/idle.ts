/**
 * Suspends machines on which nothing happens and feeds the control plane their quiet heartbeats,
 * with the exact instants and the last sample. A machine is suspended only if the product would
 * ignore its next report, and resumes in phase before anything about it changes.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import type { Sample } from "../../schema/report.ts";
import type { Machine } from "../machine/machine.ts";
import type { Plane } from "./plane.ts";
import { parseInstant } from "../../schema/instant.ts";

/** Check, sample, heartbeat and kernel log: the timers of an idle core. */
const TIMERS = 4;

type Suspended = { machine: Machine; atMono: number; sample: Sample | null };

export class IdleMachines {
  readonly #clock: Clock;
  readonly #plane: Plane;
  readonly #periodMs: number;
  readonly #quietMs: number;
  readonly #suspended = new Map<NodeId, Suspended>();

  /** `quietMs`: how long nothing must have changed, so that each probe saw it. */
  constructor(clock: Clock, plane: Plane, heartbeatMs: number, quietMs: number) {
    this.#clock = clock;
    this.#plane = plane;
    this.#periodMs = heartbeatMs;
    this.#quietMs = quietMs;
  }

  /** Stops simulating the machine if nothing is due on it. */
  consider(machine: Machine, sample: Sample | null): void {
    const id = machine.identity.nodeId;
    if (this.#suspended.has(id) || sample === null) return;
    const { last, before } = machine.sentMono;
    const now = this.#clock.monoMs();
    if (last - before !== this.#periodMs || now - machine.changedMono < this.#quietMs) return;
    if (!machine.isIdle(TIMERS) || machine.isCut() || !this.#plane.isReachable()) return;
    const node = this.#plane.life()?.process.reconciler.fleet().nodes.get(id);
    if (node === undefined || !isQuiet(node) || node.agent?.bootId !== machine.bootId()) return;
    machine.suspend();
    this.#suspended.set(id, { machine, atMono: last, sample });
  }

  /** Its own core continues. */
  resume(machine: Machine): void {
    const id = machine.identity.nodeId;
    const suspended = this.#suspended.get(id);
    if (suspended === undefined) return;
    this.#catchUp(id, suspended);
    this.#suspended.delete(id);
    machine.sentMono = { last: suspended.atMono, before: Number.NEGATIVE_INFINITY };
    machine.resume();
  }

  resumeAll(): void {
    for (const { machine } of [...this.#suspended.values()]) this.resume(machine);
  }

  /** The reports of a committed node may count from now on. */
  changed(node: Node): void {
    const suspended = this.#suspended.get(node.id);
    if (suspended !== undefined && !isQuiet(node)) this.resume(suspended.machine);
  }

  /** Brings the control plane's memory up to date. */
  refresh(): void {
    for (const [id, suspended] of this.#suspended) this.#catchUp(id, suspended);
  }

  #catchUp(id: NodeId, suspended: Suspended): void {
    const life = this.#plane.life();
    const now = this.#clock.monoMs();
    const periods = Math.floor((now - suspended.atMono) / this.#periodMs);
    if (life === null || periods < 1) return;
    suspended.atMono += periods * this.#periodMs;
    const wall = this.#clock.wallMs() - (now - suspended.atMono);
    suspended.sample = later(suspended.sample, periods * this.#periodMs);
    life.process.reconciler.presence.note(id, suspended.atMono, wall, suspended.sample);
    for (let i = 0; i < periods; i++) life.metrics.countReport("accepted");
  }
}

/** What the machine would have read since: the same, and newer. */
function later(sample: Sample | null, ms: number): Sample | null {
  return sample && { ...sample, at: new Date(parseInstant(sample.at) + ms).toISOString() };
}

/** The ingest's test for ignoring a clean check (`reconciler/runtime/ingest.ts`). */
function isQuiet(node: Node): boolean {
  const { health } = node;
  return (
    node.phase.kind === "serving" &&
    node.session === null &&
    health.held.length === 0 &&
    health.verdict === "healthy" &&
    health.silentSince === null
  );
}
