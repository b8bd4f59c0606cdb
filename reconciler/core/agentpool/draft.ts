/** The rows, effects and events that one step of a pool writes down. */
import type { Worker } from "../../../schema/agentpool.ts";
import type { LeavingCause, SlotClaim } from "../../../schema/agentpool.ts";
import type { PoolEvent } from "./model.ts";
import { Recall } from "./memory.ts";
import type { OrphanInput, PodEffect, PoolMemory, Step } from "./step-model.ts";

const MINUTE_MS = 60_000;

type Ending = "released" | "cancelled" | "expired" | "lost";

export class Draft {
  readonly now: number;
  readonly recall: Recall;
  readonly events: PoolEvent[] = [];
  readonly effects: PodEffect[] = [];
  readonly told: Map<string, string>;
  private readonly rows: Map<string, Worker>;
  private readonly open: Map<string, SlotClaim>;
  private readonly changed = new Set<string>();
  private readonly gone = new Set<string>();
  private readonly ended: SlotClaim[] = [];
  private readonly placed = new Set<string>();

  constructor({ workers, claims, memory, now, mono }: OrphanInput) {
    this.now = now;
    this.rows = new Map(workers.map((one) => [one.name, one]));
    this.open = new Map(claims.map((one) => [one.id, one]));
    this.told = new Map(memory.told);
    this.recall = new Recall(memory, mono, agesOfWrites(workers, now));
  }

  get workers(): Worker[] {
    return [...this.rows.values()];
  }

  worker(name: string): Worker | null {
    return this.rows.get(name) ?? null;
  }

  put(worker: Worker): Worker {
    this.rows.set(worker.name, worker);
    this.changed.add(worker.name);
    this.gone.delete(worker.name);
    return worker;
  }

  /** Its pod is gone, or was never made: it ends with its claims. */
  drop({ name }: Worker): void {
    this.endClaims(name, "lost");
    this.rows.delete(name);
    this.changed.delete(name);
    this.gone.add(name);
  }

  /** Its pod is deleted from here on, and its claims end with it. */
  kill(worker: Worker, cause: LeavingCause): Worker {
    this.endClaims(worker.name, "lost");
    return this.release(worker, cause);
  }

  /** Its pod is deleted from here on, or is being deleted already. */
  release(worker: Worker, cause: LeavingCause): Worker {
    const { now } = this;
    const leaving = { cause, since: now, ...worker.leaving, deletingAt: now };
    return this.put({ ...worker, leaving });
  }

  /** It takes no more claims, and its agent is asked to stop. */
  ask(worker: Worker, cause: LeavingCause): Worker {
    return this.put({ ...worker, leaving: { cause, since: this.now, deletingAt: null } });
  }

  /** Open claims, in the order of their arrival. */
  get claims(): SlotClaim[] {
    return [...this.open.values()];
  }

  get queued(): SlotClaim[] {
    return this.claims.filter((one) => one.state === "queued");
  }

  claimsOn(name: string): SlotClaim[] {
    return this.claims.filter((one) => one.state === "running" && one.worker === name);
  }

  place(claim: SlotClaim, worker: Worker, slot: number): void {
    const { now } = this;
    const more = { state: "running" as const, worker: worker.name, slot, placedAt: now };
    this.open.set(claim.id, { ...claim, ...more });
    this.placed.add(claim.id);
  }

  end(claim: SlotClaim, state: Ending): void {
    this.open.delete(claim.id);
    this.ended.push({ ...claim, state, endedAt: this.now });
  }

  private endClaims(name: string, state: Ending): void {
    for (const claim of this.claimsOn(name)) this.end(claim, state);
  }

  warn(reason: string, message: string): void {
    this.events.push({ type: "Warning", reason, message });
  }

  note(reason: string, message: string): void {
    this.events.push({ type: "Normal", reason, message });
  }

  /** Whether something else was told of this subject; `null`: nothing is to tell any more. */
  changes(subject: string, text: string | null): boolean {
    const before = this.told.get(subject) ?? null;
    if (text === null) this.told.delete(subject);
    else this.told.set(subject, text);
    return before !== text;
  }

  remembered(): Pick<PoolMemory, "stepAt" | "since" | "sent" | "writes" | "told"> {
    const { since, sent, writes, mono } = this.recall;
    for (const subject of this.told.keys()) {
      const [, name = null] = /^delete:(.*)$/.exec(subject) ?? [];
      if (name !== null && !this.rows.has(name)) this.told.delete(subject);
    }
    return { stepAt: mono, since, sent, writes, told: this.told };
  }

  written(): Pick<Step, "workers" | "removed" | "claims"> {
    const placed = this.claims.filter((one) => this.placed.has(one.id));
    return {
      workers: this.workers.filter((one) => this.changed.has(one.name)),
      removed: [...this.gone],
      claims: [...this.ended, ...placed],
    };
  }
}

/** A process that was just started counts the writes of the one before it. */
function agesOfWrites(workers: readonly Worker[], now: number): number[] {
  const at = workers.flatMap(({ found, at, leaving }) => [
    ...(found ? [] : [at]),
    ...(leaving?.deletingAt == null ? [] : [leaving.deletingAt]),
  ]);
  return at.map((one) => now - one).filter((age) => age >= 0 && age < MINUTE_MS);
}
