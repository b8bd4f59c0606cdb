/**
 * Keeps open operations moving: starts each that may be called and is not being called, a bounded
 * number at a time, and collects the answers for the next activation. After a crash every open
 * operation is simply found open and started again: recovery is the ordinary path (law 4).
 */
import type { OperationId } from "../../schema/id.ts";
import type { Operation } from "../../schema/operation.ts";
import type { Outcome } from "../fold/outcome.ts";
import { execute, mayCall, type Targets } from "./execute.ts";

/** Calls in flight at once: enough for a burst, few enough for a cloud's rate limit to answer each. */
const IN_FLIGHT_MAX = 32;

export class Runner {
  private readonly running = new Set<OperationId>();
  private readonly targets: Targets;
  private readonly hint: () => void;
  private done: { id: OperationId; outcome: Outcome }[] = [];

  constructor(targets: Targets, hint: () => void) {
    this.targets = targets;
    this.hint = hint;
  }

  /** Starts what is due; `now` is wall milliseconds. */
  start(operations: Iterable<Operation>, now: number): void {
    for (const operation of operations) {
      if (this.running.size >= IN_FLIGHT_MAX) return;
      if (operation.state !== "asked" || operation.notBefore > now || this.running.has(operation.id)) continue;
      if (!mayCall(operation, this.targets)) continue;
      this.running.add(operation.id);
      void this.run(operation);
    }
  }

  /** Answers since the last call, in the order they came. An operation is free again only once taken. */
  take(): { id: OperationId; outcome: Outcome }[] {
    const done = this.done;
    this.done = [];
    for (const { id } of done) this.running.delete(id);
    return done;
  }

  /** How many calls are out: a stopping process waits for them, briefly. */
  inFlight(): number {
    return this.running.size;
  }

  private async run(operation: Operation): Promise<void> {
    const outcome = await execute(operation, this.targets);
    this.done.push({ id: operation.id, outcome });
    this.hint();
  }
}
