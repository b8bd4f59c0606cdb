/**
 * Machines on which nothing happens: their agents' cores are put aside, and what their quiet
 * heartbeats would have told the control plane, that they were heard and what they measured last,
 * is told in their place, with the very instants. A machine is put aside only if the product itself
 * would make nothing of its next report, and it is taken up again, in step, before anything about
 * it changes.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import type { Sample } from "../../schema/report.ts";
import type { Machine } from "../machine/machine.ts";
import type { Plane } from "./plane.ts";

/** Check, sample, heartbeat and kernel log: the timers of an idle core. */
const TIMERS = 4;

type Aside = { machine: Machine; atMono: number; sample: Sample | null };

export class IdleMachines {
  readonly #clock: Clock;
  readonly #plane: Plane;
  readonly #periodMs: number;
  readonly #quietMs: number;
  readonly #aside = new Map<NodeId, Aside>();
  /** Reports sent in an agent's place. */
  skipped = 0;

  /** `quietMs`: how long nothing must have changed, so that each probe saw it. */
  constructor(clock: Clock, plane: Plane, heartbeatMs: number, quietMs: number) {
    this.#clock = clock;
    this.#plane = plane;
    this.#periodMs = heartbeatMs;
    this.#quietMs = quietMs;
  }

  count(): number {
    return this.#aside.size;
  }

  /** Stops simulating the machine if nothing is due on it. */
  consider(machine: Machine, sample: Sample | null): void {
    const id = machine.identity.nodeId;
    if (this.#aside.has(id) || sample === null) return;
    const { last, before } = machine.sentMono;
    const now = this.#clock.monoMs();
    if (last - before !== this.#periodMs || now - machine.changedMono < this.#quietMs) return;
    if (!machine.isIdle(TIMERS) || machine.isCut() || !this.#plane.isReachable()) return;
    const node = this.#plane.life()?.process.reconciler.fleet().nodes.get(id);
    if (node === undefined || !isQuiet(node) || node.agent?.bootId !== machine.bootId()) return;
    machine.putAside();
    this.#aside.set(id, { machine, atMono: last, sample });
  }

  /** Its own core continues. */
  takeUp(machine: Machine): void {
    const id = machine.identity.nodeId;
    const aside = this.#aside.get(id);
    if (aside === undefined) return;
    this.#tell(id, aside);
    this.#aside.delete(id);
    machine.sentMono = { last: aside.atMono, before: Number.NEGATIVE_INFINITY };
    machine.takeUp();
  }

  takeUpAll(): void {
    for (const { machine } of [...this.#aside.values()]) this.takeUp(machine);
  }

  /** The reports of a committed node may count from now on. */
  changed(node: Node): void {
    const aside = this.#aside.get(node.id);
    if (aside !== undefined && !isQuiet(node)) this.takeUp(aside.machine);
  }

  /** Brings the control plane's memory up to date. */
  refresh(): void {
    for (const [id, aside] of this.#aside) this.#tell(id, aside);
  }

  #tell(id: NodeId, aside: Aside): void {
    const life = this.#plane.life();
    const now = this.#clock.monoMs();
    const periods = Math.floor((now - aside.atMono) / this.#periodMs);
    if (life === null || periods < 1) return;
    aside.atMono += periods * this.#periodMs;
    const wall = this.#clock.wallMs() - (now - aside.atMono);
    life.process.reconciler.presence.note(id, aside.atMono, wall, aside.sample);
    for (let i = 0; i < periods; i++) life.metrics.countReport("accepted");
    this.skipped += periods;
  }
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
